-- The audit log: how a change of a row becomes an action.

create or replace function signalops.refuse_log_change() returns trigger
language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if signalops.may_delete(old.tenant_id) then
      return old;
    end if;
  end if;
  raise 'the audit log is only added to: what is too old goes with its partition' using errcode = 'check_violation';
end
$$;
comment on function signalops.refuse_log_change is 'Prevents changes and deletions of the audit log, except of a tenant that is being deleted.';

create or replace trigger refuse_change before update or delete on signalops.audit_log for each row execute function signalops.refuse_log_change();
comment on trigger refuse_change on signalops.audit_log is 'What was done stays on record as it was.';

create or replace trigger refuse_truncation before truncate on signalops.audit_log for each statement execute function signalops.refuse_log_change();
comment on trigger refuse_truncation on signalops.audit_log is 'What was done stays on record.';

create or replace function signalops.write_audit_log(tenant uuid, action text, target_id text, target text, change jsonb) returns void
language plpgsql volatile as $$
declare
  request_context jsonb := nullif(current_setting('signalops.action', true), '');
  -- That of SET ROLE, also within a SECURITY DEFINER function.
  as_role text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
  kind text := coalesce(request_context #>> '{actor,kind}', case when as_role in ('signalops_api', 'signalops_worker', 'signalops_platform')
    then 'system' else 'sql' end);
begin
  -- What the processes make by themselves, such as invoices, is on record itself; what they change of people's is noted.
  if kind = 'system' and action like '%.created' then
    return;
  end if;
  insert into signalops.audit_log (tenant_id, id, actor_kind, actor, address, operation, action, target_id, target, change)
  values (tenant, signalops.new_id(), kind, coalesce(request_context #>> '{actor,name}', case kind when 'sql' then session_user else as_role end),
    request_context ->> 'address', request_context ->> 'operation', write_audit_log.action, write_audit_log.target_id, left(write_audit_log.target, 500), write_audit_log.change);
end
$$;
comment on function signalops.write_audit_log is
  'Adds to the audit log, as the owner: for the functions that know what was done. Who did it stands in the setting signalops.action.';

create or replace function signalops.without_secrets(value jsonb) returns jsonb
language plpgsql immutable as $$
begin
  case jsonb_typeof(value)
    when 'object' then
      return coalesce((
        select jsonb_object_agg(e.key, case
          when e.key ~* '(password|token|secret|credentials?|authorization)$' then '"***"'
          when e.key = 'headers' and jsonb_typeof(e.value) = 'object'
            then coalesce((select jsonb_object_agg(h, '***') from jsonb_object_keys(e.value) as h), '{}')
          else signalops.without_secrets(e.value) end)
        from jsonb_each(value) e), '{}');
    when 'array' then
      return coalesce((select jsonb_agg(signalops.without_secrets(e.value)) from jsonb_array_elements(value) e), '[]');
    when 'string' then
      -- A path or a query may be all that protects an address.
      return to_jsonb(regexp_replace(value #>> '{}', '^([a-z][a-z0-9+.-]*://)([^/?#]*@)?([^/?#]*).*$', '\1\3/***', 'i'));
    else
      return value;
  end case;
end
$$;
comment on function signalops.without_secrets is
  'A configuration without secrets, for the audit log: of URLs the origin alone, of headers the names, nothing that is called a '
  'secret.';

create or replace function signalops.truncated_for_log(value jsonb, is_secret boolean) returns jsonb
language plpgsql immutable as $$
declare
  logged_value jsonb := case when not is_secret or value = 'null' then value
    when jsonb_typeof(value) = 'object' then signalops.without_secrets(value) else '"***"' end;
begin
  if length(logged_value::text) > 8192 then
    return jsonb_build_object('cut', left(logged_value::text, 8192), 'characters', length(logged_value::text));
  end if;
  return logged_value;
end
$$;
comment on function signalops.truncated_for_log is
  'A value as the audit log has it: beyond 8,192 characters of JSON its beginning as text ("cut"), with how many "characters" it has.';

create or replace function signalops.changed_columns(before jsonb, after jsonb, secrets text[]) returns jsonb
language sql immutable
return (
  select jsonb_object_agg(a.key, signalops.truncated_for_log(a.value, a.key = any (secrets))) from jsonb_each(after) a
  -- NULL is as good as not there.
  where nullif(a.value, 'null') is distinct from nullif(before -> a.key, 'null'));
comment on function signalops.changed_columns is
  'What a row has that it had not before, by column, in the words of the audit log; NULL: nothing. Turned round: what it had.';

create or replace function signalops.action_verb(before jsonb, after jsonb) returns text
language sql immutable
return case
  when before is null then case when after ->> 'replaces' is null then 'created' else 'rotated' end
  when after is null or before ->> 'deleted_at' is null and after ->> 'deleted_at' is not null then 'deleted'
  when before ->> 'revoked_at' is null and after ->> 'revoked_at' is not null then 'revoked'
  when before ->> 'voided_at' is null and after ->> 'voided_at' is not null then 'voided'
  when before ->> 'ended_at' is null and after ->> 'ended_at' is not null then 'ended'
  when before ->> 'status' <> after ->> 'status' then case after ->> 'status' when 'active' then 'resumed' else after ->> 'status' end
  when before - '{enabled,disabled_because}'::text[] = after - '{enabled,disabled_because}'::text[]
    then case after ->> 'enabled' when 'true' then 'enabled' else 'disabled' end
  else 'changed' end;
comment on function signalops.action_verb is 'The verb of a row''s change: created, changed, deleted, disabled, revoked ...';

create or replace function signalops.log_change(noun text, tenant uuid, target_id text, target text, before jsonb, after jsonb, secrets text[])
returns void
language plpgsql volatile as $$
declare
  was jsonb := signalops.changed_columns(coalesce(after, '{}'), coalesce(before, '{}'), secrets);
  is_now jsonb := signalops.changed_columns(coalesce(before, '{}'), coalesce(after, '{}'), secrets);
begin
  if was is not null or is_now is not null then
    perform signalops.write_audit_log(tenant, noun || '.' || signalops.action_verb(before, after), target_id, target,
      jsonb_build_object('before', was, 'after', is_now));
  end if;
end
$$;
comment on function signalops.log_change is
  'Logs a row''s change: before is NULL for an insert, after for a deletion. Changes without effect are not logged.';

create or replace function signalops.log_tenant_action(tenant uuid, action text, target_id text, target text, details jsonb default '{}') returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  if not pg_has_role(coalesce(nullif(current_setting('role', true), 'none'), session_user), 'signalops_owner', 'member') then
    perform signalops.require_tenant(tenant);
  end if;
  perform signalops.write_audit_log(tenant, action, target_id, target, jsonb_build_object('before', null, 'after', nullif(details, '{}')));
end
$$;
comment on function signalops.log_tenant_action is
  'Logs an action that changes no managed row, with its details, for the transaction''s tenant.';

create or replace function signalops.log_bulk_action(tenant uuid, action text, targets uuid[], details jsonb default '{}') returns void
language plpgsql volatile as $$
begin
  if cardinality(targets) = 1 then
    perform signalops.log_tenant_action(tenant, action, targets[1]::text, null, details);
  elsif cardinality(targets) > 1 then
    perform signalops.log_tenant_action(tenant, action, null, null,
      details || jsonb_build_object('count', cardinality(targets), 'ids', to_jsonb(targets[1:100])));
  end if;
end
$$;
comment on function signalops.log_bulk_action is
  'Logs a bulk action as one entry, with the count and the first hundred ids; nothing when there are none.';
