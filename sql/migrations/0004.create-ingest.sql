-- Events, stored once, and what of them waits to be processed.
-- Stage: pre

create table signalops.events (
  tenant_id uuid not null,
  id uuid not null,
  batch uuid not null,
  type text not null,
  source text,
  occurred_at timestamptz not null,
  received_at timestamptz not null,
  payload jsonb not null,
  attributes jsonb,
  causation_depth smallint not null default 0,
  over_limit boolean not null default false,
  correlation varchar(128),
  trace varchar(55),
  primary key (tenant_id, id)
) partition by range (id);
comment on table signalops.events is 'Accepted events, immutable from then on. Partitioned by month of the id, which is a UUIDv7.';
comment on column signalops.events.tenant_id is 'Whose event it is.';
comment on column signalops.events.id is 'UUIDv7 made when the request came in; answered to the producer.';
comment on column signalops.events.batch is 'The flush that stored it; see batch_results for its processing.';
comment on column signalops.events.type is 'Dot-separated words, such as user.signup.';
comment on column signalops.events.source is 'Where it came from, in the producer''s words.';
comment on column signalops.events.occurred_at is 'When it happened, in the producer''s words; else when it came in.';
comment on column signalops.events.received_at is 'When it came in, by the clock of the API process.';
comment on column signalops.events.payload is 'The producer''s object.';
comment on column signalops.events.attributes is 'CloudEvents attributes beyond type, source and time (id, subject, extensions ...); NULL: none.';
comment on column signalops.events.causation_depth is
  '0: sent by the tenant, and billed. 1 and above: an operational event of SignalOps, caused by an event one level up.';
comment on column signalops.events.over_limit is 'Accepted beyond a hard limit whose overage is accept.';
comment on column signalops.events.correlation is
  'The X-Request-Id, or else the trace-id, that the request of the event came with; NULL when it came with neither.';
comment on column signalops.events.trace is 'The traceparent (W3C Trace Context) that the request of the event came with.';
-- Serves list-events with a type: a rare type among millions is found without reading the rest.
create index events_by_type on signalops.events (tenant_id, type, id);

create table signalops.idempotency_keys (
  tenant_id uuid not null,
  key text not null,
  event_id uuid not null,
  body_hash bytea not null,
  primary key (tenant_id, key)
) with (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
comment on table signalops.idempotency_keys is 'Which key stored which event: the second request with a key gets the first one''s answer.';
comment on column signalops.idempotency_keys.tenant_id is 'Whose key it is; two tenants may use the same one.';
comment on column signalops.idempotency_keys.key is 'As sent; for CloudEvents source and id, with a line feed between (no plain key contains one).';
comment on column signalops.idempotency_keys.event_id is 'The event that was stored under it.';
comment on column signalops.idempotency_keys.body_hash is 'SHA-256 of the canonical event: another body under the same key is refused.';

create table signalops.inbox (
  tenant_id uuid not null,
  event_id uuid not null,
  batch uuid not null,
  replay_id uuid,
  is_parked boolean not null default false,
  primary key (tenant_id, event_id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.inbox is
  'The events not yet processed, ids only. Accepting fills it; the transaction that processes and counts empties it.';
comment on column signalops.inbox.tenant_id is 'Whose event it is.';
comment on column signalops.inbox.event_id is 'The event that waits.';
comment on column signalops.inbox.batch is 'The flush that stored it: one job processes one batch.';
comment on column signalops.inbox.replay_id is 'The replay that put it here; NULL: the event is new.';
comment on column signalops.inbox.is_parked is 'Whether it is parked until its tenant is resumed; it has no job until then.';
-- Serves take_batch, enqueue_lost_batches and list-replays.
create index inbox_by_batch on signalops.inbox (batch) where not is_parked;
-- Serves unpark_events, list-replays and suspended-tenants.
create index inbox_parked on signalops.inbox (tenant_id, batch) where is_parked;

create table signalops.batch_results (
  tenant_id uuid not null,
  batch uuid not null,
  counted_in uuid not null,
  job_id bigint not null,
  worker text not null,
  ruleset_version bigint not null,
  rules integer not null,
  events integer not null,
  dead integer not null default 0,
  processed_at timestamptz not null default clock_timestamp(),
  meters_version bigint not null default 0,
  billed integer not null,
  primary key (tenant_id, batch)
) partition by range (batch);
comment on table signalops.batch_results is 'What a worker did with one tenant''s events of one batch. Partitioned by month of the batch.';
comment on column signalops.batch_results.tenant_id is 'Whose events they were.';
comment on column signalops.batch_results.batch is 'UUIDv7; the flush that stored them.';
comment on column signalops.batch_results.counted_in is
  'The batch that its usage entries name: the first of those that one job processed together.';
comment on column signalops.batch_results.job_id is 'The procrastinate job that processed it; finished jobs are deleted.';
comment on column signalops.batch_results.worker is 'The worker process: host and process id.';
comment on column signalops.batch_results.ruleset_version is 'The version of the tenant''s rules that it used.';
comment on column signalops.batch_results.rules is 'How many rules were evaluated for each event.';
comment on column signalops.batch_results.events is 'Events processed and counted.';
comment on column signalops.batch_results.dead is 'Events that became dead letters.';
comment on column signalops.batch_results.processed_at is 'When, just before the commit.';
comment on column signalops.batch_results.meters_version is 'The version of the tenant''s meters that it used.';
comment on column signalops.batch_results.billed is 'Events of these that were counted: neither operational events nor replays.';

create table signalops.event_types (
  tenant_id uuid not null,
  type text not null,
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  count bigint not null check (count > 0),
  fields jsonb not null,
  fields_cut boolean not null default false,
  example jsonb,
  primary key (tenant_id, type)
) with (fillfactor = 70);
comment on table signalops.event_types is
  'What a tenant sends, for editors to offer: at most 1,000 types a tenant. Workers write it a second after they processed.';
comment on column signalops.event_types.tenant_id is 'Whose events they are.';
comment on column signalops.event_types.type is 'The type, as events name it.';
comment on column signalops.event_types.first_seen_at is 'When the first of these events was received.';
comment on column signalops.event_types.last_seen_at is 'When the last of these events was received.';
comment on column signalops.event_types.count is
  'The events of this type that were processed since the catalogue is kept, without dead letters; less what a killed worker had not written yet, '
  'about a second of its work. Usage is what is exact.';
comment on column signalops.event_types.fields is
  'The fields seen in samples: {path: {types: [...], example: ...}}, at most 200; paths as patterns name them.';
comment on column signalops.event_types.fields_cut is 'There are further fields.';
comment on column signalops.event_types.example is 'A recent event of at most 16 KiB; NULL: none was that small.';

create table signalops.event_schemas (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  type text not null,
  mode text not null check (mode in ('warn', 'reject')),
  schema json not null check (octet_length((schema)::text) <= 65536),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, type)
);
comment on table signalops.event_schemas is 'JSON Schemas that validate the payloads of a tenant''s incoming events.';
comment on column signalops.event_schemas.tenant_id is 'Whose schema it is.';
comment on column signalops.event_schemas.type is 'The type of the events.';
comment on column signalops.event_schemas.mode is 'warn: the answer names the faults; reject: the event is refused.';
comment on column signalops.event_schemas.schema is 'JSON Schema of the payload (draft 2020-12 or 7), as it was written.';
comment on column signalops.event_schemas.updated_at is 'When it was written last.';

create table signalops.replays (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  id uuid not null,
  reason text not null check (length(reason) between 1 and 500),
  rules uuid[],
  events integer not null check (events >= 0),
  batches uuid[] not null,
  requested_at timestamptz not null default now(),
  primary key (tenant_id, id)
);
comment on table signalops.replays is 'Replays: past events that are evaluated by the rules again.';
comment on column signalops.replays.tenant_id is 'Whose events they are.';
comment on column signalops.replays.id is 'UUIDv7; deliveries name it.';
comment on column signalops.replays.reason is 'Why, for those who wonder about the second notification.';
comment on column signalops.replays.rules is 'Only these rules decide; NULL: all.';
comment on column signalops.replays.events is 'How many events were put into the inbox.';
comment on column signalops.replays.batches is 'In these batches; the events themselves keep the batch that they came with.';
comment on column signalops.replays.requested_at is 'When it was asked for.';
