-- Station watch: what `signalops isolation-check` asks of the catalogue.

-- walked: how many objects could let one tenant detect another
select (select count(*) from pg_class where relnamespace = 'signalops'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I'))
  + (select count(*) from pg_proc where pronamespace = 'signalops'::regnamespace);

-- faults: objects that do, or that nothing keeps from it; operators: the tables that the role of operators may use across tenants
with relations as (
  select c.oid, c.relname as name, c.relkind, c.relispartition, case when c.relkind in ('v', 'm') then 'view' else 'table' end as kind,
    c.relowner = 'signalops_owner'::regrole as is_owned, c.relrowsecurity and c.relforcerowsecurity as is_forced,
    coalesce(c.reloptions @> '{security_invoker=true}', false) as is_invoker,
    a.attnum as key, a.attname
  from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attname = case c.relname when 'tenants' then 'id' else 'tenant_id' end
  where c.relnamespace = 'signalops'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
), granted as (
  select r.*, role, privilege
  from relations r, unnest(array['signalops_api', 'signalops_worker', 'signalops_platform']) as role,
    unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as privilege
  where has_table_privilege(role, r.oid, privilege)
    or privilege in ('select', 'insert', 'update', 'references') and has_any_column_privilege(role, r.oid, privilege)
)
select kind, name as object, 'every role' as role, case when not is_owned then 'belongs to a role that row-level security may not bind'
  else 'row-level security is not enabled and forced' end as fault
from relations where not is_owned or relkind in ('r', 'p') and not is_forced
union all
select kind, name, role, format('is granted %%s, which no policy stops or which reveals what exists', privilege) from granted
where privilege in ('truncate', 'references', 'trigger')
union all
select kind, name, role, format('is granted %%s, and nothing separates tenants in it', privilege) from granted
where (key is null or relispartition or relkind not in ('r', 'p', 'v')) and privilege in ('select', 'insert', 'update', 'delete')
  and not (role = 'signalops_platform' and name = any (%(operators)s))
union all
select kind, name, role, 'is granted, and shows rows by the rights of its owner' from granted where relkind = 'v' and not is_invoker
union all
select 'table', r.name, coalesce(role.rolname, 'every role'), format('the policy %%s lets more than the rows of a tenant through', p.polname)
from pg_policy p join relations r on r.oid = p.polrelid
left join unnest(p.polroles) as given (oid) on true left join pg_roles role on role.oid = given.oid
where role.rolname is distinct from 'signalops_owner' and not (role.rolname = 'signalops_platform' and r.name = any (%(operators)s))
  and p.polpermissive and exists (
    select from unnest(array[pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)]) as condition
    where condition is not null and replace(condition, 'signalops.', '') not in (
      format('(%%s = ( SELECT current_tenant() AS current_tenant))', r.attname),
      format('(%%s = ANY (( SELECT current_tenant_group() AS current_tenant_group)::uuid[]))', r.attname)))
union all
select 'function', p.oid::regprocedure::text, 'its callers', 'sets for whom the transaction acts: declare it with the reason'
from pg_proc p where p.pronamespace = 'signalops'::regnamespace and p.prosrc ~ 'perform signalops.set_tenant|set_config\(''signalops'
  and not p.proname = any (%(functions)s)
union all
select 'function', p.oid::regprocedure::text, 'its callers', case when p.proowner <> 'signalops_owner'::regrole
    then 'is SECURITY DEFINER of a role that row-level security may not bind'
    else 'is SECURITY DEFINER, and finds names by the search path of its caller' end
from pg_proc p
where p.pronamespace = 'signalops'::regnamespace and p.prosecdef
  and (p.proowner <> 'signalops_owner'::regrole or p.prosqlbody is null and not exists (
    select from unnest(p.proconfig) as setting where setting like 'search\_path=%%'))
union all
select 'index', i.relname, 'every role', 'refuses the row of one tenant because of another''s'
from pg_index x join pg_class i on i.oid = x.indexrelid join relations r on r.oid = x.indrelid
where (x.indisunique or x.indisexclusion) and r.key is not null and not r.relispartition and not r.key = any (x.indkey)
  and not i.relname = any (%(indexes)s)
union all
select 'table', r.name, 'every role', format('the foreign key %%s refers to rows of other tenants', f.conname)
from pg_constraint f join relations r on r.oid = f.conrelid join relations o on o.oid = f.confrelid
where f.contype = 'f' and f.conparentid = 0 and r.key is not null and o.key is not null and not exists (
  select from unnest(f.conkey, f.confkey) as pair (own, others) where pair.own = r.key and pair.others = o.key)
union all
select distinct 'sequence', s.relname, role, 'is shown: it counts the rows of all tenants'
from pg_class s left join pg_depend d on d.objid = s.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i'),
  unnest(array['signalops_api', 'signalops_worker', 'signalops_platform']) as role
where s.relnamespace = 'signalops'::regnamespace and s.relkind = 'S' and (has_sequence_privilege(role, s.oid, 'select, usage, update')
  or coalesce(has_column_privilege(role, d.refobjid, d.refobjsubid::smallint, 'select, insert'), false));
