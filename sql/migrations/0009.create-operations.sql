-- What runs the installation: the audit log, alerts, retention, queues that are paused.
-- Stage: pre

create table signalops.audit_log (
  tenant_id uuid not null,
  id uuid not null,
  actor_kind text not null check (actor_kind in ('key', 'user', 'operator', 'command_line', 'sql', 'system')),
  actor text not null,
  address text,
  operation text,
  action text not null,
  target_id text,
  target text,
  change jsonb not null,
  primary key (tenant_id, id)
) partition by range (id);
comment on table signalops.audit_log is
  'What people did to what they manage, by HTTP, command line or SQL. Only added to. Partitioned by month of the id, which is a UUIDv7.';
comment on column signalops.audit_log.tenant_id is 'Whose the target is; 00000000-0000-0000-0000-000000000000: the installation''s own.';
comment on column signalops.audit_log.id is 'UUIDv7; its time is when it was done.';
comment on column signalops.audit_log.actor_kind is
  'key, user or operator by HTTP; command_line; sql: a login of PostgreSQL itself; system: a process of SignalOps.';
comment on column signalops.audit_log.actor is 'The id of a key, the subject of a token, the login of the machine or of PostgreSQL, or the role.';
comment on column signalops.audit_log.address is 'From which address a request came; NULL: it was none.';
comment on column signalops.audit_log.operation is 'The operation of the API or the command; NULL: by SQL, or by a process itself.';
comment on column signalops.audit_log.action is 'What was done: a thing and a verb, such as rule.created.';
comment on column signalops.audit_log.target_id is 'To what, by its id or key; NULL: to several, which the change names.';
comment on column signalops.audit_log.target is 'The name that it had for people then.';
comment on column signalops.audit_log.change is
  'before and after: what changed, by column. Secrets are ***, of URLs only the origin is stored, and long values are cut.';
-- Serves list-actions: what was done to one thing.
create index audit_log_by_target on signalops.audit_log (tenant_id, target_id, id);
-- Serves list-actions: what was done in the whole installation, newest first.
create index audit_log_by_id on signalops.audit_log (id);

create table signalops.alerts (
  alert text not null,
  subject text not null,
  breached_at timestamptz not null,
  raised_at timestamptz,
  recovering_since timestamptz,
  resolve_after interval not null,
  value double precision not null,
  primary key (alert, subject)
);
comment on table signalops.alerts is 'Alerts that are pending, raised or recovering; a row is deleted when its end is notified.';
comment on column signalops.alerts.alert is 'Which of signalops.alert_conditions().';
comment on column signalops.alerts.subject is 'What it is about: a tenant''s slug, a table, a job; empty: the installation.';
comment on column signalops.alerts.breached_at is 'Since when it is out of bounds.';
comment on column signalops.alerts.raised_at is 'When it was notified; NULL: it has not lasted long enough.';
comment on column signalops.alerts.recovering_since is 'Since when it is within bounds again; NULL: it is not.';
comment on column signalops.alerts.resolve_after is 'How long it must be within bounds until it is resolved.';
comment on column signalops.alerts.value is 'How much, when it was last out of bounds.';

create table signalops.maintenance_runs (
  job text primary key,
  succeeded_at timestamptz not null default now(),
  failed_at timestamptz,
  error text
);
comment on table signalops.maintenance_runs is 'The jobs that keep the installation in order, and when each last did.';
comment on column signalops.maintenance_runs.job is 'Its name in the queue.';
comment on column signalops.maintenance_runs.succeeded_at is 'When it last succeeded, or was first registered.';
comment on column signalops.maintenance_runs.failed_at is 'When it last failed; NULL: never.';
comment on column signalops.maintenance_runs.error is 'Why it did, without values.';

create table signalops.retention_watermarks (
  tenant_id uuid primary key,
  kept_since timestamptz not null,
  is_expiring boolean not null default true
);
comment on table signalops.retention_watermarks is 'Tenants whose events expire before the partitions in which they are, and how far that has come.';
comment on column signalops.retention_watermarks.tenant_id is 'Whose it is.';
comment on column signalops.retention_watermarks.kept_since is
  'Since when all accepted events are stored; older ones are partly or wholly deleted. It never moves back, even if the retention grows.';
comment on column signalops.retention_watermarks.is_expiring is 'Whether there may be something older, which signalops.expire is to remove.';
-- Serves expire.
create index expiries_unfinished on signalops.retention_watermarks (tenant_id) where is_expiring;

create table signalops.sweep_cursors (
  relation text primary key,
  next_block bigint not null default 0,
  begun_at timestamptz not null default '-infinity',
  ended_at timestamptz not null default '-infinity'
);
comment on table signalops.sweep_cursors is
  'Tables that are not partitioned and have no index by the age of their events: each is read through once a day, some blocks at a time.';
comment on column signalops.sweep_cursors.relation is 'The table.';
comment on column signalops.sweep_cursors.next_block is 'From which block on the present sweep is to read it.';
comment on column signalops.sweep_cursors.begun_at is 'When the present sweep, or the last, began.';
comment on column signalops.sweep_cursors.ended_at is 'When the last sweep ended; before begun_at: one is under way.';

insert into signalops.sweep_cursors (relation) values ('backtests'), ('dead_letters'), ('idempotency_keys');

create table ops.paused_queues (
  queue text primary key,
  reason text not null check (length(reason) between 1 and 500),
  paused_by text not null default session_user,
  paused_at timestamptz not null default now()
);
comment on table ops.paused_queues is 'Queues of which no job is begun: workers look here with each fetch. See ops.pause_queue.';
comment on column ops.paused_queues.queue is 'The queue.';
comment on column ops.paused_queues.reason is 'Why, in the words of who paused it.';
comment on column ops.paused_queues.paused_by is 'The login that paused it.';
comment on column ops.paused_queues.paused_at is 'When.';
