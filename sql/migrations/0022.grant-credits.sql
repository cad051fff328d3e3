-- Station usage: credits. What a tenant has paid ahead or was given; invoices burn it down, grant by grant, in a fixed order.

create table signalops.credit_grants (
  tenant_id uuid not null references signalops.tenants (id),
  id uuid not null,
  amount numeric not null check (amount > 0 and amount < 1e15),
  remaining numeric not null default 0 check (remaining between 0 and amount),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  priority smallint not null default 50 check (priority between 0 and 100),
  expires_at timestamptz,
  reason text not null check (length(reason) between 1 and 500),
  author text not null check (length(author) between 1 and 200),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
comment on table signalops.credit_grants is
  'Credit that invoices in its currency use up. A grant is never changed; what is left of it follows its entries.';
comment on column signalops.credit_grants.tenant_id is 'Whose credit it is.';
comment on column signalops.credit_grants.id is 'UUIDv7.';
comment on column signalops.credit_grants.amount is 'How much was granted, in the currency''s major unit.';
comment on column signalops.credit_grants.remaining is 'The sum of its entries: moved by them alone, and never below zero.';
comment on column signalops.credit_grants.currency is 'ISO 4217; it pays invoices in no other.';
comment on column signalops.credit_grants.priority is 'The least is burned first.';
comment on column signalops.credit_grants.expires_at is 'An invoice issued from then on can''t use it; NULL: never.';
comment on column signalops.credit_grants.reason is 'What it was given for.';
comment on column signalops.credit_grants.author is 'Who answers for it.';
comment on column signalops.credit_grants.created_at is 'When it was granted.';
call signalops.protect('signalops.credit_grants');
call signalops.admit_owner('signalops.credit_grants', 'Only functions move credit; the audit holds it against its entries.');
grant select on signalops.credit_grants to signalops_api, signalops_worker;
-- Serves expire_credits.
create index credit_grants_expiring on signalops.credit_grants (expires_at) where remaining > 0;
-- Serves list-credits and burn_credits: grants that are used up are many in the end.
create index credit_grants_remaining on signalops.credit_grants (tenant_id, currency) where remaining > 0;

create table signalops.credit_entries (
  tenant_id uuid not null,
  id uuid not null,
  grant_id uuid not null,
  kind text not null check (kind in ('granted', 'burned', 'returned', 'expired')),
  amount numeric not null check (amount <> 0 and (amount > 0) = (kind in ('granted', 'returned'))),
  invoice_id uuid check ((invoice_id is not null) = (kind in ('burned', 'returned'))),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, grant_id) references signalops.credit_grants (tenant_id, id)
);
comment on table signalops.credit_entries is 'The ledger of credit: each movement of each grant. Never changed, only added to.';
comment on column signalops.credit_entries.tenant_id is 'Whose credit it is.';
comment on column signalops.credit_entries.id is 'UUIDv7.';
comment on column signalops.credit_entries.grant_id is 'The grant that it moves.';
comment on column signalops.credit_entries.kind is 'granted, burned by an invoice, returned when that was voided, or expired.';
comment on column signalops.credit_entries.amount is 'What it adds to the grant; negative: takes off.';
comment on column signalops.credit_entries.invoice_id is 'The invoice that burned it, or whose voiding returned it.';
comment on column signalops.credit_entries.created_at is 'When it was made.';
call signalops.protect('signalops.credit_entries');
call signalops.admit_owner('signalops.credit_entries', 'Only functions move credit; the audit adds the entries up.');
grant select on signalops.credit_entries to signalops_api, signalops_worker;
-- Serves return_credits and audit_invoices.
create index credit_entries_by_invoice on signalops.credit_entries (tenant_id, invoice_id) where invoice_id is not null;
-- Serves audit_credits.
create index credit_entries_by_grant on signalops.credit_entries (tenant_id, grant_id);

create trigger refuse_change before update on signalops.credit_grants for each row
  when (to_jsonb(new) - 'remaining' <> to_jsonb(old) - 'remaining')
  execute function signalops.refuse_change('grant more, or have an invoice burn it');
comment on trigger refuse_change on signalops.credit_grants is 'What was granted stays as it was; only what remains of it moves.';
create trigger refuse_deletion before delete on signalops.credit_grants
  for each row execute function signalops.refuse_change('let it expire');
comment on trigger refuse_deletion on signalops.credit_grants is 'What was granted stays on record.';
create trigger refuse_change before update or delete on signalops.credit_entries
  for each row execute function signalops.refuse_change('grant more, or void the invoice that burned it');
comment on trigger refuse_change on signalops.credit_entries is 'The ledger is only added to.';

create function signalops.move_credit() returns trigger
language plpgsql
as $$
begin
  update signalops.credit_grants set remaining = remaining + new.amount where tenant_id = new.tenant_id and id = new.grant_id;
  return null;
end
$$;
comment on function signalops.move_credit() is 'Moves what remains of a grant by an entry; its check refuses to overdraw.';
create trigger move_credit after insert on signalops.credit_entries for each row execute function signalops.move_credit();
comment on trigger move_credit on signalops.credit_entries is 'What remains is what the entries add up to, whoever writes them.';

create function signalops.grant_credit(
  tenant uuid, granted numeric, in_currency text, reason text, author text,
  priority smallint default 50, expires_at timestamptz default null
) returns uuid
language plpgsql volatile
as $$
declare
  made uuid := signalops.new_id();
begin
  insert into signalops.credit_grants (tenant_id, id, amount, currency, priority, expires_at, reason, author)
  values (tenant, made, granted, in_currency, priority, expires_at, reason, author);
  insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount)
  values (tenant, signalops.new_id(), made, 'granted', granted);
  return made;
end
$$;
comment on function signalops.grant_credit(uuid, numeric, text, text, text, smallint, timestamptz) is
  'Grants a tenant credit; returns the grant. For the operator: no role of the product may write grants.';

create function signalops.require_tenant(tenant uuid) returns void
language plpgsql stable
as $$
begin
  if tenant is distinct from signalops.current_tenant() then
    raise 'the transaction acts for another tenant: select signalops.act_as(%) first', quote_literal(tenant)
      using errcode = 'insufficient_privilege';
  end if;
end
$$;
comment on function signalops.require_tenant(uuid) is
  'Refuses a tenant that the transaction doesn''t act for: what row security does, for functions that run as the owner.';

create function signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) returns numeric
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  burned numeric;
begin
  perform signalops.require_tenant(tenant);
  with usable as materialized (
    -- Locked in one order; a row that another invoice is burning is waited for, and read anew with what that left.
    select * from signalops.credit_grants g
    where g.tenant_id = tenant and g.currency = of_currency and g.remaining > 0 and (g.expires_at is null or g.expires_at > now())
    order by g.id for update
  ), queued as (
    select u.id, u.remaining,
      coalesce(sum(u.remaining) over (order by u.priority, u.expires_at nulls last, u.created_at, u.id
        rows between unbounded preceding and 1 preceding), 0) as before
    from usable u
  ), burnt as (
    insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount, invoice_id)
    select tenant, signalops.new_id(), q.id, 'burned', -least(q.remaining, at_most - q.before), invoice
    from queued q where q.before < at_most order by q.before
    returning amount
  )
  select coalesce(-sum(b.amount), 0) into burned from burnt b;
  return burned;
end
$$;
comment on function signalops.burn_credits(uuid, uuid, text, numeric) is
  'Has an invoice use up to an amount of the tenant''s credit: by priority, then what expires soonest, then the oldest. Returns how much.';
revoke all on function signalops.burn_credits(uuid, uuid, text, numeric) from public;
grant execute on function signalops.burn_credits(uuid, uuid, text, numeric) to signalops_worker;

create function signalops.return_credits(tenant uuid, invoice uuid) returns numeric
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  returned numeric;
begin
  perform signalops.require_tenant(tenant);
  perform from signalops.credit_grants g
  where g.tenant_id = tenant
    and g.id in (select e.grant_id from signalops.credit_entries e where e.tenant_id = tenant and e.invoice_id = invoice)
  order by g.id for update;
  with back as (
    insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount, invoice_id)
    select tenant, signalops.new_id(), e.grant_id, 'returned', -sum(e.amount), invoice
    from signalops.credit_entries e where e.tenant_id = tenant and e.invoice_id = invoice
    group by e.grant_id having sum(e.amount) < 0
    returning amount
  )
  select coalesce(sum(b.amount), 0) into returned from back b;
  return returned;
end
$$;
comment on function signalops.return_credits(uuid, uuid) is
  'Gives what an invoice burned back to its grants, once; returns how much. What comes back to a grant that has expired since '
  'expires with the next expire_credits: an expiry is a promise. Who voids for a reason of the operator''s own grants anew.';
revoke all on function signalops.return_credits(uuid, uuid) from public;
grant execute on function signalops.return_credits(uuid, uuid) to signalops_worker;

create function signalops.expire_credits(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  expired bigint;
begin
  with due as materialized (
    select g.tenant_id, g.id, g.remaining from signalops.credit_grants g
    where g.remaining > 0 and g.expires_at <= now()
    order by g.expires_at limit at_most for update skip locked
  )
  insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount)
  select d.tenant_id, signalops.new_id(), d.id, 'expired', -d.remaining from due d;
  get diagnostics expired = row_count;
  return expired;
end
$$;
comment on function signalops.expire_credits(integer) is
  'Writes off what is left of grants that have expired, of all tenants; returns of how many. The next call does those beyond the bound.';
revoke all on function signalops.expire_credits(integer) from public;
grant execute on function signalops.expire_credits(integer) to signalops_worker;
