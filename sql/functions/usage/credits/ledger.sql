-- Credits: grants, and the ledger entries that move them.

create or replace function signalops.apply_credit_entry() returns trigger
language plpgsql as $$
begin
  update signalops.credit_grants set remaining = remaining + new.amount where tenant_id = new.tenant_id and id = new.grant_id;
  return null;
end
$$;
comment on function signalops.apply_credit_entry is 'Moves what remains of a grant by an entry; its check refuses to overdraw.';

create or replace trigger apply_credit_entry after insert on signalops.credit_entries for each row execute function signalops.apply_credit_entry();
comment on trigger apply_credit_entry on signalops.credit_entries is 'The remaining amount is the sum of the entries, whoever writes them.';

create or replace function signalops.grant_credit(
  tenant uuid, granted numeric, in_currency text, reason text, author text,
  priority smallint default 50, expires_at timestamptz default null, idempotency_key text default null, body_hash bytea default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  made uuid := signalops.new_id();
begin
  perform signalops.require_tenant(tenant);
  insert into signalops.credit_grants
    (tenant_id, id, amount, currency, priority, expires_at, reason, author, idempotency_key, body_hash)
  values (tenant, made, granted, in_currency, priority, expires_at, reason, author, idempotency_key, body_hash);
  insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount)
  values (tenant, signalops.new_id(), made, 'granted', granted);
  return made;
end
$$;
comment on function signalops.grant_credit is 'Grants the tenant that the transaction acts for credit; returns the grant.';

create or replace function signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) returns numeric
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  burned numeric;
begin
  perform signalops.require_tenant(tenant);
  with usable as materialized (
    -- Lock order: credit_grants by id; a row that another invoice is burning is waited for, and read again afterwards.
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
comment on function signalops.burn_credits is
  'Burns up to an amount of the tenant''s credit for an invoice: by priority, then the soonest expiry, then the oldest. Returns the amount.';

create or replace function signalops.return_credits(tenant uuid, invoice uuid) returns numeric
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function signalops.return_credits is
  'Returns what an invoice burned to its grants, once; returns the amount. What is returned to an expired grant expires with the next '
  'expire_credits: credit does not outlive its expiry. After an error of the operator, grant new credit.';

create or replace function signalops.expire_credits(at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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
comment on function signalops.expire_credits is
  'Writes off what is left of grants that have expired, of all tenants; returns of how many. The next call does those beyond the bound.';
