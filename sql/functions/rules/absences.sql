-- Absences: what did not come in time; and groups that are no longer needed.

create or replace function signalops.start_absence_timer() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  active record;
begin
  select v.state_version, v.absent into active from signalops.rule_versions v
  where v.tenant_id = new.tenant_id and v.rule_id = new.id and v.version = new.active_version;
  -- Groups are known from their first event on; without groups the time runs from the moment the rule is enabled.
  if new.enabled and coalesce(active.absent -> 'groupBy', '[]') = '[]' and active.absent is not null then
    insert into signalops.rule_states as g (tenant_id, rule_id, state_version, group_key, labels, due_at, expires_at)
    values (new.tenant_id, new.id, active.state_version, '[]', '{}',
      now() + (active.absent ->> 'after')::interval + coalesce(active.absent ->> 'allowedLateness', '0s')::interval, now())
    on conflict (tenant_id, rule_id, state_version, group_key) do update set due_at = excluded.due_at, last_match_at = null
    where tg_op = 'UPDATE' and not old.enabled;
  end if;
  return null;
end
$$;
comment on function signalops.start_absence_timer is
  'Starts the time of a rule with an absence. What a changed or disabled rule waits for, perhaps in very many groups, fire_absences passes over.';

create constraint trigger start_absence_timer after insert or update of enabled, active_version on signalops.rules
  deferrable initially deferred for each row execute function signalops.start_absence_timer();
comment on trigger start_absence_timer on signalops.rules is 'A dead man''s switch runs from the moment its rule is enabled.';

create or replace function signalops.fire_absences(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off as $$
declare
  in_batch uuid := signalops.new_id();
  emitted_count bigint;
begin
  -- A suspended tenant's events were refused: what is not known to be absent gets its whole time again.
  update signalops.rule_states g set due_at = late.due_at
  from (
    select g.tenant_id, g.rule_id, g.state_version, g.group_key, greatest(t.status_since, g.last_match_at) + v.time as due_at
    from signalops.rule_states g
    cross join lateral (
      select t.status_since from signalops.tenants t
      where t.id = g.tenant_id and t.status = 'active' and t.status_since > t.created_at limit 1
    ) t
    cross join lateral (
      select (v.absent ->> 'after')::interval + coalesce(v.absent ->> 'allowedLateness', '0s')::interval as time
      from signalops.rule_versions v where v.tenant_id = g.tenant_id and v.rule_id = g.rule_id and v.version = g.state_version limit 1
    ) v
    where g.due_at <= now() - interval '1 second' and greatest(t.status_since, g.last_match_at) + v.time > now()
    order by g.due_at limit at_most for update of g skip locked
  ) late
  where g.tenant_id = late.tenant_id and g.rule_id = late.rule_id and g.state_version = late.state_version and g.group_key = late.group_key;

  with due as (
    select g.tenant_id, g.rule_id, g.state_version, g.group_key from signalops.rule_states g
    -- What came in before the time was up may still wait to be processed, or be on its way into the inbox.
    where g.due_at <= now() - interval '1 second' and not exists (
      select from signalops.inbox i where i.tenant_id = g.tenant_id and i.event_id < signalops.uuid7_floor(g.due_at))
      and not exists (
        select from signalops.tenants t where t.id = g.tenant_id and t.status in ('suspended', 'deleting'))
    order by g.due_at limit at_most for update of g skip locked
  ), spent as (
    update signalops.rule_states g set due_at = null, expires_at = now() + interval '1 hour'
    from due where g.tenant_id = due.tenant_id and g.rule_id = due.rule_id and g.state_version = due.state_version and g.group_key = due.group_key
    returning g.*
  ), emitted as (
    select signalops.emit(s.tenant_id, in_batch, 'signalops.rule.absent', jsonb_build_object(
      'rule', jsonb_build_object('id', r.id, 'version', r.active_version),
      'group', s.labels, 'lastSeenAt', s.last_match_at, 'after', v.absent ->> 'after'), s.causation_depth + 1::smallint)
    from spent s
    -- A closed tenant's events are refused, which is no news to anybody.
    join signalops.tenants t on t.id = s.tenant_id and t.status = 'active'
    -- A group without events since the rule was enabled again can have had some while it was disabled.
    join signalops.rules r on r.tenant_id = s.tenant_id and r.id = s.rule_id and r.enabled
      and (s.group_key = '[]' or coalesce(s.last_match_at >= r.enabled_at, true))
    join signalops.rule_versions v
      on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version and v.state_version = s.state_version
  )
  select count(*) into emitted_count from emitted;
  if emitted_count > 0 then
    perform signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', in_batch));
  end if;
  return emitted_count;
end
$$;
comment on function signalops.fire_absences is
  'Emits signalops.rule.absent for each group in which nothing matched for as long as its rule says; the rule is notified of when that event is '
  'processed. Returns how many.';

create or replace function signalops.expire_rule_states(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off as $$
declare
  one record;
  forgotten bigint := 0;
begin
  for one in
    delete from signalops.rule_states g
    using (
      select tenant_id, rule_id, state_version, group_key from signalops.rule_states
      where expires_at <= now() and due_at is null order by expires_at limit at_most for update skip locked
    ) past
    where g.tenant_id = past.tenant_id and g.rule_id = past.rule_id and g.state_version = past.state_version and g.group_key = past.group_key
    returning g.tenant_id, g.rule_id, g.state_version, g.group_key
  loop
    delete from signalops.window_events w
    where w.tenant_id = one.tenant_id and w.rule_id = one.rule_id and w.state_version = one.state_version and w.group_key = one.group_key;
    forgotten := forgotten + 1;
  end loop;
  return forgotten;
end
$$;
comment on function signalops.expire_rule_states is
  'Deletes expired rule states with their window events; returns how many.';
