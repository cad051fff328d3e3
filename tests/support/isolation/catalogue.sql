-- Station watch: the catalogue that `signalops isolation-check` walks, and what it asks on the way.

-- relations: every table, partition and view, with its tenant column and what the processes' roles are granted
select c.relname as name,
  case when c.relispartition then 'partition' when c.relkind in ('r', 'p') then 'table' when c.relkind = 'v' then 'view'
    when c.relkind = 'm' then 'materialized view' else 'foreign table' end as kind,
  case when c.relname = 'tenants' then 'id' else (
    select attname from pg_attribute where attrelid = c.oid and attname = 'tenant_id') end as key,
  c.relowner = 'signalops_owner'::regrole as is_owned, c.relrowsecurity and c.relforcerowsecurity as is_forced,
  (select jsonb_object_agg(role, array(
      select privilege from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as privilege
      where has_table_privilege('signalops_' || role, c.oid, privilege) or privilege in ('select', 'insert', 'update', 'references')
        and has_any_column_privilege('signalops_' || role, c.oid, privilege)))
    from unnest(array['api', 'worker', 'platform']) as role) as granted,
  (select jsonb_object_agg(role, (
      select attname from pg_attribute a where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = ''
        and has_column_privilege('signalops_' || role, c.oid, attnum, 'update') order by attnum limit 1))
    from unnest(array['api', 'worker', 'platform']) as role) as updatable,
  (select jsonb_object_agg(role, array(
      select attname from pg_attribute a where attrelid = c.oid and attnum > 0 and not attisdropped
        and has_column_privilege('signalops_' || role, c.oid, attnum, 'insert')))
    from unnest(array['api', 'worker', 'platform']) as role) as insertable,
  (select coalesce(jsonb_object_agg(attname, format_type(atttypid, null)), '{}') from pg_attribute
    where attrelid = c.oid and attnum > 0 and not attisdropped and attnotnull and not atthasdef and attidentity = '') as required
from pg_class c
where c.relnamespace = 'signalops'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
order by c.relname;

-- indexes: every index but those of partitions, with its table
select i.relname as name, t.relname as of_table, x.indisunique or x.indisexclusion as is_constraining
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
where i.relnamespace = 'signalops'::regnamespace and not t.relispartition
order by i.relname;

-- sequences: every sequence, the column that it numbers, and who may look at one of the two
select s.relname as name, t.relname || '.' || a.attname as feeds,
  (select jsonb_object_agg(role, has_sequence_privilege('signalops_' || role, s.oid, 'select, usage, update')
      or coalesce(has_column_privilege('signalops_' || role, t.oid, a.attnum, 'select, insert'), false))
    from unnest(array['api', 'worker', 'platform']) as role) as shown
from pg_class s
left join pg_depend d on d.objid = s.oid and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
  and d.deptype in ('a', 'i')
left join pg_class t on t.oid = d.refobjid
left join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
where s.relnamespace = 'signalops'::regnamespace and s.relkind = 'S'
order by s.relname;

-- functions: every function and procedure with its arguments, whose rights it has, and who may call it
select p.proname as name, p.oid::regprocedure::text as signature, p.prosecdef as is_definer, p.prokind = 'p' as is_procedure,
  p.provolatile = 'i' as is_immutable, p.prorettype = 'trigger'::regtype as is_trigger,
  p.prosrc ~ 'perform signalops.set_tenant|set_config\(''signalops' as is_switch,
  array(select jsonb_build_array(coalesce(p.proargnames[place], ''), format_type(type, null))
    from unnest(p.proargtypes) with ordinality as t (type, place) order by place) as arguments,
  array(select role from unnest(array['api', 'worker', 'platform']) as role
    where has_function_privilege('signalops_' || role, p.oid, 'execute')) as callers
from pg_proc p where p.pronamespace = 'signalops'::regnamespace and p.prokind in ('f', 'p')
order by p.oid::regprocedure::text;

-- last-job: the newest job, behind which the jobs of the check would stand
select coalesce(max(id), 0) from procrastinate.procrastinate_jobs;

-- jobs-about: how many jobs behind one mention an id, as the last part of a union
select 'jobs', count(*)::text from procrastinate.procrastinate_jobs where id > %(last)s and args::text like '%%' || %(other)s || '%%';
