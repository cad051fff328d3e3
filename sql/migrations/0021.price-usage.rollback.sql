-- Takes plans away. The names of the tenants' present plans stay; terms, and when they change, are lost.

alter table signalops.tenants add column plan text not null default 'free' check (length(plan) between 1 and 63);
comment on column signalops.tenants.plan is 'The plan it is billed by.';
update signalops.tenants t set plan = s.plan from (
  select distinct on (tenant_id) tenant_id, plan from signalops.subscriptions where starts_on <= current_date
  order by tenant_id, starts_on desc
) s where s.tenant_id = t.id;
delete from signalops.limits where origin = 'plan';

drop trigger subscribe_to_free on signalops.tenants;
drop function signalops.subscribe_to_free();
drop function signalops.end_unneeded_meters(uuid);
drop function signalops.subscribe(uuid, text, boolean, text);
drop function signalops.stretches(uuid, date);
drop function signalops.set_plan_limits(uuid, jsonb, date);
drop function signalops.add_plan_meters(uuid, jsonb, smallint);
drop function signalops.charges(jsonb);
drop table signalops.subscriptions;
drop table signalops.plans;
drop function signalops.refuse_change();
