-- Meters: versions of their definitions.

create or replace function signalops.bump_meters_version(tenant uuid) returns bigint
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$ update signalops.tenants set meters_version = meters_version + 1 where id = tenant and id = signalops.current_tenant() returning meters_version $$;
comment on function signalops.bump_meters_version is
  'Starts a new version of the meters of the tenant that the transaction acts for; returns it. Whoever counts by an older one finds out.';

create or replace function signalops.version_meter() returns trigger
language plpgsql as $$
declare
  version bigint;
begin
  if tg_op = 'INSERT' and exists (
    select from signalops.meters m where m.tenant_id = new.tenant_id and m.key = new.key
      and (m.aggregation, m.field, m.pattern, m.group_by) is distinct from (new.aggregation, new.field, new.pattern, new.group_by)
  ) then
    raise 'the meter % counted something else before: choose another key', new.key
      using errcode = 'unique_violation', constraint = 'meters_one_meaning';
  elsif tg_op = 'UPDATE' and (
    old.end_version is not null or (to_jsonb(new) - '{end_version,ended_at}'::text[]) <> (to_jsonb(old) - '{end_version,ended_at}'::text[])
  ) then
    raise 'the meter % can be ended, not changed', old.key using errcode = 'check_violation';
  end if;
  version := signalops.bump_meters_version(new.tenant_id);
  if version is null and has_table_privilege('signalops.tenants', 'update') then
    -- Without a tenant: the owner's. Whoever else it is, the policy refuses the row.
    update signalops.tenants set meters_version = meters_version + 1 where id = new.tenant_id returning meters_version into version;
  end if;
  if tg_op = 'INSERT' then
    new.first_version := version;
  else
    new.end_version := version;
    new.ended_at := coalesce(new.ended_at, now());
  end if;
  return new;
end
$$;
comment on function signalops.version_meter is
  'Gives meters the meter versions between which they count, and keeps them from being changed.';

create or replace trigger version_meter before insert or update on signalops.meters for each row execute function signalops.version_meter();
comment on trigger version_meter on signalops.meters is 'A figure of last year means what it meant then.';
