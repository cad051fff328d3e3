-- Lists: whoever follows one by cursor or by time loses nothing, since positions are given and announced in the transaction.
-- Stage: pre


create function signalops.position_time() returns timestamptz
language plpgsql as $$
begin
  if coalesce(current_setting('signalops.positions', true), '') = '' then
    perform pg_advisory_xact_lock_shared((21327::bigint << 48) | floor(extract(epoch from clock_timestamp()) * 1000)::bigint);
    perform set_config('signalops.positions', 'announced', true);
  end if;
  return clock_timestamp();
end
$$;
comment on function signalops.position_time() is 'The time by which a row that this transaction adds stands in a list. The first call announces it, by an advisory lock whose key (SO, then 48 bits of milliseconds) is no later than any of its times, until the transaction ends: settled_time stops before it, so no row appears behind a cursor that was given out.';

create function signalops.settled_time() returns timestamptz
language plpgsql set lock_timeout = '250ms' as $$
declare
  settled timestamptz := date_trunc('milliseconds', clock_timestamp());
  opened bigint;
begin
  for opened in
    select (l.classid::bigint << 32) | l.objid::bigint from pg_locks l
    where l.locktype = 'advisory' and l.mode = 'ShareLock' and l.granted and l.objsubid = 1 and l.classid::bigint >> 16 = 21327
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
    order by 1
  loop
    -- What was written a moment ago is shown at once: most transactions end within milliseconds.
    begin
      perform pg_advisory_lock(opened);
      perform pg_advisory_unlock(opened);
    exception when lock_not_available then
      return to_timestamp((opened & (1::bigint << 48) - 1) / 1000.0);
    end;
  end loop;
  return settled;
end
$$;
comment on function signalops.settled_time() is 'The time before which all rows of lists have been committed or never will be. Waits a quarter of a second for a transaction that is adding some. To be called in a statement before the one that reads the list, whose snapshot must be the later one.';

create function signalops.placed(place text, id text) returns uuid
language sql immutable parallel safe
return coalesce(place || substr(id, 14), id)::uuid;
comment on function signalops.placed(place text, id text) is 'The UUIDv7 with the milliseconds of a place (13 characters) and the rest of an id that was made before its transaction began; without a place, the id.';

create or replace function signalops.new_id() returns uuid
language sql volatile
return (
  select encode(overlay(uuid_send(gen_random_uuid()) placing int8send(((t.micros / 1000) << 16) | (b'0111000000000000'::bigint)
    | ((t.micros % 1000) * 4096 / 1000)) from 1 for 8), 'hex')::uuid
  from (select (extract(epoch from signalops.position_time()) * 1000000)::bigint as micros) t);
comment on function signalops.new_id() is 'A new UUIDv7, for rows that SQL itself makes, in order to the microsecond (RFC 9562, 6.2, method 3) and announced as position_time says. PostgreSQL 18 has uuidv7(); 15 to 17 have not.';

drop function signalops.store(jsonb, uuid);
drop function signalops.give_back(jsonb, timestamptz);
drop function signalops.start_deliveries(jsonb);

create or replace function signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer, buckets jsonb DEFAULT NULL::jsonb) RETURNS TABLE(event_id uuid, verdict text, first_id uuid, of_meter text, period_end timestamp with time zone, pace jsonb)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET lock_timeout TO '300ms'
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
  place text;
begin
  -- An API of the release before makes its ids, and says when it received what.
  if not flush -> 0 ? 'received_at' then
    place := left(signalops.id_at(signalops.position_time())::text, 13);
    return query select null::uuid, 'placed', null::uuid, place, null::timestamptz, null::jsonb;
  end if;
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

  fresh := signalops.store(admitted, in_batch, place);
  if fresh < jsonb_array_length(admitted) then
    return query
      select g.event_id, g.verdict, g.first_id, null::text, null::timestamptz, null::jsonb from signalops.give_back(admitted, moment, place) g;
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

create or replace function signalops.start_deliveries(decided jsonb, place text) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  waiting jsonb;
  jobs jsonb;
begin
  with turns as materialized (
    select * from signalops.grant_turns(decided)
  )
  select
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'channel', m.channel, 'due', m.due)) filter (where m.due is not null),
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'priority', m.priority)) filter (where m.due is null)
  into waiting, jobs
  from (
    select d.tenant, signalops.placed(place, d.delivery) as delivery, d.channel, t.priority, coalesce(d.not_before, case when t.granted < row_number() over (
      partition by d.channel, d.not_before is null order by d.delivery) then clock_timestamp() end) as due
    from jsonb_to_recordset(decided) as d (tenant uuid, delivery text, channel uuid, outcome text, not_before timestamptz)
    left join turns t on t.channel = d.channel
    where coalesce(d.outcome, 'notified') = 'notified'
  ) m;
  if jobs is not null then
    perform signalops.enqueue_deliveries(jobs);
  end if;
  if waiting is null then
    return;
  end if;
  update signalops.deliveries d set next_attempt_at = w.due
  from jsonb_to_recordset(waiting) as w (tenant uuid, delivery uuid, due timestamptz)
  where d.tenant_id = w.tenant and d.id = w.delivery and d.next_attempt_at is null;
  perform signalops.await_turn(w.tenant, w.channel, w.due)
  from (
    select w.tenant, w.channel, min(w.due) as due from jsonb_to_recordset(waiting) as w (tenant uuid, channel uuid, due timestamptz)
    group by w.tenant, w.channel order by w.tenant, w.channel
  ) w;
end
$$;

create or replace function signalops.store(flush jsonb, in_batch uuid, place text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  fresh bigint;
  received timestamptz := signalops.time_of((place || '-7000-8000-000000000000')::uuid);
begin
  with incoming as materialized (
    select signalops.placed(place, i.id) as event_id, i.* from jsonb_to_recordset(flush) as i (tenant uuid, id text, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text, over_limit boolean, correlation text, trace text)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, incoming.event_id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes, over_limit,
      correlation, trace)
    select tenant, incoming.event_id, in_batch, type, source, coalesce(occurred_at, received), coalesce(received_at, received), payload, attributes, coalesce(over_limit, false),
      correlation, trace
    from incoming where key is null or incoming.event_id in (select keyed.event_id from keyed)
    returning tenant_id, id
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch) select tenant_id, id, in_batch from stored
  )
  select count(*) into fresh from stored;
  return fresh;
end
$$;

create or replace function signalops.give_back(admitted jsonb, moment timestamp with time zone, place text) RETURNS TABLE(event_id uuid, verdict text, first_id uuid)
    LANGUAGE plpgsql
    AS $$
declare
  repeated jsonb;
begin
  select jsonb_agg(i.item || jsonb_build_object('first', k.event_id, 'is_same', k.body_hash = decode(i.item ->> 'hash', 'hex')))
  into repeated
  from jsonb_array_elements(admitted) as i (item)
  cross join lateral (
    select * from signalops.idempotency_keys k where k.tenant_id = (i.item ->> 'tenant')::uuid and k.key = i.item ->> 'key' limit 1
  ) k
  where k.event_id <> signalops.placed(place, i.item ->> 'id');
  perform signalops.recount(repeated, moment, -1);
  return query
    select r.id, case when r.is_same then 'duplicate' else 'conflict' end, r.first
    from jsonb_to_recordset(repeated) as r (id uuid, is_same boolean, first uuid);
end
$$;

create or replace function signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  decided jsonb := results -> 'matches';
  recorded bigint;
  place text := left(signalops.id_at(signalops.position_time())::text, 13);
begin
  perform signalops.act_for((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if coalesce(results -> 'groups', '[]') <> '[]' then
    decided := decided || signalops.weigh(results -> 'groups');
  end if;
  if decided <> '[]' then
    with matched as materialized (
      select m.*, coalesce(m.outcome, 'notified') as result from jsonb_to_recordset(decided) as m (tenant uuid, event uuid, rule uuid,
        version integer, channel uuid, delivery text, outcome text, not_before timestamptz, context jsonb, replay uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version, outcome)
      select tenant, event, rule, version, result from matched
      -- Only a replay repeats a match; the first decision stays on record.
      on conflict do nothing
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, next_attempt_at, context, replay_id)
    select tenant, signalops.placed(place, delivery), event, rule, version, channel, not_before, context, replay from matched where result = 'notified';
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text)
    -- Somebody had it retried, and it died again.
    on conflict (tenant_id, id) do update
      set error = excluded.error, died_at = signalops.position_time(), ended_at = null, ending = null, reason = null;
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
    perform signalops.start_deliveries(decided, place);
  end if;
  if results -> 'metered' <> '[]' then
    perform signalops.count_usage(in_batch, results -> 'metered');
  end if;

  perform signalops.act_for(null);
end
$$;

create or replace function signalops.bury_delivery(tenant uuid, delivery uuid, because text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  lost record;
begin
  select d.event_id, d.rule_id, d.channel_id, d.attempts, coalesce(e.depth, 0) as depth, c.enabled into lost
  from signalops.deliveries d
  left join signalops.events e on e.tenant_id = d.tenant_id and e.id = d.event_id
  left join signalops.channels c on c.tenant_id = d.tenant_id and c.id = d.channel_id
  where d.tenant_id = tenant and d.id = delivery;
  insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)
  values (tenant, delivery, 'delivery', lost.event_id, delivery, left(because, 500))
  on conflict (tenant_id, id) do update
    set error = excluded.error, died_at = signalops.position_time(), ended_at = null, ending = null, reason = null;
  -- Of a channel that is disabled the tenant was told once; its backlog would be so many more notices.
  if lost.enabled then
    perform signalops.announce('signalops.delivery.dead', jsonb_build_object('delivery', delivery, 'event', lost.event_id,
      'rule', jsonb_build_object('id', lost.rule_id), 'channel', jsonb_build_object('id', lost.channel_id),
      'attempts', lost.attempts, 'error', left(because, 500)), (lost.depth + 1)::smallint);
  end if;
end
$$;


comment on function signalops.store(jsonb, uuid, text) is 'Stores the events whose idempotency key is new, with ids placed in this transaction, and puts them into the inbox; returns how many were.';
COMMENT ON FUNCTION signalops.give_back(admitted jsonb, moment timestamp with time zone, place text) IS 'Of events whose idempotency key was stored before, returns the first event and whether the body is the same, and uncounts them.';
COMMENT ON FUNCTION signalops.start_deliveries(decided jsonb, place text) IS 'Gives the new deliveries of a batch their jobs, as far as their channels have a turn; the others wait. Locks the channels until the commit.';
COMMENT ON FUNCTION signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer, buckets jsonb) IS 'Accepts a flush: [{tenant, id, type, source, occurred_at, payload, attributes, key, hash, weights: {meter: amount}, buckets: [n]}] with [{tenant, meter, amount, scales}]: what each tenant''s events add to the meter events and to each of its limited meters, and the version of these (tenants.scales); and with [{tenant, bucket, amount}], the rate limits that events pay, by their place (from 1), or NULL when none does. Holds them against the rates, counts against the limits, stores, fills the inbox and enqueues one job. An id is placed as its event is stored: the row placed holds, as of_meter, the 13 characters that its milliseconds become. Returns otherwise only what was not plainly accepted: rate_limited (by the bucket of_meter; pace: {wait} in seconds), stale (nothing of the tenant first_id is stored but what it paid is paid: weigh by its present scales and send again), refused (by of_meter, until period_end), over_limit, duplicate or conflict (first_id is the event stored under the key); as soft_limit, hard_limit and threshold the notices it emitted (of the tenant first_id), each once when it was reached; and what each bucket (of_meter, of the tenant first_id) holds afterwards (pace: {rate, burst, left}).';
alter table signalops.dead_letters alter column died_at set default signalops.position_time();
