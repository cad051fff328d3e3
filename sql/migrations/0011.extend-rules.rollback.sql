-- Takes back conditions over time, noise control, severity and silences. Deleted rules are deleted for good.

drop table signalops.silences;

alter table signalops.rules no force row level security; -- here the owner deletes across tenants
delete from signalops.rules where deleted_at is not null;
alter table signalops.rules force row level security;
grant delete on signalops.rules to signalops_api;
drop index signalops.rules_by_name;
alter table signalops.rules
  drop column updated_at,
  drop column enabled_at,
  drop column deleted_at,
  add unique (tenant_id, name);

alter table signalops.rule_versions
  drop column active_hours,
  drop column digest,
  drop column cooldown,
  drop column absent,
  drop column time_window,
  drop column severity,
  drop column conditions,
  drop column since;
