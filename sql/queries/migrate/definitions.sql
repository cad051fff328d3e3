-- Migrator: what the database has of what the files define.

-- definitions: each function, view, trigger, policy and table of ours, with the checksum of its text and of who may use it
with ours as (
  select c.oid, c.relkind, coalesce(c.relacl, acldefault('r', c.relowner)) as relacl, c.reloptions, c.relrowsecurity, c.relforcerowsecurity
  from pg_class c where c.relnamespace in ('signalops'::regnamespace, 'ops'::regnamespace) and c.relkind in ('r', 'p', 'v') and not c.relispartition
)
select case when p.pronamespace = 'procrastinate'::regnamespace then 'queue function ' when p.prokind = 'p' then 'procedure '
    else 'function ' end || p.oid::regprocedure::text as object,
  md5(concat(pg_get_functiondef(p.oid), coalesce(p.proacl, acldefault('f', p.proowner)), obj_description(p.oid, 'pg_proc'))) as checksum
from pg_proc p
where (p.pronamespace in ('signalops'::regnamespace, 'ops'::regnamespace) and p.prokind in ('f', 'p')
    -- Those whose plans are pinned, and the fetch.
    or p.pronamespace = 'procrastinate'::regnamespace and p.proconfig is not null)
  and not exists (select from pg_depend d where d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e')
union all
select case o.relkind when 'v' then 'view ' else 'table ' end || o.oid::regclass::text,
  md5(concat(case o.relkind when 'v' then pg_get_viewdef(o.oid) end, o.relacl, o.reloptions,
    (select string_agg(a.attname || a.attacl::text, ',' order by a.attnum) from pg_attribute a
     where a.attrelid = o.oid and a.attacl is not null)))
from ours o
union all
select 'row security of ' || o.oid::regclass::text, md5(concat(o.relrowsecurity, o.relforcerowsecurity)) from ours o where o.relkind <> 'v'
union all
select 'schema ' || n.nspname, md5(n.nspacl::text) from pg_namespace n where n.nspname in ('signalops', 'ops')
union all
select 'trigger ' || t.tgname || ' on ' || o.oid::regclass::text, md5(pg_get_triggerdef(t.oid) || t.tgenabled::text)
from ours o join pg_trigger t on t.tgrelid = o.oid and not t.tgisinternal
union all
select 'policy ' || p.polname || ' on ' || o.oid::regclass::text,
  md5(concat(p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, o.oid), pg_get_expr(p.polwithcheck, o.oid)))
from ours o join pg_policy p on p.polrelid = o.oid;
