-- The tenant, or the group of tenants, that a transaction acts for, and the policies of every table, which read it.

create or replace function signalops.current_tenant() returns uuid
language sql stable parallel safe
-- After a transaction that set it the setting reads '' and not NULL.
return nullif(current_setting('signalops.tenant_id', true), '')::uuid;
comment on function signalops.current_tenant is
  'The tenant that this transaction acts for; NULL when none is set, and then no row of any tenant is visible.';

create or replace function signalops.set_tenant(tenant uuid) returns void
language sql volatile
as $$ select set_config('signalops.tenant_id', tenant::text, true) $$;
comment on function signalops.set_tenant is 'Sets the tenant of this transaction; the end of the transaction forgets it.';

-- A flush has events of many tenants. One statement for all of them costs half of one statement per tenant (measured with
-- 64 events of 50 tenants), so for its duration the rows of exactly these tenants are visible.
create or replace function signalops.current_tenant_group() returns uuid[]
language sql stable parallel safe
return nullif(current_setting('signalops.tenant_group', true), '')::uuid[];
comment on function signalops.current_tenant_group is
  'The tenants of the flush or batch that signalops.accept, read_batch or record_batch is at; NULL outside of them.';

create or replace function signalops.set_tenant_group(tenants uuid[]) returns void
language plpgsql volatile as $$
begin
  perform set_config('signalops.tenant_group', coalesce(tenants::text, ''), true);
end
$$;
comment on function signalops.set_tenant_group is
  'Opens the rows of a group of tenants to the functions that handle a flush or a batch; NULL closes them again.';

create or replace function signalops.require_tenant(tenant uuid) returns void
language plpgsql stable as $$
begin
  if tenant is distinct from signalops.current_tenant() then
    raise 'the transaction acts for another tenant: select signalops.set_tenant(%) first', quote_literal(tenant)
      using errcode = 'insufficient_privilege';
  end if;
end
$$;
comment on function signalops.require_tenant is
  'Refuses a tenant that the transaction doesn''t act for: what row security does, for functions that run as the owner.';

do $$
declare
  policy record;
  declared text[] := '{}';
begin
  for policy in
    with tables (relation, tenant_column, handled_by, owner_acts_since) as (values
      -- Its tenants' rows are seen one tenant at a time; by those that handle a flush or a batch, those of all tenants in it; by the
      -- functions of the owner (no process logs in as it), all, for the reason that stands here. Without a column: the operator's.
      ('tenants', 'id', '{api,worker}', 'find_keys reads the status, and the command line lists and makes tenants.'),
      ('api_keys', 'tenant_id', '{api}', 'find_keys looks a key up before any tenant is known.'),
      ('rate_buckets', 'tenant_id', '{api}', null),
      ('tenant_deletions', null, '{}', 'Deleting is done by functions of the owner.'),
      ('events', 'tenant_id', '{api,worker}', 'The command line finds out whose event an id is.'),
      ('idempotency_keys', 'tenant_id', '{api}', 'Those of expired events are found by reading through the table.'),
      ('inbox', 'tenant_id', '{api}', 'take_batch removes a batch before it knows the tenants in it.'),
      ('batch_results', 'tenant_id', '{worker}', 'Reconciliation checks what was accepted against what was processed.'),
      ('event_types', 'tenant_id', '{worker}', null),
      ('event_schemas', 'tenant_id', '{}', null),
      ('replays', 'tenant_id', '{worker}', null),
      ('channels', 'tenant_id', '{}', 'find_called_channel looks a channel up before any tenant is known.'),
      ('send_targets', 'tenant_id', '{}', 'enqueue_due_deliveries passes by send_targets whose circuit is open; reset_circuit closes it.'),
      ('channel_schedules', 'tenant_id', '{worker}', 'enqueue_due_deliveries goes from channel to channel.'),
      ('suppressions', 'tenant_id', '{}', null),
      ('deliveries', 'tenant_id', '{worker}', 'enqueue_due_deliveries and enqueue_lost_deliveries sweep all tenants for what has no job.'),
      ('delivery_attempts', 'tenant_id', '{}', 'Those of tenants that keep them for a shorter time are removed.'),
      ('dead_letters', 'tenant_id', '{worker}', 'The audit counts the events that died.'),
      ('rules', 'tenant_id', '{}', 'fire_absences asks whether the rule still stands.'),
      ('rule_versions', 'tenant_id', '{}', 'fire_absences and start_absence_timer read the rule''s content.'),
      ('ruleset_versions', 'tenant_id', '{worker}', null),
      ('silences', 'tenant_id', '{}', null),
      ('matches', 'tenant_id', '{worker}', 'flush_digests records the match.'),
      ('rule_states', 'tenant_id', '{worker}', 'fire_absences and expire_rule_states sweep all tenants; start_absence_timer acts for the tenant whose rule changes.'),
      ('window_events', 'tenant_id', '{worker}', 'expire_rule_states removes what is past.'),
      ('digests', 'tenant_id', '{worker}', 'flush_digests sweeps all tenants for what is due.'),
      ('backtests', 'tenant_id', '{}', 'Those of expired time are found by reading through the table.'),
      ('meters', 'tenant_id', '{}', 'The command line lists the meters of a tenant; the audit reads what they count.'),
      ('usage_counters', 'tenant_id', '{worker}', 'Reconciliation checks counters against their entries.'),
      ('usage_entries', 'tenant_id', '{worker}', 'Reconciliation checks counters against their entries.'),
      ('usage_distinct_values', 'tenant_id', '{worker}', 'Reconciliation counts distinct values again.'),
      ('usage_row_counts', 'tenant_id', '{worker}', 'limit_cardinality looks for those that are too large; reconciliation reads them.'),
      ('limits', 'tenant_id', '{api}', 'The command line sets the limits of a tenant; a change resets the thresholds.'),
      ('accepted_counters', 'tenant_id', '{api}', 'A changed limit resets their thresholds; reconciliation checks them against the events.'),
      ('usage_adjustments', 'tenant_id', '{}', 'The command line corrects usage; the audit reads the corrections.'),
      ('plans', null, '{}', 'The command line writes plans, and subscribe copies them to tenants.'),
      ('subscriptions', 'tenant_id', '{}', 'Making a tenant subscribes it, and the command line lists tenants with their plans.'),
      ('credit_grants', 'tenant_id', '{}', 'Only functions change credit; reconciliation checks it against its entries.'),
      ('credit_entries', 'tenant_id', '{}', 'Only functions move credit; the audit adds the entries up.'),
      ('billing_periods', 'tenant_id', '{}', 'Periods of all tenants are found and closed by narrow functions.'),
      ('usage_daily', 'tenant_id', '{}', 'Only seal_period writes them; reconciliation checks them against the counters.'),
      ('usage_hash_chain', 'tenant_id', '{}', 'Only seal_period writes them; reconciliation computes them again.'),
      ('invoices', 'tenant_id', '{}', 'Only issue_invoice writes them; reconciliation checks them against their lines.'),
      ('invoice_lines', 'tenant_id', '{}', 'issue_invoice alone writes them; the audit adds them up.'),
      ('invoice_numbers', null, '{}', 'issue_invoice takes numbers; the audit looks for gaps.'),
      ('retired_invoice_numbers', null, '{}', 'The deletion of a tenant records them, and reconciliation of all numbers reads them.'),
      ('audit_log', 'tenant_id', '{}', 'Actions are logged by functions of the owner, so that no role can log as another.'),
      ('alerts', null, '{}', 'They are the installation''s, and of no tenant.'),
      ('maintenance_runs', null, '{}', 'It is the installation''s, and of no tenant.'),
      ('retention_watermarks', 'tenant_id', '{}', 'The removal of what has expired goes from tenant to tenant.'),
      ('sweep_cursors', null, '{}', 'Retention stores its progress.')
    ), special (relation, name, command, role, condition, reason) as (values
      ('tenants', 'operators_act', 'ALL', 'signalops_platform', 'true',
        'Operators list, make and change tenants; of what these have they see one''s at a time.'),
      ('plans', 'operators_act', 'ALL', 'signalops_platform', 'true', 'Operators read plans, and make versions of them.'),
      ('tenant_deletions', 'operators_read', 'SELECT', 'signalops_platform', 'true',
        'Operators of the installation read what was deleted.'),
      ('audit_log', 'platform_reads', 'SELECT', 'signalops_platform', 'true',
        'Operators of the installation read what was done in all of it.'),
      ('backtests', 'operations_look', 'SELECT', 'signalops_owner', 'true', 'The view ops.backtests shows how long they take.')
    )
    select * from special
    union all
    -- The scalar sub-select makes the planner evaluate the tenant once per statement, not once per row.
    select relation, 'own_tenant', 'ALL', 'public', format('(%I = ( SELECT signalops.current_tenant() AS current_tenant))', tenant_column),
      'Rows of the current tenant are all that can be seen or written; without a tenant there are none.'
    from tables where tenant_column is not null
    union all
    select relation, 'tenant_group_signalops_' || process, 'ALL', 'signalops_' || process,
      format('(%I = ANY (( SELECT signalops.current_tenant_group() AS current_tenant_group)::uuid[]))', tenant_column),
      'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.'
    from tables, unnest(handled_by::text[]) as process
    union all
    select relation, 'owner_acts', 'ALL', 'signalops_owner', 'true', owner_acts_since from tables where owner_acts_since is not null
  loop
    declared := declared || (policy.relation || '.' || policy.name);
    -- A policy locks its table against everybody: what is there is left alone. Compared as PostgreSQL prints it; a version that prints
    -- it in another way has it created again.
    continue when exists (
      select from pg_policies p
      join pg_policy o on o.polrelid = format('signalops.%I', p.tablename)::regclass and o.polname = p.policyname
      where p.schemaname = 'signalops' and p.tablename = policy.relation and p.policyname = policy.name and p.cmd = policy.command
        and p.roles = array[policy.role]::name[] and p.qual = policy.condition
        and p.with_check is not distinct from case policy.command when 'ALL' then policy.condition end
        and obj_description(o.oid, 'pg_policy') = policy.reason);
    execute format('drop policy if exists %I on signalops.%I', policy.name, policy.relation);
    execute format('create policy %I on signalops.%I for %s to %s using (%s)%s', policy.name, policy.relation, policy.command, policy.role,
      policy.condition, case policy.command when 'ALL' then ' with check (' || policy.condition || ')' else '' end);
    execute format('comment on policy %I on signalops.%I is %L', policy.name, policy.relation, policy.reason);
  end loop;
  for policy in
    select distinct c.oid::regclass as relation from unnest(declared) as d, pg_class c
    where c.oid = format('signalops.%I', split_part(d, '.', 1))::regclass and not (c.relrowsecurity and c.relforcerowsecurity)
  loop
    execute format('alter table %s enable row level security, force row level security', policy.relation);
  end loop;
  for policy in
    select p.policyname as name, p.tablename as relation from pg_policies p
    where p.schemaname = 'signalops' and p.tablename || '.' || p.policyname <> all (declared)
  loop
    execute format('drop policy %I on signalops.%I', policy.name, policy.relation);
  end loop;
end
$$;
