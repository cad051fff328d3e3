-- Station ingest: events stored once, idempotency keys, the month's accepted count, and the inbox of what waits.

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
  depth smallint not null default 0,
  primary key (tenant_id, id)
) partition by range (id);
-- No foreign keys to or from the hot tables: each costs a look-up and a row lock per event, and the tenant is already
-- proven by the policy. What belongs to a tenant is removed by tenant_id.
comment on table signalops.events is 'Accepted events, immutable from then on. Partitioned by month of the id, which is a UUIDv7.';
comment on column signalops.events.tenant_id is 'Whose event it is.';
comment on column signalops.events.id is 'UUIDv7 made when the request came in; answered to the producer.';
comment on column signalops.events.batch is 'The flush that stored it; see batches for what became of it.';
comment on column signalops.events.type is 'Dot-separated words, such as user.signup.';
comment on column signalops.events.source is 'Where it came from, in the producer''s words.';
comment on column signalops.events.occurred_at is 'When it happened, in the producer''s words; else when it came in.';
comment on column signalops.events.received_at is 'When it came in, by the clock of the API process.';
comment on column signalops.events.payload is 'The producer''s object.';
comment on column signalops.events.attributes is 'CloudEvents attributes beyond type, source and time (id, subject, extensions ...); NULL: none.';
comment on column signalops.events.depth is '0: sent by the tenant, and billed. 1 and above: an operational event of SignalOps, caused by an event one level up.';
call signalops.protect('signalops.events');
call signalops.admit_owner('signalops.events', 'The command line finds out whose event an id is.');
grant select, insert on signalops.events to signalops_api, signalops_worker;

-- Serves list-events with a type: a rare type among millions is found without reading the rest.
create index events_by_type on signalops.events (tenant_id, type, id);

create table signalops.idempotency_keys (
  tenant_id uuid not null,
  key text not null,
  event_id uuid not null,
  body_hash bytea not null,
  primary key (tenant_id, key)
);
comment on table signalops.idempotency_keys is 'Which key stored which event: the second request with a key gets the first one''s answer.';
comment on column signalops.idempotency_keys.tenant_id is 'Whose key it is; two tenants may use the same one.';
comment on column signalops.idempotency_keys.key is 'As sent; for CloudEvents source and id, with a line feed between (no plain key holds one).';
comment on column signalops.idempotency_keys.event_id is 'The event that was stored under it.';
comment on column signalops.idempotency_keys.body_hash is 'SHA-256 of the canonical event: another body under the same key is refused.';
call signalops.protect('signalops.idempotency_keys');
grant select, insert on signalops.idempotency_keys to signalops_api;

create table signalops.quotas (
  tenant_id uuid not null,
  period date not null check (extract(day from period) = 1),
  accepted bigint not null default 0 check (accepted >= 0),
  soft_reached_at timestamptz,
  primary key (tenant_id, period)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.quotas is 'Events accepted in a month, counted in the accepting transaction: the limit is exact across processes.';
comment on column signalops.quotas.tenant_id is 'Whose count it is.';
comment on column signalops.quotas.period is 'First day of the calendar month (UTC).';
comment on column signalops.quotas.accepted is 'Events accepted; duplicates, refusals and operational events do not count.';
comment on column signalops.quotas.soft_reached_at is 'When the soft limit was reached and its notice emitted; NULL: not yet.';
call signalops.protect('signalops.quotas');
grant select, insert, update on signalops.quotas to signalops_api;
grant select on signalops.quotas to signalops_worker;

create table signalops.inbox (
  tenant_id uuid not null,
  event_id uuid not null,
  batch uuid not null,
  primary key (tenant_id, event_id)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.inbox is 'The events not yet processed, ids only. Accepting fills it; the transaction that processes and counts empties it.';
comment on column signalops.inbox.tenant_id is 'Whose event it is.';
comment on column signalops.inbox.event_id is 'The event that waits.';
comment on column signalops.inbox.batch is 'The flush that stored it: one job processes one batch.';
call signalops.protect('signalops.inbox');
call signalops.admit_owner('signalops.inbox', 'take_batch removes a batch before it knows the tenants in it.');
grant select, insert on signalops.inbox to signalops_api;
grant select on signalops.inbox to signalops_worker;

-- Serves take_batch and enqueue_lost_batches.
create index inbox_by_batch on signalops.inbox (batch);
