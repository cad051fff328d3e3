-- Undoes 0030: operators work at the command line alone, as the owner. A tenant that is being deleted is closed again.

revoke all on function signalops.audit_span(uuid, date) from signalops_api, signalops_worker;
grant execute on function signalops.audit_span(uuid, date) to public;
revoke all on function signalops.announce(text, jsonb, smallint), signalops.announce_invoice(signalops.invoices, text, text),
  signalops.return_credits(uuid, uuid), signalops.burn_credits(uuid, uuid, text, numeric), signalops.issue_invoice(uuid, jsonb, jsonb)
  from signalops_platform;
revoke all on signalops.tenants, signalops.plans, signalops.api_keys, signalops.limits, signalops.meters, signalops.subscriptions,
  signalops.quotas, signalops.credit_grants, signalops.credit_entries, signalops.invoices, signalops.invoice_lines from signalops_platform;
drop policy operators_act on signalops.plans;
drop policy operators_act on signalops.tenants;

drop function signalops.grant_credit(uuid, numeric, text, text, text, smallint, timestamptz, text, bytea);
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

alter table signalops.invoices drop column idempotency_key, drop column body_hash;
alter table signalops.credit_grants drop column idempotency_key, drop column body_hash;

drop function signalops.plans_held(uuid[]);
drop function signalops.subscribe(uuid, text, boolean, text, integer);
create function signalops.subscribe(tenant uuid, wanted text, at_once boolean, author text) returns signalops.subscriptions
language plpgsql volatile
as $$
declare
  offer signalops.plans;
  today date;
  starts date;
  before signalops.subscriptions;
  made signalops.subscriptions;
begin
  select (now() at time zone t.time_zone)::date into today from signalops.tenants t where t.id = tenant for no key update;
  if not found then
    raise 'there is no tenant %', tenant using errcode = 'no_data_found';
  end if;
  select * into offer from signalops.plans p where p.plan = wanted order by p.version desc limit 1;
  if not found then
    raise 'there is no plan %: make it first', wanted using errcode = 'no_data_found';
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
comment on function signalops.subscribe(uuid, text, boolean, text) is
  'Gives a tenant the newest version of a plan: from today, or from the first day of the next month (in its time zone). Whatever was to '
  'begin then or later is withdrawn. Returns the subscription, which is the present one when it has that version already.';

drop function signalops.find_keys(text);
create function signalops.find_keys(wanted text)
returns table (
  tenant_id uuid, key_id uuid, hash text, scopes text[], allowed_cidrs cidr[], expires_at timestamptz, tenant_status text,
  fingerprint bytea, buckets text[]
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.allowed_cidrs, k.expires_at, t.status, k.fingerprint,
    array_remove(array[case when k.rate_per_second is not null then k.id::text end, case when t.rate_per_second is not null then 'tenant' end], null)
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function signalops.find_keys(text) is
  'The usable keys with a prefix, with hash, tenant, and the names of the rate limits that they are held to: the one look-up that happens '
  'before a tenant is known.';
revoke all on function signalops.find_keys(text) from public;
grant execute on function signalops.find_keys(text) to signalops_api;

grant execute on function signalops.fix_time_zone(), signalops.subscribe_to_free() to public;
alter function signalops.fix_time_zone() security invoker reset search_path;
alter function signalops.subscribe_to_free() security invoker reset search_path;

drop trigger move_status on signalops.tenants;
drop function signalops.move_status();
alter table signalops.tenants no force row level security, disable trigger user;
update signalops.tenants set status = 'closed' where status = 'deleting';
alter table signalops.tenants force row level security, enable trigger user;
alter table signalops.tenants
  drop column status_reason, drop column status_since,
  drop constraint tenants_status_check,
  add constraint tenants_status_check check (status in ('active', 'suspended', 'closed'));
