-- Meters: usage is counted in the transaction that processes the events.

create or replace function signalops.count_usage(metered jsonb) returns void
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  sizes jsonb := '[]';
begin
  -- Lock order: usage_distinct_values, usage_counters, usage_row_counts, those of one table by key; until the commit.
  if metered @? '$[*].items' then
    with noted as (
      insert into signalops.usage_distinct_values (tenant_id, meter, hour, group_key, period, distinct_value)
      select m.tenant, m.meter, m.hour, m.group_key, m.period, i.distinct_value
      from jsonb_to_recordset(metered) as m (tenant uuid, meter text, period date, hour timestamptz, group_key text, items jsonb),
        jsonb_array_elements_text(m.items) as i (distinct_value)
      order by m.tenant, m.meter, m.hour, m.group_key, m.period, i.distinct_value
      on conflict do nothing
      returning tenant_id, period
    )
    select coalesce(jsonb_agg(n), '[]') into sizes
    from (select tenant_id as tenant, period, count(*) as rows from noted group by tenant_id, period) n;
  end if;

  -- One statement: reading the elements costs as much as storing them. Their ids are made by the worker: here it took 3 us each.
  with counted as materialized (
    select * from jsonb_to_recordset(metered) as m (tenant uuid, id uuid, batch uuid, meter text, aggregation text, period date,
      hour timestamptz, group_key text, is_late boolean, events integer, value numeric, latest_at timestamptz, latest_event uuid,
      event_ids uuid[])
  ), entered as (
    insert into signalops.usage_entries
      (tenant_id, meter, period, id, batch, hour, group_key, is_late, events, value, latest_at, latest_event, event_ids)
    select tenant, meter, period, id, batch, hour, group_key, is_late, events, value, latest_at, latest_event, event_ids from counted
  )
  insert into signalops.usage_counters as u
    (tenant_id, meter, hour, group_key, period, aggregation, is_late, events, value, latest_at, latest_event)
  select tenant, meter, hour, group_key, period, aggregation, is_late, events, value, latest_at, latest_event
  from counted order by tenant, meter, hour, group_key, period
  on conflict (tenant_id, meter, hour, group_key, period) do update set
    events = u.events + excluded.events,
    value = case u.aggregation when 'max' then greatest(u.value, excluded.value) when 'min' then least(u.value, excluded.value)
      when 'latest' then case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
        then excluded.value else u.value end
      else u.value + excluded.value end,
    latest_event = case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
      then excluded.latest_event else u.latest_event end,
    latest_at = greatest(u.latest_at, excluded.latest_at);

  if sizes <> '[]' or metered @? '$[*] ? (@.group_key != "[]")' then
    insert into signalops.usage_row_counts as s (tenant_id, period, rows)
    select r.tenant, r.period, sum(r.rows) from (
      select * from jsonb_to_recordset(sizes) as n (tenant uuid, period date, rows bigint)
      union all
      -- A counter that has no more events than were added just now is new.
      select m.tenant, m.period, 1
      from jsonb_to_recordset(metered) as m (tenant uuid, meter text, period date, hour timestamptz, group_key text, events integer)
      -- The limit keeps the planner from joining, as in read_batch.
      cross join lateral (
        select c.events from signalops.usage_counters c
        where c.tenant_id = m.tenant and c.meter = m.meter and c.hour = m.hour and c.group_key = m.group_key and c.period = m.period limit 1
      ) u
      where m.group_key <> '[]' and u.events = m.events
    ) r group by r.tenant, r.period order by r.tenant, r.period
    on conflict (tenant_id, period) do update set rows = s.rows + excluded.rows;
  end if;
end
$$;
comment on function signalops.count_usage is
  'Adds to the counters what a batch counts, with its entries: [{tenant, id, batch, meter, aggregation, period, hour, group_key, is_late, events, value, '
  'latest_at, latest_event, event_ids, items}], one element for each counter.';

create or replace function signalops.limit_cardinality() returns table (tenant uuid, of_period date)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  one record;
  in_batch uuid;
  version bigint;
begin
  for one in
    select s.tenant_id, s.period, s.rows, t.usage_rows from signalops.usage_row_counts s
    join signalops.tenants t on t.id = s.tenant_id
    -- What is late counts for a month that is open: the others are at rest.
    where s.limited_from_version is null and s.period > current_date - 100 and s.rows >= t.usage_rows and t.status <> 'deleting'
    for update of s skip locked
  loop
    update signalops.tenants set meters_version = meters_version + 1 where id = one.tenant_id returning meters_version into version;
    update signalops.usage_row_counts set limited_from_version = version where tenant_id = one.tenant_id and period = one.period;
    in_batch := signalops.new_id();
    perform signalops.emit(one.tenant_id, in_batch, 'signalops.usage.cardinality_limit_reached',
      jsonb_build_object('period', to_char(one.period, 'YYYY-MM'), 'limit', one.usage_rows, 'rows', one.rows), 1::smallint);
    perform signalops.enqueue('events', 'process_batch', signalops.priority_event(), jsonb_build_object('batch', in_batch));
    tenant := one.tenant_id;
    of_period := one.period;
    return next;
  end loop;
end
$$;
comment on function signalops.limit_cardinality is
  'Stops keeping groups and distinct values of a month for tenants that have more of them than they may, and emits an operational event of it; '
  'returns whose and of which month. Totals are exact still.';
