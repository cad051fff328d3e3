-- The audit log: the tables whose changes are actions.

create or replace function signalops.log_row_change() returns trigger
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  left_out text[] := '{tenant_id,created_at,updated_at}'::text[] || tg_argv[1] || string_to_array(tg_argv[3], ',');
  was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  is_now jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  subject jsonb := coalesce(is_now, was);
  -- A deleted tenant has no log; a plan is the installation's.
  of_tenant uuid := coalesce(case tg_table_name when 'tenants' then is_now ->> 'id' else subject ->> 'tenant_id' end,
    '00000000-0000-0000-0000-000000000000');
begin
  -- What a trigger does, and what comes with a plan, follows from an action that is noted itself.
  if pg_trigger_depth() > 1 or subject ->> 'origin' = 'plan' then
    return null;
  end if;
  if tg_op = 'DELETE' and exists (select from signalops.tenants t where t.id = of_tenant and t.status = 'deleting') then
    return null;
  end if;
  perform signalops.log_change(tg_argv[0], of_tenant, subject ->> tg_argv[1], subject ->> tg_argv[2], was - left_out, is_now - left_out,
    string_to_array(tg_argv[4], ','));
  return null;
end
$$;
comment on function signalops.log_row_change is
  'Logs a row''s change. Arguments: the noun of such rows; the columns of their id and name; ignored columns; columns with '
  'secrets, the last two with commas between.';

create or replace function signalops.log_rule_change() returns trigger
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  left_out constant text[] := '{tenant_id,id,rule_id,version,created_at,updated_at,enabled_at,state_version,conditions}';
  was jsonb;
  is_now jsonb := to_jsonb(new);
begin
  if tg_op = 'UPDATE' then
    was := to_jsonb(old) || coalesce((
      select to_jsonb(v) from signalops.rule_versions v where (v.tenant_id, v.rule_id, v.version) = (old.tenant_id, old.id, old.active_version)
    ), '{}');
  end if;
  is_now := is_now || coalesce((
    select to_jsonb(v) from signalops.rule_versions v where (v.tenant_id, v.rule_id, v.version) = (new.tenant_id, new.id, new.active_version)
  ), '{}');
  perform signalops.log_change('rule', new.tenant_id, new.id::text, new.name, was - left_out, is_now - left_out, '{}');
  return null;
end
$$;
comment on function signalops.log_rule_change is
  'Logs a rule''s change with the content of its active version: one action for several rows.';

create or replace trigger log_row_change after insert or delete or update on signalops.api_keys
for each row execute function signalops.log_row_change('key', 'id', 'label', 'last_used_at,digest', 'hash');
comment on trigger log_row_change on signalops.api_keys is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert on signalops.backtests
  for each row execute function signalops.log_row_change('backtest', 'id', '', 'state,result,slices,scanned,scanned_until,error', '');
comment on trigger log_row_change on signalops.backtests is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.channels
  for each row execute function signalops.log_row_change('channel', 'id', 'name', 'send_target_id', 'config,secret');
comment on trigger log_row_change on signalops.channels is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.credit_grants
  for each row execute function signalops.log_row_change('credit', 'id', 'reason', 'remaining', '');
comment on trigger log_row_change on signalops.credit_grants is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.event_schemas
  for each row execute function signalops.log_row_change('event-schema', 'type', 'type', '', '');
comment on trigger log_row_change on signalops.event_schemas is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.invoices
  for each row execute function signalops.log_row_change('invoice', 'id', 'number', '', '');
comment on trigger log_row_change on signalops.invoices is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.limits
  for each row execute function signalops.log_row_change('limit', 'meter', 'meter', 'set_at', '');
comment on trigger log_row_change on signalops.limits is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.meters
  for each row execute function signalops.log_row_change('meter', 'key', 'name', 'first_version,end_version', '');
comment on trigger log_row_change on signalops.meters is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.plans
  for each row execute function signalops.log_row_change('plan', 'plan', 'version', '', '');
comment on trigger log_row_change on signalops.plans is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.replays
  for each row execute function signalops.log_row_change('replay', 'id', 'reason', 'batches', '');
comment on trigger log_row_change on signalops.replays is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after update or delete on signalops.rule_versions
  for each row execute function signalops.log_row_change('rule-version', 'rule_id', 'version', '', '');
comment on trigger log_row_change on signalops.rule_versions is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after delete on signalops.rules
  for each row execute function signalops.log_row_change('rule', 'id', 'name', 'enabled_at', '');
comment on trigger log_row_change on signalops.rules is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.silences
  for each row execute function signalops.log_row_change('silence', 'id', 'reason', '', '');
comment on trigger log_row_change on signalops.silences is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.subscriptions
  for each row execute function signalops.log_row_change('subscription', 'id', 'plan', 'terms', '');
comment on trigger log_row_change on signalops.subscriptions is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.suppressions
  for each row execute function signalops.log_row_change('suppression', 'id', 'address', '', '');
comment on trigger log_row_change on signalops.suppressions is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.tenants
  for each row execute function signalops.log_row_change('tenant', 'id', 'slug', 'meters_version,closed_until,limited_meters_version,status_since,is_draining', '');
comment on trigger log_row_change on signalops.tenants is 'Who did it is on record in the audit log.';

create or replace trigger log_row_change after insert or update or delete on signalops.usage_adjustments
  for each row execute function signalops.log_row_change('adjustment', 'id', 'meter', 'idempotency_key,body_hash', '');
comment on trigger log_row_change on signalops.usage_adjustments is 'Who did it is on record in the audit log.';

-- What workers do to a backtest, slice by slice, is no action.
create or replace trigger log_cancellation after update of status on signalops.backtests
  for each row when (new.status = 'cancelled' and old.status <> 'cancelled')
  execute function signalops.log_row_change('backtest', 'id', '', 'state,result,slices,scanned,scanned_until,error', '');
comment on trigger log_cancellation on signalops.backtests is 'Who did it is on record in the audit log.';

-- Deferred: the content of a new rule is stored after the rule.
create constraint trigger log_rule_change after insert or update on signalops.rules deferrable initially deferred
  for each row execute function signalops.log_rule_change();
comment on trigger log_rule_change on signalops.rules is 'Who did it is on record in the audit log, with the rule''s content.';
