-- Schema ops: alerts and actions.

create or replace view ops.alerts as
select a.alert, a.subject, a.value, a.breached_at, a.raised_at, a.recovering_since from signalops.alerts a where a.raised_at is not null;
comment on view ops.alerts is 'The alerts that were raised and are not over.';
comment on column ops.alerts.alert is 'Which; signalops/watch/README.md has them all.';
comment on column ops.alerts.subject is 'What it is about: a tenant''s slug, a table, a job; empty: the installation.';
comment on column ops.alerts.value is 'How much, when it was last out of bounds.';
comment on column ops.alerts.breached_at is 'Since when.';
comment on column ops.alerts.raised_at is 'When operators were notified.';
comment on column ops.alerts.recovering_since is 'Since when it is within bounds again; resolved when that lasts; NULL: it is not.';

create or replace view ops.actions as
select l.id as action_id, signalops.uuid7_time(l.id) as done_at, t.slug as tenant, l.actor_kind, l.actor, l.address, l.operation, l.action,
  l.target_id, l.target
from signalops.audit_log l left join signalops.tenants t on t.id = l.tenant_id;
comment on view ops.actions is 'Who did what, without what it changed. The newest, by action_id, are found along audit_log_by_id.';
comment on column ops.actions.action_id is 'UUIDv7: in the order in which they were done.';
comment on column ops.actions.done_at is 'When.';
comment on column ops.actions.tenant is 'The slug of whose it was; NULL: the installation''s.';
comment on column ops.actions.actor_kind is 'key, user, operator, command_line, sql or system.';
comment on column ops.actions.actor is 'Who.';
comment on column ops.actions.address is 'From which address; NULL: it was no request.';
comment on column ops.actions.operation is 'By which operation or command; NULL: by SQL.';
comment on column ops.actions.action is 'What, such as rule.created.';
comment on column ops.actions.target_id is 'To what; NULL: to several.';
comment on column ops.actions.target is 'What it is called.';
