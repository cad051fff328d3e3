-- The schema as the migrations make it, for reading; a test keeps it true.
-- `python -m tests.sql.dump` writes it. Left out: the monthly partitions, and what procrastinate and yoyo own.

CREATE SCHEMA signalops;

COMMENT ON SCHEMA signalops IS 'The product: every table of a tenant begins with tenant_id and is protected row by row.';

CREATE FUNCTION signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer) RETURNS TABLE(event_id uuid, verdict text, first_id uuid)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  -- The flush's own moment, which its usage is counted by as well: accepted and processed agree at the turn of a month.
  month date := date_trunc('month', signalops.time_of(in_batch) at time zone 'UTC');
  fitting uuid[];
  near_soft uuid[];
  admitted jsonb := flush;
  part uuid;
  fresh bigint;
  emitted bigint := 0;
begin
  perform signalops.act_for((select array_agg(a.tenant) from jsonb_to_recordset(asked) as a (tenant uuid)));

  select coalesce(array_agg(c.tenant), '{}'), array_agg(c.tenant) filter (where c.near_soft) into fitting, near_soft
  from signalops.count_in(asked, month) c;
  if cardinality(fitting) < jsonb_array_length(asked) then
    for part in
      select a.tenant from jsonb_to_recordset(asked) as a (tenant uuid) where a.tenant <> all (fitting) order by a.tenant
    loop
      admitted := (select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(admitted) i where i ->> 'tenant' <> part::text)
        || signalops.admit(part, month, flush);
      near_soft := near_soft || part;
    end loop;
    return query
      select (f.item ->> 'id')::uuid, 'refused', null::uuid
      from (select jsonb_array_elements(flush) except select jsonb_array_elements(admitted)) as f (item);
  end if;

  fresh := signalops.store(admitted, in_batch);
  if fresh < jsonb_array_length(admitted) then
    return query select * from signalops.give_back(admitted, month);
  end if;

  if near_soft is not null then
    return query
      with reached as (
        update signalops.quotas q set soft_reached_at = now()
        from signalops.tenants t
        where q.tenant_id = any (near_soft) and q.period = month and t.id = q.tenant_id
          and q.soft_reached_at is null and q.accepted >= t.soft_limit
        returning q.tenant_id, q.accepted, t.soft_limit
      )
      select signalops.emit(r.tenant_id, in_batch, 'signalops.usage.soft_limit_reached', jsonb_build_object(
        'period', to_char(month, 'YYYY-MM'), 'limit', r.soft_limit, 'accepted', r.accepted), 1::smallint), 'soft_limit', r.tenant_id
      from reached r;
    get diagnostics emitted = row_count;
  end if;

  if fresh + emitted > 0 then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer) IS 'Accepts a flush: [{tenant, id, type, source, occurred_at, received_at, payload, attributes, key, hash}] with [{tenant, events}], how many each tenant has in it. Counts against the limits, stores, fills the inbox and enqueues one job. Returns only what was not plainly accepted: refused (hard limit), duplicate or conflict (first_id is the event stored under the key), and soft_limit (event_id is the notice, first_id the tenant), once when it was reached.';

CREATE FUNCTION signalops.act_as(tenant uuid) RETURNS void
    LANGUAGE sql
    AS $$ select set_config('signalops.tenant_id', tenant::text, true) $$;

COMMENT ON FUNCTION signalops.act_as(tenant uuid) IS 'Sets the tenant of this transaction; the end of the transaction forgets it.';

CREATE FUNCTION signalops.act_for(tenants uuid[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform set_config('signalops.tenant_group', coalesce(tenants::text, ''), true);
end
$$;

COMMENT ON FUNCTION signalops.act_for(tenants uuid[]) IS 'Opens the rows of a group of tenants to the functions that handle a flush or a batch; NULL closes them again.';

CREATE FUNCTION signalops.admit(wanted uuid, month date, offered jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    AS $$
declare
  room bigint;
  admitted jsonb;
begin
  insert into signalops.quotas (tenant_id, period) values (wanted, month) on conflict do nothing;
  -- The row lock makes the limit exact: whoever else accepts for this tenant waits for our commit.
  select coalesce(t.hard_limit, 9223372036854775807) - q.accepted into room
  from signalops.quotas q join signalops.tenants t on t.id = q.tenant_id
  where q.tenant_id = wanted and q.period = month
  for update of q;
  -- What is stored already needs no room; a repeat within the flush shares the place of its first.
  select coalesce(jsonb_agg(item order by ord) filter (where stored or place <= room), '[]') into admitted
  from (
    select item, ord, stored, count(*) filter (where ord = first and not stored) over (order by first) as place
    from (
      select i.item, i.ord, k.key is not null as stored,
        min(i.ord) over (partition by coalesce(i.item ->> 'key', E'\n' || i.ord)) as first
      from jsonb_array_elements(offered) with ordinality as i (item, ord)
      left join lateral (
        select k.key from signalops.idempotency_keys k where k.tenant_id = wanted and k.key = i.item ->> 'key' limit 1
      ) k on true
      where i.item ->> 'tenant' = wanted::text
    ) as items
  ) as placed;
  update signalops.quotas set accepted = accepted + jsonb_array_length(admitted)
  where tenant_id = wanted and period = month;
  return admitted;
end
$$;

COMMENT ON FUNCTION signalops.admit(wanted uuid, month date, offered jsonb) IS 'The careful path of accept, for a tenant''s first events of a month and at its hard limit: counts and returns what may come in.';

CREATE PROCEDURE signalops.admit_group(IN target regclass, IN product_role text, IN key text DEFAULT 'tenant_id'::text)
    LANGUAGE plpgsql
    AS $$
begin
  execute format(
    'create policy tenant_group_%s on %s to %I using (%I = any ((select signalops.current_group())::uuid[])) '
    'with check (%I = any ((select signalops.current_group())::uuid[]))', product_role, target, product_role, key, key);
  execute format('comment on policy tenant_group_%s on %s is %L', product_role, target,
    'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.');
end
$$;

COMMENT ON PROCEDURE signalops.admit_group(IN target regclass, IN product_role text, IN key text) IS 'Gives a table that is handled for many tenants at once its policy for a role of the product.';

CREATE PROCEDURE signalops.admit_owner(IN target regclass, IN reason text)
    LANGUAGE plpgsql
    AS $$
begin
  execute format('create policy owner_acts on %s to signalops_owner using (true) with check (true)', target);
  execute format('comment on policy owner_acts on %s is %L', target, reason);
end
$$;

COMMENT ON PROCEDURE signalops.admit_owner(IN target regclass, IN reason text) IS 'Lets the narrow SECURITY DEFINER functions of signalops_owner see a table across tenants. No process logs in as that role.';

CREATE FUNCTION signalops.announce_key_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_notify('signalops_access', '');
  return null;
end
$$;

COMMENT ON FUNCTION signalops.announce_key_change() IS 'Tells every API process to forget the keys that it remembers: what was revoked or suspended is refused from then on.';

CREATE FUNCTION signalops.bump_ruleset() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  insert into signalops.rulesets (tenant_id) values (coalesce(new.tenant_id, old.tenant_id))
  on conflict (tenant_id) do update set version = signalops.rulesets.version + 1;
  return null;
exception when foreign_key_violation then
  return null; -- the tenant itself is being deleted
end
$$;

COMMENT ON FUNCTION signalops.bump_ruleset() IS 'Counts a change of a tenant''s rules.';

CREATE FUNCTION signalops.count_in(asked jsonb, month date) RETURNS TABLE(tenant uuid, near_soft boolean)
    LANGUAGE plpgsql
    AS $$
declare
  places tid[];
  totals bigint[];
  tenants uuid[];
  nearing boolean[];
begin
  -- In the order of the tenants: two flushes that share some lock the counters in the same order.
  select array_agg(q.ctid), array_agg(q.accepted + w.events), array_agg(w.tenant),
    array_agg(coalesce(q.accepted + w.events >= t.soft_limit and q.soft_reached_at is null, false))
  into places, totals, tenants, nearing
  from (select * from jsonb_to_recordset(asked) as a (tenant uuid, events integer) order by a.tenant) w
  cross join lateral (
    select q.ctid, * from signalops.quotas q where q.tenant_id = w.tenant and q.period = month limit 1 for update
  ) q
  cross join lateral (select * from signalops.tenants t where t.id = w.tenant limit 1) t
  where t.hard_limit is null or q.accepted + w.events <= t.hard_limit;
  -- A locked row stays where it is; and a statement of its own sees it, even if another flush has just moved it there.
  update signalops.quotas q set accepted = c.total from unnest(places, totals) as c (place, total) where q.ctid = c.place;
  return query select * from unnest(tenants, nearing);
end
$$;

COMMENT ON FUNCTION signalops.count_in(asked jsonb, month date) IS 'Counts [{tenant, events}] against the limits and returns the tenants whose events all fit; the others are for admit.';

CREATE FUNCTION signalops.current_group() RETURNS uuid[]
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('signalops.tenant_group'::text, true), ''::text))::uuid[];

COMMENT ON FUNCTION signalops.current_group() IS 'The tenants of the flush or batch that signalops.accept, read_batch or record_batch is at; NULL outside of them.';

CREATE FUNCTION signalops.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('signalops.tenant_id'::text, true), ''::text))::uuid;

COMMENT ON FUNCTION signalops.current_tenant() IS 'The tenant that this transaction acts for; NULL when none is set, and then no row of any tenant is visible.';

CREATE FUNCTION signalops.emit(tenant uuid, in_batch uuid, event_type text, about jsonb, at_depth smallint) RETURNS uuid
    LANGUAGE sql
    AS $$
  with emitted as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, depth)
    values (tenant, signalops.new_id(), in_batch, event_type, 'signalops', clock_timestamp(), clock_timestamp(), about, at_depth)
    returning id)
  insert into signalops.inbox (tenant_id, event_id, batch) select tenant, id, in_batch from emitted returning event_id
$$;

COMMENT ON FUNCTION signalops.emit(tenant uuid, in_batch uuid, event_type text, about jsonb, at_depth smallint) IS 'Stores an operational event of a tenant in a batch that is about to be enqueued: rules can match it, nobody is billed for it.';

CREATE FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
begin
  return (procrastinate_defer_jobs_v1(array[
    row(queue, task, priority, null, null, args, null)::procrastinate_job_to_defer_v1]))[1];
end
$$;

COMMENT ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) IS 'Enqueues one job in the current transaction and returns its id. Arguments are ids, never payloads.';

CREATE FUNCTION signalops.enqueue_deliveries(wanted jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
begin
  return cardinality(procrastinate_defer_jobs_v1((
    select array_agg(row('deliveries', 'send_delivery', 0, null, null, job, null)::procrastinate_job_to_defer_v1)
    from jsonb_array_elements(wanted) as jobs (job))));
end
$$;

COMMENT ON FUNCTION signalops.enqueue_deliveries(wanted jsonb) IS 'Enqueues one attempt each: [{tenant, delivery}], not empty.';

CREATE FUNCTION signalops.enqueue_due_deliveries(at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with due as (
    select tenant_id, id from signalops.deliveries
    where status = 'retrying' and next_attempt_at <= now()
    order by next_attempt_at limit at_most for update skip locked
  ), woken as (
    update signalops.deliveries d set status = 'pending', next_attempt_at = null, updated_at = now()
    from due where d.tenant_id = due.tenant_id and d.id = due.id
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from woken) w where jobs is not null), 0)
$$;

COMMENT ON FUNCTION signalops.enqueue_due_deliveries(at_most integer) IS 'Gives a job to the deliveries whose time to be tried again has come; returns how many.';

CREATE FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive waiting as (
    -- Hops from batch to batch along the index: a select distinct would read the whole backlog.
    (select batch from signalops.inbox order by batch limit 1)
    union all
    select (select i.batch from signalops.inbox i where i.batch > w.batch order by i.batch limit 1)
    from waiting w where w.batch < signalops.id_at(now() - older_than)
  ), old as (
    select batch from waiting where batch < signalops.id_at(now() - older_than) limit at_most
  )
  select count(signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', batch)))
  from old,
    -- Whoever processes a batch holds its rows. That a job is `doing` says less: procrastinate leaves it so, under a worker that
    -- lives on, when it could not write down how the job ended.
    lateral (select from signalops.inbox i where i.batch = old.batch limit 1 for update skip locked) as idle
  where not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'process_batch' and j.args ->> 'batch' = old.batch::text)
$$;

COMMENT ON FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) IS 'Gives a new job to batches that wait in the inbox without one (deleted, aborted, stuck): accepted means processed, whatever becomes of a job. Returns how many.';

CREATE FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with old as (
    select tenant_id, id from signalops.deliveries
    where status in ('pending', 'sending') and updated_at < now() - older_than
    order by updated_at limit at_most for update skip locked
  ), lost as (
    update signalops.deliveries d set updated_at = now()
    from old where d.tenant_id = old.tenant_id and d.id = old.id and not exists (
      select from procrastinate.procrastinate_jobs j
      where j.status = 'todo' and j.task_name = 'send_delivery' and j.args ->> 'delivery' = old.id::text)
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from lost) l where jobs is not null), 0)
$$;

COMMENT ON FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) IS 'Gives a new job to deliveries in hand whose job is gone (deleted, aborted, stuck); returns how many.';

CREATE FUNCTION signalops.find_keys(wanted text) RETURNS TABLE(tenant_id uuid, key_id uuid, hash text, scopes text[], expires_at timestamp with time zone, tenant_status text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.expires_at, t.status
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;

COMMENT ON FUNCTION signalops.find_keys(wanted text) IS 'The usable keys with a prefix, with hash and tenant: the one look-up that happens before a tenant is known.';

CREATE FUNCTION signalops.give_back(admitted jsonb, month date) RETURNS TABLE(event_id uuid, verdict text, first_id uuid)
    LANGUAGE plpgsql
    AS $$
begin
  return query
    with repeated as materialized (
      select i.tenant, i.id, decode(i.hash, 'hex') as body_hash, k.body_hash as first_hash, k.event_id as first
      from jsonb_to_recordset(admitted) as i (tenant uuid, id uuid, key text, hash text)
      cross join lateral (
        select * from signalops.idempotency_keys k where k.tenant_id = i.tenant and k.key = i.key limit 1
      ) k
      where k.event_id <> i.id
    ), counted as (
      update signalops.quotas q set accepted = q.accepted - r.events
      from (select tenant, count(*) as events from repeated group by tenant) r
      where q.tenant_id = r.tenant and q.period = month
    )
    select r.id, case when r.body_hash = r.first_hash then 'duplicate' else 'conflict' end, r.first from repeated r;
end
$$;

COMMENT ON FUNCTION signalops.give_back(admitted jsonb, month date) IS 'Of events whose idempotency key was stored before, returns the first event and whether the body is the same, and uncounts them.';

CREATE FUNCTION signalops.id_at(moment timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((lpad(to_hex(((EXTRACT(epoch FROM moment) * (1000)::numeric))::bigint), 12, '0'::text) || '00000000000000000000'::text))::uuid;

COMMENT ON FUNCTION signalops.id_at(moment timestamp with time zone) IS 'The least UUIDv7 of a millisecond: ids compare with it as their times do, so it bounds time ranges and partitions.';

CREATE FUNCTION signalops.make_partitions(months_ahead integer DEFAULT 3) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  parent regclass;
  month date;
  part text;
begin
  -- Several processes may find the month missing at once.
  perform pg_advisory_xact_lock(hashtext('signalops.make_partitions'));
  for parent in
    select c.oid from pg_class c
    where c.relkind = 'p' and c.relnamespace = 'signalops'::regnamespace order by c.relname
  loop
    for month in
      select generate_series(
        date_trunc('month', now() at time zone 'UTC'),
        date_trunc('month', now() at time zone 'UTC') + make_interval(months => months_ahead), '1 month')::date
    loop
      part := format('%s_%s', (select relname from pg_class where oid = parent), to_char(month, 'YYYY_MM'));
      continue when to_regclass(format('signalops.%I', part)) is not null;
      -- Attached, not made in place: that would wait for every query of the table, a dump for instance, and all traffic behind it.
      execute format('create table signalops.%I (like %s including defaults including constraints)', part, parent);
      execute format('alter table %s attach partition signalops.%I for values from (%L) to (%L)', parent, part,
        signalops.id_at(month::timestamp at time zone 'UTC'),
        signalops.id_at((month + interval '1 month') at time zone 'UTC'));
      -- Policies of the parent do not hold for a query on the partition itself: with none of its own it shows nothing.
      execute format('alter table signalops.%I enable row level security', part);
      execute format('alter table signalops.%I force row level security', part);
      execute format('comment on table signalops.%I is %L', part, format('%s made in %s (UTC)', parent, to_char(month, 'YYYY-MM')));
      return next part;
    end loop;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.make_partitions(months_ahead integer) IS 'Makes the monthly partitions of every partitioned table, from this month to some months ahead; returns the names of new ones.';

CREATE FUNCTION signalops.new_id() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    RETURN (encode(set_bit(set_bit(OVERLAY(uuid_send(gen_random_uuid()) PLACING SUBSTRING(int8send(((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric))::bigint) FROM 3) FROM 1 FOR 6), (52)::bigint, 1), (53)::bigint, 1), 'hex'::text))::uuid;

COMMENT ON FUNCTION signalops.new_id() IS 'A new UUIDv7, for rows that SQL itself makes. PostgreSQL 18 has uuidv7(); 15 to 17 have not.';

CREATE PROCEDURE signalops.protect(IN target regclass, IN key text DEFAULT 'tenant_id'::text)
    LANGUAGE plpgsql
    AS $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  -- The scalar sub-select makes the planner evaluate the tenant once per statement, not once per row.
  execute format(
    'create policy own_tenant on %s using (%I = (select signalops.current_tenant())) '
    'with check (%I = (select signalops.current_tenant()))', target, key, key);
  execute format('comment on policy own_tenant on %s is %L', target,
    'Rows of the current tenant are all that can be seen or written; without a tenant there are none.');
end
$$;

COMMENT ON PROCEDURE signalops.protect(IN target regclass, IN key text) IS 'Enables and forces row-level security on a tenant table, with the policy own_tenant. Every migration that makes one calls it.';

CREATE FUNCTION signalops.read_batch(wanted uuid) RETURNS TABLE(tenant uuid, ruleset bigint, events text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET "TimeZone" TO 'UTC'
    AS $$
declare
  tenants uuid[];
  ids uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id) into tenants, ids from signalops.take_batch(wanted) t;
  perform signalops.act_for(tenants);
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
      -- One text per tenant: parsing it costs a third of loading as many rows.
      json_agg(json_build_object('id', e.id, 'depth', e.depth, 'attributes', e.attributes,
        'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload) order by e.id)::text
    from unnest(tenants, ids) as t (tenant_id, event_id)
    -- The limit keeps the planner from joining: a join planned while the partition was empty reads all of it for each batch.
    cross join lateral (
      select * from signalops.events e where e.tenant_id = t.tenant_id and e.id = t.event_id limit 1
    ) e
    group by t.tenant_id;
  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.read_batch(wanted uuid) IS 'Takes a batch and returns its events by tenant, with the version of the rules to use: [{id, depth, type, source, occurredAt, payload, attributes}].';

CREATE FUNCTION signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
begin
  perform signalops.act_for((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if results -> 'matches' <> '[]' then
    with matched as materialized (
      select * from jsonb_to_recordset(results -> 'matches')
        as m (tenant uuid, event uuid, rule uuid, version integer, channel uuid, delivery uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version) select tenant, event, rule, version from matched
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id)
    select tenant, delivery, event, rule, version, channel from matched;

    perform signalops.enqueue_deliveries((
      select jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery))
      from jsonb_to_recordset(results -> 'matches') as m (tenant uuid, delivery uuid)));
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text);
  end if;

  -- A batch that was bisected around a poisonous event is recorded in several parts.
  insert into signalops.batches as b (tenant_id, batch, job_id, worker, ruleset, rules, events, dead)
  select p.tenant, in_batch, job, worker, p.ruleset, p.rules, p.events, p.dead
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, ruleset bigint, rules integer, events integer, dead integer)
  on conflict (tenant_id, batch) do update
    set events = b.events + excluded.events, dead = b.dead + excluded.dead, processed_at = clock_timestamp();

  -- Last, since the counters stay locked until the commit; and in one order, so that two workers can't lock each other out.
  insert into signalops.usage_counters as u (tenant_id, meter, day, quantity)
  select p.tenant, 'events', (signalops.time_of(in_batch) at time zone 'UTC')::date, p.billed
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, billed bigint) where p.billed > 0 order by p.tenant
  on conflict (tenant_id, meter, day) do update set quantity = u.quantity + excluded.quantity;

  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) IS 'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, ruleset, rules, events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery}], dead: [{tenant, event, error}]}.';

CREATE FUNCTION signalops.store(flush jsonb, in_batch uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  fresh bigint;
begin
  with incoming as materialized (
    select * from jsonb_to_recordset(flush) as i (tenant uuid, id uuid, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes)
    select tenant, id, in_batch, type, source, occurred_at, received_at, payload, attributes
    from incoming where key is null or id in (select event_id from keyed)
    returning tenant_id, id
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch) select tenant_id, id, in_batch from stored
  )
  select count(*) into fresh from stored;
  return fresh;
end
$$;

COMMENT ON FUNCTION signalops.store(flush jsonb, in_batch uuid) IS 'Stores the events whose idempotency key is new, and puts them into the inbox; returns how many were.';

CREATE FUNCTION signalops.take_batch(wanted uuid) RETURNS TABLE(tenant_id uuid, event_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query delete from signalops.inbox i where i.batch = wanted returning i.tenant_id, i.event_id;
end
$$;

COMMENT ON FUNCTION signalops.take_batch(wanted uuid) IS 'Takes a batch out of the inbox. A second worker with the same batch waits for the first one''s commit and then finds nothing: that is what makes processing exactly-once.';

CREATE FUNCTION signalops.time_of(id uuid) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_timestamp((((((('x'::text || lpad(translate("left"((id)::text, 13), '-'::text, ''::text), 16, '0'::text)))::bit(64))::bigint)::numeric / 1000.0))::double precision);

COMMENT ON FUNCTION signalops.time_of(id uuid) IS 'The millisecond in which a UUIDv7 was made (RFC 9562, section 5.7).';

CREATE TABLE signalops.api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    prefix text NOT NULL,
    hash text NOT NULL,
    label text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    CONSTRAINT api_keys_hash_check CHECK ((hash ~ '^\$2[aby]\$'::text)),
    CONSTRAINT api_keys_label_check CHECK (((length(label) >= 1) AND (length(label) <= 200))),
    CONSTRAINT api_keys_prefix_check CHECK ((length(prefix) = 16))
);

ALTER TABLE ONLY signalops.api_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.api_keys IS 'API keys, as bcrypt hashes; the key itself is shown once and never stored.';
COMMENT ON COLUMN signalops.api_keys.tenant_id IS 'Whose key it is.';
COMMENT ON COLUMN signalops.api_keys.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.api_keys.prefix IS 'The first 16 characters of the key: enough to find the row, too little to guess the rest.';
COMMENT ON COLUMN signalops.api_keys.hash IS 'bcrypt hash of the whole key.';
COMMENT ON COLUMN signalops.api_keys.label IS 'What the tenant calls it.';
COMMENT ON COLUMN signalops.api_keys.scopes IS 'What it may do, such as events:write.';
COMMENT ON COLUMN signalops.api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.api_keys.expires_at IS 'From when it is refused; NULL: never.';
COMMENT ON COLUMN signalops.api_keys.revoked_at IS 'When it was revoked; NULL: it is not.';

CREATE TABLE signalops.batches (
    tenant_id uuid NOT NULL,
    batch uuid NOT NULL,
    job_id bigint NOT NULL,
    worker text NOT NULL,
    ruleset bigint NOT NULL,
    rules integer NOT NULL,
    events integer NOT NULL,
    dead integer DEFAULT 0 NOT NULL,
    processed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
PARTITION BY RANGE (batch);

ALTER TABLE ONLY signalops.batches FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.batches IS 'What a worker did with one tenant''s events of one batch. Partitioned by month of the batch.';
COMMENT ON COLUMN signalops.batches.tenant_id IS 'Whose events they were.';
COMMENT ON COLUMN signalops.batches.batch IS 'UUIDv7; the flush that stored them.';
COMMENT ON COLUMN signalops.batches.job_id IS 'The procrastinate job that processed it; finished jobs are deleted.';
COMMENT ON COLUMN signalops.batches.worker IS 'The worker process: host and process id.';
COMMENT ON COLUMN signalops.batches.ruleset IS 'The version of the tenant''s rules that it used.';
COMMENT ON COLUMN signalops.batches.rules IS 'How many rules each event was held against.';
COMMENT ON COLUMN signalops.batches.events IS 'Events processed and counted.';
COMMENT ON COLUMN signalops.batches.dead IS 'Events that became dead letters instead.';
COMMENT ON COLUMN signalops.batches.processed_at IS 'When, just before the commit.';

CREATE TABLE signalops.channels (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    config jsonb NOT NULL,
    secret bytea,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT channels_kind_check CHECK ((kind = ANY (ARRAY['email'::text, 'webhook'::text]))),
    CONSTRAINT channels_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

ALTER TABLE ONLY signalops.channels FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.channels IS 'Where a tenant''s notifications can go.';
COMMENT ON COLUMN signalops.channels.tenant_id IS 'Whose channel it is.';
COMMENT ON COLUMN signalops.channels.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.channels.name IS 'What the tenant calls it; rules on the command line name it so.';
COMMENT ON COLUMN signalops.channels.kind IS 'email or webhook.';
COMMENT ON COLUMN signalops.channels.config IS 'What is no secret: {to} of an email, {url} of a webhook.';
COMMENT ON COLUMN signalops.channels.secret IS 'Signing secret or credentials, encrypted (Fernet) with the installation''s key; NULL: needs none.';
COMMENT ON COLUMN signalops.channels.enabled IS 'false: deliveries through it become dead letters at once.';
COMMENT ON COLUMN signalops.channels.created_at IS 'When it was made.';

CREATE TABLE signalops.dead_letters (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    event_id uuid NOT NULL,
    delivery_id uuid,
    error text NOT NULL,
    died_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT dead_letters_check CHECK (((delivery_id IS NOT NULL) = (kind = 'delivery'::text))),
    CONSTRAINT dead_letters_error_check CHECK ((length(error) <= 500)),
    CONSTRAINT dead_letters_kind_check CHECK ((kind = ANY (ARRAY['event'::text, 'delivery'::text])))
);

ALTER TABLE ONLY signalops.dead_letters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.dead_letters IS 'What kept failing: an event that could not be processed, or a delivery after its last attempt.';
COMMENT ON COLUMN signalops.dead_letters.tenant_id IS 'Whose it is.';
COMMENT ON COLUMN signalops.dead_letters.id IS 'The id of what died: the event''s or the delivery''s.';
COMMENT ON COLUMN signalops.dead_letters.kind IS 'event or delivery.';
COMMENT ON COLUMN signalops.dead_letters.event_id IS 'The event.';
COMMENT ON COLUMN signalops.dead_letters.delivery_id IS 'The delivery, when it is one that died.';
COMMENT ON COLUMN signalops.dead_letters.error IS 'Why, in a sentence.';
COMMENT ON COLUMN signalops.dead_letters.died_at IS 'When it was given up.';

CREATE TABLE signalops.deliveries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    channel_id uuid NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT deliveries_check CHECK (((next_attempt_at IS NOT NULL) = (status = 'retrying'::text))),
    CONSTRAINT deliveries_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'sent'::text, 'retrying'::text, 'dead'::text])))
)
PARTITION BY RANGE (id);

ALTER TABLE ONLY signalops.deliveries FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.deliveries IS 'One notification of one event by one rule through one channel. Partitioned by month of the id.';
COMMENT ON COLUMN signalops.deliveries.tenant_id IS 'Whose notification it is.';
COMMENT ON COLUMN signalops.deliveries.id IS 'UUIDv7; the id that the receiver sees, the same in every attempt.';
COMMENT ON COLUMN signalops.deliveries.event_id IS 'The event that it tells of.';
COMMENT ON COLUMN signalops.deliveries.rule_id IS 'The rule that asked for it.';
COMMENT ON COLUMN signalops.deliveries.rule_version IS 'In which version; its template is rendered.';
COMMENT ON COLUMN signalops.deliveries.channel_id IS 'Where it goes.';
COMMENT ON COLUMN signalops.deliveries.status IS 'pending (has a job) -> sending -> sent; or -> retrying (waits, has no job) -> pending; or -> dead (has a dead letter).';
COMMENT ON COLUMN signalops.deliveries.attempts IS 'Attempts begun.';
COMMENT ON COLUMN signalops.deliveries.next_attempt_at IS 'When the sweep enqueues it again; only while retrying.';
COMMENT ON COLUMN signalops.deliveries.created_at IS 'When the rule asked for it.';
COMMENT ON COLUMN signalops.deliveries.updated_at IS 'When the status changed last.';

CREATE TABLE signalops.delivery_attempts (
    tenant_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    attempt smallint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    outcome text NOT NULL,
    status_code integer,
    answer text,
    error text,
    CONSTRAINT delivery_attempts_answer_check CHECK ((length(answer) <= 2048)),
    CONSTRAINT delivery_attempts_duration_ms_check CHECK ((duration_ms >= 0)),
    CONSTRAINT delivery_attempts_error_check CHECK ((length(error) <= 500)),
    CONSTRAINT delivery_attempts_outcome_check CHECK ((outcome = ANY (ARRAY['sent'::text, 'temporary'::text, 'permanent'::text, 'throttled'::text, 'broken'::text])))
)
PARTITION BY RANGE (delivery_id);

ALTER TABLE ONLY signalops.delivery_attempts FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.delivery_attempts IS 'What came of each attempt at a delivery. A number that is missing was cut off: its worker died.';
COMMENT ON COLUMN signalops.delivery_attempts.tenant_id IS 'Whose notification it is.';
COMMENT ON COLUMN signalops.delivery_attempts.delivery_id IS 'The delivery.';
COMMENT ON COLUMN signalops.delivery_attempts.attempt IS '1, 2, 3 ...';
COMMENT ON COLUMN signalops.delivery_attempts.started_at IS 'When the provider was called.';
COMMENT ON COLUMN signalops.delivery_attempts.duration_ms IS 'Milliseconds until its answer, or until there was none.';
COMMENT ON COLUMN signalops.delivery_attempts.outcome IS 'sent; temporary, throttled (retried); permanent, broken = configuration or template (not retried).';
COMMENT ON COLUMN signalops.delivery_attempts.status_code IS 'HTTP status or SMTP code; NULL: no answer.';
COMMENT ON COLUMN signalops.delivery_attempts.answer IS 'The first 2 KiB of the answer.';
COMMENT ON COLUMN signalops.delivery_attempts.error IS 'The error in a sentence; NULL when sent.';

CREATE TABLE signalops.events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    batch uuid NOT NULL,
    type text NOT NULL,
    source text,
    occurred_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    payload jsonb NOT NULL,
    attributes jsonb,
    depth smallint DEFAULT 0 NOT NULL
)
PARTITION BY RANGE (id);

ALTER TABLE ONLY signalops.events FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.events IS 'Accepted events, immutable from then on. Partitioned by month of the id, which is a UUIDv7.';
COMMENT ON COLUMN signalops.events.tenant_id IS 'Whose event it is.';
COMMENT ON COLUMN signalops.events.id IS 'UUIDv7 made when the request came in; answered to the producer.';
COMMENT ON COLUMN signalops.events.batch IS 'The flush that stored it; see batches for what became of it.';
COMMENT ON COLUMN signalops.events.type IS 'Dot-separated words, such as user.signup.';
COMMENT ON COLUMN signalops.events.source IS 'Where it came from, in the producer''s words.';
COMMENT ON COLUMN signalops.events.occurred_at IS 'When it happened, in the producer''s words; else when it came in.';
COMMENT ON COLUMN signalops.events.received_at IS 'When it came in, by the clock of the API process.';
COMMENT ON COLUMN signalops.events.payload IS 'The producer''s object.';
COMMENT ON COLUMN signalops.events.attributes IS 'CloudEvents attributes beyond type, source and time (id, subject, extensions ...); NULL: none.';
COMMENT ON COLUMN signalops.events.depth IS '0: sent by the tenant, and billed. 1 and above: an operational event of SignalOps, caused by an event one level up.';

CREATE TABLE signalops.inbox (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    batch uuid NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.inbox FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.inbox IS 'The events not yet processed, ids only. Accepting fills it; the transaction that processes and counts empties it.';
COMMENT ON COLUMN signalops.inbox.tenant_id IS 'Whose event it is.';
COMMENT ON COLUMN signalops.inbox.event_id IS 'The event that waits.';
COMMENT ON COLUMN signalops.inbox.batch IS 'The flush that stored it: one job processes one batch.';

CREATE VIEW signalops.event_status WITH (security_invoker='true') AS
 SELECT e.tenant_id,
    e.id,
    e.batch,
    e.type,
    e.source,
    e.occurred_at,
    e.received_at,
    e.payload,
    e.attributes,
    e.depth,
        CASE
            WHEN (i.event_id IS NOT NULL) THEN 'pending'::text
            WHEN (d.id IS NOT NULL) THEN 'dead'::text
            ELSE 'processed'::text
        END AS status
   FROM ((signalops.events e
     LEFT JOIN signalops.inbox i ON (((i.tenant_id = e.tenant_id) AND (i.event_id = e.id))))
     LEFT JOIN signalops.dead_letters d ON (((d.tenant_id = e.tenant_id) AND (d.id = e.id))));

COMMENT ON VIEW signalops.event_status IS 'Events with what became of them: pending (in the inbox), processed, or dead (a dead letter).';
COMMENT ON COLUMN signalops.event_status.status IS 'pending, processed or dead.';

CREATE TABLE signalops.idempotency_keys (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    body_hash bytea NOT NULL
);

ALTER TABLE ONLY signalops.idempotency_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.idempotency_keys IS 'Which key stored which event: the second request with a key gets the first one''s answer.';
COMMENT ON COLUMN signalops.idempotency_keys.tenant_id IS 'Whose key it is; two tenants may use the same one.';
COMMENT ON COLUMN signalops.idempotency_keys.key IS 'As sent; for CloudEvents source and id, with a line feed between (no plain key holds one).';
COMMENT ON COLUMN signalops.idempotency_keys.event_id IS 'The event that was stored under it.';
COMMENT ON COLUMN signalops.idempotency_keys.body_hash IS 'SHA-256 of the canonical event: another body under the same key is refused.';

CREATE TABLE signalops.matches (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL
)
PARTITION BY RANGE (event_id);

ALTER TABLE ONLY signalops.matches FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.matches IS 'Which rule, in which version, matched which event. Partitioned as events are.';
COMMENT ON COLUMN signalops.matches.tenant_id IS 'Whose event it is.';
COMMENT ON COLUMN signalops.matches.event_id IS 'The event.';
COMMENT ON COLUMN signalops.matches.rule_id IS 'The rule that matched.';
COMMENT ON COLUMN signalops.matches.rule_version IS 'The version that decided.';

CREATE TABLE signalops.quotas (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    accepted bigint DEFAULT 0 NOT NULL,
    soft_reached_at timestamp with time zone,
    CONSTRAINT quotas_accepted_check CHECK ((accepted >= 0)),
    CONSTRAINT quotas_period_check CHECK ((EXTRACT(day FROM period) = (1)::numeric))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.quotas FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.quotas IS 'Events accepted in a month, counted in the accepting transaction: the limit is exact across processes.';
COMMENT ON COLUMN signalops.quotas.tenant_id IS 'Whose count it is.';
COMMENT ON COLUMN signalops.quotas.period IS 'First day of the calendar month (UTC).';
COMMENT ON COLUMN signalops.quotas.accepted IS 'Events accepted; duplicates, refusals and operational events do not count.';
COMMENT ON COLUMN signalops.quotas.soft_reached_at IS 'When the soft limit was reached and its notice emitted; NULL: not yet.';

CREATE TABLE signalops.rule_versions (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    version integer NOT NULL,
    grammar smallint NOT NULL,
    pattern jsonb NOT NULL,
    channel_id uuid NOT NULL,
    template jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT rule_versions_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY signalops.rule_versions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rule_versions IS 'What a rule said, version by version; a version never changes, and every match names the one that decided it.';
COMMENT ON COLUMN signalops.rule_versions.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.rule_versions.rule_id IS 'The rule.';
COMMENT ON COLUMN signalops.rule_versions.version IS '1, 2, 3 ...';
COMMENT ON COLUMN signalops.rule_versions.grammar IS 'The grammar that the pattern is written in: 1 = field path to value, 2 = event patterns. Upgraded when read.';
COMMENT ON COLUMN signalops.rule_versions.pattern IS 'The condition, as it was written.';
COMMENT ON COLUMN signalops.rule_versions.channel_id IS 'The action: the channel to notify.';
COMMENT ON COLUMN signalops.rule_versions.template IS 'The action: {subject, body} in Liquid; what is missing gets a default.';
COMMENT ON COLUMN signalops.rule_versions.created_at IS 'When it was made.';

CREATE TABLE signalops.rules (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    active_version integer NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT rules_active_version_check CHECK ((active_version > 0)),
    CONSTRAINT rules_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

ALTER TABLE ONLY signalops.rules FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rules IS 'A tenant''s rules; what a rule says stands in its versions.';
COMMENT ON COLUMN signalops.rules.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.rules.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.rules.name IS 'What the tenant calls it.';
COMMENT ON COLUMN signalops.rules.active_version IS 'The version that decides now.';
COMMENT ON COLUMN signalops.rules.enabled IS 'false: it is not evaluated.';
COMMENT ON COLUMN signalops.rules.created_at IS 'When it was made.';

CREATE TABLE signalops.rulesets (
    tenant_id uuid NOT NULL,
    version bigint DEFAULT 1 NOT NULL
);

ALTER TABLE ONLY signalops.rulesets FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rulesets IS 'How often a tenant''s rules changed: a worker''s compiled rules hold for one value only.';
COMMENT ON COLUMN signalops.rulesets.tenant_id IS 'Whose rules they are.';
COMMENT ON COLUMN signalops.rulesets.version IS 'Counted up in the transaction of each change.';

CREATE TABLE signalops.tenants (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    plan text DEFAULT 'free'::text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    soft_limit bigint,
    hard_limit bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenants_hard_limit_check CHECK ((hard_limit >= 0)),
    CONSTRAINT tenants_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT tenants_plan_check CHECK (((length(plan) >= 1) AND (length(plan) <= 63))),
    CONSTRAINT tenants_slug_check CHECK ((slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'::text)),
    CONSTRAINT tenants_soft_limit_check CHECK ((soft_limit >= 0)),
    CONSTRAINT tenants_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'closed'::text])))
);

ALTER TABLE ONLY signalops.tenants FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.tenants IS 'A customer of the installation. Everything else hangs on its id.';
COMMENT ON COLUMN signalops.tenants.id IS 'UUIDv7; the tenant_id of every other table.';
COMMENT ON COLUMN signalops.tenants.slug IS 'The name for command lines and log lines; unique, but no tenant can list or probe it.';
COMMENT ON COLUMN signalops.tenants.name IS 'The name for people.';
COMMENT ON COLUMN signalops.tenants.plan IS 'The plan it is billed by.';
COMMENT ON COLUMN signalops.tenants.status IS 'active; suspended or closed: requests are refused, what was accepted before is still processed.';
COMMENT ON COLUMN signalops.tenants.soft_limit IS 'Events a calendar month (UTC) at which a notice is emitted, once; NULL: none.';
COMMENT ON COLUMN signalops.tenants.hard_limit IS 'Events a calendar month (UTC) beyond which events are refused; NULL: none. A new value holds at once.';
COMMENT ON COLUMN signalops.tenants.created_at IS 'When it was made.';

CREATE TABLE signalops.usage_counters (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    day date NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT usage_counters_meter_check CHECK (((length(meter) >= 1) AND (length(meter) <= 63))),
    CONSTRAINT usage_counters_quantity_check CHECK ((quantity >= 0))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.usage_counters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_counters IS 'Usage by day: added to in the transaction that takes the events out of the inbox, so each is counted exactly once.';
COMMENT ON COLUMN signalops.usage_counters.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_counters.meter IS 'What is counted; events: processed events.';
COMMENT ON COLUMN signalops.usage_counters.day IS 'The day (UTC) of the flush that stored the events; months agree with quotas.period.';
COMMENT ON COLUMN signalops.usage_counters.quantity IS 'How many.';

ALTER TABLE ONLY signalops.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (tenant_id, batch);

ALTER TABLE ONLY signalops.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.channels
    ADD CONSTRAINT channels_tenant_id_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY signalops.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.delivery_attempts
    ADD CONSTRAINT delivery_attempts_pkey PRIMARY KEY (tenant_id, delivery_id, attempt);

ALTER TABLE ONLY signalops.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key);

ALTER TABLE ONLY signalops.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (tenant_id, event_id);

ALTER TABLE ONLY signalops.matches
    ADD CONSTRAINT matches_pkey PRIMARY KEY (tenant_id, event_id, rule_id);

ALTER TABLE ONLY signalops.quotas
    ADD CONSTRAINT quotas_pkey PRIMARY KEY (tenant_id, period);

ALTER TABLE ONLY signalops.rule_versions
    ADD CONSTRAINT rule_versions_pkey PRIMARY KEY (tenant_id, rule_id, version);

ALTER TABLE ONLY signalops.rules
    ADD CONSTRAINT rules_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.rules
    ADD CONSTRAINT rules_tenant_id_name_key UNIQUE (tenant_id, name);

ALTER TABLE ONLY signalops.rulesets
    ADD CONSTRAINT rulesets_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY signalops.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY signalops.tenants
    ADD CONSTRAINT tenants_slug_key UNIQUE (slug);

ALTER TABLE ONLY signalops.usage_counters
    ADD CONSTRAINT usage_counters_pkey PRIMARY KEY (tenant_id, meter, day);

CREATE INDEX api_keys_by_prefix ON signalops.api_keys USING btree (prefix);

CREATE INDEX deliveries_by_due ON ONLY signalops.deliveries USING btree (next_attempt_at) WHERE (status = 'retrying'::text);

CREATE INDEX deliveries_by_event ON ONLY signalops.deliveries USING btree (tenant_id, event_id);

CREATE INDEX deliveries_in_hand ON ONLY signalops.deliveries USING btree (updated_at) WHERE (status = ANY (ARRAY['pending'::text, 'sending'::text]));

CREATE INDEX events_by_type ON ONLY signalops.events USING btree (tenant_id, type, id);

CREATE INDEX inbox_by_batch ON signalops.inbox USING btree (batch);

CREATE TRIGGER announce_key_change AFTER DELETE OR UPDATE ON signalops.api_keys FOR EACH STATEMENT EXECUTE FUNCTION signalops.announce_key_change();

COMMENT ON TRIGGER announce_key_change ON signalops.api_keys IS 'A revoked key is refused at once everywhere.';

CREATE TRIGGER announce_key_change AFTER DELETE OR UPDATE OF status ON signalops.tenants FOR EACH STATEMENT EXECUTE FUNCTION signalops.announce_key_change();

COMMENT ON TRIGGER announce_key_change ON signalops.tenants IS 'A suspended tenant is refused at once everywhere.';

CREATE TRIGGER bump_ruleset AFTER INSERT OR DELETE OR UPDATE ON signalops.rules FOR EACH ROW EXECUTE FUNCTION signalops.bump_ruleset();

COMMENT ON TRIGGER bump_ruleset ON signalops.rules IS 'No worker evaluates the rules of before the change in a batch that it takes after it.';

ALTER TABLE ONLY signalops.api_keys
    ADD CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.channels
    ADD CONSTRAINT channels_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.rule_versions
    ADD CONSTRAINT rule_versions_tenant_id_channel_id_fkey FOREIGN KEY (tenant_id, channel_id) REFERENCES signalops.channels(tenant_id, id);

ALTER TABLE ONLY signalops.rule_versions
    ADD CONSTRAINT rule_versions_tenant_id_rule_id_fkey FOREIGN KEY (tenant_id, rule_id) REFERENCES signalops.rules(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.rules
    ADD CONSTRAINT rules_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.rulesets
    ADD CONSTRAINT rulesets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE signalops.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.batches ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.channels ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.dead_letters ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.deliveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.delivery_attempts ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.events ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.inbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.matches ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON signalops.api_keys USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.api_keys IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.batches USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.batches IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.channels USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.channels IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.dead_letters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.dead_letters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.deliveries USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.deliveries IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.delivery_attempts USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.delivery_attempts IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.events USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.events IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.idempotency_keys USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.idempotency_keys IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.inbox USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.inbox IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.matches USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.matches IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.quotas USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.quotas IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rule_versions USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rule_versions IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rules USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rules IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rulesets USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rulesets IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.tenants USING ((id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.tenants IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_counters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_counters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY owner_acts ON signalops.api_keys TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.api_keys IS 'find_keys looks a key up before any tenant is known.';

CREATE POLICY owner_acts ON signalops.deliveries TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.deliveries IS 'enqueue_due_deliveries and enqueue_lost_deliveries sweep all tenants for what has no job.';

CREATE POLICY owner_acts ON signalops.events TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.events IS 'The command line finds out whose event an id is.';

CREATE POLICY owner_acts ON signalops.inbox TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.inbox IS 'take_batch removes a batch before it knows the tenants in it.';

CREATE POLICY owner_acts ON signalops.tenants TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.tenants IS 'find_keys reads the status, and the command line lists and makes tenants.';

ALTER TABLE signalops.quotas ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rule_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rules ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rulesets ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_group_signalops_api ON signalops.events TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.idempotency_keys TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.idempotency_keys IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.inbox TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.inbox IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.quotas TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.quotas IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.tenants TO signalops_api USING ((id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.tenants IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.batches TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.batches IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.dead_letters TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.dead_letters IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.deliveries TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.deliveries IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.events TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.matches TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.matches IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.rulesets TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.rulesets IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.usage_counters TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.usage_counters IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

ALTER TABLE signalops.tenants ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_counters ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA signalops TO signalops_api;
GRANT USAGE ON SCHEMA signalops TO signalops_worker;
GRANT USAGE ON SCHEMA signalops TO signalops_operator;

REVOKE ALL ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) TO signalops_api;
GRANT ALL ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_deliveries(wanted jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_deliveries(wanted jsonb) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_due_deliveries(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_due_deliveries(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.find_keys(wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.find_keys(wanted text) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.make_partitions(months_ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.make_partitions(months_ahead integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.take_batch(wanted uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.take_batch(wanted uuid) TO signalops_worker;

GRANT SELECT ON TABLE signalops.api_keys TO signalops_api;

GRANT SELECT ON TABLE signalops.batches TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.batches TO signalops_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE signalops.channels TO signalops_api;
GRANT SELECT,UPDATE ON TABLE signalops.channels TO signalops_worker;

GRANT SELECT ON TABLE signalops.dead_letters TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.dead_letters TO signalops_worker;

GRANT SELECT ON TABLE signalops.deliveries TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.deliveries TO signalops_worker;

GRANT SELECT ON TABLE signalops.delivery_attempts TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.delivery_attempts TO signalops_worker;

GRANT SELECT,INSERT ON TABLE signalops.events TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.events TO signalops_worker;

GRANT SELECT,INSERT ON TABLE signalops.inbox TO signalops_api;
GRANT SELECT ON TABLE signalops.inbox TO signalops_worker;

GRANT SELECT ON TABLE signalops.event_status TO signalops_api;
GRANT SELECT ON TABLE signalops.event_status TO signalops_worker;

GRANT SELECT,INSERT ON TABLE signalops.idempotency_keys TO signalops_api;

GRANT SELECT ON TABLE signalops.matches TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.matches TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.quotas TO signalops_api;
GRANT SELECT ON TABLE signalops.quotas TO signalops_worker;

GRANT SELECT,INSERT ON TABLE signalops.rule_versions TO signalops_api;
GRANT SELECT ON TABLE signalops.rule_versions TO signalops_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE signalops.rules TO signalops_api;
GRANT SELECT ON TABLE signalops.rules TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.rulesets TO signalops_api;
GRANT SELECT ON TABLE signalops.rulesets TO signalops_worker;

GRANT SELECT ON TABLE signalops.tenants TO signalops_api;
GRANT SELECT ON TABLE signalops.tenants TO signalops_worker;

GRANT SELECT ON TABLE signalops.usage_counters TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.usage_counters TO signalops_worker;
