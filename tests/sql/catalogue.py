"""Rules that every object of the schema keeps, each with a statement that breaks it: a check that can't fail proves nothing."""

from typing import LiteralString, NamedTuple

TABLES = """
  select oid, relname, relispartition, relrowsecurity, relforcerowsecurity, relacl,
    case when relname = 'tenants' then 'id' else (
      select attname from pg_attribute where attrelid = c.oid and attname = 'tenant_id') end as key
  from pg_class c where relnamespace = 'signalops'::regnamespace and relkind in ('r', 'p')
"""
"""Each with the column of its tenant; NULL: it is the operator's."""
ACROSS = f"""
  select relname, privileges from ({TABLES}) as t cross join lateral (select array(
    select privilege from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as privilege
    where has_table_privilege('signalops_platform', oid, privilege)
      or privilege in ('select', 'insert', 'update', 'references')
        and has_any_column_privilege('signalops_platform', oid, privilege)
  ) as privileges) as granted
  where key is null and privileges <> '{{}}'
    or exists (select from pg_policy where polrelid = t.oid and 'signalops_platform'::regrole = any (polroles))
"""
"""Where operators see the rows of all tenants, or of none, and what they may do there: declared in signalops/watch/isolation."""


class Rule(NamedTuple):
    """What holds; a query for the names of what breaks it; a statement that breaks it, and the name it must then yield."""

    states: str
    culprits: LiteralString
    plant: LiteralString
    planted: str


def _uncommented(what: str, catalogue: LiteralString, plant: LiteralString, planted: str) -> Rule:
    return Rule(f"every {what} has a comment", f"select name from ({catalogue}) as o where comment is null", plant, planted)


RULES = [
    Rule(
        "every table and partition has row security, forced",
        f"select relname from ({TABLES}) as t where not (relrowsecurity and relforcerowsecurity)",
        "create table signalops.bare (tenant_id uuid primary key)",
        "bare",
    ),
    Rule(
        "every table of tenants has the policy own_tenant, for every role and command",
        f"""select relname from ({TABLES}) as t where not relispartition and key is not null and not exists (
          select from pg_policy where polrelid = t.oid and polname = 'own_tenant' and polcmd = '*' and polroles = '{{0}}'
            and pg_get_expr(polqual, polrelid) = format('(%I = ( SELECT signalops.current_tenant() AS current_tenant))', key)
            and pg_get_expr(polwithcheck, polrelid) = pg_get_expr(polqual, polrelid))""",
        "drop policy own_tenant on signalops.inbox; create policy own_tenant on signalops.inbox using (true)",
        "inbox",
    ),
    Rule(
        "a table without tenant_id is the operator's: it admits the owner, and the role in which operators work",
        f"""select relname from ({TABLES}) as t where key is null and (
          select array_agg((polname, polroles)::text) from pg_policy
          where polrelid = t.oid and polroles <> array['signalops_platform'::regrole::oid]
        ) is distinct from array[('owner_acts', array['signalops_owner'::regrole::oid])::text]""",
        "create policy api_reads on signalops.plans to signalops_api using (true)",
        "plans",
    ),
    Rule(
        "no other role has a privilege on a table of the operator's, or on a column of one",
        f"""select relname from ({TABLES}) as t where key is null and exists (
          select from aclexplode(relacl)
          where grantee not in ('signalops_owner'::regrole, 'signalops_platform'::regrole)
          union all
          select from pg_attribute, aclexplode(attacl)
          where attrelid = t.oid and grantee <> 'signalops_platform'::regrole)""",
        "grant select (plan) on signalops.plans to signalops_api",
        "plans",
    ),
    Rule(
        "every other policy is for one named role, on a table and not on a partition",
        f"""select format('%s on %s', polname, relname) from pg_policy join ({TABLES}) as t on t.oid = polrelid
        where relispartition or (polname <> 'own_tenant' and (cardinality(polroles) <> 1 or polroles = '{{0}}'))""",
        "create policy wide on signalops.inbox using (true)",
        "wide on inbox",
    ),
    Rule(
        "every table has a primary key",
        f"""select relname from ({TABLES}) as t
        where not exists (select from pg_index where indrelid = t.oid and indisprimary)""",
        "create table signalops.keyless (tenant_id uuid)",
        "keyless",
    ),
    Rule(
        # The slug is the one name across tenants: the command line's, and no role of the product may probe it.
        "every unique index begins with the tenant, except the slug's",
        f"""select i.indexrelid::regclass::text from pg_index i join ({TABLES}) as t on t.oid = i.indrelid
        join pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0]
        where i.indisunique and a.attname <> t.key and i.indexrelid <> 'signalops.tenants_slug_key'::regclass""",
        "create unique index leaky on signalops.rules (name)",
        "signalops.leaky",
    ),
    Rule(
        "every foreign key begins with the tenant, on both sides",
        f"""select c.conname from pg_constraint c
        join ({TABLES}) as t on t.oid = c.conrelid join ({TABLES}) as r on r.oid = c.confrelid
        join pg_attribute near on near.attrelid = t.oid and near.attnum = c.conkey[1]
        join pg_attribute far on far.attrelid = r.oid and far.attnum = c.confkey[1]
        where c.contype = 'f' and (near.attname <> t.key or far.attname <> r.key)""",
        """alter table signalops.rules add unique (id);
        alter table signalops.matches add constraint reaching foreign key (rule_id) references signalops.rules (id)""",
        "reaching",
    ),
    Rule(
        "no role but the owner may truncate, which no policy stops",
        f"""select relname from ({TABLES}) as t, aclexplode(relacl) as granted
        where privilege_type = 'TRUNCATE' and grantee::regrole::text <> 'signalops_owner'""",
        "grant truncate on signalops.accepted_counters to signalops_api",
        "accepted_counters",
    ),
    Rule(
        "no role of the product is a superuser or bypasses row security",
        "select rolname from pg_roles where rolname like 'signalops%' and (rolsuper or rolbypassrls)",
        "create role signalops_planted bypassrls",
        "signalops_planted",
    ),
    Rule(
        "everything belongs to signalops_owner, whom row security binds",
        """select relname from pg_class where relnamespace = 'signalops'::regnamespace and relkind in ('r', 'p', 'v')
          and relowner <> 'signalops_owner'::regrole
        union all
        select proname from pg_proc where pronamespace = 'signalops'::regnamespace and proowner <> 'signalops_owner'::regrole""",
        "alter function signalops.find_keys(text) owner to current_user",
        "find_keys",
    ),
    Rule(
        "every SECURITY DEFINER function has a fixed search_path that ends with pg_temp",
        """select proname from pg_proc where pronamespace = 'signalops'::regnamespace and prosecdef and not exists (
          select from unnest(proconfig) as setting where setting ~ '^search_path=.*, pg_temp$')""",
        "alter function signalops.take_batch(uuid, bigint, integer) reset search_path",
        "take_batch",
    ),
    Rule(
        "no SECURITY DEFINER function is executable by everyone",
        """select proname from pg_proc where pronamespace = 'signalops'::regnamespace and prosecdef
          and exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0)""",
        "grant execute on function signalops.take_batch(uuid, bigint, integer) to public",
        "take_batch",
    ),
    Rule(
        "every view uses the rights of the role that queries it",
        """select relname from pg_class where relnamespace = 'signalops'::regnamespace and relkind = 'v'
          and not coalesce(reloptions @> '{security_invoker=true}', false)""",
        "alter view signalops.event_status reset (security_invoker)",
        "event_status",
    ),
    _uncommented(
        "table and view",
        """select relname as name, obj_description(oid, 'pg_class') as comment from pg_class
        where relnamespace = 'signalops'::regnamespace and relkind in ('r', 'p', 'v')""",
        "comment on view signalops.event_status is null",
        "event_status",
    ),
    _uncommented(
        "column",
        f"""select format('%s.%s', relname, attname) as name, col_description(attrelid, attnum) as comment
        from pg_attribute join ({TABLES}) as t on t.oid = attrelid and not relispartition
        where attnum > 0 and not attisdropped""",
        "alter table signalops.rules add column mute text",
        "rules.mute",
    ),
    _uncommented(
        "function and procedure",
        """select proname as name, obj_description(oid, 'pg_proc') as comment from pg_proc
        where pronamespace = 'signalops'::regnamespace""",
        "create function signalops.mute() returns int language sql return 1",
        "mute",
    ),
    _uncommented(
        "policy",
        f"""select format('%s on %s', polname, relname) as name, obj_description(p.oid, 'pg_policy') as comment
        from pg_policy p join ({TABLES}) as t on t.oid = polrelid""",
        "comment on policy own_tenant on signalops.inbox is null",
        "own_tenant on inbox",
    ),
    _uncommented(
        "trigger",
        f"""select format('%s on %s', tgname, relname) as name, obj_description(g.oid, 'pg_trigger') as comment
        from pg_trigger g join ({TABLES}) as t on t.oid = tgrelid where not tgisinternal and tgparentid = 0""",
        "comment on trigger bump_ruleset on signalops.rules is null",
        "bump_ruleset on rules",
    ),
]
