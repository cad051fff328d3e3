-- Accepting a flush: the one statement with which the API stores events.

create or replace function signalops.accept(flush jsonb, demand jsonb, in_batch uuid, in_priority integer, buckets jsonb default null)
returns table (event_id uuid, verdict text, first_id uuid, of_meter text, period_end timestamptz, pace jsonb)
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off set lock_timeout = '300ms' as $$
declare
  -- The flush's own moment: the same for all its events and for later reads.
  moment timestamptz := signalops.uuid7_time(in_batch);
  tenants uuid[];
  meters text[];
  calms boolean[];
  admitted jsonb := flush;
  part record;
  checked jsonb;
  taken jsonb := '[]';
  careful uuid[] := '{}';
  due_notices jsonb := '[]';
  fresh bigint;
  notices bigint;
  emitted bigint := 0;
  paced jsonb;
  place text;
begin
  -- An API of the release before sets its ids and received_at itself.
  if not flush -> 0 ? 'received_at' then
    place := left(signalops.uuid7_floor(signalops.position_time())::text, 13);
    return query select null::uuid, 'placed', null::uuid, place, null::timestamptz, null::jsonb;
  end if;
  perform signalops.set_tenant_group((select array_agg(a.tenant) from jsonb_to_recordset(demand) as a (tenant uuid)));

  if buckets is not null then
    -- Lock order: rate_buckets, accepted_counters, idempotency_keys.
    paced := (select jsonb_agg(t) from signalops.take_tokens(flush, buckets) t);
    return query
      select p.event_id, case when p.event_id is null then 'bucket' else 'rate_limited' end, p.of_tenant, p.of_bucket, null::timestamptz, p.pace
      from jsonb_to_recordset(paced) as p (event_id uuid, of_tenant uuid, of_bucket text, pace jsonb);
    if jsonb_path_exists(paced, '$[*] ? (@.event_id != null)') then
      flush := signalops.without_rate_limited(flush, paced);
      if flush = '[]' then
        perform signalops.set_tenant_group(null);
        return;
      end if;
      demand := signalops.recompute_demand(flush, demand);
      admitted := flush;
    end if;
  end if;

  select array_agg(c.tenant), array_agg(c.of_meter), array_agg(c.is_calm) into tenants, meters, calms
  from signalops.try_count(demand, moment) c;
  if (cardinality(tenants) = jsonb_array_length(demand) and true = all (calms)) is not true then
    -- Rows that this flush made can't be seen by who changes limits. Not waited for, since that one may wait for a row of this flush.
    if false = any (calms) and not pg_try_advisory_xact_lock_shared(hashtext('signalops.new_accepted_counters')) then
      raise 'a limit is being changed' using errcode = 'lock_not_available';
    end if;
    for part in
      select a.tenant, jsonb_agg(a) as demand, array_agg(a.meter) as meters, array_agg(c.meter) as counted,
        array_agg(c.meter) filter (where not c.is_calm) as made
      from jsonb_to_recordset(demand) as a (tenant uuid, meter text, amount numeric, limited_meters_version bigint)
      left join unnest(tenants, meters, calms) as c (tenant, meter, is_calm) on c.tenant = a.tenant and c.meter = a.meter
      group by a.tenant having bool_and(coalesce(c.is_calm, false)) is false order by a.tenant
    loop
      careful := careful || part.tenant;
      select jsonb_agg(c) into checked from signalops.apply_limits(part.tenant, moment, part.demand, flush, part.counted, part.made) c;
      if checked is null then
        return query select null::uuid, 'stale', part.tenant, null::text, null::timestamptz, null::jsonb;
        continue;
      end if;
      return query
        select (c.event ->> 'id')::uuid, 'refused', null::uuid, c.refused_by, c.period_end, null::jsonb
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text, period_end timestamptz) where c.refused_by is not null;
      taken := taken || (
        select coalesce(jsonb_agg(c.event), '[]')
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text) where c.refused_by is null);
      due_notices := due_notices || jsonb_build_object('tenant', part.tenant, 'meters', part.meters, 'refusing', (
        select array_agg(distinct c.refused_by) from jsonb_to_recordset(checked) as c (refused_by text)));
    end loop;
    perform signalops.update_counters(taken, moment, 1);
    admitted := taken || (
      select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(flush) i where (i ->> 'tenant')::uuid <> all (careful));
    return query
      select o.id, 'over_limit', null::uuid, null::text, null::timestamptz, null::jsonb
      from jsonb_to_recordset(taken) as o (id uuid, over_limit boolean) where o.over_limit;
  end if;

  fresh := signalops.insert_events(admitted, in_batch, place);
  if fresh < jsonb_array_length(admitted) then
    return query
      select g.event_id, g.verdict, g.first_id, null::text, null::timestamptz, null::jsonb from signalops.uncount_duplicates(admitted, moment, place) g;
  end if;

  for part in select * from jsonb_to_recordset(due_notices) as t (tenant uuid, meters text[], refusing text[])
  loop
    return query
      select t.event_id, t.verdict, part.tenant, t.of_meter, null::timestamptz, null::jsonb
      from signalops.emit_limit_notices(part.tenant, moment, in_batch, part.meters, part.refusing) t;
    get diagnostics notices = row_count;
    emitted := emitted + notices;
  end loop;

  if fresh + emitted > 0 then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
  perform signalops.set_tenant_group(null);
end
$$;
comment on function signalops.accept is
  'Accepts a flush: [{tenant, id, type, source, occurred_at, payload, attributes, key, hash, quantities: {meter: amount}, buckets: [n]}] with '
  '[{tenant, meter, amount, limited_meters_version}]: what each tenant''s events add to the meter events and to each of its limited meters, and the version of '
  'these (tenants.limited_meters_version); and with [{tenant, bucket, amount}], the rate limits that events pay, by their place (from 1), or NULL when none does. '
  'Checks the rate limits, counts against the limits, stores, fills the inbox and enqueues one job. An id is placed as its event is stored: '
  'the row placed has, as of_meter, the 13 characters that its milliseconds become. Returns otherwise only what was not plainly accepted: '
  'rate_limited (by the bucket of_meter; pace: {wait} in seconds), stale (nothing of the tenant first_id is stored, but its tokens are taken: compute quantities '
  'by its present limited meters and send again), refused (by of_meter, until period_end), over_limit, duplicate or conflict (first_id is the event stored '
  'under the key); as soft_limit, hard_limit and threshold the notices it emitted (of the tenant first_id), each once when it was reached; and what '
  'each bucket (of_meter, of the tenant first_id) has left (pace: {rate, burst, left}).';
