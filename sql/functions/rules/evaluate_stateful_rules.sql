-- Windows: matches are added to their groups under the group's lock.

create or replace function signalops.evaluate_stateful_rules(groups jsonb) returns jsonb
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  one record;
  ranges tstzmultirange;
  in_cooldown boolean;
  crossings jsonb;
  outcomes jsonb;
  cooldown_end timestamptz;
  -- An array, flattened at the end: jsonb that grows is copied whole each time.
  parts jsonb[] := '{}';
  decided jsonb;
begin
  for one in
    select *, e.first_at, e.last_at, e.deepest from jsonb_to_recordset(groups) as g (tenant uuid, rule uuid, version integer, state_version integer,
      channel uuid, "group" text, labels jsonb, kind text, threshold numeric, span interval, lateness interval, cooldown interval,
      digest_due timestamptz, events jsonb)
    cross join lateral (
      select min(e.at) as first_at, max(e.at) as last_at, max(e.causation_depth) as deepest
      from jsonb_to_recordset(g.events) as e (at timestamptz, causation_depth smallint)
    ) e
    -- Lock order: rule_states by key, then digests.
    order by g.tenant, g.rule, g.state_version, g."group"
  loop
    ranges := null;
    in_cooldown := false;
    crossings := null;
    cooldown_end := null;
    if one.kind <> 'each' or one.cooldown is not null then
      insert into signalops.rule_states as s (tenant_id, rule_id, state_version, group_key, labels, last_match_at, due_at, causation_depth, expires_at)
      values (one.tenant, one.rule, one.state_version, one."group", one.labels,
        -- The notice of an absence has the same group and is no match.
        case when one.kind <> 'each' then one.last_at end,
        case one.kind when 'absent' then one.last_at + one.span + one.lateness end,
        case one.kind when 'absent' then one.deepest else 0 end,
        clock_timestamp() + one.span + one.lateness + coalesce(one.cooldown, '0') + interval '1 hour')
      on conflict (tenant_id, rule_id, state_version, group_key) do update set
        last_match_at = greatest(s.last_match_at, excluded.last_match_at),
        due_at = case when excluded.last_match_at > s.last_match_at or s.last_match_at is null then greatest(s.due_at, excluded.due_at) else s.due_at end,
        causation_depth = case when excluded.last_match_at is null then s.causation_depth else excluded.causation_depth end,
        -- Moved once an hour: while no index is concerned the update is a cheap one (HOT).
        expires_at = case when s.expires_at < excluded.expires_at - interval '1 hour' then excluded.expires_at else s.expires_at end
      returning s.notified_ranges, coalesce(s.cooldown_until > clock_timestamp(), false) into ranges, in_cooldown;
    end if;

    if one.kind in ('count', 'sum', 'distinct') then
      select c.notified_ranges, coalesce(c.crossings, '[]') into ranges, crossings
      from signalops.update_window(one.tenant, one.rule, one.state_version, one."group", one.kind, one.threshold, one.span,
        one.span + one.lateness + interval '1 hour', one.events, ranges) c;
      delete from signalops.window_events w
      where w.tenant_id = one.tenant and w.rule_id = one.rule and w.state_version = one.state_version and w.group_key = one."group"
        and w.at < one.first_at - one.span - one.lateness - interval '1 hour';
    end if;

    with events as (
      select e.*, c.value, c.since, c.until,
        e.verdict is null and (one.kind = 'each' or c.event is not null) as passes
      from jsonb_to_recordset(one.events)
        as e (event uuid, at timestamptz, verdict text, not_before timestamptz, delivery uuid, replay uuid, causation_depth smallint)
      left join jsonb_to_recordset(crossings) as c (event uuid, value numeric, since timestamptz, until timestamptz) using (event)
    ), placed as (
      select *, row_number() over (partition by passes order by at, event) as place from events
    )
    select jsonb_agg(jsonb_build_object('tenant', one.tenant, 'event', p.event, 'rule', one.rule, 'version', one.version,
      'channel', one.channel, 'delivery', p.delivery, 'not_before', p.not_before, 'replay', p.replay, 'causation_depth', p.causation_depth,
      'digest_due', one.digest_due,
      'window_context', case when p.value is not null then
        jsonb_build_object('value', p.value, 'group', one.labels, 'since', p.since, 'until', p.until) end,
      'outcome', case
        when p.passes and one.cooldown is not null and (in_cooldown or p.place > 1) then 'cooldown'
        when p.passes and one.digest_due is not null then 'digested'
        when p.passes then 'notified'
        when one.kind = 'each' or p.value is not null then p.verdict
        else 'counted' end))
    into outcomes from placed p;
    parts := parts || outcomes;

    if one.cooldown is not null and outcomes @? '$[*] ? (@.outcome == "notified" || @.outcome == "digested")' then
      cooldown_end := clock_timestamp() + one.cooldown;
    end if;
    update signalops.rule_states s set notified_ranges = ranges, cooldown_until = coalesce(cooldown_end, s.cooldown_until)
    where s.tenant_id = one.tenant and s.rule_id = one.rule and s.state_version = one.state_version and s.group_key = one."group"
      and (s.notified_ranges <> ranges or cooldown_end is not null);
  end loop;
  select coalesce(jsonb_agg(m.match), '[]') into decided
  from unnest(parts) as p (part) cross join lateral jsonb_array_elements(p.part) as m (match);

  -- After all groups: a rule's digest is one row, and a transaction that waits for it must lock no group that another one needs.
  insert into signalops.digests as d (tenant_id, rule_id, rule_version, channel_id, due_at, matched, events, causation_depth)
  select m.tenant, m.rule, max(m.version), (array_agg(m.channel order by m.version desc))[1], max(m.digest_due), count(*),
    (array_agg(m.event order by m.event))[1:signalops.digest_events()], max(m.causation_depth)
  from jsonb_to_recordset(decided) as m (tenant uuid, rule uuid, version integer, channel uuid, event uuid, digest_due timestamptz,
    causation_depth smallint, outcome text)
  where m.outcome = 'digested'
  group by m.tenant, m.rule order by m.tenant, m.rule
  on conflict (tenant_id, rule_id) do update set matched = d.matched + excluded.matched,
    events = (d.events || excluded.events)[1:signalops.digest_events()], causation_depth = greatest(d.causation_depth, excluded.causation_depth),
    rule_version = greatest(d.rule_version, excluded.rule_version),
    channel_id = case when excluded.rule_version >= d.rule_version then excluded.channel_id else d.channel_id end;
  return decided;
end
$$;
comment on function signalops.evaluate_stateful_rules is
  'Decides what follows from matches of rules with state: [{tenant, rule, version, state_version, channel, group, labels, kind, threshold, span, lateness, '
  'cooldown, digest_due, events: [{event, at, value, distinct_value, verdict, not_before, delivery, replay, causation_depth}]}], one item per group; verdict is '
  'silenced or outside_hours when no notification follows. Returns matches with their outcomes, as record_batch takes them.';
