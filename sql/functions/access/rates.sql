-- Rate limits of tenants and keys: token buckets, exact in the transaction that accepts.

create or replace function signalops.tokens_at(moment timestamptz, tokens double precision, refilled_at timestamptz, max_per_minute integer)
returns double precision
language sql immutable parallel safe
return least(greatest(1, max_per_minute / 60.0), coalesce(tokens, 0)
  + case when coalesce(refilled_at, '-infinity') = '-infinity' then 1e9 else extract(epoch from moment - refilled_at) end
    * max_per_minute / 60.0);
comment on function signalops.tokens_at is
  'Tokens of a send target with a rate limit at a moment: a second''s worth at most, and at least one.';

create or replace function signalops.lock_buckets(requested jsonb) returns void
language sql volatile as $$
  -- Lock order: rate_buckets by tenant and bucket, rows that are not there yet included. What is there is only locked.
  insert into signalops.rate_buckets as b (tenant_id, bucket, level)
  select w.tenant, w.bucket, 'Infinity' from jsonb_to_recordset(requested) as w (tenant uuid, bucket text)
  -- A tenant deleted concurrently must not get rows again.
  where exists (select from signalops.tenants t where t.id = w.tenant and t.status <> 'deleting')
  order by w.tenant, w.bucket collate "C"
  on conflict (tenant_id, bucket) do update set level = b.level where false
$$;
comment on function signalops.lock_buckets is
  'Locks the rows of [{tenant, bucket}] until the transaction ends, and makes those that are missing, full.';

create or replace function signalops.take_tokens(flush jsonb, requested jsonb) returns table (event_id uuid, of_tenant uuid, of_bucket text, pace jsonb)
language plpgsql volatile as $$
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
  perform signalops.lock_buckets(requested);
  -- Read after the locks: of two flushes the later one has the later moment, and no moment fills a bucket twice.
  moment := clock_timestamp();
  select array_agg(w.tenant order by w.n), array_agg(w.bucket order by w.n), array_agg(r.rate order by w.n), array_agg(r.burst order by w.n),
    array_agg(l.tokens order by w.n), array_agg(w.amount order by w.n), array_agg(0 order by w.n), bool_and(w.amount <= l.tokens)
  into tenants, names, rates, bursts, lefts, takes, waiting, enough
  from rows from (jsonb_to_recordset(requested) as (tenant uuid, bucket text, amount integer)) with ordinality as w (tenant, bucket, amount, n)
  left join lateral (
    (select t.rate_per_second::double precision as rate, t.rate_burst as burst from signalops.tenants t
    where w.bucket = 'tenant' and t.id = w.tenant limit 1)
    union all
    (select k.rate_per_second::double precision, k.rate_burst from signalops.api_keys k
    where w.bucket <> 'tenant' and k.tenant_id = w.tenant and k.id = nullif(w.bucket, 'tenant')::uuid limit 1)
  ) r on true
  left join lateral (select * from signalops.rate_buckets b where b.tenant_id = w.tenant and b.bucket = w.bucket limit 1) b on true
  -- Without a rate (the limit was removed, and the caller''s cache is stale) there is always enough.
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
comment on function signalops.take_tokens is
  'Takes a token an event out of each bucket that it pays, [{tenant, bucket, amount}]; where there are too few, for the first events of the flush. '
  'Returns the events that it refuses (of_bucket has none; pace: {wait}, in how many seconds there is one for it, after those refused before it), '
  'and without an event the level of each bucket (pace: {rate, burst, left}).';

create or replace function signalops.without_rate_limited(flush jsonb, paced jsonb) returns jsonb
language sql stable
return (
  select coalesce(jsonb_agg(i.item order by i.n), '[]')
  from jsonb_array_elements(flush) with ordinality as i (item, n)
  where not exists (
    select from jsonb_to_recordset(paced) as p (event_id uuid) where p.event_id = (i.item ->> 'id')::uuid));
comment on function signalops.without_rate_limited is 'The events of a flush that take_tokens did not refuse.';

create or replace function signalops.recompute_demand(flush jsonb, demand jsonb) returns jsonb
language sql stable
return (
  select jsonb_agg(w)
  from (
    select i.tenant, m.meter, sum(m.amount) as amount, s.limited_meters_version
    from jsonb_to_recordset(flush) as i (tenant uuid, quantities jsonb)
    join (select distinct a.tenant, a.limited_meters_version from jsonb_to_recordset(demand) as a (tenant uuid, limited_meters_version bigint)) s on s.tenant = i.tenant
    cross join lateral (
      select 'events' as meter, 1::numeric as amount union all
      select u.key, u.value::numeric from jsonb_each_text(i.quantities) as u (key, value)
    ) m
    group by i.tenant, m.meter, s.limited_meters_version
  ) w);
comment on function signalops.recompute_demand is
  'What is left to be asked of the meters when some events of a flush were refused: [{tenant, meter, amount, limited_meters_version}], as accept takes it.';
