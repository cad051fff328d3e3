-- What is sealed, invoiced, priced or entered into a ledger is never changed.

create or replace function signalops.refuse_change() returns trigger
language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    -- Not every table that has this trigger is a tenant's.
    if signalops.may_delete((to_jsonb(old) ->> 'tenant_id')::uuid) then
      return old;
    end if;
  end if;
  raise 'a row of % is never changed: %', tg_table_name, tg_argv[0] using errcode = 'check_violation';
end
$$;
comment on function signalops.refuse_change is
  'Prevents changes of agreed terms, except of a tenant that is being deleted; its argument is the remedy.';

create or replace trigger refuse_change before update or delete on signalops.credit_entries
  for each row execute function signalops.refuse_change('grant more, or void the invoice that burned it');
comment on trigger refuse_change on signalops.credit_entries is 'The ledger is only added to.';

create or replace trigger refuse_change before update on signalops.credit_grants for each row
  when (to_jsonb(new) - 'remaining' <> to_jsonb(old) - 'remaining')
  execute function signalops.refuse_change('grant more, or have an invoice burn it');
comment on trigger refuse_change on signalops.credit_grants is 'What was granted stays as it was; only what remains of it moves.';

create or replace trigger refuse_change before update or delete on signalops.invoice_lines
  for each row execute function signalops.refuse_change('void its invoice, or issue a credit note');
comment on trigger refuse_change on signalops.invoice_lines is 'A line stays as it was issued.';

create or replace trigger refuse_change before update on signalops.invoices for each row
  when (old.voided_at is not null or to_jsonb(new) - '{voided_at,void_reason,voided_by}'::text[]
    <> to_jsonb(old) - '{voided_at,void_reason,voided_by}'::text[])
  execute function signalops.refuse_change('void it once, or issue a credit note');
comment on trigger refuse_change on signalops.invoices is 'An invoice stays as it was issued; it can be voided, once.';

create or replace trigger refuse_change before update or delete on signalops.plans
  for each row execute function signalops.refuse_change('make a new version of the plan');
comment on trigger refuse_change on signalops.plans is 'A version of a plan never changes.';

create or replace trigger refuse_change before update on signalops.subscriptions
  for each row execute function signalops.refuse_change('subscribe the tenant again');
comment on trigger refuse_change on signalops.subscriptions is
  'By these terms it was billed. Deleted are those that have not begun to count: see subscribe.';

create or replace trigger refuse_change before update or delete on signalops.usage_daily
  for each row execute function signalops.refuse_change('adjust the usage, which the open period bills');
comment on trigger refuse_change on signalops.usage_daily is 'A sealed figure stays as it was.';

create or replace trigger refuse_change before update or delete on signalops.usage_hash_chain
  for each row execute function signalops.refuse_change('adjust the usage, which the open period bills');
comment on trigger refuse_change on signalops.usage_hash_chain is 'The chain is only added to.';

create or replace trigger refuse_deletion before delete on signalops.credit_grants
  for each row execute function signalops.refuse_change('let it expire');
comment on trigger refuse_deletion on signalops.credit_grants is 'What was granted stays on record.';

create or replace trigger refuse_deletion before delete on signalops.invoices
  for each row execute function signalops.refuse_change('void it once, or issue a credit note');
comment on trigger refuse_deletion on signalops.invoices is 'Numbers have no gaps: a voided invoice stays on record.';
