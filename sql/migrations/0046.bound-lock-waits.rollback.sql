-- Stations ingest and queue: who has locked one tenant's counters makes that tenant wait, and nobody else.

create or replace function signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer, buckets jsonb DEFAULT NULL::jsonb) RETURNS TABLE(event_id uuid, verdict text, first_id uuid, of_meter text, period_end timestamp with time zone, pace jsonb)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $_$
declare
  -- The flush's own moment: the same for all of it, and for whoever asks later.
  moment timestamptz := signalops.time_of(in_batch);
  tenants uuid[];
  meters text[];
  calms boolean[];
  admitted jsonb := flush;
  part record;
  checked jsonb;
  taken jsonb := '[]';
  careful uuid[] := '{}';
  telling jsonb := '[]';
  fresh bigint;
  notices bigint;
  emitted bigint := 0;
  paced jsonb;
begin
  perform signalops.act_for((select array_agg(a.tenant) from jsonb_to_recordset(asked) as a (tenant uuid)));

  if buckets is not null then
    -- Before any quota is locked: buckets and then quotas, in one order each, can't lock two flushes out.
    paced := (select jsonb_agg(t) from signalops.take_tokens(flush, buckets) t);
    return query
      select p.event_id, case when p.event_id is null then 'bucket' else 'rate_limited' end, p.of_tenant, p.of_bucket, null::timestamptz, p.pace
      from jsonb_to_recordset(paced) as p (event_id uuid, of_tenant uuid, of_bucket text, pace jsonb);
    if jsonb_path_exists(paced, '$[*] ? (@.event_id != null)') then
      flush := signalops.without_refused(flush, paced);
      if flush = '[]' then
        perform signalops.act_for(null);
        return;
      end if;
      asked := signalops.asked_of(flush, asked);
      admitted := flush;
    end if;
  end if;

  select array_agg(c.tenant), array_agg(c.of_meter), array_agg(c.is_calm) into tenants, meters, calms
  from signalops.count_in(asked, moment) c;
  if (cardinality(tenants) = jsonb_array_length(asked) and true = all (calms)) is not true then
    if false = any (calms) then
      perform signalops.await_changed_limits();
    end if;
    for part in
      select a.tenant, jsonb_agg(a) as asked, array_agg(a.meter) as meters, array_agg(c.meter) as counted,
        array_agg(c.meter) filter (where not c.is_calm) as made
      from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric, scales bigint)
      left join unnest(tenants, meters, calms) as c (tenant, meter, is_calm) on c.tenant = a.tenant and c.meter = a.meter
      group by a.tenant having bool_and(coalesce(c.is_calm, false)) is false order by a.tenant
    loop
      careful := careful || part.tenant;
      select jsonb_agg(c) into checked from signalops.admit(part.tenant, moment, part.asked, flush, part.counted, part.made) c;
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
      telling := telling || jsonb_build_object('tenant', part.tenant, 'meters', part.meters, 'refusing', (
        select array_agg(distinct c.refused_by) from jsonb_to_recordset(checked) as c (refused_by text)));
    end loop;
    perform signalops.recount(taken, moment, 1);
    admitted := taken || (
      select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(flush) i where (i ->> 'tenant')::uuid <> all (careful));
    return query
      select o.id, 'over_limit', null::uuid, null::text, null::timestamptz, null::jsonb
      from jsonb_to_recordset(taken) as o (id uuid, over_limit boolean) where o.over_limit;
  end if;

  fresh := signalops.store(admitted, in_batch);
  if fresh < jsonb_array_length(admitted) then
    return query
      select g.event_id, g.verdict, g.first_id, null::text, null::timestamptz, null::jsonb from signalops.give_back(admitted, moment) g;
  end if;

  for part in select * from jsonb_to_recordset(telling) as t (tenant uuid, meters text[], refusing text[])
  loop
    return query
      select t.event_id, t.verdict, part.tenant, t.of_meter, null::timestamptz, null::jsonb
      from signalops.tell(part.tenant, moment, in_batch, part.meters, part.refusing) t;
    get diagnostics notices = row_count;
    emitted := emitted + notices;
  end loop;

  if fresh + emitted > 0 then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
  perform signalops.act_for(null);
end
$_$;

create or replace function signalops.read_batch(wanted uuid) RETURNS TABLE(tenant uuid, ruleset bigint, metering bigint, time_zone text, closed_until timestamp with time zone, events text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET "TimeZone" TO 'UTC'
    AS $$
declare
  tenants uuid[];
  ids uuid[];
  replays uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id), array_agg(t.replay_id) into tenants, ids, replays
  from signalops.take_batch(wanted) t;
  perform signalops.act_for(tenants);
  -- Closing a period waits for every transaction that may have read an older closed_until. Taking the batch gave this one its
  -- number, by which it is waited for; so closed_until is read after that, in a statement of its own.
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
      n.metering, n.time_zone, n.closed_until,
      -- One text per tenant: parsing it costs a third of loading as many rows.
      json_agg(json_build_object('id', e.id, 'depth', e.depth, 'attributes', e.attributes,
        'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload, 'correlation', e.correlation,
        'replay', t.replay_id, 'replay_rules', p.rules) order by e.id)::text
    from unnest(tenants, ids, replays) as t (tenant_id, event_id, replay_id)
    -- The limit keeps the planner from joining: a join planned while the partition was empty reads all of it for each batch.
    cross join lateral (
      select * from signalops.events e where e.tenant_id = t.tenant_id and e.id = t.event_id limit 1
    ) e
    left join lateral (
      select r.rules from signalops.replays r where r.tenant_id = t.tenant_id and r.id = t.replay_id limit 1
    ) p on true
    cross join lateral (
      select s.metering, s.time_zone, s.closed_until from signalops.tenants s where s.id = t.tenant_id limit 1
    ) n
    group by t.tenant_id, n.metering, n.time_zone, n.closed_until;
  perform signalops.act_for(null);
end
$$;

drop function signalops.put_back(uuid, uuid, jsonb, interval, integer);
