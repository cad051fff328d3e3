-- Station access: operators make, change, suspend and close tenants, in a role of their own that sees the rows of one tenant at a time.

alter table signalops.tenants
  drop constraint tenants_status_check,
  add constraint tenants_status_check check (status in ('active', 'suspended', 'closed', 'deleting')),
  add column status_reason text check (length(status_reason) between 1 and 500),
  add constraint tenants_reason_check check (status_reason is null or status <> 'active'),
  add column status_since timestamptz not null default now();
-- Nobody's act: without the triggers that log and announce one.
alter table signalops.tenants no force row level security, disable trigger user;
update signalops.tenants set status_since = created_at where status = 'active';
alter table signalops.tenants force row level security, enable trigger user;
comment on column signalops.tenants.status is
  'active; suspended: requests are refused, and what was accepted waits; closed: refused for ever, what was accepted is still processed; '
  'deleting: its rows are being removed.';
comment on column signalops.tenants.status_reason is 'Why, as its refused requests are told; NULL: active, or nobody said.';
comment on column signalops.tenants.status_since is 'Since when it has that status.';

create function signalops.move_status() returns trigger
language plpgsql
as $$
begin
  if (old.status, new.status) not in (('active', 'suspended'), ('suspended', 'active'), ('active', 'closed'), ('suspended', 'closed'),
    ('closed', 'deleting')) then
    raise 'a tenant that is % can''t become %: it goes from active to suspended and back, from either to closed, and then to deleting',
      old.status, new.status using errcode = 'check_violation';
  end if;
  new.status_since := now();
  if new.status = 'active' then
    new.status_reason := null;
  end if;
  return new;
end
$$;
comment on function signalops.move_status() is 'Lets a tenant''s status take the ways there are, notes since when it has it, and forgets the reason when it ends.';
create trigger move_status before update of status on signalops.tenants
  for each row when (new.status <> old.status) execute function signalops.move_status();
comment on trigger move_status on signalops.tenants is 'What is closed stays closed, and only what is closed is deleted, whoever asks.';

-- These look at tables that only their owner may see, on behalf of whoever may write tenants.
alter function signalops.subscribe_to_free() security definer set search_path = pg_catalog, pg_temp;
revoke all on function signalops.subscribe_to_free() from public;
alter function signalops.fix_time_zone() security definer set search_path = pg_catalog, pg_temp;
revoke all on function signalops.fix_time_zone() from public;

drop function signalops.find_keys(text);
create function signalops.find_keys(wanted text)
returns table (
  tenant_id uuid, key_id uuid, hash text, scopes text[], allowed_cidrs cidr[], expires_at timestamptz, tenant_status text,
  fingerprint bytea, buckets text[], status_reason text
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.allowed_cidrs, k.expires_at, t.status, k.fingerprint,
    array_remove(array[case when k.rate_per_second is not null then k.id::text end, case when t.rate_per_second is not null then 'tenant' end], null),
    t.status_reason
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function signalops.find_keys(text) is
  'The usable keys with a prefix, with hash, tenant, and the names of the rate limits that they are held to: the one look-up that happens '
  'before a tenant is known.';
revoke all on function signalops.find_keys(text) from public;
grant execute on function signalops.find_keys(text) to signalops_api;

drop function signalops.subscribe(uuid, text, boolean, text);
create function signalops.subscribe(tenant uuid, wanted text, at_once boolean, author text, wanted_version integer default null)
returns signalops.subscriptions
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  offer signalops.plans;
  today date;
  starts date;
  before signalops.subscriptions;
  made signalops.subscriptions;
begin
  perform signalops.require_tenant(tenant);
  select (now() at time zone t.time_zone)::date into today from signalops.tenants t where t.id = tenant for no key update;
  if not found then
    raise 'there is no tenant %', tenant using errcode = 'no_data_found';
  end if;
  select * into offer from signalops.plans p
  where p.plan = wanted and (wanted_version is null or p.version = wanted_version) order by p.version desc limit 1;
  if not found then
    raise 'there is no plan %: make it first', concat_ws(' in version ', wanted, wanted_version) using errcode = 'no_data_found';
  end if;
  starts := case when at_once then today else date_trunc('month', today) + interval '1 month' end;

  if exists (
    -- An invoice has one currency, and a period one invoice.
    select from signalops.stretches(tenant, date_trunc('month', starts)::date) s
    where s.starts_on < starts and signalops.charges(s.terms) and signalops.charges(offer.document)
      and s.terms ->> 'currency' <> offer.document ->> 'currency'
  ) then
    raise 'the present period is billed in another currency than %: change the plan at the end of the period',
      offer.document ->> 'currency' using errcode = 'check_violation';
  end if;

  -- The last word wins: what was to begin on that day or later is withdrawn.
  delete from signalops.subscriptions s where s.tenant_id = tenant and s.starts_on >= starts;
  delete from signalops.limits l where l.tenant_id = tenant and l.origin = 'plan' and l.starts_on >= starts;
  select * into before from signalops.subscriptions s where s.tenant_id = tenant order by s.starts_on desc limit 1;
  if (before.plan, before.version) = (offer.plan, offer.version) then
    -- Not begun anew: a stretch of its own would have tiers and packages of its own.
    return before;
  end if;
  insert into signalops.subscriptions (tenant_id, id, plan, version, terms, starts_on, author)
  values (tenant, signalops.new_id(), offer.plan, offer.version, offer.document, starts, subscribe.author)
  returning * into made;
  perform signalops.add_plan_meters(tenant, offer.document, offer.grammar);
  perform signalops.set_plan_limits(tenant, offer.document, starts);
  return made;
end
$$;
comment on function signalops.subscribe(uuid, text, boolean, text, integer) is
  'Gives the tenant that the transaction acts for a plan, in its newest version or another: from today, or from the first day of the next '
  'month (in its time zone). Whatever was to begin then or later is withdrawn. Returns the subscription, which is the present one when it '
  'has that version already.';
revoke all on function signalops.subscribe(uuid, text, boolean, text, integer) from public;
grant execute on function signalops.subscribe(uuid, text, boolean, text, integer) to signalops_platform;

create function signalops.plans_held(of_tenants uuid[] default null) returns table (tenant uuid, plan text, version integer)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select t.id, c.plan, c.version from signalops.tenants t
  cross join lateral (
    select s.plan, s.version from signalops.subscriptions s
    where s.tenant_id = t.id and s.starts_on <= (now() at time zone t.time_zone)::date order by s.starts_on desc limit 1
  ) c
  where of_tenants is null or t.id = any (of_tenants)
$$;
comment on function signalops.plans_held(uuid[]) is 'The plan that each of some tenants, or of all, has today.';
revoke all on function signalops.plans_held(uuid[]) from public;
grant execute on function signalops.plans_held(uuid[]) to signalops_platform;

alter table signalops.credit_grants
  add column idempotency_key text check (length(idempotency_key) between 1 and 255),
  add column body_hash bytea check ((body_hash is null) = (idempotency_key is null));
comment on column signalops.credit_grants.idempotency_key is 'With which it was sent; NULL: without one.';
comment on column signalops.credit_grants.body_hash is 'SHA-256 of what was sent with the key: the key stands for nothing else.';
-- Serves find-grant: a grant that is sent twice is made once.
alter table signalops.credit_grants add constraint credit_grants_by_key unique (tenant_id, idempotency_key);

alter table signalops.invoices
  add column idempotency_key text check (length(idempotency_key) between 1 and 255),
  add column body_hash bytea check ((body_hash is null) = (idempotency_key is null));
comment on column signalops.invoices.idempotency_key is 'With which a credit note was sent; NULL: without one.';
comment on column signalops.invoices.body_hash is 'SHA-256 of what was sent with the key: the key stands for nothing else.';
-- Serves find-credit-note: a credit note that is sent twice is issued once.
alter table signalops.invoices add constraint invoices_by_key unique (tenant_id, idempotency_key);

drop function signalops.grant_credit(uuid, numeric, text, text, text, smallint, timestamptz);
create function signalops.grant_credit(
  tenant uuid, granted numeric, in_currency text, reason text, author text,
  priority smallint default 50, expires_at timestamptz default null, idempotency_key text default null, body_hash bytea default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
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
comment on function signalops.grant_credit(uuid, numeric, text, text, text, smallint, timestamptz, text, bytea) is
  'Grants the tenant that the transaction acts for credit; returns the grant.';
revoke all on function signalops.grant_credit(uuid, numeric, text, text, text, smallint, timestamptz, text, bytea) from public;
grant execute on function signalops.grant_credit(uuid, numeric, text, text, text, smallint, timestamptz, text, bytea)
  to signalops_platform;

create policy operators_act on signalops.tenants to signalops_platform using (true) with check (true);
comment on policy operators_act on signalops.tenants is 'Operators list, make and change tenants; of what these have they see one''s at a time.';
grant select (id, slug, name, status, status_reason, status_since, time_zone, rate_per_second, rate_burst, created_at),
  insert (id, slug, name, time_zone), update (name, time_zone, status, status_reason, rate_per_second, rate_burst)
  on signalops.tenants to signalops_platform;
create policy operators_act on signalops.plans to signalops_platform using (true) with check (true);
comment on policy operators_act on signalops.plans is 'Operators read plans, and make versions of them.';
grant select, insert (plan, version, grammar, document) on signalops.plans to signalops_platform;

-- Of the tenant that the transaction acts for.
grant select (tenant_id, id, prefix, label, scopes, allowed_cidrs, replaces, created_at, expires_at, revoked_at, last_used_at,
    rate_per_second, rate_burst),
  insert (tenant_id, id, prefix, hash, fingerprint, label, scopes, expires_at, allowed_cidrs, replaces, rate_per_second, rate_burst),
  update (expires_at, revoked_at) on signalops.api_keys to signalops_platform;
grant select, insert, update (soft, hard, thresholds, overage, set_at), delete on signalops.limits to signalops_platform;
grant select (tenant_id, key, aggregation) on signalops.meters to signalops_platform;
grant select on signalops.subscriptions, signalops.quotas, signalops.credit_grants, signalops.credit_entries, signalops.invoice_lines
  to signalops_platform;
grant select, update (voided_at, void_reason, voided_by) on signalops.invoices to signalops_platform;
grant execute on function signalops.announce(text, jsonb, smallint), signalops.announce_invoice(signalops.invoices, text, text),
  signalops.return_credits(uuid, uuid), signalops.burn_credits(uuid, uuid, text, numeric), signalops.issue_invoice(uuid, jsonb, jsonb)
  to signalops_platform;
-- It tells of any tenant whose row its caller sees, which is every one for operators.
revoke all on function signalops.audit_span(uuid, date) from public;
grant execute on function signalops.audit_span(uuid, date) to signalops_api, signalops_worker;
