-- Station usage: plans, in versions, and which of them a tenant has from which day.

create table signalops.plans (
  plan text not null check (plan ~ '^[a-z][a-z0-9_-]{0,62}$'),
  version integer not null check (version > 0),
  grammar smallint not null,
  document jsonb not null check (jsonb_typeof(document) = 'object'),
  created_at timestamptz not null default now(),
  primary key (plan, version)
);
comment on table signalops.plans is 'What the operator offers: fees, prices, meters and limits. Of the operator and no tenant: only the owner reads it.';
comment on column signalops.plans.plan is 'The name for command lines, such as pro.';
comment on column signalops.plans.version is 'From 1; whoever has an older one keeps it until subscribed anew.';
comment on column signalops.plans.grammar is 'Version of the pattern language of its meters.';
comment on column signalops.plans.document is
  'name, currency, baseFee, meters, prices and limits, as PlanDocument (signalops/usage/plans/model.py) checks and writes them.';
comment on column signalops.plans.created_at is 'When it was made.';
alter table signalops.plans enable row level security;
alter table signalops.plans force row level security;
call signalops.admit_owner('signalops.plans', 'The command line writes plans, and subscribe copies them to tenants.');

create table signalops.subscriptions (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  id uuid not null,
  plan text not null,
  version integer not null,
  terms jsonb not null,
  starts_on date not null,
  author text not null check (length(author) between 1 and 200),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  -- Serves stretches and plans-of-tenant
  unique (tenant_id, starts_on)
);
comment on table signalops.subscriptions is 'Which plan a tenant has: each holds from its first day until the first day of the next.';
comment on column signalops.subscriptions.tenant_id is 'Whose it is.';
comment on column signalops.subscriptions.id is 'UUIDv7.';
comment on column signalops.subscriptions.plan is 'The plan.';
comment on column signalops.subscriptions.version is 'Its version.';
comment on column signalops.subscriptions.terms is 'What the plan said when it was agreed upon: a copy, by which invoices are made.';
comment on column signalops.subscriptions.starts_on is 'Its first day, in the tenant''s time zone.';
comment on column signalops.subscriptions.author is 'Who subscribed the tenant.';
comment on column signalops.subscriptions.created_at is 'When that was.';
call signalops.protect('signalops.subscriptions');
call signalops.admit_owner('signalops.subscriptions', 'Making a tenant subscribes it, and the command line lists tenants with their plans.');
grant select on signalops.subscriptions to signalops_api, signalops_worker;

create function signalops.refuse_change() returns trigger
language plpgsql
as $$
begin
  raise 'a row of % is never changed: %', tg_table_name, tg_argv[0] using errcode = 'check_violation';
end
$$;
comment on function signalops.refuse_change() is 'Keeps what was agreed upon as it was; its argument is the remedy.';
create trigger refuse_change before update or delete on signalops.plans
  for each row execute function signalops.refuse_change('make a new version of the plan');
comment on trigger refuse_change on signalops.plans is 'A version of a plan says the same for ever.';
create trigger refuse_change before update on signalops.subscriptions
  for each row execute function signalops.refuse_change('subscribe the tenant anew');
comment on trigger refuse_change on signalops.subscriptions is 'By these terms it was billed. Deleted are those that have not begun to count: see subscribe.';

create function signalops.charges(terms jsonb) returns boolean
language sql immutable parallel safe
return (terms ->> 'baseFee')::numeric > 0 or terms -> 'prices' <> '[]';
comment on function signalops.charges(jsonb) is 'Whether anything costs something under these terms.';

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

create function signalops.add_plan_meters(tenant uuid, terms jsonb, in_grammar smallint) returns void
language sql volatile
as $$
  -- One of its own that counts the same gives way: the tenant could end that, and with it what it is billed for.
  update signalops.meters h set ended_at = now()
  from jsonb_to_recordset(terms -> 'meters') as m (key text, aggregation text, field text, pattern jsonb, "groupBy" text[])
  where h.tenant_id = tenant and h.key = m.key and h.until is null and h.origin = 'tenant'
    and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy");
  -- Counted from now on even if the plan begins later: a figure that is ready early harms nobody.
  insert into signalops.meters (tenant_id, key, since, name, aggregation, field, grammar, pattern, group_by, unit, origin)
  select tenant, m.key, 0, m.name, m.aggregation, m.field, in_grammar, m.pattern, m."groupBy", m.unit, 'plan'
  from jsonb_to_recordset(terms -> 'meters')
    as m (key text, name text, aggregation text, field text, pattern jsonb, "groupBy" text[], unit text)
  where not exists (
    -- What has the key and counts something else is left to the trigger, which refuses it.
    select from signalops.meters h where h.tenant_id = tenant and h.key = m.key and h.until is null
      and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy")
  )
  order by m.key
$$;
comment on function signalops.add_plan_meters(uuid, jsonb, smallint) is
  'Gives a tenant the meters of a plan that it lacks, or has as its own. A unique_violation: it has one of that key that counts something '
  'else.';

create function signalops.set_plan_limits(tenant uuid, terms jsonb, from_day date) returns void
language sql volatile
as $$
  insert into signalops.limits (tenant_id, meter, origin, starts_on, soft, hard, thresholds, overage)
  select tenant, n.meter, 'plan', from_day, n.soft, n.hard, n.thresholds, n.overage
  from jsonb_to_recordset(terms -> 'limits') as n (meter text, soft numeric, hard numeric, thresholds smallint[], overage text)
  union all
  -- A limit of the plan before, which this one has not, ends.
  select distinct tenant, l.meter, 'plan', from_day, null::numeric, null::numeric, '{}'::smallint[], 'refuse'
  from signalops.limits l
  where l.tenant_id = tenant and l.origin = 'plan'
    and not terms -> 'limits' @> jsonb_build_array(jsonb_build_object('meter', l.meter))
$$;
comment on function signalops.set_plan_limits(uuid, jsonb, date) is 'Makes the limits of a plan hold from a day on.';

create function signalops.stretches(tenant uuid, in_period date)
returns table (plan text, version integer, terms jsonb, starts_on date, ends_on date, days integer, of_days integer)
language sql stable parallel safe
as $$
  with held as (
    select s.plan, s.version, s.terms, greatest(s.starts_on, in_period) as first_day,
      least(lead(s.starts_on, 1, 'infinity') over (order by s.starts_on), (in_period + interval '1 month')::date) as next_day
    from signalops.subscriptions s
    where s.tenant_id = tenant and s.starts_on < in_period + interval '1 month'
  )
  select h.plan, h.version, h.terms, h.first_day, h.next_day, h.next_day - h.first_day,
    (in_period + interval '1 month')::date - in_period
  from held h where h.first_day < h.next_day order by h.first_day
$$;
comment on function signalops.stretches(uuid, date) is
  'The stretches of a period (named by its first day) under one plan each, in order: from starts_on until before ends_on, which are '
  'days of the of_days of the period. A period that begins before the tenant''s first plan has days of none.';

create function signalops.end_unneeded_meters(tenant uuid) returns bigint
language sql volatile
as $$
  with kept as (
    select s.terms, lead(s.starts_on, 1, 'infinity') over (order by s.starts_on) as next_day
    from signalops.subscriptions s where s.tenant_id = tenant
  ), ended as (
    update signalops.meters m set ended_at = now()
    from signalops.tenants t
    where t.id = tenant and m.tenant_id = tenant and m.origin = 'plan' and m.until is null and not exists (
      select from kept k
      -- A plan that is over has days in a period that is still open: what happened then is still to be counted.
      where k.next_day > (t.closed_until at time zone t.time_zone)::date
        and k.terms -> 'meters' @> jsonb_build_array(jsonb_build_object('key', m.key))
    )
    returning m.key
  )
  select count(*) from ended
$$;
comment on function signalops.end_unneeded_meters(uuid) is
  'Ends the meters that plans brought and that no plan of an open period, the present or a scheduled one has; returns how many.';

insert into signalops.plans (plan, version, grammar, document) values
  ('free', 1, 2, '{"name": "Free", "currency": "USD", "baseFee": "0", "meters": [], "prices": [], "limits": []}');

create function signalops.subscribe_to_free() returns trigger
language plpgsql
as $$
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
comment on function signalops.subscribe_to_free() is 'Gives a tenant its first plan, under which nothing costs anything.';
create trigger subscribe_to_free after insert on signalops.tenants for each row execute function signalops.subscribe_to_free();
comment on trigger subscribe_to_free on signalops.tenants is 'Every tenant has a plan from its first day on.';

insert into signalops.subscriptions (tenant_id, id, plan, version, terms, starts_on, author)
select t.id, signalops.new_id(), p.plan, p.version, p.document,
  signalops.period_of(t.created_at - interval '1 day', t.time_zone), 'signalops'
from signalops.tenants t, signalops.plans p;
alter table signalops.tenants drop column plan;
