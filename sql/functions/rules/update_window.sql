-- Windows: where the measure of a group crosses the threshold.

-- The measure is a step function of event time: each event adds its value at its time and takes it away `span` later, each distinct
-- value counts while at least one of its events does. Where it reaches the threshold are the stretches. A new event changes it for
-- `span` from its time on: only there the window is evaluated again.
create or replace function signalops.update_window(
  tenant uuid, rule uuid, state integer, in_group text, kind text, threshold numeric, span interval, keep interval, events jsonb,
  inout notified_ranges tstzmultirange, out crossings jsonb)
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  -- A count needs no more events before a new one than this. Sums and distinct values look at so many at most.
  before_it bigint := case kind when 'count' then threshold - 1 else 20000 end;
  seen_before timestamptz := (
    select w.at from signalops.window_events w
    where w.tenant_id = tenant and w.rule_id = rule and w.state_version = state and w.group_key = in_group
    order by w.at desc limit 1);
  touched tstzmultirange;
  reached tstzmultirange;
  near tstzmultirange;
begin
  with noted as (
    insert into signalops.window_events (tenant_id, rule_id, state_version, group_key, at, event_id, value, distinct_value)
    select tenant, rule, state, in_group, e.at, e.event, e.value, e.distinct_value
    from jsonb_to_recordset(events) as e (event uuid, at timestamptz, value numeric, distinct_value text)
    on conflict do nothing returning at
  )
  select range_agg(tstzrange(at, at + span)) into touched from noted;
  if touched is null then
    return; -- a replay of what counts already
  end if;

  with window_events as materialized (
    select p.part, h.at, h.value, h.distinct_value
    from unnest(touched) as p (part)
    cross join lateral (
      (select w.at, w.value, w.distinct_value from signalops.window_events w
        where w.tenant_id = tenant and w.rule_id = rule and w.state_version = state and w.group_key = in_group
          and w.at < lower(p.part) and w.at > lower(p.part) - span
        order by w.at desc limit before_it)
      union all
      (select w.at, w.value, w.distinct_value from signalops.window_events w
        where w.tenant_id = tenant and w.rule_id = rule and w.state_version = state and w.group_key = in_group
          and w.at >= lower(p.part) and w.at < upper(p.part)
        order by w.at limit 20000)
    ) h
  ), presences as (
    select h.part, h.at as begins, h.at + span as ends, h.value from window_events h where kind <> 'distinct'
    union all
    select d.part, lower(d.presence), upper(d.presence), 1
    from (
      select h.part, unnest(range_agg(tstzrange(h.at, h.at + span))) as presence from window_events h where kind = 'distinct' group by h.distinct_value, h.part
    ) d
  ), levels as (
    select part, moment, sum(change) over w as level, lead(moment) over w as next
    from (
      -- What began before the part is one step, at its beginning: half as many to sort.
      select part, lower(part), sum(value) from presences where begins <= lower(part) group by part
      union all
      select part, begins, value from presences where begins > lower(part)
      union all
      select part, ends, -value from presences
    ) as s (part, moment, change)
    window w as (partition by part order by moment)
  ), found as (
    select part, unnest(range_agg(tstzrange(moment, next)) * tstzmultirange(part)) as stretch
    from levels where level >= threshold and next is not null group by part
  )
  -- A sum may also rise when something negative leaves it: that counts once an event sees it, and not in the future.
  select coalesce(range_agg(f.stretch), '{}') into reached
  from found f where kind <> 'sum' or exists (select from window_events h where h.part = f.part and f.stretch @> h.at);

  near := notified_ranges * tstzmultirange(tstzrange(lower(touched) - span, upper(touched), '[]'));
  notified_ranges := notified_ranges - touched + reached - tstzmultirange(tstzrange(null, lower(touched) - keep));

  with come as materialized (
    select e.event, e.at from jsonb_to_recordset(events) as e (event uuid, at timestamptz)
  )
  select jsonb_agg(to_jsonb(t)) into crossings
  from (
    -- One event can start several crossing intervals; it reports the first.
    select distinct on (c.event) c.event, m.value, lower(s.stretch) - span as since, lower(s.stretch) as until
    from unnest(near - touched + reached) as s (stretch)
    cross join lateral (
      select e.event from come e
      where e.at > lower(s.stretch) - span and e.at <= lower(s.stretch) order by e.at desc, e.event desc limit 1
    ) c
    cross join lateral (
      -- Readers take numbers as doubles.
      select case kind when 'distinct' then count(distinct w.distinct_value) else least(sum(w.value), 1.7e308) end as value
      from signalops.window_events w
      where w.tenant_id = tenant and w.rule_id = rule and w.state_version = state and w.group_key = in_group
        and w.at > lower(s.stretch) - span and w.at <= lower(s.stretch)
    ) m
    -- Of what was notified_ranges, only what events have seen is known: what negative ones have taken away since may come again.
    where s.stretch && reached and not s.stretch && (near * tstzmultirange(tstzrange(null, seen_before, '[]')))
    order by c.event, lower(s.stretch)
  ) t;
end
$$;
comment on function signalops.update_window is
  'Adds [{event, at, value, distinct_value}] to a group''s window (count, sum or distinct) and returns the stretches notified_ranges and to be notified_ranges, with the crossings '
  'that are new: [{event, value, since, until}], the event being the one that brought it about. The group must be locked.';
