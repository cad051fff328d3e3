-- Doctor: what is wrong with an installation. Each query returns one row: whether all is well, and what was found.

-- version: whether this PostgreSQL is supported
select current_setting('server_version_num')::integer / 10000 between 15 and 18, 'PostgreSQL ' || current_setting('server_version');

-- roles: whether the four roles exist, and row-level security holds for them
select count(fault) = 0, coalesce(string_agg(name || ' ' || fault, ', '), 'four roles, row-level security holds for each')
from (
  select name, case when r.oid is null then 'is missing' when r.rolsuper then 'is a superuser' when r.rolbypassrls
    then 'has BYPASSRLS' end as fault
  from unnest(array['signalops_owner', 'signalops_api', 'signalops_worker', 'signalops_operator']) as name
  left join pg_roles r on r.rolname = name
) as roles;

-- current-role: as whom a login acts
select true, current_user::text;

-- protection: whether row-level security guards every tenant table, and every partition
select count(fault) = 0,
  coalesce(string_agg(format('%s: %s', relname, fault), ', ' order by relname) filter (where fault is not null),
    format('%s tables, enabled and forced on each', count(*)))
from (
  select c.relname, case when not c.relrowsecurity then 'row-level security is off' when not c.relforcerowsecurity
    then 'its owner passes row-level security' when not c.relispartition and p.oid is null then 'has no policy own_tenant' end as fault
  from pg_class c
  left join pg_policy p on p.polrelid = c.oid and p.polname = 'own_tenant'
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

-- grants: whether the processes may do what they must
select count(*) filter (where not has) = 0,
  coalesce(string_agg(format('%s lacks %s on %s', role, privilege, object), ', ') filter (where not has), 'api and worker have theirs')
from (
  select needed.*, coalesce(case
    when privilege = 'usage' then has_schema_privilege(role, object, privilege)
    when privilege = 'execute' then has_function_privilege(role, to_regprocedure(object), privilege)
    else has_table_privilege(role, to_regclass(object), privilege) end, false) as has
  from (values
    ('signalops_api', 'usage', 'signalops'),
    ('signalops_api', 'execute', 'signalops.find_keys(text)'),
    ('signalops_api', 'execute', 'signalops.accept(jsonb, jsonb, uuid, integer, jsonb)'),
    ('signalops_api', 'execute', 'signalops.enqueue(text, text, integer, jsonb)'),
    ('signalops_api', 'insert', 'signalops.events'),
    ('signalops_api', 'insert', 'signalops.inbox'),
    ('signalops_worker', 'usage', 'signalops'),
    ('signalops_worker', 'usage', 'procrastinate'),
    ('signalops_worker', 'usage', 'ops'),
    ('signalops_worker', 'update', 'procrastinate.procrastinate_jobs'),
    ('signalops_worker', 'delete', 'procrastinate.procrastinate_jobs'),
    ('signalops_worker', 'execute', 'procrastinate.procrastinate_fetch_job_v2(character varying[], bigint)'),
    ('signalops_worker', 'execute', 'signalops.take_batch(uuid)'),
    ('signalops_worker', 'execute', 'signalops.record_batch(uuid, bigint, text, jsonb)'),
    ('signalops_worker', 'insert', 'signalops.deliveries'),
    ('signalops_worker', 'insert', 'signalops.delivery_attempts')
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
  (select batch from signalops.inbox where not is_held order by batch limit 1)
  union all
  select (select i.batch from signalops.inbox i where not i.is_held and i.batch > w.batch order by i.batch limit 1)
  from waiting w where w.batch < signalops.id_at(now() - interval '1 minute')
)
select count(*) = 0, case when count(*) = 0 then 'every event that waits has a job' else format('%s batches wait without a job', count(*)) end
from waiting
where batch < signalops.id_at(now() - interval '1 minute') and not exists (
  select from procrastinate.procrastinate_jobs j
  where j.status in ('todo', 'doing') and j.task_name = 'process_batch' and j.args ->> 'batch' = waiting.batch::text);

-- held-tenants: how much waits for suspended tenants to be resumed
select true, case when count(*) = 0 then 'no tenant is suspended' else format('%s suspended tenants: %s of their events wait',
  count(*), (select count(*) from signalops.inbox i where i.is_held)) end
from signalops.tenants t where t.status = 'suspended';

-- connections: how many the server lets us take
select true, (current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer)::text;

-- durability: whether what was answered with 202 survives a power cut
select count(*) = 0, coalesce(string_agg(name || ' = off', ', '), 'fsync, synchronous_commit and full_page_writes are on')
from unnest(array['fsync', 'synchronous_commit', 'full_page_writes']) as name where current_setting(name) = 'off';

-- documented-key: whether the key that everybody can read in the documentation opens anything
select count(*) = 0, case when count(*) = 0 then 'is not usable' else format('test_api_key_8077... is usable for %s tenants', count(*)) end
from signalops.find_keys('test_api_key_807') where tenant_status = 'active';

-- clock: what time it is on the server
select true, clock_timestamp()::text;
