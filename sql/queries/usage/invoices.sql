-- Station usage: billing periods are closed, and invoiced.

-- freeze-periods: freezes the periods of all tenants that ended long enough ago; of how many tenants
select signalops.freeze_periods(%(closing_after)s, %(at_most)s);

-- record-barriers: notes for frozen periods what has to end before they can be closed
select signalops.record_barriers();

-- periods-ready: the frozen periods of all tenants that can be closed
select tenant, period from signalops.periods_ready(%(at_most)s);

-- seal-period: writes down the figures of a frozen period of the current tenant; whether it was ours to close
select signalops.seal_period(%(tenant)s, %(period)s);

-- billing-segments-used: the billing segments of a period under one plan each, with what it bills of each meter that has a price
select s.plan, s.version, s.terms::text, s.days, s.of_days, e.starts_at, e.ends_at, coalesce((
    select jsonb_object_agg(p.meter, jsonb_build_object('events', u.events, 'quantity', u.quantity::text))
    from jsonb_to_recordset(s.terms -> 'prices') as p (meter text)
    cross join lateral signalops.usage_by(t.id, p.meter, e.starts_at, e.ends_at, null, false, %(period)s) u), '{}') as used
from signalops.tenants t
cross join lateral signalops.billing_segments(t.id, %(period)s) s
cross join lateral (
  select signalops.period_start(s.starts_on, t.time_zone) as starts_at, signalops.period_start(s.ends_on, t.time_zone) as ends_at
) e
where t.id = %(tenant)s order by e.starts_at;

-- late-used: what a period bills of earlier ones, by their billing segments and meters: the figure before and after
with late as (
  select distinct l.meter, signalops.period_of(l.hour, t.time_zone) as month, t.time_zone
  from signalops.tenants t cross join lateral (
    select u.meter, u.hour from signalops.usage_counters u where u.tenant_id = t.id and u.period = %(period)s and u.is_late
    union all
    select a.meter, a.hour from signalops.usage_adjustments a where a.tenant_id = t.id and a.period = %(period)s and a.is_late
  ) l
  where t.id = %(tenant)s
)
select l.meter, l.month, s.plan, s.version, s.terms::text, s.days, s.of_days, e.starts_at, e.ends_at, now.events,
  coalesce(before.quantity, 0) as before, coalesce(after.quantity, 0) as after
from late l
cross join lateral signalops.billing_segments(%(tenant)s, l.month) s
cross join lateral (
  select signalops.period_start(s.starts_on, l.time_zone) as starts_at, signalops.period_start(s.ends_on, l.time_zone) as ends_at
) e
cross join lateral signalops.usage_by(%(tenant)s, l.meter, e.starts_at, e.ends_at, null, false, %(period)s) now
left join lateral signalops.usage_by(%(tenant)s, l.meter, e.starts_at, e.ends_at, null, false, null,
  (%(period)s::date - interval '1 month')::date) before on true
left join lateral signalops.usage_by(%(tenant)s, l.meter, e.starts_at, e.ends_at, null, false, null, %(period)s) after on true
order by l.month, e.starts_at, l.meter;

-- open-period: the bounds of a period of a tenant that is not closed yet, the present one by default
select p.period, signalops.period_start(p.period, t.time_zone) as starts_at,
  signalops.period_start((p.period + interval '1 month')::date, t.time_zone) as ends_at
from signalops.tenants t
cross join lateral (select coalesce(%(period)s, signalops.period_of(now(), t.time_zone)) as period) p
where t.id = %(tenant)s and signalops.period_start(p.period, t.time_zone) <= now()
  and not exists (select from signalops.billing_periods b where b.tenant_id = t.id and b.period >= p.period and b.closed_at is not null);

-- issue-invoice: issues an invoice or a credit note with its lines; its number
select signalops.issue_invoice(%(tenant)s, %(issued)s::jsonb, %(lines)s::jsonb);

-- list-invoices: a page of a tenant's invoices and credit notes between two ids
select i.*, t.time_zone from signalops.invoices i join signalops.tenants t on t.id = i.tenant_id
where i.tenant_id = %(tenant)s and i.id > %(lower)s and i.id < %(upper)s
order by case when %(upwards)s then i.id end, i.id desc limit %(limit)s;

-- read-invoice: an invoice or a credit note of a tenant
select i.*, t.time_zone from signalops.invoices i join signalops.tenants t on t.id = i.tenant_id
where i.tenant_id = %(tenant)s and i.id = %(id)s;

-- read-lines: the lines of an invoice, in order
select * from signalops.invoice_lines where tenant_id = %(tenant)s and invoice_id = %(id)s order by position;

-- find-invoice: the id of a tenant's invoice or credit note, by its number
select id from signalops.invoices where tenant_id = %(tenant)s and kind = %(kind)s and number = %(number)s;

-- find-credit-note: the credit note that was sent with an idempotency key
select id, body_hash from signalops.invoices where tenant_id = %(tenant)s and idempotency_key = %(key)s;

-- lock-invoice: an invoice, locked until the end of the transaction
select * from signalops.invoices where tenant_id = %(tenant)s and id = %(id)s for no key update;

-- sum-credit-notes: what the valid credit notes take off an invoice
select coalesce(sum(total), 0) as noted from signalops.invoices
where tenant_id = %(tenant)s and corrects = %(id)s and voided_at is null;

-- is-invoiced: whether a period has an invoice in a currency that is valid
select exists (select from signalops.invoices where tenant_id = %(tenant)s and period = %(period)s and currency = %(currency)s
  and kind = 'invoice' and voided_at is null);

-- void-invoice: voids an invoice, gives its credit back, and notifies the tenant
with voided as (
  update signalops.invoices set voided_at = now(), void_reason = %(reason)s, voided_by = %(author)s
  where tenant_id = %(tenant)s and id = %(id)s returning *
)
select signalops.return_credits(v.tenant_id, v.id), signalops.emit_invoice_event(v.*::signalops.invoices, 'voided', v.void_reason)
from voided v;
