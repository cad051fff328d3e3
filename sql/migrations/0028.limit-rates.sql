-- Stations access and ingest: how many events a second a tenant and a key may bring in, exact in the transaction that accepts; and keys
-- that are told from wrong ones without bcrypt.

alter table signalops.tenants
  add column rate_per_second numeric check (rate_per_second between 0.000001 and 1000000),
  add column rate_burst integer check (rate_burst between 1 and 1000000),
  add check ((rate_per_second is null) = (rate_burst is null));
comment on column signalops.tenants.rate_per_second is 'Events a second that it may bring in with all its keys together; NULL: no limit.';
comment on column signalops.tenants.rate_burst is 'Events that it may bring in at once after a pause; NULL: no limit.';

alter table signalops.api_keys
  add column rate_per_second numeric check (rate_per_second between 0.000001 and 1000000),
  add column rate_burst integer check (rate_burst between 1 and 1000000),
  add column fingerprint bytea check (octet_length(fingerprint) = 4),
  add check ((rate_per_second is null) = (rate_burst is null));
comment on column signalops.api_keys.rate_per_second is 'Events a second that may come in with it, besides what its tenant may; NULL: no limit of its own.';
comment on column signalops.api_keys.rate_burst is 'Events that may come in with it at once after a pause; NULL: no limit of its own.';
comment on column signalops.api_keys.fingerprint is
  'The first 4 bytes of the key''s SHA-256, by which a wrong key is refused without bcrypt; NULL: a key of another format, or not used since this is written.';
grant insert (rate_per_second, rate_burst, fingerprint), update (fingerprint) on signalops.api_keys to signalops_api;
call signalops.admit_group('signalops.api_keys', 'signalops_api');

drop function signalops.find_keys(text);
create function signalops.find_keys(wanted text)
returns table (
  tenant_id uuid, key_id uuid, hash text, scopes text[], allowed_cidrs cidr[], expires_at timestamptz, tenant_status text,
  fingerprint bytea, buckets text[]
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.allowed_cidrs, k.expires_at, t.status, k.fingerprint,
    array_remove(array[case when k.rate_per_second is not null then k.id::text end, case when t.rate_per_second is not null then 'tenant' end], null)
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function signalops.find_keys(text) is
  'The usable keys with a prefix, with hash, tenant, and the names of the rate limits that they are held to: the one look-up that happens '
  'before a tenant is known.';
revoke all on function signalops.find_keys(text) from public;
grant execute on function signalops.find_keys(text) to signalops_api;

-- A limit that is set where there was none must be heard of: flushes say which buckets their events pay.
drop trigger announce_key_change on signalops.api_keys;
create trigger announce_key_change
  after delete or update of tenant_id, id, prefix, hash, scopes, allowed_cidrs, expires_at, revoked_at, rate_per_second, rate_burst
  on signalops.api_keys for each statement execute function signalops.announce_key_change();
comment on trigger announce_key_change on signalops.api_keys is 'A revoked key is refused at once everywhere.';
drop trigger announce_key_change on signalops.tenants;
create trigger announce_key_change after update of status, rate_per_second, rate_burst or delete on signalops.tenants
  for each statement execute function signalops.announce_key_change();
comment on trigger announce_key_change on signalops.tenants is 'A suspended tenant is refused at once everywhere.';

create table signalops.rate_buckets (
  tenant_id uuid not null,
  bucket text not null,
  level double precision not null,
  at timestamptz not null default now(),
  primary key (tenant_id, bucket)
) with (fillfactor = 50);
comment on table signalops.rate_buckets is
  'What tenants and keys with a rate limit may bring in at once: a token an event, taken in the accepting transaction. Made, full, at first use.';
comment on column signalops.rate_buckets.tenant_id is 'Whose it is.';
comment on column signalops.rate_buckets.bucket is 'tenant, or the id of one of its keys.';
comment on column signalops.rate_buckets.level is 'Tokens that it held at that moment: what has come in since, by the present rate and up to the burst, is added when it is next used.';
comment on column signalops.rate_buckets.at is 'When that was, by the database''s clock.';
call signalops.protect('signalops.rate_buckets');
call signalops.admit_group('signalops.rate_buckets', 'signalops_api');
grant select, insert, update on signalops.rate_buckets to signalops_api;

create function signalops.lock_buckets(wanted jsonb) returns void
language sql volatile
as $$
  -- In one order, rows that are not there yet included, so that two flushes can't lock each other out. What is there is only locked.
  insert into signalops.rate_buckets as b (tenant_id, bucket, level)
  select w.tenant, w.bucket, 'Infinity' from jsonb_to_recordset(wanted) as w (tenant uuid, bucket text)
  -- What is deleted meanwhile must not come back.
  where exists (select from signalops.tenants t where t.id = w.tenant and t.status <> 'deleting')
  order by w.tenant, w.bucket collate "C"
  on conflict (tenant_id, bucket) do update set level = b.level where false
$$;
comment on function signalops.lock_buckets(jsonb) is
  'Locks the rows of [{tenant, bucket}] until the transaction ends, and makes those that are missing, full.';

create function signalops.take_tokens(flush jsonb, wanted jsonb)
returns table (event_id uuid, of_tenant uuid, of_bucket text, pace jsonb)
language plpgsql volatile
as $$
declare
  moment timestamptz;
  tenants uuid[];
  names text[];
  rates double precision[];
  bursts integer[];
  lefts double precision[];
  takes integer[];
  waiting integer[];
  enough boolean;
  event record;
  place integer;
  short integer;
begin
  perform signalops.lock_buckets(wanted);
  -- Read after the locks: of two flushes the later one has the later moment, and no moment fills a bucket twice.
  moment := clock_timestamp();
  select array_agg(w.tenant order by w.n), array_agg(w.bucket order by w.n), array_agg(r.rate order by w.n), array_agg(r.burst order by w.n),
    array_agg(l.tokens order by w.n), array_agg(w.amount order by w.n), array_agg(0 order by w.n), bool_and(w.amount <= l.tokens)
  into tenants, names, rates, bursts, lefts, takes, waiting, enough
  from rows from (jsonb_to_recordset(wanted) as (tenant uuid, bucket text, amount integer)) with ordinality as w (tenant, bucket, amount, n)
  left join lateral (
    (select t.rate_per_second::double precision as rate, t.rate_burst as burst from signalops.tenants t
    where w.bucket = 'tenant' and t.id = w.tenant limit 1)
    union all
    (select k.rate_per_second::double precision, k.rate_burst from signalops.api_keys k
    where w.bucket <> 'tenant' and k.tenant_id = w.tenant and k.id = nullif(w.bucket, 'tenant')::uuid limit 1)
  ) r on true
  left join lateral (select * from signalops.rate_buckets b where b.tenant_id = w.tenant and b.bucket = w.bucket limit 1) b on true
  -- Without a rate (the limit was lifted, and who asked has not heard of it yet) there is always enough.
  cross join lateral (
    select case when r.rate is null or b.level is null then 'Infinity' else least(r.burst, b.level + r.rate * greatest(extract(epoch from moment - b.at), 0)) end as tokens
  ) l;

  if not enough then
    takes := waiting;
    for event in
      select (i.item ->> 'id')::uuid as id, array(select jsonb_array_elements_text(i.item -> 'buckets')::integer) as places
      from jsonb_array_elements(flush) with ordinality as i (item, n) where i.item ? 'buckets' order by i.n
    loop
      short := null;
      foreach place in array event.places loop
        if lefts[place] - takes[place] < 1 then
          short := place;
        end if;
      end loop;
      if short is null then
        foreach place in array event.places loop
          takes[place] := takes[place] + 1;
        end loop;
      else
        waiting[short] := waiting[short] + 1;
        event_id := event.id;
        of_tenant := tenants[short];
        of_bucket := names[short];
        pace := jsonb_build_object('wait', (waiting[short] + takes[short] - lefts[short]) / rates[short]);
        return next;
      end if;
    end loop;
  end if;

  update signalops.rate_buckets b set level = u.tokens - u.taken, at = moment
  from unnest(tenants, names, lefts, takes) as u (tenant, name, tokens, taken)
  where b.tenant_id = u.tenant and b.bucket = u.name;
  return query
    select null::uuid, u.tenant, u.name, jsonb_build_object('rate', u.rate, 'burst', u.burst, 'left', u.tokens - u.taken)
    from unnest(tenants, names, rates, bursts, lefts, takes) as u (tenant, name, rate, burst, tokens, taken) where u.rate is not null;
end
$$;
comment on function signalops.take_tokens(jsonb, jsonb) is
  'Takes a token an event out of each bucket that it pays, [{tenant, bucket, amount}]; where there are too few, for the first events of the '
  'flush. Returns the events that it refuses (of_bucket has none; pace: {wait}, in how many seconds there is one for it, after those refused '
  'before it), and without an event what each bucket holds now (pace: {rate, burst, left}).';

create function signalops.without_refused(flush jsonb, paced jsonb) returns jsonb
language sql stable
return (
  select coalesce(jsonb_agg(i.item order by i.n), '[]')
  from jsonb_array_elements(flush) with ordinality as i (item, n)
  where not exists (
    select from jsonb_to_recordset(paced) as p (event_id uuid) where p.event_id = (i.item ->> 'id')::uuid));
comment on function signalops.without_refused(jsonb, jsonb) is 'The events of a flush that take_tokens did not refuse.';

create function signalops.asked_of(flush jsonb, asked jsonb) returns jsonb
language sql stable
return (
  select jsonb_agg(w)
  from (
    select i.tenant, m.meter, sum(m.amount) as amount, s.scales
    from jsonb_to_recordset(flush) as i (tenant uuid, weights jsonb)
    join (select distinct a.tenant, a.scales from jsonb_to_recordset(asked) as a (tenant uuid, scales bigint)) s on s.tenant = i.tenant
    cross join lateral (
      select 'events' as meter, 1::numeric as amount union all
      select u.key, u.value::numeric from jsonb_each_text(i.weights) as u (key, value)
    ) m
    group by i.tenant, m.meter, s.scales
  ) w);
comment on function signalops.asked_of(jsonb, jsonb) is
  'What is left to be asked of the meters when some events of a flush were refused: [{tenant, meter, amount, scales}], as accept takes it.';

drop function signalops.accept(jsonb, jsonb, uuid, integer);
create function signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer, buckets jsonb default null)
returns table (event_id uuid, verdict text, first_id uuid, of_meter text, period_end timestamptz, pace jsonb)
language plpgsql volatile
-- The hot statements go through primary keys, and a generic plan saves planning each of them anew. But a plan made while a table
-- was small is kept while it grows a thousandfold: so seq scans are off, and a table is looked up row by row (lateral, limit 1)
-- where a join could come to read the whole of it.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
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
$$;
comment on function signalops.accept(jsonb, jsonb, uuid, integer, jsonb) is
  'Accepts a flush: [{tenant, id, type, source, occurred_at, received_at, payload, attributes, key, hash, weights: {meter: amount}, '
  'buckets: [n]}] with [{tenant, meter, amount, scales}]: what each tenant''s events add to the meter events and to each of its limited '
  'meters, and the version of these (tenants.scales); and with [{tenant, bucket, amount}], the rate limits that events pay, by their place '
  '(from 1), or NULL when none does. Holds them against the rates, counts against the limits, stores, fills the inbox and enqueues one job. '
  'Returns only what was not plainly accepted: rate_limited (by the bucket of_meter; pace: {wait} in seconds), stale (nothing of the tenant '
  'first_id is stored but what it paid is paid: weigh by its present scales and send again), refused (by of_meter, until period_end), '
  'over_limit, duplicate or conflict (first_id is the event stored under the key); as soft_limit, hard_limit and threshold the notices it '
  'emitted (of the tenant first_id), each once when it was reached; and what each bucket (of_meter, of the tenant first_id) holds afterwards '
  '(pace: {rate, burst, left}).';

