-- Schema ops: what its guarded functions have in common.

create or replace function ops.find_tenant(named text) returns uuid
language plpgsql stable as $$
declare
  found_tenant uuid := (select t.id from signalops.tenants t where t.slug = named or t.id::text = named);
begin
  if found_tenant is null then
    raise 'there is no tenant %: give its slug or id, as in select distinct tenant from ops.tenant_usage', quote_nullable(named)
      using errcode = 'no_data_found';
  end if;
  return found_tenant;
end
$$;
comment on function ops.find_tenant is 'The tenant of a slug or an id, or an error.';

create or replace function ops.require_reason(reason text) returns void
language plpgsql immutable as $$
begin
  if coalesce(length(trim(reason)), 0) not between 1 and 500 then
    raise 'say why in 1 to 500 characters: it is stored in the audit log' using errcode = 'invalid_parameter_value';
  end if;
end
$$;
comment on function ops.require_reason is 'Refuses what is done without a reason.';

create or replace function ops.require_ids(ids uuid[]) returns void
language plpgsql immutable as $$
begin
  if coalesce(cardinality(ids), 0) not between 1 and 10000 then
    raise 'these are %: give 1 to 10,000 ids at a time, and repeat it for more', coalesce(cardinality(ids), 0)
      using errcode = 'invalid_parameter_value';
  end if;
end
$$;
comment on function ops.require_ids is 'Refuses no ids, and more than a short transaction has time for.';

create or replace function ops.log_installation_action(action text, target text, about jsonb) returns void
language sql volatile as $$
  select signalops.write_audit_log('00000000-0000-0000-0000-000000000000', action, target, target, jsonb_build_object('before', null, 'after', about))
$$;
comment on function ops.log_installation_action is 'Adds an action on the installation itself to the audit log.';
