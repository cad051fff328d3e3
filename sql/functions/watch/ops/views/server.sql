-- Schema ops: sessions, locks, tables and partitions.

create or replace function ops.activity() returns table (
  pid integer, login name, application text, address inet, kind text, state text, waits_for text, connected_at timestamptz,
  transaction_at timestamptz, statement_at timestamptz, state_at timestamptz, xmin_age integer, statement text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select a.pid, a.usename, a.application_name, a.client_addr, a.backend_type, a.state,
    case when a.wait_event is not null and a.state <> 'idle' then a.wait_event_type || ': ' || a.wait_event end,
    a.backend_start, a.xact_start, a.query_start, a.state_change, age(a.backend_xmin),
    -- What follows may be anybody's data.
    regexp_replace(a.query, '(''|\$(?!\d)|(?<![\w$])\d).*$', '...')
  from pg_stat_activity a where a.datname = current_database()
$$;
comment on function ops.activity is
  'What pg_stat_activity knows of this database, of each statement what stands before its first literal. For others'' statements signalops_owner '
  'needs pg_read_all_stats, which sql/bootstrap.sql grants.';

create or replace view ops.sessions as
select a.pid, a.login, a.application, a.address, a.kind, a.state, a.waits_for, a.connected_at, a.transaction_at,
  clock_timestamp() - a.transaction_at as transaction_age, a.statement_at, a.state_at, a.xmin_age, a.statement
from ops.activity() a;
comment on view ops.sessions is 'The sessions of this database. A transaction that lasts keeps vacuum from what died since, and slows the queue.';
comment on column ops.sessions.pid is 'The process of the server.';
comment on column ops.sessions.login is 'As whom it logged in; NULL: a process of the server itself.';
comment on column ops.sessions.application is 'What it calls itself.';
comment on column ops.sessions.address is 'From where; NULL: from the same machine by a socket.';
comment on column ops.sessions.kind is 'client backend, or what else the server runs.';
comment on column ops.sessions.state is 'active, idle, idle in transaction ...';
comment on column ops.sessions.waits_for is 'What it waits for, such as Lock: transactionid; NULL: for nothing, or for its client.';
comment on column ops.sessions.connected_at is 'When it connected.';
comment on column ops.sessions.transaction_at is 'When its transaction began; NULL: it has none.';
comment on column ops.sessions.transaction_age is 'How long ago that is.';
comment on column ops.sessions.statement_at is 'When its statement began, or the last one.';
comment on column ops.sessions.state_at is 'When its state changed last.';
comment on column ops.sessions.xmin_age is 'How many transactions back its snapshot reaches: what died since can''t be vacuumed. NULL: it has none.';
comment on column ops.sessions.statement is 'Its statement, or the last one, up to its first literal.';

create or replace view ops.connections as
select s.login, s.application, coalesce(s.state, s.kind) as state, count(*) as sessions,
  max(clock_timestamp() - s.state_at) as longest_in_state, max(s.transaction_age) as longest_transaction,
  current_setting('max_connections')::integer as max_connections
from ops.sessions s group by s.login, s.application, coalesce(s.state, s.kind);
comment on view ops.connections is 'The sessions of this database by login, application and state.';
comment on column ops.connections.login is 'As whom they logged in; NULL: processes of the server itself.';
comment on column ops.connections.application is 'What they call themselves.';
comment on column ops.connections.state is 'active, idle, idle in transaction ..., or what else they are.';
comment on column ops.connections.sessions is 'How many.';
comment on column ops.connections.longest_in_state is 'For how long the first has been so.';
comment on column ops.connections.longest_transaction is 'How long the longest of their transactions has lasted; NULL: none has one.';
comment on column ops.connections.max_connections is 'How many the server admits, of all databases.';

create or replace view ops.locks as
select w.pid as waiting_pid, w.login as waiting_login, w.statement as waiting_statement, clock_timestamp() - l.waitstart as waits_since,
  l.locktype as lock, l.mode, l.relation::regclass::text as "table", b.pid as blocking_pid, b.login as blocking_login,
  b.state as blocking_state, b.transaction_age as blocking_transaction_age, b.statement as blocking_statement
from ops.sessions w
cross join lateral (select * from pg_locks n where n.pid = w.pid and not n.granted limit 1) l
cross join lateral (select distinct unnest(pg_blocking_pids(w.pid)) as pid) p
left join ops.sessions b on b.pid = p.pid
where w.waits_for like 'Lock: %';
comment on view ops.locks is 'Who waits for whom: a row for each that waits and each that it waits for. Empty, when nobody waits for a lock.';
comment on column ops.locks.waiting_pid is 'The process that waits.';
comment on column ops.locks.waiting_login is 'As whom it logged in.';
comment on column ops.locks.waiting_statement is 'What it would do, up to its first literal.';
comment on column ops.locks.waits_since is 'How long it has been waiting.';
comment on column ops.locks.lock is 'What kind of thing it would lock: transactionid (a row that another changes), relation, tuple, advisory ...';
comment on column ops.locks.mode is 'In which mode.';
comment on column ops.locks."table" is 'Of which table; NULL: it waits for a transaction to end.';
comment on column ops.locks.blocking_pid is 'The process that it waits for.';
comment on column ops.locks.blocking_login is 'As whom that logged in.';
comment on column ops.locks.blocking_state is 'active, or idle in transaction: then its client is away with the lock.';
comment on column ops.locks.blocking_transaction_age is 'How long its transaction has lasted.';
comment on column ops.locks.blocking_statement is 'What it does, or did last, up to its first literal.';

create or replace view ops.tables as
select s.schemaname as schema, s.relname as "table", s.n_live_tup as live_rows, s.n_dead_tup as dead_rows,
  round(100.0 * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0), 1) as dead_percent,
  (b.heap * s.n_dead_tup / nullif(s.n_live_tup + s.n_dead_tup, 0))::bigint as dead_bytes_estimate, v.due as vacuum_due_at, b.heap as bytes,
  pg_indexes_size(s.relid) as index_bytes, greatest(s.last_vacuum, s.last_autovacuum) as last_vacuum,
  s.last_autovacuum, greatest(s.last_analyze, s.last_autoanalyze) as last_analyze, age(c.relfrozenxid) as xid_age
from pg_stat_all_tables s
join pg_class c on c.oid = s.relid and c.relkind = 'r'
cross join lateral (select pg_table_size(s.relid) as heap) b
cross join lateral (
  select (coalesce(max(o.option_value) filter (where o.option_name = 'autovacuum_vacuum_threshold'), current_setting('autovacuum_vacuum_threshold'))::float8
    + coalesce(max(o.option_value) filter (where o.option_name = 'autovacuum_vacuum_scale_factor'), current_setting('autovacuum_vacuum_scale_factor'))::float8
      * greatest(c.reltuples, 0))::bigint as due
  from pg_options_to_table(c.reloptions) o
) v
where s.schemaname in ('signalops', 'procrastinate', 'ops');
comment on view ops.tables is 'Tables and partitions: how much of them is dead, when autovacuum comes, and when it came. Reads statistics alone.';
comment on column ops.tables.schema is 'Its schema.';
comment on column ops.tables."table" is 'The table or partition.';
comment on column ops.tables.live_rows is 'Rows, estimated by the server.';
comment on column ops.tables.dead_rows is 'Rows that were deleted or replaced and not vacuumed yet, estimated by the server.';
comment on column ops.tables.dead_percent is 'Dead rows of all.';
comment on column ops.tables.dead_bytes_estimate is
  'Their share of the table: what a vacuum would free for new rows. What it has freed already, and is not used, only pgstattuple knows.';
comment on column ops.tables.vacuum_due_at is 'At so many dead rows autovacuum comes.';
comment on column ops.tables.bytes is 'Its size without indexes.';
comment on column ops.tables.index_bytes is 'The size of its indexes.';
comment on column ops.tables.last_vacuum is 'When it was vacuumed last, by whomever; NULL: never since statistics were reset.';
comment on column ops.tables.last_autovacuum is 'When autovacuum did; NULL: never.';
comment on column ops.tables.last_analyze is 'When it was analyzed last, by whomever; NULL: never.';
comment on column ops.tables.xid_age is 'Transactions since it was frozen; at autovacuum_freeze_max_age it is vacuumed whatever its settings.';

create or replace view ops.partitions as
select p.parent, p.partition, p.holds_from, p.holds_to, p.rows_estimate, pg_total_relation_size(p.part) as bytes,
  (extract(year from a.ahead) * 12 + extract(month from a.ahead))::integer as months_ahead
from (
  select parent.relname as parent, part.relname as partition, part.oid as part, greatest(part.reltuples, 0)::bigint as rows_estimate,
    signalops.uuid7_time(b.bounds[1]::uuid) as holds_from, signalops.uuid7_time(b.bounds[2]::uuid) as holds_to,
    max(signalops.uuid7_time(b.bounds[2]::uuid)) over (partition by parent.oid) as reaches_to
  from pg_inherits i
  join pg_class parent on parent.oid = i.inhparent and parent.relkind = 'p' and parent.relnamespace = 'signalops'::regnamespace
  join pg_class part on part.oid = i.inhrelid
  cross join lateral regexp_match(pg_get_expr(part.relpartbound, part.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)') as b (bounds)
) p
cross join lateral (
  select age(p.reaches_to at time zone 'UTC', date_trunc('month', now() at time zone 'UTC') + interval '1 month') as ahead
) a;
comment on view ops.partitions is 'The monthly partitions, how large they are, and how far they reach. Reads the catalogue alone.';
comment on column ops.partitions.parent is 'The table.';
comment on column ops.partitions.partition is 'Its partition.';
comment on column ops.partitions.holds_from is 'Lower bound of the times of its ids.';
comment on column ops.partitions.holds_to is 'And before.';
comment on column ops.partitions.rows_estimate is 'Its rows as of the last vacuum or analyze; 0: neither has been, or it is empty.';
comment on column ops.partitions.bytes is 'With its indexes.';
comment on column ops.partitions.months_ahead is 'For how many whole months after this one the table has a place; three, when all is well.';
