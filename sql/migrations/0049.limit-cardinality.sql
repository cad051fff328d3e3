-- Station usage: groups and distinct values of a tenant and month have a limit; a batch is counted by one version of the meters.
-- Stage: pre

create table signalops.usage_sizes (
  tenant_id uuid not null,
  period date not null,
  rows bigint not null check (rows >= 0),
  limited_since bigint,
  primary key (tenant_id, period)
) with (fillfactor = 50);
comment on table signalops.usage_sizes is 'How many counters of groups and distinct values a tenant''s usage of a month takes: what one event can multiply.';
comment on column signalops.usage_sizes.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_sizes.period is 'As of the counters.';
comment on column signalops.usage_sizes.rows is 'Rows of usage_items, and of usage_counters with a group.';
comment on column signalops.usage_sizes.limited_since is 'The version of the metering from which on neither groups nor distinct values are kept for the month; NULL: they are.';
alter table signalops.usage_sizes enable row level security;
alter table signalops.usage_sizes force row level security;
create policy own_tenant on signalops.usage_sizes using (tenant_id = (select signalops.current_tenant()))
  with check (tenant_id = (select signalops.current_tenant()));
comment on policy own_tenant on signalops.usage_sizes is 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';
create policy owner_acts on signalops.usage_sizes to signalops_owner using (true) with check (true);
comment on policy owner_acts on signalops.usage_sizes is 'limit_cardinality looks for those that are too large; the audit counts anew by them.';
create policy tenant_group_signalops_worker on signalops.usage_sizes to signalops_worker
  using (tenant_id = any ((select signalops.current_group())::uuid[])) with check (tenant_id = any ((select signalops.current_group())::uuid[]));
comment on policy tenant_group_signalops_worker on signalops.usage_sizes is 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';
grant select on signalops.usage_sizes to signalops_api;
grant select, insert, update on signalops.usage_sizes to signalops_worker;
-- Serves limit_cardinality: the months that are still counted for.
create index usage_sizes_by_period on signalops.usage_sizes (period) where limited_since is null;

alter table signalops.tenants add column usage_rows bigint not null default 10000000 check (usage_rows > 0);
comment on column signalops.tenants.usage_rows is 'Counters of groups and distinct values that are kept of a month, by hour; beyond them both are counted no more, and the totals still are.';

create function signalops.limit_cardinality() returns table (tenant uuid, of_period date)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  one record;
  in_batch uuid;
  version bigint;
begin
  for one in
    select s.tenant_id, s.period, s.rows, t.usage_rows from signalops.usage_sizes s
    join signalops.tenants t on t.id = s.tenant_id
    -- What is late counts for a month that is open: the others are at rest.
    where s.limited_since is null and s.period > current_date - 100 and s.rows >= t.usage_rows and t.status <> 'deleting'
    for update of s skip locked
  loop
    update signalops.tenants set metering = metering + 1 where id = one.tenant_id returning metering into version;
    update signalops.usage_sizes set limited_since = version where tenant_id = one.tenant_id and period = one.period;
    in_batch := signalops.new_id();
    perform signalops.emit(one.tenant_id, in_batch, 'signalops.usage.cardinality_limit_reached',
      jsonb_build_object('period', to_char(one.period, 'YYYY-MM'), 'limit', one.usage_rows, 'rows', one.rows), 1::smallint);
    perform signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', in_batch));
    tenant := one.tenant_id;
    of_period := one.period;
    return next;
  end loop;
end
$$;
comment on function signalops.limit_cardinality() is 'Stops keeping groups and distinct values of a month for tenants that have more of them than they may, and emits an operational event of it; returns whose and of which month. Totals are exact still.';
revoke all on function signalops.limit_cardinality() from public;
grant execute on function signalops.limit_cardinality() to signalops_worker;

create or replace function signalops.count_usage(in_batch uuid, metered jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $_$
begin
  -- Items and counters stay locked until the commit: each in one order, so that two workers can't lock each other out.
  if metered @? '$[*].items' then
    with noted as (
      insert into signalops.usage_items (tenant_id, meter, hour, grp, period, item)
      select m.tenant, m.meter, m.hour, m.grp, m.period, i.item
      from jsonb_to_recordset(metered) as m (tenant uuid, meter text, period date, hour timestamptz, grp text, items jsonb),
        jsonb_array_elements_text(m.items) as i (item)
      order by m.tenant, m.meter, m.hour, m.grp, m.period, i.item
      on conflict do nothing
      returning tenant_id, period
    )
    insert into signalops.usage_sizes as s (tenant_id, period, rows)
    select tenant_id, period, count(*) from noted group by tenant_id, period order by tenant_id, period
    on conflict (tenant_id, period) do update set rows = s.rows + excluded.rows;
  end if;

  -- One statement: reading the elements costs as much as storing them. Their ids are made by the worker: here it took 3 us each.
  with counted as materialized (
    select * from jsonb_to_recordset(metered) as m (tenant uuid, id uuid, meter text, aggregation text, period date,
      hour timestamptz, grp text, is_late boolean, events integer, value numeric, latest_at timestamptz, latest_event uuid,
      event_ids uuid[])
  ), entered as (
    insert into signalops.usage_entries
      (tenant_id, meter, period, id, batch, hour, grp, is_late, events, value, latest_at, latest_event, event_ids)
    select tenant, meter, period, id, in_batch, hour, grp, is_late, events, value, latest_at, latest_event, event_ids from counted
  )
  insert into signalops.usage_counters as u
    (tenant_id, meter, hour, grp, period, aggregation, is_late, events, value, latest_at, latest_event)
  select tenant, meter, hour, grp, period, aggregation, is_late, events, value, latest_at, latest_event
  from counted order by tenant, meter, hour, grp, period
  on conflict (tenant_id, meter, hour, grp, period) do update set
    events = u.events + excluded.events,
    value = case u.aggregation when 'max' then greatest(u.value, excluded.value) when 'min' then least(u.value, excluded.value)
      when 'latest' then case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
        then excluded.value else u.value end
      else u.value + excluded.value end,
    latest_event = case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
      then excluded.latest_event else u.latest_event end,
    latest_at = greatest(u.latest_at, excluded.latest_at);

  -- A counter that has no more events than were added just now is new.
  if metered @? '$[*] ? (@.grp != "[]")' then
    insert into signalops.usage_sizes as s (tenant_id, period, rows)
    select m.tenant, m.period, count(*)
    from jsonb_to_recordset(metered) as m (tenant uuid, meter text, period date, hour timestamptz, grp text, events integer)
    -- The limit keeps the planner from joining, as in read_batch.
    cross join lateral (
      select c.events from signalops.usage_counters c
      where c.tenant_id = m.tenant and c.meter = m.meter and c.hour = m.hour and c.grp = m.grp and c.period = m.period limit 1
    ) u
    where m.grp <> '[]' and u.events = m.events group by m.tenant, m.period order by m.tenant, m.period
    on conflict (tenant_id, period) do update set rows = s.rows + excluded.rows;
  end if;
end
$_$;

create or replace function signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  decided jsonb := results -> 'matches';
  recorded bigint;
begin
  perform signalops.act_for((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if coalesce(results -> 'groups', '[]') <> '[]' then
    decided := decided || signalops.weigh(results -> 'groups');
  end if;
  if decided <> '[]' then
    with matched as materialized (
      select m.*, coalesce(m.outcome, 'notified') as result from jsonb_to_recordset(decided) as m (tenant uuid, event uuid, rule uuid,
        version integer, channel uuid, delivery uuid, outcome text, not_before timestamptz, context jsonb, replay uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version, outcome)
      select tenant, event, rule, version, result from matched
      -- Only a replay repeats a match; the first decision stays on record.
      on conflict do nothing
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, next_attempt_at, context, replay_id)
    select tenant, delivery, event, rule, version, channel, not_before, context, replay from matched where result = 'notified';
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text)
    -- Somebody had it retried, and it died again.
    on conflict (tenant_id, id) do update
      set error = excluded.error, died_at = now(), ended_at = null, ending = null, reason = null;
  end if;

  -- A batch that was bisected around a poisonous event is recorded in several parts.
  insert into signalops.batches as b (tenant_id, batch, job_id, worker, ruleset, rules, metering, events, billed, dead)
  select p.tenant, in_batch, job, worker, p.ruleset, p.rules, p.metering, p.events, p.billed, p.dead
  from jsonb_to_recordset(results -> 'parts')
    as p (tenant uuid, ruleset bigint, rules integer, metering bigint, events integer, billed integer, dead integer)
  on conflict (tenant_id, batch) do update set events = b.events + excluded.events, billed = b.billed + excluded.billed,
    dead = b.dead + excluded.dead, processed_at = clock_timestamp()
  where b.metering = excluded.metering;
  get diagnostics recorded = row_count;
  if recorded < jsonb_array_length(results -> 'parts') then
    raise 'the meters have changed since a part of this batch was counted' using errcode = 'serialization_failure';
  end if;

  -- Last, since turns and counters stay locked until the commit; and in one order, so that two workers can't lock each other out.
  if decided <> '[]' then
    perform signalops.start_deliveries(decided);
  end if;
  if results -> 'metered' <> '[]' then
    perform signalops.count_usage(in_batch, results -> 'metered');
  end if;

  perform signalops.act_for(null);
end
$$;
