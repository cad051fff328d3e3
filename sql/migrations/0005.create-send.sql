-- Channels, the deliveries to them with every attempt, and dead letters.
-- Stage: pre

create table signalops.channels (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  kind text not null check (kind in ('email', 'telegram', 'whatsapp', 'webhook', 'slack', 'http')),
  config jsonb not null,
  secret bytea,
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  retry_schedule integer[] check (cardinality(retry_schedule) <= 20 and (1 <= all (retry_schedule))),
  disabled_because text check (length(disabled_because) <= 500),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  send_target_id uuid,
  max_per_minute integer check (max_per_minute > 0),
  primary key (tenant_id, id),
  check (deleted_at is null or not enabled)
);
comment on table signalops.channels is 'Where a tenant''s notifications can go.';
comment on column signalops.channels.tenant_id is 'Whose channel it is.';
comment on column signalops.channels.id is 'UUIDv7.';
comment on column signalops.channels.name is 'What the tenant calls it; rules on the command line name it so.';
comment on column signalops.channels.kind is 'email, telegram, whatsapp, webhook, slack or http.';
comment on column signalops.channels.config is 'What is no secret, such as {to} of an email, {url} of a webhook.';
comment on column signalops.channels.secret is 'Signing secret or credentials, encrypted (Fernet) with the installation''s key; NULL: needs none.';
comment on column signalops.channels.enabled is 'false: deliveries through it become dead letters at once.';
comment on column signalops.channels.created_at is 'When it was made.';
comment on column signalops.channels.retry_schedule is 'Seconds before each further attempt; NULL: the installation''s schedule.';
comment on column signalops.channels.disabled_because is 'Why SignalOps itself disabled it; NULL: it did not.';
comment on column signalops.channels.updated_at is 'When it was changed last.';
comment on column signalops.channels.deleted_at is
  'When it was deleted; NULL: it is not. The row stays, since versions of rules name it; its secret is gone, its name free again.';
comment on column signalops.channels.send_target_id is
  'The send target, where channels share one (a bot, an account); NULL: its own, with its id.';
comment on column signalops.channels.max_per_minute is 'Rate limit of its send target in messages per minute; NULL: none.';
-- Serves add-channel: a tenant has one channel of a name.
create unique index channels_by_name on signalops.channels (tenant_id, name) where deleted_at is null;
-- Serves find_called_channel. Not unique: uniqueness across tenants would reveal one tenant's to another.
create index channels_by_id on signalops.channels (id);

create table signalops.send_targets (
  tenant_id uuid not null,
  id uuid not null,
  failures integer not null default 0,
  failing_since timestamptz,
  circuit_open_until timestamptz,
  half_open_delivery_id uuid,
  tokens double precision not null default 0,
  refilled_at timestamptz not null default '-infinity',
  last_error text,
  primary key (tenant_id, id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.send_targets is
  'The state of a send target (circuit breaker, rate limit): created at its first failure, or with a rate limit. Exact across workers by its row lock.';
comment on column signalops.send_targets.tenant_id is 'The tenant.';
comment on column signalops.send_targets.id is 'The channel''s id, or channels.send_target_id.';
comment on column signalops.send_targets.failures is 'Attempts in a row that failed for now; from the fifth on the circuit opens.';
comment on column signalops.send_targets.failing_since is 'When the first attempt after the last success failed; NULL: it works.';
comment on column signalops.send_targets.circuit_open_until is 'Until when nothing is sent; then one attempt may probe (half-open). NULL: the circuit is closed.';
comment on column signalops.send_targets.half_open_delivery_id is 'The delivery of the half-open attempt; NULL: none in flight.';
comment on column signalops.send_targets.tokens is 'Messages that may be sent at once, as of refilled_at.';
comment on column signalops.send_targets.refilled_at is 'When the tokens were counted.';
comment on column signalops.send_targets.last_error is 'What the last attempt that failed came to; of interest while failing_since is set.';

create table signalops.channel_schedules (
  tenant_id uuid not null,
  channel_id uuid not null,
  tokens double precision not null,
  refilled_at timestamptz not null,
  next_due_at timestamptz,
  primary key (tenant_id, channel_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.channel_schedules is
  'Fair queueing of channels: idle channels get jobs at once, the others share the workers'' capacity.';
comment on column signalops.channel_schedules.tenant_id is 'Whose channel it is.';
comment on column signalops.channel_schedules.channel_id is 'The channel.';
comment on column signalops.channel_schedules.tokens is 'Deliveries that may have a job at once, as of refilled_at: 1,000, and 500 more a second.';
comment on column signalops.channel_schedules.refilled_at is 'When the tokens were counted.';
comment on column signalops.channel_schedules.next_due_at is 'When the first of its deliveries that wait without a job is due; NULL: none waits.';
-- Serves enqueue_due_deliveries.
create index channel_schedules_by_due on signalops.channel_schedules (next_due_at) where next_due_at is not null;

create table signalops.suppressions (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  id uuid not null,
  address text not null check ((address = lower(address)) and length(address) <= 254),
  reason text not null check (reason in ('bounce', 'complaint')),
  detail text check (length(detail) <= 500),
  delivery_id uuid not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, address)
);
comment on table signalops.suppressions is
  'Addresses that a tenant''s mail is not sent to any more: they do not exist, or called it spam. Who writes on loses his name as a sender.';
comment on column signalops.suppressions.tenant_id is 'Whose mail it is.';
comment on column signalops.suppressions.id is 'UUIDv7.';
comment on column signalops.suppressions.address is 'The address, in lower case.';
comment on column signalops.suppressions.reason is 'bounce: there is no such mailbox; complaint: the recipient reported the mail as spam.';
comment on column signalops.suppressions.detail is 'What the recipient''s server said.';
comment on column signalops.suppressions.delivery_id is 'The delivery that bounced or was reported.';
comment on column signalops.suppressions.created_at is 'When the provider reported it.';

create table signalops.deliveries (
  tenant_id uuid not null,
  id uuid not null,
  event_id uuid not null,
  rule_id uuid not null,
  rule_version integer not null,
  channel_id uuid not null,
  status text not null default 'pending' check (status in ('pending', 'sending', 'sent', 'delivered', 'read', 'retrying', 'dead',
    'cancelled', 'suppressed')),
  attempts smallint not null default 0,
  next_attempt_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  window_context jsonb,
  replay_id uuid,
  provider_id text check (length(provider_id) <= 500),
  attempts_at_reset smallint not null default 0,
  primary key (tenant_id, id),
  constraint waits_or_is_in_hand check (case status when 'retrying' then (next_attempt_at is not null) when 'pending' then true else
    (next_attempt_at is null) end)
) partition by range (id);
comment on table signalops.deliveries is 'One notification of one event by one rule through one channel. Partitioned by month of the id.';
comment on column signalops.deliveries.tenant_id is 'Whose notification it is.';
comment on column signalops.deliveries.id is 'UUIDv7; the id that the receiver sees, the same in every attempt.';
comment on column signalops.deliveries.event_id is 'The event of the notification.';
comment on column signalops.deliveries.rule_id is 'The rule that asked for it.';
comment on column signalops.deliveries.rule_version is 'In which version; its template is rendered.';
comment on column signalops.deliveries.channel_id is 'Where it goes.';
comment on column signalops.deliveries.status is
  'pending (has a job, or waits for its turn) -> sending -> sent -> delivered -> read; or -> retrying (waits) -> pending; or -> dead (has a dead '
  'letter), cancelled, suppressed. signalops.is_valid_transition defines the transitions.';
comment on column signalops.deliveries.attempts is 'Attempts begun.';
comment on column signalops.deliveries.next_attempt_at is 'When the sweep enqueues it; only while it waits.';
comment on column signalops.deliveries.created_at is 'When the rule asked for it.';
comment on column signalops.deliveries.updated_at is 'When the status changed last.';
comment on column signalops.deliveries.window_context is 'What a window saw when it fired: {value, group, since, until}; NULL without one.';
comment on column signalops.deliveries.replay_id is 'The replay that asked for it; NULL: the event itself did.';
comment on column signalops.deliveries.provider_id is 'The provider''s own id of the message, by which it calls back.';
comment on column signalops.deliveries.attempts_at_reset is 'Attempts made before a manual retry: the retry schedule starts again after them.';
-- Serves deliveries-of-event.
create index deliveries_by_event on signalops.deliveries (tenant_id, event_id);
-- Serves enqueue_lost_deliveries.
create index deliveries_in_hand on signalops.deliveries (updated_at) where status in ('pending', 'sending') and next_attempt_at is null;
-- Serves list-replays.
create index deliveries_by_replay on signalops.deliveries (tenant_id, replay_id) where replay_id is not null;
-- Serves find_sent.
create index deliveries_by_provider on signalops.deliveries (tenant_id, channel_id, provider_id) where provider_id is not null;
-- Serves pick_deliveries.
create index deliveries_by_rule on signalops.deliveries (tenant_id, rule_id, channel_id, status, id);
-- Serves enqueue_due_deliveries and repair_schedules: what waits in a channel, in the order in which it is due.
create index deliveries_by_turn on signalops.deliveries (tenant_id, channel_id, next_attempt_at) where next_attempt_at is not null;

create table signalops.delivery_attempts (
  tenant_id uuid not null,
  delivery_id uuid not null,
  attempt smallint not null,
  started_at timestamptz not null,
  duration_ms integer not null check (duration_ms >= 0),
  outcome text not null check (outcome in ('sent', 'transient', 'permanent', 'throttled', 'misconfigured', 'gone', 'suppressed')),
  status_code integer,
  answer text check (length(answer) <= 2048),
  error text check (length(error) <= 500),
  request_id text check (length(request_id) <= 200),
  primary key (tenant_id, delivery_id, attempt)
) partition by range (delivery_id);
comment on table signalops.delivery_attempts is 'The attempts of deliveries. A missing number was interrupted: its worker died.';
comment on column signalops.delivery_attempts.tenant_id is 'Whose notification it is.';
comment on column signalops.delivery_attempts.delivery_id is 'The delivery.';
comment on column signalops.delivery_attempts.attempt is '1, 2, 3 ...';
comment on column signalops.delivery_attempts.started_at is 'When the provider was called.';
comment on column signalops.delivery_attempts.duration_ms is 'Milliseconds until its answer, or until there was none.';
comment on column signalops.delivery_attempts.outcome is
  'sent; transient, throttled (retried); permanent, misconfigured = configuration or template (not retried); gone = the receiver wants no more (its '
  'channel is disabled); suppressed = not asked, since it said no before.';
comment on column signalops.delivery_attempts.status_code is 'HTTP status or SMTP code; NULL: no answer.';
comment on column signalops.delivery_attempts.answer is 'The first 2 KiB of the answer.';
comment on column signalops.delivery_attempts.error is 'The error in a sentence; NULL when sent.';
comment on column signalops.delivery_attempts.request_id is 'The receiver''s own id of the request, for its support; NULL: it named none.';

create table signalops.dead_letters (
  tenant_id uuid not null,
  id uuid not null,
  kind text not null check (kind in ('event', 'delivery')),
  event_id uuid not null,
  delivery_id uuid,
  error text not null check (length(error) <= 500),
  died_at timestamptz not null,
  rule_id uuid,
  channel_id uuid,
  resolved_at timestamptz,
  resolution text check (resolution in ('retried', 'discarded')),
  reason text check (length(reason) <= 500),
  first_died_at timestamptz not null,
  primary key (tenant_id, id),
  check ((delivery_id is not null) = (kind = 'delivery')),
  check ((resolved_at is null) = (resolution is null))
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
comment on table signalops.dead_letters is 'Events that could not be processed, and deliveries that failed after their last attempt.';
comment on column signalops.dead_letters.tenant_id is 'Whose it is.';
comment on column signalops.dead_letters.id is 'The id of what died: the event''s or the delivery''s.';
comment on column signalops.dead_letters.kind is 'event or delivery.';
comment on column signalops.dead_letters.event_id is 'The event.';
comment on column signalops.dead_letters.delivery_id is 'The delivery, when it is one that died.';
comment on column signalops.dead_letters.error is 'Why, in a sentence.';
comment on column signalops.dead_letters.died_at is 'When it was given up.';
comment on column signalops.dead_letters.rule_id is 'The rule of the delivery; NULL: an event died.';
comment on column signalops.dead_letters.channel_id is 'The channel of the delivery; NULL: an event died.';
comment on column signalops.dead_letters.resolved_at is 'When it was retried or discarded; NULL: it waits for somebody to look.';
comment on column signalops.dead_letters.resolution is 'retried or discarded.';
comment on column signalops.dead_letters.reason is 'Why it was discarded, in the words of who did.';
comment on column signalops.dead_letters.first_died_at is
  'When it was given up for the first time. Whoever follows the list and has seen it there goes on from here: were it given up again, its new place '
  'would hide what died in between.';
-- Serves pick_dead_letters: what waits for somebody to look, newest first.
create index dead_letters_open on signalops.dead_letters (tenant_id, died_at desc, id desc) where resolved_at is null;
-- Serves pick_dead_letters with a kind.
create index dead_letters_by_kind on signalops.dead_letters (tenant_id, kind, died_at desc, id desc) where resolved_at is null;
-- Serves pick_dead_letters with a channel.
create index dead_letters_by_channel on signalops.dead_letters (tenant_id, channel_id, died_at desc, id desc) where resolved_at is null;
-- Serves pick_dead_letters with a rule.
create index dead_letters_by_rule on signalops.dead_letters (tenant_id, rule_id, died_at desc, id desc) where resolved_at is null;
