-- Doctor: what is wrong with an installation. Each query returns one row: whether all is well, and what was found.

-- version: whether this PostgreSQL is supported
select current_setting('server_version_num')::integer / 10000 between 15 and 18, 'PostgreSQL ' || current_setting('server_version');

-- roles: whether our roles exist, and row-level security applies to them
select count(fault) = 0, coalesce(string_agg(name || ' ' || fault, ', '), format('%s roles, row-level security applies to each', count(*)))
from (
  select name, case when r.oid is null then 'is missing' when r.rolsuper then 'is a superuser' when r.rolbypassrls
    then 'has BYPASSRLS' end as fault
  from unnest(array['signalops_owner', 'signalops_api', 'signalops_worker', 'signalops_platform', 'signalops_operator']) as name
  left join pg_roles r on r.rolname = name
) as roles;

-- login: as whom a process acts, and by which login; whether that one is restricted by row-level security; whether statements are compiled
select not (r.rolsuper or r.rolbypassrls), current_user::text, session_user::text, current_setting('jit')::boolean from pg_roles r where r.rolname = session_user;

-- protection: whether row-level security guards every tenant table, and every partition
select count(fault) = 0,
  coalesce(string_agg(format('%s: %s', relname, fault), ', ' order by relname) filter (where fault is not null),
    format('%s tables, enabled and forced on each', count(*)))
from (
  select c.relname, case when not c.relrowsecurity then 'row-level security is off'
    when not c.relforcerowsecurity then 'its owner passes row-level security' end as fault
  from pg_class c
  where c.relnamespace = 'signalops'::regnamespace and c.relkind in ('r', 'p') and (c.relname = 'tenants' or exists (
    select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))
) as tables;

-- partitions: whether what comes in this month and the next has a place
select count(*) filter (where not made) = 0,
  coalesce(string_agg(part || ' is missing', ', ' order by part) filter (where not made),
    format('%s, for this month and the next', count(*)))
from (
  select part, exists (select from pg_inherits i join pg_class p on p.oid = i.inhrelid
    where i.inhparent = c.oid and p.relname = part) as made
  from pg_class c,
    unnest(array[now(), date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' + interval '1 month']) as moment,
    format('%s_%s', c.relname, to_char(moment at time zone 'UTC', 'YYYY_MM')) as part
  where c.relnamespace = 'signalops'::regnamespace and c.relkind = 'p'
) as parts;

-- objects: what the schema contains, as sql/catalogue.txt names it; invalid, disabled and unvalidated is as good as missing
with named as (
  select c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('signalops', 'ops') and not c.relispartition
)
select array_agg(line) from (
  select format('%s %s', case n.relkind when 'v' then 'view' when 'S' then 'sequence' when 'i' then 'index' when 'I' then 'index'
    else 'table' end, n.name)
  from named n left join pg_index i on i.indexrelid = n.oid
  where i.indisvalid is not false
  union all
  select format('%s %I.%I', case p.prokind when 'p' then 'procedure' else 'function' end, p.pronamespace::regnamespace, p.proname)
  from pg_proc p where p.pronamespace in ('signalops'::regnamespace, 'ops'::regnamespace)
  union all
  select format('policy %I on %s', p.polname, n.name) from pg_policy p join named n on n.oid = p.polrelid
  union all
  select format('trigger %I on %s', t.tgname, n.name) from pg_trigger t join named n on n.oid = t.tgrelid where t.tgenabled in ('O', 'A') and not t.tgisinternal
  union all
  select format('constraint %I on %s', c.conname, n.name) from pg_constraint c join named n on n.oid = c.conrelid where c.convalidated
    and c.contype <> 'n' -- which PostgreSQL names from 18 on
) as object (line);

-- queue-grants: whether workers may do with procrastinate's tables, which the dump leaves out, what they must
select count(*) filter (where not has) = 0,
  coalesce(string_agg(format('%s lacks %s on %s', role, privilege, object), ', ') filter (where not has), 'workers have theirs')
from (
  select needed.*, coalesce(case
    when privilege = 'usage' then has_schema_privilege(role, object, privilege)
    when privilege = 'execute' then has_function_privilege(role, to_regprocedure(object), privilege)
    else has_table_privilege(role, to_regclass(object), privilege) end, false) as has
  from (values
    ('signalops_worker', 'usage', 'procrastinate'),
    ('signalops_worker', 'update', 'procrastinate.procrastinate_jobs'),
    ('signalops_worker', 'delete', 'procrastinate.procrastinate_jobs'),
    ('signalops_worker', 'execute', 'procrastinate.procrastinate_fetch_job_v2(character varying[], bigint)')
  ) as needed (role, privilege, object)
) as grants;

-- notify-trigger: whether a new job wakes a worker
select count(*) > 0, case when count(*) > 0 then 'a new job wakes a worker' else 'the trigger of new jobs is missing or disabled' end
from pg_trigger
where tgrelid = 'procrastinate.procrastinate_jobs'::regclass and tgname like 'procrastinate\_jobs\_notify\_queue\_job\_inserted%'
  and tgenabled in ('O', 'A');

-- workers: whether any worker has told lately that it lives
select count(*) > 0, format('%s alive', case when count(*) = 0 then 'none' else count(*)::text end)
from procrastinate.procrastinate_workers where last_heartbeat > now() - interval '10 seconds';

-- failed-jobs: whether jobs were given up
select count(*) = 0, format('%s failed or aborted%s', case when count(*) = 0 then 'none' else count(*)::text end,
  coalesce(': ' || string_agg(distinct task_name, ', '), ''))
from procrastinate.procrastinate_jobs where status in ('failed', 'aborted');

-- oldest-job: whether jobs that could run are run soon
select coalesce(max(age) < interval '60 seconds', true),
  case when count(*) = 0 then 'none waits' else format('the oldest that can run waits for %s s', extract(epoch from max(age))::integer) end
from (
  -- The lowest number of each priority: within a priority the oldest is fetched first.
  select distinct on (j.priority) now() - coalesce(j.scheduled_at,
    (select max(e.at) from procrastinate.procrastinate_events e where e.job_id = j.id)) as age
  from procrastinate.procrastinate_jobs j
  where j.status = 'todo' and (j.scheduled_at is null or j.scheduled_at <= now())
  order by j.priority, j.id
) as oldest;

-- lost-batches: whether accepted events wait without a job
with recursive waiting as (
  -- Hops from batch to batch along the index, as signalops.enqueue_lost_batches does.
  (select batch from signalops.inbox where not is_parked order by batch limit 1)
  union all
  select (select i.batch from signalops.inbox i where not i.is_parked and i.batch > w.batch order by i.batch limit 1)
  from waiting w where w.batch < signalops.uuid7_floor(now() - interval '1 minute')
)
select count(*) = 0, case when count(*) = 0 then 'every event that waits has a job' else format('%s batches wait without a job', count(*)) end
from waiting
where batch < signalops.uuid7_floor(now() - interval '1 minute') and not exists (
  select from procrastinate.procrastinate_jobs j
  where j.status in ('todo', 'doing') and j.task_name = 'process_batch' and j.args ->> 'batch' = waiting.batch::text
    and (j.scheduled_at is null or j.scheduled_at < now() + interval '2 minutes'));

-- suspended-tenants: how much waits for suspended tenants to be resumed
select true, case when count(*) = 0 then 'no tenant is suspended' else format('%s suspended tenants: %s of their events wait',
  count(*), (select count(*) from signalops.inbox i where i.is_parked)) end
from signalops.tenants t where t.status = 'suspended';

-- connections: how many connections the server, the database and a role admit, less those for a superuser; and the live workers
select least(
    current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
      - coalesce(current_setting('reserved_connections', true)::integer, 0),
    (select nullif(datconnlimit, -1) from pg_database where datname = current_database())),
  (select count(*) from procrastinate.procrastinate_workers where last_heartbeat > now() - interval '10 seconds')::integer;

-- durability: which settings of this session lose what was answered with 202 in a power cut
select coalesce(array_agg(name || ' = off'), '{}')
from unnest(array['fsync', 'synchronous_commit', 'full_page_writes']) as name where current_setting(name) = 'off';

-- vacuum: whether the server cleans up after updates and deletions
select count(*) = 0, coalesce(string_agg(name || ' = off', ', '), 'autovacuum and track_counts are on')
from unnest(array['autovacuum', 'track_counts']) as name where current_setting(name) = 'off';

-- zones: what time it is in the tenants' zones at the turn of each of the next 24 months
select t.time_zone, array_agg(moment order by moment), array_agg(moment at time zone t.time_zone order by moment)
from (select distinct time_zone from signalops.tenants) as t,
  generate_series(date_trunc('month', now()), now() + interval '2 years', interval '1 month') as moment
group by t.time_zone;

-- documented-key: whether the key that everybody can read in the documentation opens anything
select count(*) = 0, case when count(*) = 0 then 'is not usable' else format('test_api_key_8077... is usable for %s tenants', count(*)) end
from signalops.find_keys('test_api_key_807') where tenant_status = 'active';

-- clock: what time it is on the server
select true, clock_timestamp()::text;

-- notify: notifies the listeners of a channel, without a payload
select pg_notify(%s, '');

-- maintenance: whether the jobs that keep the installation in order do
select count(*) = 0, coalesce(string_agg(format('%s has not succeeded since %s (%s)', m.job, to_char(m.succeeded_at, 'YYYY-MM-DD HH24:MI'),
  coalesce(m.error, 'it did not run')), ', '), 'each job succeeded within three hours')
from signalops.maintenance_runs m where m.succeeded_at < now() - interval '3 hours';

-- active-tenant: whether a tenant is there
select exists (select from signalops.tenants t where t.slug = %s and t.status = 'active');
