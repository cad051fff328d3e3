-- Invoices: issued under numbers without gaps.

create or replace function signalops.emit_invoice_event(about signalops.invoices, what text, why text) returns uuid
language sql volatile as $$
  select signalops.emit_and_enqueue('signalops.invoice.' || what, jsonb_strip_nulls(jsonb_build_object('invoice', coalesce(about.corrects, about.id),
    'creditNote', case when about.corrects is not null then about.id end, 'number', about.number,
    'period', to_char(about.period, 'YYYY-MM'), 'currency', about.currency, 'credited', about.credited::text,
    'total', about.total::text, 'reason', why)), 1::smallint)
$$;
comment on function signalops.emit_invoice_event is
  'Emits signalops.invoice.issued, .credited or .voided, in the tenant that the transaction acts for.';

create or replace function signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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
  perform signalops.emit_invoice_event(made, case made.kind when 'invoice' then 'issued' else 'credited' end, made.reason);
  return made.number;
end
$$;
comment on function signalops.issue_invoice is
  'Issues an invoice or a credit note of a closed period, with its lines, and emits an event; returns its number. issued: columns of invoices; '
  'lines: columns of invoice_lines, in their order; numbers as strings.';

create or replace function signalops.record_used_number() returns trigger
language plpgsql as $$
begin
  insert into signalops.retired_invoice_numbers (series, number) values (old.kind, old.number);
  return null;
end
$$;
comment on function signalops.record_used_number is 'Records the number of a document that is deleted with its tenant.';

create or replace trigger record_used_number after delete on signalops.invoices for each row execute function signalops.record_used_number();
comment on trigger record_used_number on signalops.invoices is 'Numbers stay without gaps.';
