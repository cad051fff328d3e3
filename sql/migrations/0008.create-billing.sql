-- Plans, credits, and billing periods that are sealed and invoiced.
-- Stage: pre

create table signalops.plans (
  plan text not null check (plan ~ '^[a-z][a-z0-9_-]{0,62}$'),
  version integer not null check (version > 0),
  grammar smallint not null,
  document jsonb not null check (jsonb_typeof(document) = 'object'),
  created_at timestamptz not null default now(),
  primary key (plan, version)
);
comment on table signalops.plans is
  'What the operator offers: fees, prices, meters and limits. Of the operator and no tenant: only the owner reads it.';
comment on column signalops.plans.plan is 'The name for command lines, such as pro.';
comment on column signalops.plans.version is 'From 1; a tenant keeps its version until it is subscribed again.';
comment on column signalops.plans.grammar is 'Version of the pattern language of its meters.';
comment on column signalops.plans.document is
  'name, currency, baseFee, meters, prices and limits, as PlanDocument (signalops/usage/plans/plan_models.py) checks and writes them.';
comment on column signalops.plans.created_at is 'When it was made.';

insert into signalops.plans (plan, version, grammar, document) values
  ('free', 1, 2, '{"name": "Free", "currency": "USD", "baseFee": "0", "meters": [], "prices": [], "limits": []}');

create table signalops.subscriptions (
  tenant_id uuid not null references signalops.tenants on delete cascade,
  id uuid not null,
  plan text not null,
  version integer not null,
  terms jsonb not null,
  starts_on date not null,
  author text not null check (length(author) between 1 and 200),
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, starts_on)
);
comment on table signalops.subscriptions is 'The plan of a tenant: from its first day until the first day of the next subscription.';
comment on column signalops.subscriptions.tenant_id is 'Whose it is.';
comment on column signalops.subscriptions.id is 'UUIDv7.';
comment on column signalops.subscriptions.plan is 'The plan.';
comment on column signalops.subscriptions.version is 'Its version.';
comment on column signalops.subscriptions.terms is 'What the plan said when it was agreed upon: a copy, by which invoices are made.';
comment on column signalops.subscriptions.starts_on is 'Its first day, in the tenant''s time zone.';
comment on column signalops.subscriptions.author is 'Who subscribed the tenant.';
comment on column signalops.subscriptions.created_at is 'When that was.';

create table signalops.credit_grants (
  tenant_id uuid not null references signalops.tenants,
  id uuid not null,
  amount numeric not null check (amount > 0 and amount < '1000000000000000'),
  remaining numeric not null default 0,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  priority smallint not null default 50 check (priority between 0 and 100),
  expires_at timestamptz,
  reason text not null check (length(reason) between 1 and 500),
  author text not null check (length(author) between 1 and 200),
  created_at timestamptz not null default now(),
  idempotency_key text check (length(idempotency_key) between 1 and 255),
  body_hash bytea,
  constraint credit_grants_by_key unique (tenant_id, idempotency_key),
  primary key (tenant_id, id),
  check (remaining >= 0 and remaining <= amount),
  check ((body_hash is null) = (idempotency_key is null))
);
comment on table signalops.credit_grants is
  'Credit that invoices in its currency use up. A grant is never changed; what is left of it follows its entries.';
comment on column signalops.credit_grants.tenant_id is 'Whose credit it is.';
comment on column signalops.credit_grants.id is 'UUIDv7.';
comment on column signalops.credit_grants.amount is 'How much was granted, in the currency''s major unit.';
comment on column signalops.credit_grants.remaining is 'The sum of its entries: moved by them alone, and never below zero.';
comment on column signalops.credit_grants.currency is 'ISO 4217; it pays invoices in no other.';
comment on column signalops.credit_grants.priority is 'The least is burned first.';
comment on column signalops.credit_grants.expires_at is 'An invoice issued from then on can''t use it; NULL: never.';
comment on column signalops.credit_grants.reason is 'What it was given for.';
comment on column signalops.credit_grants.author is 'Who answers for it.';
comment on column signalops.credit_grants.created_at is 'When it was granted.';
comment on column signalops.credit_grants.idempotency_key is 'With which it was sent; NULL: without one.';
comment on column signalops.credit_grants.body_hash is 'SHA-256 of what was sent with the key: the key stands for nothing else.';
-- Serves expire_credits.
create index credit_grants_expiring on signalops.credit_grants (expires_at) where remaining > 0;
-- Serves list-credits and burn_credits: grants that are used up are many in the end.
create index credit_grants_remaining on signalops.credit_grants (tenant_id, currency) where remaining > 0;

create table signalops.credit_entries (
  tenant_id uuid not null,
  id uuid not null,
  grant_id uuid not null,
  kind text not null check (kind in ('granted', 'burned', 'returned', 'expired')),
  amount numeric not null,
  invoice_id uuid,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  foreign key (tenant_id, grant_id) references signalops.credit_grants,
  check (amount <> 0 and ((amount > 0) = (kind in ('granted', 'returned')))),
  check ((invoice_id is not null) = (kind in ('burned', 'returned')))
);
comment on table signalops.credit_entries is 'The ledger of credit: each movement of each grant. Never changed, only added to.';
comment on column signalops.credit_entries.tenant_id is 'Whose credit it is.';
comment on column signalops.credit_entries.id is 'UUIDv7.';
comment on column signalops.credit_entries.grant_id is 'The grant that it moves.';
comment on column signalops.credit_entries.kind is 'granted, burned by an invoice, returned when that was voided, or expired.';
comment on column signalops.credit_entries.amount is 'What it adds to the grant; negative: takes off.';
comment on column signalops.credit_entries.invoice_id is 'The invoice that burned it, or whose voiding returned it.';
comment on column signalops.credit_entries.created_at is 'When it was made.';
-- Serves return_credits and reconcile_invoices.
create index credit_entries_by_invoice on signalops.credit_entries (tenant_id, invoice_id) where invoice_id is not null;
-- Serves reconcile_credits.
create index credit_entries_by_grant on signalops.credit_entries (tenant_id, grant_id);

create table signalops.billing_periods (
  tenant_id uuid not null references signalops.tenants,
  period date not null check (extract(day from period) = 1),
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  frozen_at timestamptz not null default now(),
  barrier bigint,
  closed_at timestamptz,
  primary key (tenant_id, period),
  check (ends_at > starts_at),
  check (closed_at is null or barrier is not null)
);
comment on table signalops.billing_periods is
  'The billing periods that have ended: frozen, so that what is counted from then on is late; then closed, when no transaction can count into them.';
comment on column signalops.billing_periods.tenant_id is 'Whose period it is.';
comment on column signalops.billing_periods.period is 'The calendar month, by its first day.';
comment on column signalops.billing_periods.starts_at is 'When it began in the tenant''s time zone.';
comment on column signalops.billing_periods.ends_at is 'When it ended.';
comment on column signalops.billing_periods.frozen_at is 'When tenants.closed_until became its end.';
comment on column signalops.billing_periods.barrier is
  'A transaction that began after the freezing was committed; when all before it have ended, no transaction counts by the old closed_until.';
comment on column signalops.billing_periods.closed_at is 'When it was sealed and invoiced; NULL: not yet.';
-- Serves record_barriers and periods_ready.
create index billing_periods_open on signalops.billing_periods (tenant_id, period) where closed_at is null;

create table signalops.usage_daily (
  tenant_id uuid not null,
  period date not null,
  day date not null,
  meter text not null,
  group_key text not null,
  is_late boolean not null,
  aggregation text not null,
  events bigint not null,
  quantity numeric,
  primary key (tenant_id, period, day, meter, group_key)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
comment on table signalops.usage_daily is
  'The sealed figures of closed periods, by day: what stays when the events behind them have outlived their retention.';
comment on column signalops.usage_daily.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_daily.period is 'The period that it is billed in.';
comment on column signalops.usage_daily.day is 'The day on which it happened, in the tenant''s time zone; before the period: late.';
comment on column signalops.usage_daily.meter is 'The meter''s key; events: all events.';
comment on column signalops.usage_daily.group_key is 'The group, as of usage_counters.';
comment on column signalops.usage_daily.is_late is 'Whether it happened in an earlier period, which was closed already.';
comment on column signalops.usage_daily.aggregation is 'The meter''s: what is made of the events.';
comment on column signalops.usage_daily.events is 'How many events.';
comment on column signalops.usage_daily.quantity is 'The day''s figure, with its adjustments.';

create table signalops.usage_hash_chain (
  tenant_id uuid not null,
  period date not null,
  digest bytea not null check (length(digest) = 32),
  previous bytea check (length(previous) = 32),
  days integer not null check (days >= 0),
  sealed_at timestamptz not null default now(),
  primary key (tenant_id, period),
  foreign key (tenant_id, period) references signalops.billing_periods
);
comment on table signalops.usage_hash_chain is
  'A hash chain over the sealed figures, a link for each closed period: who changes a figure must forge all that follow.';
comment on column signalops.usage_hash_chain.tenant_id is 'Whose chain it is.';
comment on column signalops.usage_hash_chain.period is 'The period that is sealed.';
comment on column signalops.usage_hash_chain.digest is 'SHA-256 of the previous digest and the period''s figures: see signalops.digest_days.';
comment on column signalops.usage_hash_chain.previous is 'The digest of the period before; NULL: it is the first.';
comment on column signalops.usage_hash_chain.days is 'How many rows of usage_daily it covers.';
comment on column signalops.usage_hash_chain.sealed_at is 'When.';

create table signalops.invoices (
  tenant_id uuid not null references signalops.tenants,
  id uuid not null,
  kind text not null check (kind in ('invoice', 'credit_note')),
  number bigint not null check (number > 0),
  customer text not null,
  period date not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  subtotal numeric not null,
  credited numeric not null,
  total numeric not null,
  issued_at timestamptz not null default now(),
  corrects uuid,
  reason text check (length(reason) between 1 and 500),
  author text not null check (length(author) between 1 and 200),
  voided_at timestamptz,
  void_reason text,
  voided_by text,
  idempotency_key text check (length(idempotency_key) between 1 and 255),
  body_hash bytea,
  constraint invoices_by_key unique (tenant_id, idempotency_key),
  primary key (tenant_id, id),
  unique (tenant_id, kind, number),
  foreign key (tenant_id, corrects) references signalops.invoices,
  foreign key (tenant_id, period) references signalops.billing_periods,
  check (credited >= 0 and (credited <= greatest(subtotal, 0))),
  check (total = (subtotal - credited)),
  check ((corrects is not null) = (kind = 'credit_note')),
  check (length(void_reason) between 1 and 500 and ((void_reason is null) = (voided_at is null))),
  check (length(voided_by) between 1 and 200 and ((voided_by is null) = (voided_at is null))),
  check ((body_hash is null) = (idempotency_key is null))
);
comment on table signalops.invoices is 'Invoices and credit notes, as they were issued. They can be voided, once; nothing else of them ever changes.';
comment on column signalops.invoices.tenant_id is 'Who owes it.';
comment on column signalops.invoices.id is 'UUIDv7.';
comment on column signalops.invoices.kind is 'invoice; or credit_note: takes off an invoice.';
comment on column signalops.invoices.number is 'Its number, without gaps in the series of its kind across all tenants.';
comment on column signalops.invoices.customer is 'The tenant''s name when it was issued.';
comment on column signalops.invoices.period is 'The billing period, by its first day.';
comment on column signalops.invoices.starts_at is 'When the period began.';
comment on column signalops.invoices.ends_at is 'When it ended.';
comment on column signalops.invoices.currency is 'ISO 4217.';
comment on column signalops.invoices.subtotal is 'The sum of the lines before credit. Below zero: in the tenant''s favour.';
comment on column signalops.invoices.credited is 'Credit that was burned for it.';
comment on column signalops.invoices.total is 'What is due: the sum of all lines.';
comment on column signalops.invoices.issued_at is 'When it was issued.';
comment on column signalops.invoices.corrects is 'The invoice that a credit note corrects; NULL: it is an invoice.';
comment on column signalops.invoices.reason is 'Why a credit note was given, or an invoice reissued.';
comment on column signalops.invoices.author is 'Who issued it; signalops: the closing of the period.';
comment on column signalops.invoices.voided_at is 'When it was voided; NULL: it is not void.';
comment on column signalops.invoices.void_reason is 'Why.';
comment on column signalops.invoices.voided_by is 'By whom.';
comment on column signalops.invoices.idempotency_key is 'Idempotency key of a credit note''s request; NULL: without one.';
comment on column signalops.invoices.body_hash is 'SHA-256 of what was sent with the key: the key stands for nothing else.';
-- Serves issue_invoice: a period is invoiced once in a currency, until that is voided.
create unique index invoices_by_period on signalops.invoices (tenant_id, period, currency) where kind = 'invoice' and voided_at is null;
-- Serves sum-credit-notes.
create index invoices_by_corrected on signalops.invoices (tenant_id, corrects) where corrects is not null;

create table signalops.invoice_lines (
  tenant_id uuid not null,
  id uuid not null,
  invoice_id uuid not null,
  "position" smallint not null check ("position" > 0),
  kind text not null check (kind in ('base', 'usage', 'late', 'credit', 'correction')),
  meter text,
  plan text,
  version integer,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  late_period date,
  aggregation text,
  events bigint,
  quantity numeric,
  included numeric,
  unit text,
  amount numeric not null,
  description text not null,
  details jsonb not null,
  primary key (tenant_id, id),
  unique (tenant_id, invoice_id, "position"),
  foreign key (tenant_id, invoice_id) references signalops.invoices,
  check ((meter is not null) = (kind in ('usage', 'late'))),
  check ((late_period is not null) = (kind = 'late')),
  check ((aggregation is null) = (meter is null))
);
comment on table signalops.invoice_lines is 'The lines of invoices and credit notes, each rounded to the minor unit; totals are sums of them.';
comment on column signalops.invoice_lines.tenant_id is 'Of the invoice.';
comment on column signalops.invoice_lines.id is 'UUIDv7.';
comment on column signalops.invoice_lines.invoice_id is 'The document that it stands on.';
comment on column signalops.invoice_lines."position" is 'Its place there, from 1.';
comment on column signalops.invoice_lines.kind is
  'base: the base fee of a stretch; usage: a meter of a stretch; late: what a closed period costs more by what came late; credit: credit that was '
  'burned; correction: the amount of a credit note.';
comment on column signalops.invoice_lines.meter is 'The meter''s key; NULL: it is not about usage.';
comment on column signalops.invoice_lines.plan is 'The plan by whose terms it is priced.';
comment on column signalops.invoice_lines.version is 'The version of that plan.';
comment on column signalops.invoice_lines.starts_at is 'From when: the usage of the hours from then on.';
comment on column signalops.invoice_lines.ends_at is 'Until when.';
comment on column signalops.invoice_lines.late_period is 'The closed period that the usage belongs to; NULL: it is not late.';
comment on column signalops.invoice_lines.aggregation is 'The meter''s.';
comment on column signalops.invoice_lines.events is 'How many events are behind it.';
comment on column signalops.invoice_lines.quantity is
  'signalops.usage_by of those hours in the invoice''s period; late: by how much the closed period''s figure changes.';
comment on column signalops.invoice_lines.included is 'How much of it the base fee includes.';
comment on column signalops.invoice_lines.unit is 'What is counted in.';
comment on column signalops.invoice_lines.amount is 'What it costs, rounded half up to the minor unit.';
comment on column signalops.invoice_lines.description is 'For people.';
comment on column signalops.invoice_lines.details is 'The arithmetic: {days, ofDays, price, steps, before, after}, as far as it applies.';

create table signalops.invoice_numbers (
  series text primary key check (series in ('invoice', 'credit_note')),
  last bigint not null check (last > 0)
);
comment on table signalops.invoice_numbers is 'The last number of each series of documents, across tenants: of the operator, who issues them.';
comment on column signalops.invoice_numbers.series is 'invoice or credit_note.';
comment on column signalops.invoice_numbers.last is
  'The last that was given. The transaction that takes the next locks the row until its commit, so a failure leaves no gap.';

create table signalops.retired_invoice_numbers (
  series text not null check (series in ('invoice', 'credit_note')),
  number bigint not null check (number > 0),
  primary key (series, number)
);
comment on table signalops.retired_invoice_numbers is
  'The numbers of documents that went with their tenants: no other document is given one, and none is missing.';
comment on column signalops.retired_invoice_numbers.series is 'invoice or credit_note.';
comment on column signalops.retired_invoice_numbers.number is 'The number that the document had.';
