-- Plans: a tenant subscribes to a version of one.

create or replace function signalops.has_any_price(terms jsonb) returns boolean
language sql immutable parallel safe
return (terms ->> 'baseFee')::numeric > 0 or terms -> 'prices' <> '[]';
comment on function signalops.has_any_price is 'Whether anything costs something under these terms.';

create or replace function signalops.subscribe(tenant uuid, new_plan text, at_once boolean, author text, new_version integer default null)
returns signalops.subscriptions
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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
  where p.plan = new_plan and (new_version is null or p.version = new_version) order by p.version desc limit 1;
  if not found then
    raise 'there is no plan %: make it first', concat_ws(' in version ', new_plan, new_version) using errcode = 'no_data_found';
  end if;
  starts := case when at_once then today else date_trunc('month', today) + interval '1 month' end;

  if exists (
    -- An invoice has one currency, and a period one invoice.
    select from signalops.billing_segments(tenant, date_trunc('month', starts)::date) s
    where s.starts_on < starts and signalops.has_any_price(s.terms) and signalops.has_any_price(offer.document)
      and s.terms ->> 'currency' <> offer.document ->> 'currency'
  ) then
    raise 'the present period is billed in another currency than %: change the plan at the end of the period',
      offer.document ->> 'currency' using errcode = 'check_violation', constraint = 'subscriptions_currency';
  end if;

  -- The last word wins: what was to begin on that day or later is withdrawn.
  delete from signalops.subscriptions s where s.tenant_id = tenant and s.starts_on >= starts;
  delete from signalops.limits l where l.tenant_id = tenant and l.origin = 'plan' and l.starts_on >= starts;
  select * into before from signalops.subscriptions s where s.tenant_id = tenant order by s.starts_on desc limit 1;
  if (before.plan, before.version) = (offer.plan, offer.version) then
    -- Not started again: a billing segment of its own would have tiers and packages of its own.
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
comment on function signalops.subscribe is
  'Gives the tenant that the transaction acts for a plan, in its newest version or another: from today, or from the first day of the next month (in '
  'its time zone). Whatever was to begin then or later is withdrawn. Returns the subscription, which is the present one when it has that version '
  'already.';

create or replace function signalops.subscribe_to_free() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into signalops.subscriptions (tenant_id, id, plan, version, terms, starts_on, author)
  -- Events may be older than their tenant, and its time zone can still change: its first plan begins with the month, where the day
  -- before was.
  select new.id, signalops.new_id(), p.plan, p.version, p.document,
    signalops.period_of(new.created_at - interval '1 day', new.time_zone), 'signalops'
  from signalops.plans p where p.plan = 'free' and p.version = 1;
  return null;
end
$$;
comment on function signalops.subscribe_to_free is 'Gives a tenant its first plan, under which nothing costs anything.';

create or replace trigger subscribe_to_free after insert on signalops.tenants for each row execute function signalops.subscribe_to_free();
comment on trigger subscribe_to_free on signalops.tenants is 'Every tenant has a plan from its first day on.';

create or replace function signalops.current_plans(of_tenants uuid[] default null) returns table (tenant uuid, plan text, version integer)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select t.id, c.plan, c.version from signalops.tenants t
  cross join lateral (
    select s.plan, s.version from signalops.subscriptions s
    where s.tenant_id = t.id and s.starts_on <= (now() at time zone t.time_zone)::date order by s.starts_on desc limit 1
  ) c
  where of_tenants is null or t.id = any (of_tenants)
$$;
comment on function signalops.current_plans is 'The plan that each of some tenants, or of all, has today.';
