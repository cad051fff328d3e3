-- Tenants, API keys, and the rate limits of both.
-- Stage: pre

create table signalops.tenants (
  id uuid primary key,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  name text not null check (length(name) between 1 and 200),
  status text not null default 'active' check (status in ('active', 'suspended', 'closed', 'deleting')),
  created_at timestamptz not null default now(),
  time_zone text not null default 'UTC',
  meters_version bigint not null default 0,
  closed_until timestamptz not null default '-infinity',
  limited_meters_version bigint not null default 0,
  rate_per_second numeric check (rate_per_second between 0.000001 and 1000000),
  rate_burst integer check (rate_burst between 1 and 1000000),
  status_reason text check (length(status_reason) between 1 and 500),
  status_since timestamptz not null default now(),
  is_draining boolean not null default false,
  retention_days integer check (retention_days between 1 and 36500),
  usage_rows bigint not null default 10000000 check (usage_rows > 0),
  check ((rate_per_second is null) = (rate_burst is null)),
  constraint tenants_reason_check check (status_reason is null or status <> 'active')
);
comment on table signalops.tenants is 'A customer of the installation. Everything else hangs on its id.';
comment on column signalops.tenants.id is 'UUIDv7; the tenant_id of every other table.';
comment on column signalops.tenants.slug is 'The name for command lines and log lines; unique, but no tenant can list or probe it.';
comment on column signalops.tenants.name is 'The name for people.';
comment on column signalops.tenants.status is
  'active; suspended: requests are refused, and what was accepted waits; closed: requests are refused permanently, accepted events are still processed; deleting: '
  'its rows are being removed.';
comment on column signalops.tenants.created_at is 'When it was made.';
comment on column signalops.tenants.time_zone is 'IANA time zone in which its days and billing periods begin; fixed once something is counted.';
comment on column signalops.tenants.meters_version is 'Version of its meters: 0 until it has any, and one more with each change.';
comment on column signalops.tenants.closed_until is
  'End of the last billing period that is closed: what happened before and is counted from now on is late, and billed in the open period.';
comment on column signalops.tenants.limited_meters_version is
  'Version of its limited meters besides events, by which the API computes quantities: 0 without any.';
comment on column signalops.tenants.rate_per_second is 'Events a second that it may bring in with all its keys together; NULL: no limit.';
comment on column signalops.tenants.rate_burst is 'Events that it may bring in at once after a pause; NULL: no limit.';
comment on column signalops.tenants.status_reason is 'The reason, which its refused requests get; NULL: active, or none was given.';
comment on column signalops.tenants.status_since is 'Since when it has that status.';
comment on column signalops.tenants.is_draining is 'Whether parked work may be left, though it is no longer suspended.';
comment on column signalops.tenants.retention_days is
  'For how many days its events are kept; NULL: its plan''s retentionDays, else the installation''s default.';
comment on column signalops.tenants.usage_rows is
  'Maximum counters of groups and distinct values per month; beyond it only totals are counted.';
-- Serves lock_suspended_tenants, take_batch and park_events: empty as a rule.
create index tenants_suspended on signalops.tenants (id) where status in ('suspended', 'deleting');
-- Serves resume_tenants.
create index tenants_draining on signalops.tenants (status_since) where is_draining;

create table signalops.api_keys (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  id uuid not null,
  prefix text not null check (length(prefix) = 16),
  hash text not null check (hash ~ '^\$2[aby]\$'),
  label text not null check (length(label) between 1 and 200),
  scopes text[] not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  allowed_cidrs cidr[] not null default '{}' check (cardinality(allowed_cidrs) <= 50),
  replaces uuid,
  last_used_at timestamptz,
  rate_per_second numeric check (rate_per_second between 0.000001 and 1000000),
  rate_burst integer check (rate_burst between 1 and 1000000),
  digest bytea check (octet_length(digest) = 36),
  made_by uuid,
  primary key (tenant_id, id),
  foreign key (tenant_id, replaces) references signalops.api_keys,
  check ((rate_per_second is null) = (rate_burst is null))
);
comment on table signalops.api_keys is 'API keys, as bcrypt hashes; the key itself is shown once and never stored.';
comment on column signalops.api_keys.tenant_id is 'Whose key it is.';
comment on column signalops.api_keys.id is 'UUIDv7.';
comment on column signalops.api_keys.prefix is 'The first 16 characters of the key: enough to find the row, too little to guess the rest.';
comment on column signalops.api_keys.hash is 'bcrypt hash of the whole key.';
comment on column signalops.api_keys.label is 'What the tenant calls it.';
comment on column signalops.api_keys.scopes is 'What it may do, such as events:write.';
comment on column signalops.api_keys.created_at is 'When it was made.';
comment on column signalops.api_keys.expires_at is 'From when it is refused; NULL: never.';
comment on column signalops.api_keys.revoked_at is 'When it was revoked; NULL: it is not.';
comment on column signalops.api_keys.allowed_cidrs is 'Networks from which it is accepted; none: from everywhere.';
comment on column signalops.api_keys.replaces is 'The key that was rotated to this one; NULL: created, not rotated.';
comment on column signalops.api_keys.last_used_at is
  'When it was last let in, to the minute: it may have been used up to a minute later. NULL: it was not used since this is written.';
comment on column signalops.api_keys.rate_per_second is
  'Events a second that may come in with it, besides what its tenant may; NULL: no limit of its own.';
comment on column signalops.api_keys.rate_burst is 'Events that may come in with it at once after a pause; NULL: no limit of its own.';
comment on column signalops.api_keys.digest is
  'HMAC-SHA256 of the whole key by the installation''s secret, behind 4 bytes that name the secret; NULL: a key of another format, or not used '
  'since it could be made.';
comment on column signalops.api_keys.made_by is
  'The key that it was made by: it ends no later, and pays from that one''s bucket, too. NULL: a person made it.';
-- Serves find_keys. Not unique: uniqueness across tenants would reveal one tenant's to another key.
create index api_keys_by_prefix on signalops.api_keys (prefix);
-- Serves add-key: a key has one successor, also when two ask for it at once. Partial, and so none that the planner probes in find_keys.
create unique index api_keys_by_replaced on signalops.api_keys (tenant_id, replaces) where replaces is not null;

create table signalops.rate_buckets (
  tenant_id uuid not null,
  bucket text not null,
  level double precision not null,
  at timestamptz not null default now(),
  primary key (tenant_id, bucket)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table signalops.rate_buckets is
  'What tenants and keys with a rate limit may bring in at once: a token an event, taken in the accepting transaction. Made, full, at first use.';
comment on column signalops.rate_buckets.tenant_id is 'Whose it is.';
comment on column signalops.rate_buckets.bucket is 'tenant, or the id of one of its keys.';
comment on column signalops.rate_buckets.level is
  'Tokens at that moment: those refilled since, by the present rate and up to the burst, are added at the next use.';
comment on column signalops.rate_buckets.at is 'When that was, by the database''s clock.';

create table signalops.tenant_deletions (
  id uuid primary key,
  slug text not null,
  begun_at timestamptz not null default now(),
  begun_by jsonb,
  removed jsonb not null default '{}' check (jsonb_typeof(removed) = 'object'),
  remaining jsonb check (jsonb_typeof(remaining) = 'object'),
  finished_at timestamptz,
  check ((finished_at is null) = (remaining is null))
);
comment on table signalops.tenant_deletions is 'The tenants that were deleted or are being deleted: all that is left of them.';
comment on column signalops.tenant_deletions.id is 'The id that the tenant had.';
comment on column signalops.tenant_deletions.slug is 'Its slug, which another tenant may have by now.';
comment on column signalops.tenant_deletions.begun_at is 'When it was asked for.';
comment on column signalops.tenant_deletions.begun_by is
  'Who asked, as the audit log names him: {actor: {kind, name}, address, operation}; NULL: by SQL.';
comment on column signalops.tenant_deletions.removed is 'How many rows were removed, by table.';
comment on column signalops.tenant_deletions.remaining is
  'How many were left, by table, counted in the transaction that removed the tenant itself: 0 of each; NULL: it is not finished.';
comment on column signalops.tenant_deletions.finished_at is 'When nothing was left; NULL: it is being deleted.';
-- Serves find-deletion: by slug, the newest.
create index tenant_deletions_by_slug on signalops.tenant_deletions (slug, begun_at);
-- Serves enqueue_deletions.
create index tenant_deletions_unfinished on signalops.tenant_deletions (begun_at) where finished_at is null;
