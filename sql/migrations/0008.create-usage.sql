-- Station usage: what was processed, counted in the transaction that processed it; and which job of the queue did it.

create table signalops.usage_counters (
  tenant_id uuid not null,
  meter text not null check (length(meter) between 1 and 63),
  day date not null,
  quantity bigint not null check (quantity >= 0),
  primary key (tenant_id, meter, day)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.usage_counters is 'Usage by day: added to in the transaction that takes the events out of the inbox, so each is counted exactly once.';
comment on column signalops.usage_counters.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_counters.meter is 'What is counted; events: processed events.';
comment on column signalops.usage_counters.day is 'The day (UTC) of the flush that stored the events; months agree with quotas.period.';
comment on column signalops.usage_counters.quantity is 'How many.';
call signalops.protect('signalops.usage_counters');
grant select on signalops.usage_counters to signalops_api;
grant select, insert, update on signalops.usage_counters to signalops_worker;

create table signalops.batches (
  tenant_id uuid not null,
  batch uuid not null,
  job_id bigint not null,
  worker text not null,
  ruleset bigint not null,
  rules integer not null,
  events integer not null,
  dead integer not null default 0,
  processed_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, batch)
) partition by range (batch);
comment on table signalops.batches is 'What a worker did with one tenant''s events of one batch. Partitioned by month of the batch.';
comment on column signalops.batches.tenant_id is 'Whose events they were.';
comment on column signalops.batches.batch is 'UUIDv7; the flush that stored them.';
comment on column signalops.batches.job_id is 'The procrastinate job that processed it; finished jobs are deleted.';
comment on column signalops.batches.worker is 'The worker process: host and process id.';
comment on column signalops.batches.ruleset is 'The version of the tenant''s rules that it used.';
comment on column signalops.batches.rules is 'How many rules each event was held against.';
comment on column signalops.batches.events is 'Events processed and counted.';
comment on column signalops.batches.dead is 'Events that became dead letters instead.';
comment on column signalops.batches.processed_at is 'When, just before the commit.';
call signalops.protect('signalops.batches');
grant select on signalops.batches to signalops_api;
grant select, insert, update on signalops.batches to signalops_worker;
