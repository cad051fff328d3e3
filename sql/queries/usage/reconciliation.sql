-- Station usage: the proof, and the way from a figure to its events.

-- reconcilable-range: a tenant's time zone, and since when all that its figures are made of is stored (NULL: from its beginning)
select time_zone, nullif(since, '-infinity') as since from signalops.reconcilable_range(%(tenant)s, %(period)s);

-- reconcile-differences: what does not add up of a tenant, in a period or at all
select period, "check", subject, expected, found from signalops.reconcile(%(tenant)s, %(period)s)
order by period nulls first, "check", subject;

-- reconcile-numbers: gaps in the numbers of invoices and credit notes, of all tenants
select period, "check", subject, expected, found from signalops.reconcile_numbers() order by subject;

-- reconcile-counts: how much of a tenant was compared, in a period or at all
select coalesce(n.events, 0)::bigint as events, n.entries,
  (select count(*) from signalops.usage_counters c
    where c.tenant_id = %(tenant)s and (%(period)s::date is null or c.period = %(period)s)) as counters,
  (select count(*) from signalops.usage_daily d
    where d.tenant_id = %(tenant)s and (%(period)s::date is null or d.period = %(period)s)) as sealed,
  (select count(*) from signalops.invoice_lines l join signalops.invoices i on i.tenant_id = l.tenant_id and i.id = l.invoice_id
    where i.tenant_id = %(tenant)s and (%(period)s::date is null or i.period = %(period)s)) as lines,
  (select count(*) from signalops.credit_grants g where g.tenant_id = %(tenant)s) as credits
from (
  select count(*) as entries, sum(e.events) filter (where e.meter = 'events') as events from signalops.usage_entries e
  where e.tenant_id = %(tenant)s and (%(period)s::date is null or e.period = %(period)s)
) n;

-- reconcile-meters: all meters that a tenant ever had, with the meter versions between which they counted
select key, first_version, end_version, aggregation, field, grammar, pattern, group_by, allows_negative from signalops.meters where tenant_id = %(tenant)s;

-- reconcile-limited: the months for which groups and distinct values were counted no more, from a meter version on
select period, limited_from_version from signalops.usage_row_counts where tenant_id = %(tenant)s and limited_from_version is not null;

-- reconcile-entries: the entries of a tenant's own meters, and those of all events beside them, by hour and batch
select n.hour, n.batch, b.meters_version, n.period, n.meter, n.group_key, n.events, n.value, n.latest_at, n.latest_event, n.event_ids
from signalops.usage_entries n
join signalops.batch_results b on b.tenant_id = n.tenant_id and b.batch = n.batch
where n.tenant_id = %(tenant)s and (%(period)s::date is null or n.period = %(period)s)
  and (%(since)s::timestamptz is null or n.hour >= %(since)s)
  and (b.meters_version > 0 or n.meter <> 'events')
order by n.hour, n.batch, n.id;

-- reconcile-events: events as a batch's worker read them
select e.id, json_build_object('id', e.id, 'causation_depth', e.causation_depth, 'attributes', e.attributes, 'type', e.type, 'source', e.source,
  'occurredAt', e.occurred_at, 'payload', e.payload)::text
from signalops.events e where e.tenant_id = %(tenant)s and e.id = any (%(ids)s);

-- reconcile-items: the different values that an hour's counters have met, by meter, group and period
select meter, group_key, period, array_agg(distinct_value) from signalops.usage_distinct_values
where tenant_id = %(tenant)s and hour = %(hour)s and meter = any (%(meters)s) and (%(period)s::date is null or period = %(period)s)
group by meter, group_key, period;

-- find-line: a line of an invoice, and from when on all events behind figures are stored (NULL: from the tenant's beginning)
select l.kind, l.meter, l.starts_at, l.ends_at, i.period, i.starts_at as period_starts_at, nullif(s.since, '-infinity') as since
from signalops.invoice_lines l
join signalops.invoices i on i.tenant_id = l.tenant_id and i.id = l.invoice_id
cross join signalops.reconcilable_range(l.tenant_id, null) s
where l.tenant_id = %(tenant)s and l.id = %(line)s;

-- trace-line: a page of the events behind a figure, in the order of their entries
select n.id as entry, i.position, i.event, coalesce(m.allows_negative, true) as allows_negative
from signalops.usage_entries n
join signalops.batch_results b on b.tenant_id = n.tenant_id and b.batch = n.batch
left join signalops.meters m on m.tenant_id = n.tenant_id and m.key = n.meter
  and m.first_version <= b.meters_version and (m.end_version is null or m.end_version > b.meters_version)
cross join lateral unnest(n.event_ids) with ordinality as i (event, position)
where n.tenant_id = %(tenant)s and n.meter = %(meter)s and n.period = %(period)s and n.hour >= %(lower)s and n.hour < %(upper)s
  and n.id >= %(entry)s and (n.id, i.position) > (%(entry)s, %(position)s)
order by n.id, i.position limit %(limit)s;

-- reconcile-amounts: what the lines of invoices of closed periods cost, before credit; a period without an invoice is a row as well
select b.period, i.number, i.currency, l.kind, l.meter, l.plan, l.version, l.starts_at, l.late_period, l.amount
from signalops.billing_periods b
left join signalops.invoices i on i.tenant_id = b.tenant_id and i.period = b.period and i.kind = 'invoice'
left join signalops.invoice_lines l on l.tenant_id = i.tenant_id and l.invoice_id = i.id and l.kind <> 'credit'
where b.tenant_id = %(tenant)s and b.closed_at is not null and (%(period)s::date is null or b.period = %(period)s)
order by b.period, i.number, l.position;
