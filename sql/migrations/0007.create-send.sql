-- Station send: deliveries, every attempt at them, and the letters that could not be delivered.

create table signalops.deliveries (
  tenant_id uuid not null,
  id uuid not null,
  event_id uuid not null,
  rule_id uuid not null,
  rule_version integer not null,
  channel_id uuid not null,
  status text not null default 'pending' check (status in ('pending', 'sending', 'sent', 'retrying', 'dead')),
  attempts smallint not null default 0,
  next_attempt_at timestamptz check ((next_attempt_at is not null) = (status = 'retrying')),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id)
) partition by range (id);
comment on table signalops.deliveries is 'One notification of one event by one rule through one channel. Partitioned by month of the id.';
comment on column signalops.deliveries.tenant_id is 'Whose notification it is.';
comment on column signalops.deliveries.id is 'UUIDv7; the id that the receiver sees, the same in every attempt.';
comment on column signalops.deliveries.event_id is 'The event that it tells of.';
comment on column signalops.deliveries.rule_id is 'The rule that asked for it.';
comment on column signalops.deliveries.rule_version is 'In which version; its template is rendered.';
comment on column signalops.deliveries.channel_id is 'Where it goes.';
comment on column signalops.deliveries.status is
  'pending (has a job) -> sending -> sent; or -> retrying (waits, has no job) -> pending; or -> dead (has a dead letter).';
comment on column signalops.deliveries.attempts is 'Attempts begun.';
comment on column signalops.deliveries.next_attempt_at is 'When the sweep enqueues it again; only while retrying.';
comment on column signalops.deliveries.created_at is 'When the rule asked for it.';
comment on column signalops.deliveries.updated_at is 'When the status changed last.';
call signalops.protect('signalops.deliveries');
call signalops.admit_owner('signalops.deliveries', 'enqueue_due_deliveries and enqueue_lost_deliveries sweep all tenants for what has no job.');
grant select on signalops.deliveries to signalops_api;
grant select, insert, update on signalops.deliveries to signalops_worker;

-- Serves deliveries-of-event.
create index deliveries_by_event on signalops.deliveries (tenant_id, event_id);
-- Serves enqueue_due_deliveries: what waits is found by when it is due, however much waits.
create index deliveries_by_due on signalops.deliveries (next_attempt_at) where status = 'retrying';
-- Serves enqueue_lost_deliveries.
create index deliveries_in_hand on signalops.deliveries (updated_at) where status in ('pending', 'sending');

create table signalops.delivery_attempts (
  tenant_id uuid not null,
  delivery_id uuid not null,
  attempt smallint not null,
  started_at timestamptz not null,
  duration_ms integer not null check (duration_ms >= 0),
  outcome text not null check (outcome in ('sent', 'temporary', 'permanent', 'throttled', 'broken')),
  status_code integer,
  answer text check (length(answer) <= 2048),
  error text check (length(error) <= 500),
  primary key (tenant_id, delivery_id, attempt)
) partition by range (delivery_id);
comment on table signalops.delivery_attempts is 'What came of each attempt at a delivery. A number that is missing was cut off: its worker died.';
comment on column signalops.delivery_attempts.tenant_id is 'Whose notification it is.';
comment on column signalops.delivery_attempts.delivery_id is 'The delivery.';
comment on column signalops.delivery_attempts.attempt is '1, 2, 3 ...';
comment on column signalops.delivery_attempts.started_at is 'When the provider was called.';
comment on column signalops.delivery_attempts.duration_ms is 'Milliseconds until its answer, or until there was none.';
comment on column signalops.delivery_attempts.outcome is
  'sent; temporary, throttled (retried); permanent, broken = configuration or template (not retried).';
comment on column signalops.delivery_attempts.status_code is 'HTTP status or SMTP code; NULL: no answer.';
comment on column signalops.delivery_attempts.answer is 'The first 2 KiB of the answer.';
comment on column signalops.delivery_attempts.error is 'The error in a sentence; NULL when sent.';
call signalops.protect('signalops.delivery_attempts');
grant select on signalops.delivery_attempts to signalops_api;
grant select, insert on signalops.delivery_attempts to signalops_worker;

create table signalops.dead_letters (
  tenant_id uuid not null,
  id uuid not null,
  kind text not null check (kind in ('event', 'delivery')),
  event_id uuid not null,
  delivery_id uuid check ((delivery_id is not null) = (kind = 'delivery')),
  error text not null check (length(error) <= 500),
  died_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
comment on table signalops.dead_letters is 'What kept failing: an event that could not be processed, or a delivery after its last attempt.';
comment on column signalops.dead_letters.tenant_id is 'Whose it is.';
comment on column signalops.dead_letters.id is 'The id of what died: the event''s or the delivery''s.';
comment on column signalops.dead_letters.kind is 'event or delivery.';
comment on column signalops.dead_letters.event_id is 'The event.';
comment on column signalops.dead_letters.delivery_id is 'The delivery, when it is one that died.';
comment on column signalops.dead_letters.error is 'Why, in a sentence.';
comment on column signalops.dead_letters.died_at is 'When it was given up.';
call signalops.protect('signalops.dead_letters');
grant select on signalops.dead_letters to signalops_api;
grant select, insert on signalops.dead_letters to signalops_worker;
