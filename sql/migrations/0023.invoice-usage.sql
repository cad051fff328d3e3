-- Station usage: closing. A billing period is frozen, sealed and invoiced; what is on record of it is never changed afterwards.

create table signalops.billing_periods (
  tenant_id uuid not null references signalops.tenants (id),
  period date not null check (extract(day from period) = 1),
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at > starts_at),
  frozen_at timestamptz not null default now(),
  barrier bigint,
  closed_at timestamptz check (closed_at is null or barrier is not null),
  primary key (tenant_id, period)
);
comment on table signalops.billing_periods is
  'The billing periods that have ended: frozen, so that what is counted from then on is late; then closed, when nobody can count into them.';
comment on column signalops.billing_periods.tenant_id is 'Whose period it is.';
comment on column signalops.billing_periods.period is 'The calendar month, by its first day.';
comment on column signalops.billing_periods.starts_at is 'When it began in the tenant''s time zone.';
comment on column signalops.billing_periods.ends_at is 'When it ended.';
comment on column signalops.billing_periods.frozen_at is 'When tenants.closed_until became its end.';
comment on column signalops.billing_periods.barrier is
  'A transaction that began after the freezing was committed; when all before it have ended, nobody counts by the old closed_until.';
comment on column signalops.billing_periods.closed_at is 'When it was sealed and invoiced; NULL: not yet.';
call signalops.protect('signalops.billing_periods');
call signalops.admit_owner('signalops.billing_periods', 'Periods of all tenants are found and closed by narrow functions.');
grant select on signalops.billing_periods to signalops_api, signalops_worker;
-- Serves note_barriers and periods_ready.
create index billing_periods_open on signalops.billing_periods (tenant_id, period) where closed_at is null;

create table signalops.usage_days (
  tenant_id uuid not null,
  period date not null,
  day date not null,
  meter text not null,
  grp text not null,
  is_late boolean not null,
  aggregation text not null,
  events bigint not null,
  quantity numeric,
  -- Without a foreign key, which would be looked up for each of many rows: seal_period has the period locked.
  primary key (tenant_id, period, day, meter, grp)
);
comment on table signalops.usage_days is
  'The sealed figures of closed periods, by day: what stays when the events behind them have outlived their retention.';
comment on column signalops.usage_days.tenant_id is 'Whose usage it is.';
comment on column signalops.usage_days.period is 'The period that it is billed in.';
comment on column signalops.usage_days.day is 'The day on which it happened, in the tenant''s time zone; before the period: late.';
comment on column signalops.usage_days.meter is 'The meter''s key; events: all events.';
comment on column signalops.usage_days.grp is 'The group, as of usage_counters.';
comment on column signalops.usage_days.is_late is 'Whether it happened in an earlier period, which was closed already.';
comment on column signalops.usage_days.aggregation is 'The meter''s: what is made of the events.';
comment on column signalops.usage_days.events is 'How many events.';
comment on column signalops.usage_days.quantity is 'The day''s figure, with its adjustments.';
call signalops.protect('signalops.usage_days');
call signalops.admit_owner('signalops.usage_days', 'seal_period alone writes them; the audit holds them against the counters.');
grant select on signalops.usage_days to signalops_api, signalops_worker;

create table signalops.usage_seals (
  tenant_id uuid not null,
  period date not null,
  digest bytea not null check (length(digest) = 32),
  previous bytea check (length(previous) = 32),
  days integer not null check (days >= 0),
  sealed_at timestamptz not null default now(),
  primary key (tenant_id, period),
  foreign key (tenant_id, period) references signalops.billing_periods (tenant_id, period)
);
comment on table signalops.usage_seals is
  'A hash chain over the sealed figures, a link for each closed period: who changes a figure must forge all that follow.';
comment on column signalops.usage_seals.tenant_id is 'Whose chain it is.';
comment on column signalops.usage_seals.period is 'The period that is sealed.';
comment on column signalops.usage_seals.digest is 'SHA-256 of the previous digest and the period''s figures: see signalops.digest_days.';
comment on column signalops.usage_seals.previous is 'The digest of the period before; NULL: it is the first.';
comment on column signalops.usage_seals.days is 'How many rows of usage_days it covers.';
comment on column signalops.usage_seals.sealed_at is 'When.';
call signalops.protect('signalops.usage_seals');
call signalops.admit_owner('signalops.usage_seals', 'seal_period alone writes them; the audit computes them anew.');
grant select on signalops.usage_seals to signalops_api, signalops_worker;

create table signalops.invoice_numbers (
  series text primary key check (series in ('invoice', 'credit_note')),
  last bigint not null check (last > 0)
);
comment on table signalops.invoice_numbers is 'The last number of each series of documents, across tenants: of the operator, who issues them.';
comment on column signalops.invoice_numbers.series is 'invoice or credit_note.';
comment on column signalops.invoice_numbers.last is 'The last that was given. Whoever takes the next holds the row until it commits, so a failure leaves no gap.';
alter table signalops.invoice_numbers enable row level security;
alter table signalops.invoice_numbers force row level security;
call signalops.admit_owner('signalops.invoice_numbers', 'issue_invoice takes numbers; the audit looks for gaps.');

create table signalops.invoices (
  tenant_id uuid not null references signalops.tenants (id),
  id uuid not null,
  kind text not null check (kind in ('invoice', 'credit_note')),
  number bigint not null check (number > 0),
  customer text not null,
  period date not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  subtotal numeric not null,
  credited numeric not null check (credited between 0 and greatest(subtotal, 0)),
  total numeric not null check (total = subtotal - credited),
  issued_at timestamptz not null default now(),
  corrects uuid check ((corrects is not null) = (kind = 'credit_note')),
  reason text check (length(reason) between 1 and 500),
  author text not null check (length(author) between 1 and 200),
  voided_at timestamptz,
  void_reason text check (length(void_reason) between 1 and 500 and (void_reason is null) = (voided_at is null)),
  voided_by text check (length(voided_by) between 1 and 200 and (voided_by is null) = (voided_at is null)),
  primary key (tenant_id, id),
  unique (tenant_id, kind, number),
  foreign key (tenant_id, period) references signalops.billing_periods (tenant_id, period),
  foreign key (tenant_id, corrects) references signalops.invoices (tenant_id, id)
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
comment on column signalops.invoices.corrects is 'The invoice that a credit note takes off; NULL: it is an invoice.';
comment on column signalops.invoices.reason is 'Why a credit note was given, or an invoice issued anew.';
comment on column signalops.invoices.author is 'Who issued it; signalops: the closing of the period.';
comment on column signalops.invoices.voided_at is 'When it was voided; NULL: it holds.';
comment on column signalops.invoices.void_reason is 'Why.';
comment on column signalops.invoices.voided_by is 'By whom.';
call signalops.protect('signalops.invoices');
call signalops.admit_owner('signalops.invoices', 'issue_invoice alone writes them; the audit holds them against their lines.');
grant select on signalops.invoices to signalops_api, signalops_worker;
-- Serves issue_invoice: a period is invoiced once in a currency, until that is voided.
create unique index invoices_by_period on signalops.invoices (tenant_id, period, currency) where kind = 'invoice' and voided_at is null;
-- Serves sum-credit-notes.
create index invoices_by_corrected on signalops.invoices (tenant_id, corrects) where corrects is not null;

create table signalops.invoice_lines (
  tenant_id uuid not null,
  id uuid not null,
  invoice_id uuid not null,
  position smallint not null check (position > 0),
  kind text not null check (kind in ('base', 'usage', 'late', 'credit', 'correction')),
  meter text check ((meter is not null) = (kind in ('usage', 'late'))),
  plan text,
  version integer,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  late_period date check ((late_period is not null) = (kind = 'late')),
  aggregation text check ((aggregation is null) = (meter is null)),
  events bigint,
  quantity numeric,
  included numeric,
  unit text,
  amount numeric not null,
  description text not null,
  details jsonb not null,
  primary key (tenant_id, id),
  unique (tenant_id, invoice_id, position),
  foreign key (tenant_id, invoice_id) references signalops.invoices (tenant_id, id)
);
comment on table signalops.invoice_lines is 'The lines of invoices and credit notes, each rounded to the minor unit; totals are sums of them.';
comment on column signalops.invoice_lines.tenant_id is 'Of the invoice.';
comment on column signalops.invoice_lines.id is 'UUIDv7.';
comment on column signalops.invoice_lines.invoice_id is 'The document that it stands on.';
comment on column signalops.invoice_lines.position is 'Its place there, from 1.';
comment on column signalops.invoice_lines.kind is
  'base: the base fee of a stretch; usage: a meter of a stretch; late: what a closed period costs more by what came late; '
  'credit: credit that was burned; correction: what a credit note takes off.';
comment on column signalops.invoice_lines.meter is 'The meter''s key; NULL: it is not about usage.';
comment on column signalops.invoice_lines.plan is 'The plan by whose terms it is priced.';
comment on column signalops.invoice_lines.version is 'The version of that plan.';
comment on column signalops.invoice_lines.starts_at is 'From when: the usage of the hours from then on.';
comment on column signalops.invoice_lines.ends_at is 'Until when.';
comment on column signalops.invoice_lines.late_period is 'The closed period that the usage belongs to; NULL: it is not late.';
comment on column signalops.invoice_lines.aggregation is 'The meter''s.';
comment on column signalops.invoice_lines.events is 'How many events are behind it.';
comment on column signalops.invoice_lines.quantity is 'signalops.usage_by of those hours in the invoice''s period; late: by how much the closed period''s figure changes.';
comment on column signalops.invoice_lines.included is 'How much of it the base fee includes.';
comment on column signalops.invoice_lines.unit is 'What is counted in.';
comment on column signalops.invoice_lines.amount is 'What it costs, rounded half up to the minor unit.';
comment on column signalops.invoice_lines.description is 'For people.';
comment on column signalops.invoice_lines.details is 'The arithmetic: {days, ofDays, price, steps, before, after}, as far as it applies.';
call signalops.protect('signalops.invoice_lines');
call signalops.admit_owner('signalops.invoice_lines', 'issue_invoice alone writes them; the audit adds them up.');
grant select on signalops.invoice_lines to signalops_api, signalops_worker;

create trigger refuse_change before update on signalops.invoices for each row
  when (old.voided_at is not null or to_jsonb(new) - '{voided_at,void_reason,voided_by}'::text[]
    <> to_jsonb(old) - '{voided_at,void_reason,voided_by}'::text[])
  execute function signalops.refuse_change('void it once, or issue a credit note');
comment on trigger refuse_change on signalops.invoices is 'An invoice stays as it was issued; it can be voided, once.';
create trigger refuse_deletion before delete on signalops.invoices
  for each row execute function signalops.refuse_change('void it once, or issue a credit note');
comment on trigger refuse_deletion on signalops.invoices is 'Numbers have no gaps: a voided invoice stays on record.';
create trigger refuse_change before update or delete on signalops.invoice_lines
  for each row execute function signalops.refuse_change('void its invoice, or issue a credit note');
comment on trigger refuse_change on signalops.invoice_lines is 'A line stays as it was issued.';
create trigger refuse_change before update or delete on signalops.usage_days
  for each row execute function signalops.refuse_change('adjust the usage, which the open period bills');
comment on trigger refuse_change on signalops.usage_days is 'A sealed figure stays as it was.';
create trigger refuse_change before update or delete on signalops.usage_seals
  for each row execute function signalops.refuse_change('adjust the usage, which the open period bills');
comment on trigger refuse_change on signalops.usage_seals is 'The chain is only added to.';

create function signalops.first_period(tenant uuid, zone text, made timestamptz) returns date
language sql stable
return signalops.period_of(least(made,
  (select min(u.hour) from signalops.usage_counters u where u.tenant_id = tenant and u.meter = 'events'),
  (select min(a.hour) from signalops.usage_adjustments a where a.tenant_id = tenant)), zone);
comment on function signalops.first_period(uuid, text, timestamptz) is
  'The first billing period of a tenant: of when it was made, or of the earliest usage that it sent in afterwards.';

create function signalops.freeze_periods(closing_after interval, at_most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  frozen bigint;
begin
  with due as materialized (
    -- All of it follows from the row that is locked: of two workers the second finds the tenant advanced, or locked.
    select t.id, p.period, signalops.starts_at(p.period, t.time_zone) as starts_at, e.ends_at
    from signalops.tenants t
    cross join lateral (select case when t.closed_until = '-infinity' then signalops.first_period(t.id, t.time_zone, t.created_at)
      else signalops.period_of(t.closed_until, t.time_zone) end as period) p
    cross join lateral (select signalops.starts_at((p.period + interval '1 month')::date, t.time_zone) as ends_at) e
    where e.ends_at <= now() - closing_after and not exists (
      select from signalops.inbox i
      where i.tenant_id = t.id and i.event_id < signalops.id_at(e.ends_at) and i.replay_id is null)
    order by t.id limit at_most for update of t skip locked
  ), noted as (
    insert into signalops.billing_periods (tenant_id, period, starts_at, ends_at)
    select d.id, d.period, d.starts_at, d.ends_at from due d returning *
  ), advanced as (
    update signalops.tenants t set closed_until = n.ends_at from noted n where t.id = n.tenant_id returning t.id
  )
  select count(*) into frozen from advanced;
  return frozen;
end
$$;
comment on function signalops.freeze_periods(interval, integer) is
  'Freezes the next period of tenants whose month ended so long ago, and of whom nothing waits that came before its end; returns of '
  'how many. It must be committed before note_barriers.';
revoke all on function signalops.freeze_periods(interval, integer) from public;
grant execute on function signalops.freeze_periods(interval, integer) to signalops_worker;

create function signalops.note_barriers() returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  noted bigint;
begin
  if pg_current_xact_id_if_assigned() is not null then
    raise 'note_barriers must be a transaction of its own: commit first' using errcode = 'active_sql_transaction';
  end if;
  -- This transaction gets its number now, after it saw the freezing committed. Whoever counts by the old closed_until had its number
  -- before it read that. The xmax of a snapshot would not do: it lies behind the last that has ended, not behind the last that began.
  -- A barrier of the future is another cluster's, out of a dump.
  update signalops.billing_periods b set barrier = pg_current_xact_id()::text::bigint
  where b.closed_at is null and (b.barrier is null or b.barrier >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint);
  get diagnostics noted = row_count;
  return noted;
end
$$;
comment on function signalops.note_barriers() is
  'Notes for frozen periods which transactions have to end before they can be closed; returns for how many.';
revoke all on function signalops.note_barriers() from public;
grant execute on function signalops.note_barriers() to signalops_worker;

create function signalops.oldest_transaction() returns bigint
language sql volatile
as $$
  -- The xmin of a snapshot would wait for the transactions of every database of the cluster. A transaction holds the lock on its number
  -- before it reads anything else, and until what it did can be seen; the number of the lock lacks the epoch.
  select coalesce(min(n.latest + ((l.transactionid::text::bigint - n.latest + 3 * 2147483648) % 4294967296) - 2147483648), min(n.latest))
  from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as latest) n
  left join pg_locks l on l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and not exists (
    select from pg_stat_activity a join pg_database d on d.oid = a.datid where a.pid = l.pid and d.datname <> current_database())
$$;
comment on function signalops.oldest_transaction() is
  'The number of the oldest transaction of this database that has one and has not ended; without any, one that is not given yet.';

create function signalops.periods_ready(at_most integer) returns table (tenant uuid, period date)
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select o.tenant_id, o.period
  from (
    select distinct on (b.tenant_id) b.tenant_id, b.period, b.barrier
    from signalops.billing_periods b where b.closed_at is null order by b.tenant_id, b.period
  ) o
  where o.barrier <= (select signalops.oldest_transaction())
  -- Workers that ask at once begin at different ends.
  order by random() limit at_most
$$;
comment on function signalops.periods_ready(integer) is
  'Frozen periods into which nobody counts any more, of each tenant the first: they can be closed.';
revoke all on function signalops.periods_ready(integer) from public;
grant execute on function signalops.periods_ready(integer) to signalops_worker;

create function signalops.digest_days(tenant uuid, of_period date, before bytea) returns bytea
language sql stable
return sha256(coalesce(before, '') || convert_to(json_build_array(tenant, of_period)::text || coalesce((
  select string_agg(E'\n' || json_build_array(d.day, d.meter, d.grp, d.is_late, d.aggregation, d.events, d.quantity::text)::text,
    '' order by d.day, d.meter collate "C", d.grp collate "C")
  from signalops.usage_days d where d.tenant_id = tenant and d.period = of_period), ''), 'UTF8'));
comment on function signalops.digest_days(uuid, date, bytea) is
  'The digest of a sealed period: SHA-256 of the digest before (none: nothing), the line [tenant, period], and for each row of '
  'usage_days, by day, meter and group (in the order of bytes), a line [day, meter, grp, is_late, aggregation, events, quantity], as JSON '
  'in UTF-8 with line feeds between.';

create function signalops.seal_period(tenant uuid, of_period date) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  closing record;
  before bytea;
  sealed integer;
begin
  perform signalops.require_tenant(tenant);
  select b.starts_at, b.ends_at, t.time_zone into closing
  from signalops.billing_periods b join signalops.tenants t on t.id = b.tenant_id
  where b.tenant_id = tenant and b.period = of_period and b.closed_at is null
    and b.barrier <= (select signalops.oldest_transaction())
  for update of b skip locked;
  if not found then
    return false;
  end if;

  insert into signalops.usage_days (tenant_id, period, day, meter, grp, is_late, aggregation, events, quantity)
  select tenant, of_period, (u.bucket at time zone closing.time_zone)::date, m.key, u.grp, u.bucket < closing.starts_at,
    m.aggregation, u.events, u.quantity
  from (
    select 'events' as key, 'count' as aggregation
    union select k.key, k.aggregation from signalops.meters k where k.tenant_id = tenant
  ) m
  cross join lateral signalops.usage_by(tenant, m.key, '-infinity', closing.ends_at, 'day', true, of_period) u;
  get diagnostics sealed = row_count;

  select s.digest into before from signalops.usage_seals s
  where s.tenant_id = tenant and s.period < of_period order by s.period desc limit 1;
  insert into signalops.usage_seals (tenant_id, period, digest, previous, days)
  values (tenant, of_period, signalops.digest_days(tenant, of_period, before), before, sealed);

  -- Held before looking, as subscribe does: the plan that is given meanwhile may need the meters of the one before.
  perform from signalops.tenants t where t.id = tenant for no key update;
  perform signalops.end_unneeded_meters(tenant);
  update signalops.billing_periods b set closed_at = now() where b.tenant_id = tenant and b.period = of_period;
  return true;
end
$$;
comment on function signalops.seal_period(uuid, date) is
  'Writes down the figures of a frozen period of the tenant that the transaction acts for, seals them, and closes it; the transaction '
  'goes on to invoice it. False: it is closed, being closed, or somebody may still count into it.';
revoke all on function signalops.seal_period(uuid, date) from public;
grant execute on function signalops.seal_period(uuid, date) to signalops_worker;

create function signalops.announce_invoice(about signalops.invoices, what text, why text) returns uuid
language sql volatile
as $$
  select signalops.announce('signalops.invoice.' || what, jsonb_strip_nulls(jsonb_build_object('invoice', coalesce(about.corrects, about.id),
    'creditNote', case when about.corrects is not null then about.id end, 'number', about.number,
    'period', to_char(about.period, 'YYYY-MM'), 'currency', about.currency, 'credited', about.credited::text,
    'total', about.total::text, 'reason', why)), 1::smallint)
$$;
comment on function signalops.announce_invoice(signalops.invoices, text, text) is
  'Emits signalops.invoice.issued, .credited or .voided, in the tenant that the transaction acts for.';
revoke all on function signalops.announce_invoice(signalops.invoices, text, text) from public;

create function signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  made signalops.invoices;
  summed numeric := (select sum(l.amount) from jsonb_to_recordset(lines) as l (amount numeric));
begin
  perform signalops.require_tenant(tenant);
  made := jsonb_populate_record(null::signalops.invoices, issued);
  if summed is distinct from made.total then
    raise 'the lines add up to %, not to %', summed, made.total using errcode = 'check_violation';
  end if;
  select tenant, now(), t.name, b.starts_at, b.ends_at into made.tenant_id, made.issued_at, made.customer, made.starts_at, made.ends_at
  from signalops.billing_periods b join signalops.tenants t on t.id = b.tenant_id
  where b.tenant_id = tenant and b.period = made.period and b.closed_at is not null;
  if not found then
    raise 'the period % of the tenant is not closed', made.period using errcode = 'check_violation';
  end if;
  -- From here to the commit nobody else is given a number.
  insert into signalops.invoice_numbers as n (series, last) values (made.kind, 1)
  on conflict (series) do update set last = n.last + 1 returning n.last into made.number;
  insert into signalops.invoices select (made).*;
  insert into signalops.invoice_lines (tenant_id, id, invoice_id, position, kind, meter, plan, version, starts_at, ends_at, late_period,
    aggregation, events, quantity, included, unit, amount, description, details)
  select tenant, signalops.new_id(), made.id, row_number() over (), l.kind, l.meter, l.plan, l.version, coalesce(l.starts_at, made.starts_at),
    coalesce(l.ends_at, made.ends_at), l.late_period, l.aggregation, l.events, l.quantity, l.included, l.unit, l.amount, l.description,
    l.details
  from jsonb_to_recordset(lines) as l (kind text, meter text, plan text, version integer, starts_at timestamptz, ends_at timestamptz,
    late_period date, aggregation text, events bigint, quantity numeric, included numeric, unit text, amount numeric, description text,
    details jsonb);
  perform signalops.announce_invoice(made, case made.kind when 'invoice' then 'issued' else 'credited' end, made.reason);
  return made.number;
end
$$;
comment on function signalops.issue_invoice(uuid, jsonb, jsonb) is
  'Issues an invoice or a credit note of a closed period, with its lines, and tells the tenant; returns its number. issued: columns of '
  'invoices; lines: columns of invoice_lines, in their order; numbers as strings.';
revoke all on function signalops.issue_invoice(uuid, jsonb, jsonb) from public;
grant execute on function signalops.issue_invoice(uuid, jsonb, jsonb) to signalops_worker;
