-- Station rules: backtests. All run in a transaction of the tenant.

-- try-acquire-slot: makes those who ask for a backtest of one tenant at once do so one after the other
select pg_advisory_xact_lock(hashtextextended('signalops.backtests ' || %(tenant)s::text, 0));

-- count-unfinished: how many backtests of a tenant are not over
select count(*) from signalops.backtests where tenant_id = %(tenant)s and status in ('queued', 'running');

-- add-backtest: stores what is asked for, enqueues its first slice, and drops what is over, except the newest 49
with added as (
  insert into signalops.backtests (tenant_id, id, request, starts_at, ends_at)
  values (%(tenant)s, %(id)s, %(request)s, %(starts_at)s, %(ends_at)s)
), dropped as (
  delete from signalops.backtests where tenant_id = %(tenant)s and status not in ('queued', 'running') and id <= (
    select b.id from signalops.backtests b where b.tenant_id = %(tenant)s order by b.id desc offset 49 limit 1)
)
select signalops.enqueue_backtest(%(tenant)s, %(id)s);

-- past-silences: a tenant's silences that were in force at some time between two moments
select grammar, pattern, starts_at, ends_at from signalops.silences
where tenant_id = %(tenant)s and starts_at < %(ends_at)s and ends_at > %(starts_at)s
order by id;

-- find-backtest: one backtest, whatever its state
select * from signalops.backtests where tenant_id = %(tenant)s and id = %(id)s;

-- is-parked: whether the tenant is suspended, or being deleted
select signalops.lock_suspended_tenants(array[%(tenant)s::uuid]) is not null;

-- list-backtests: a page of a tenant's backtests between two ids, without what only their work needs
select id, request, starts_at, ends_at, status, scanned, scanned_until, null as result, error, created_at, updated_at
from signalops.backtests where tenant_id = %(tenant)s and id > %(lower)s and id < %(upper)s
order by case when %(upwards)s then id end, id desc limit %(limit)s;

-- cancel-backtest: ends a backtest that is not over; its next slice finds it so
update signalops.backtests set status = 'cancelled', state = null, updated_at = now()
where tenant_id = %(tenant)s and id = %(id)s and status in ('queued', 'running');

-- read-in-order: makes this transaction walk along the index, and stop at the limit
-- The policies let the planner expect a fraction of a tenant's rows: it would then collect and sort all that are left, for each page.
select set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true);

-- read-past: a tenant's next events between two ids, in the order of receipt; no more at once than fits into memory
select json_agg(json_build_object('id', id, 'causation_depth', causation_depth, 'attributes', attributes, 'type', type, 'source', source,
  'occurredAt', occurred_at, 'payload', payload) order by id)::text
from (
  select e.*, sum(pg_column_size(e.payload)) over (order by e.id rows between unbounded preceding and 1 preceding) as bytes_before
  from (
    select * from signalops.events where tenant_id = %(tenant)s and id > %(after)s and id < %(before)s order by id limit %(limit)s
  ) e
) page
where coalesce(bytes_before, 0) < %(bytes)s;

-- read-past-of-types: the same, of some types; type by type, so that rare ones are found without reading the rest
select json_agg(json_build_object('id', id, 'causation_depth', causation_depth, 'attributes', attributes, 'type', type, 'source', source,
  'occurredAt', occurred_at, 'payload', payload) order by id)::text
from (
  select e.*, sum(pg_column_size(e.payload)) over (order by e.id rows between unbounded preceding and 1 preceding) as bytes_before
  from (
    select e.* from unnest(%(types)s::text[]) as t (type)
    cross join lateral (
      select * from signalops.events e
      where e.tenant_id = %(tenant)s and e.type = t.type and e.id > %(after)s and e.id < %(before)s order by e.id limit %(limit)s
    ) e
    order by e.id limit %(limit)s
  ) e
) page
where coalesce(bytes_before, 0) < %(bytes)s;

-- read-events: some events by their ids, as templates see them; no more at once than fits into memory
select json_agg(json_build_object('id', id, 'type', type, 'source', source, 'occurredAt', occurred_at, 'payload', payload))::text
from (
  select e.*, sum(pg_column_size(e.payload)) over (order by e.id rows between unbounded preceding and 1 preceding) as bytes_before
  from signalops.events e where e.tenant_id = %(tenant)s and e.id = any (%(ids)s::uuid[])
) listed
where coalesce(bytes_before, 0) < %(bytes)s;

-- save-slice: saves where a backtest is and what it has found; no row if it was cancelled, or another worker saved this slice
update signalops.backtests
set status = %(status)s, iterations = iterations + 1, scanned = %(scanned)s, scanned_until = %(scanned_until)s, state = %(state)s,
  result = %(result)s, error = %(error)s, updated_at = now()
where tenant_id = %(tenant)s and id = %(id)s and iterations = %(iterations)s and status in ('queued', 'running')
returning id;

-- enqueue-slice: enqueues the next slice of a backtest
select signalops.enqueue_backtest(%(tenant)s, %(id)s);
