-- The audit: seals, invoices, credits and numbers.

create or replace function signalops.reconcile_hash_chain(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable as $$
  with closed as materialized (
    select b.tenant_id, b.period, b.starts_at, b.ends_at, t.time_zone
    from signalops.billing_periods b join signalops.tenants t on t.id = b.tenant_id
    where b.closed_at is not null and (of_tenant is null or b.tenant_id = of_tenant) and (of_period is null or b.period = of_period)
  ), meters as (
    select c.*, 'events' as meter from closed c
    union select c.*, m.key from closed c join signalops.meters m using (tenant_id)
  ), counted as (
    select m.tenant_id, m.period, (u.bucket at time zone m.time_zone)::date as day, m.meter, u.group_key, u.bucket < m.starts_at as is_late,
      u.events, u.quantity
    from meters m
    cross join lateral signalops.usage_by(m.tenant_id, m.meter, '-infinity', m.ends_at, 'day', true, m.period) u
  ), sealed as (
    select d.tenant_id, d.period, d.day, d.meter, d.group_key, d.is_late, d.events, d.quantity from signalops.usage_daily d
    where (of_tenant is null or d.tenant_id = of_tenant) and (of_period is null or d.period = of_period)
  ), chain as (
    -- All links, for the link before that of a period is another period's.
    select s.*, lag(s.digest) over (partition by s.tenant_id order by s.period) as link,
      signalops.digest_days(s.tenant_id, s.period, s.previous) as computed,
      (select count(*) from signalops.usage_daily d where d.tenant_id = s.tenant_id and d.period = s.period) as present
    from signalops.usage_hash_chain s where of_tenant is null or s.tenant_id = of_tenant
  )
  select tenant_id, period, 'sealed', format('%s %s %s', meter, day, group_key),
    case when c.events is null then 'nothing counted' else format('%s events, %s', c.events, trim_scale(c.quantity)) end,
    case when d.events is null then 'not sealed' else format('%s events, %s', d.events, trim_scale(d.quantity)) end
  from counted c full join sealed d using (tenant_id, period, day, meter, group_key)
  where (c.events, c.quantity, c.is_late) is distinct from (d.events, d.quantity, d.is_late)
  union all
  select h.tenant_id, h.period, 'chain', 'digest', encode(h.computed, 'hex'), encode(h.digest, 'hex')
  from chain h where (of_period is null or h.period = of_period) and (h.digest <> h.computed or h.days <> h.present)
  union all
  select h.tenant_id, h.period, 'chain', 'previous', coalesce(encode(h.link, 'hex'), 'none'), coalesce(encode(h.previous, 'hex'), 'none')
  from chain h where (of_period is null or h.period = of_period) and h.previous is distinct from h.link
  union all
  select c.tenant_id, c.period, 'chain', 'seal', 'one', 'none'
  from closed c left join signalops.usage_hash_chain s using (tenant_id, period) where s.digest is null
  union all
  select t.id, null, 'chain', 'closed until', t.closed_until::text, coalesce(max(b.ends_at), '-infinity')::text
  from signalops.tenants t left join signalops.billing_periods b on b.tenant_id = t.id
  where of_period is null and (of_tenant is null or t.id = of_tenant)
  group by t.id having t.closed_until <> coalesce(max(b.ends_at), '-infinity')
$$;
comment on function signalops.reconcile_hash_chain is
  'Checks sealed (the daily totals of a closed period = its counters with their adjustments) and chain (each seal is the digest of its totals and '
  'of the seal before; the last period is the one that the tenant is closed until). They work also after the retention of the events.';

create or replace function signalops.reconcile_invoices(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable as $$
  with issued as materialized (
    select * from signalops.invoices i
    where (of_tenant is null or i.tenant_id = of_tenant) and (of_period is null or i.period = of_period)
  ), lines as materialized (
    select i.period, i.kind as document, i.number, l.* from issued i
    join signalops.invoice_lines l on l.tenant_id = i.tenant_id and l.invoice_id = i.id
  ), added as (
    select l.tenant_id, l.invoice_id as id, sum(l.amount) as total, -coalesce(sum(l.amount) filter (where l.kind = 'credit'), 0) as credited
    from lines l group by l.tenant_id, l.invoice_id
  ), burned as (
    select e.tenant_id, e.invoice_id as id, -sum(e.amount) as amount from signalops.credit_entries e
    where e.invoice_id is not null and (of_tenant is null or e.tenant_id = of_tenant) group by e.tenant_id, e.invoice_id
  )
  select l.tenant_id, l.period, 'line', format('%s %s line %s (%s)', l.document, l.number, l.position, l.meter),
    format('%s events, %s', coalesce(u.events, 0), trim_scale(coalesce(u.quantity, 0))),
    format('%s events, %s', coalesce(l.events, 0), trim_scale(coalesce(l.quantity, 0)))
  from lines l
  left join lateral signalops.usage_by(l.tenant_id, l.meter, l.starts_at, l.ends_at, null, false, l.period) u on true
  where l.kind = 'usage' and l.document = 'invoice'
    and (coalesce(u.events, 0), coalesce(u.quantity, 0)) <> (coalesce(l.events, 0), coalesce(l.quantity, 0))
  union all
  select l.tenant_id, l.period, 'line', format('%s %s line %s (%s, late)', l.document, l.number, l.position, l.meter),
    trim_scale(coalesce(u.quantity, 0) - coalesce(b.quantity, 0))::text, trim_scale(l.quantity)::text
  from lines l
  left join lateral signalops.usage_by(l.tenant_id, l.meter, l.starts_at, l.ends_at, null, false, null, l.period) u on true
  left join lateral signalops.usage_by(l.tenant_id, l.meter, l.starts_at, l.ends_at, null, false, null,
    (l.period - interval '1 month')::date) b on true
  where l.kind = 'late' and l.document = 'invoice' and coalesce(u.quantity, 0) - coalesce(b.quantity, 0) <> l.quantity
  union all
  select i.tenant_id, i.period, 'invoice', format('%s %s', i.kind, i.number),
    format('%s %s, %s credited', coalesce(a.total, 0), i.currency, coalesce(a.credited, 0)),
    format('%s %s, %s credited', i.total, i.currency, i.credited)
  from issued i left join added a using (tenant_id, id)
  where (i.total, i.credited, i.subtotal) <> (coalesce(a.total, 0), coalesce(a.credited, 0), coalesce(a.total + a.credited, 0))
  union all
  select i.tenant_id, i.period, 'burned', format('%s %s', i.kind, i.number),
    coalesce(b.amount, 0)::text, (case when i.voided_at is null then i.credited else 0 end)::text
  from issued i left join burned b using (tenant_id, id)
  where coalesce(b.amount, 0) <> case when i.voided_at is null then i.credited else 0 end
$$;
comment on function signalops.reconcile_invoices is
  'Checks line (its quantity is the usage of its hours that the period bills), invoice (totals are sums of lines) and burned (what an invoice was '
  'credited was burned for it, and came back when it was voided).';

create or replace function signalops.reconcile_credits(of_tenant uuid)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable as $$
  select g.tenant_id, null::date, 'credit', g.id::text, coalesce(sum(e.amount), 0)::text, g.remaining::text
  from signalops.credit_grants g
  left join signalops.credit_entries e on e.tenant_id = g.tenant_id and e.grant_id = g.id
  where of_tenant is null or g.tenant_id = of_tenant
  group by g.tenant_id, g.id
  having g.remaining <> coalesce(sum(e.amount), 0) or g.amount <> coalesce(sum(e.amount) filter (where e.kind = 'granted'), 0)
  union all
  select e.tenant_id, null, 'credit', e.grant_id::text, 'burned by an invoice', format('burned by %s, which is none', e.invoice_id)
  from signalops.credit_entries e
  left join signalops.invoices i on i.tenant_id = e.tenant_id and i.id = e.invoice_id
  where e.invoice_id is not null and i.id is null and (of_tenant is null or e.tenant_id = of_tenant)
$$;
comment on function signalops.reconcile_credits is
  'Check credit: what remains of a grant is the sum of its entries, and only invoices burn it. Credit belongs to no period.';

create or replace function signalops.reconcile_numbers()
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable as $$
  select null::uuid, null::date, 'number', format('%s %s', s.kind, n.number), case when n.number <= s.last then 'one' else 'none' end,
    count(i.number)::text
  from (
    select k.kind, coalesce(max(l.last), 0) as last,
      greatest(max(l.last), (select max(i.number) from signalops.invoices i where i.kind = k.kind), 0) as most
    from (values ('invoice'), ('credit_note')) k (kind) left join signalops.invoice_numbers l on l.series = k.kind
    group by k.kind
  ) s
  cross join lateral generate_series(1, s.most) as n (number)
  left join (
    select i.kind, i.number from signalops.invoices i union all select d.series, d.number from signalops.retired_invoice_numbers d
  ) i on i.kind = s.kind and i.number = n.number
  group by s.kind, s.last, n.number having count(i.number) <> (n.number <= s.last)::int
$$;
comment on function signalops.reconcile_numbers is
  'Check number: each number of a series is one document''s, of whatever tenant, also a deleted one, up to the last that was given.';

create or replace function signalops.reconcile(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable as $$
  select * from signalops.reconcile_accepted(of_tenant, of_period)
  union all select * from signalops.reconcile_batches(of_tenant, of_period)
  union all select * from signalops.reconcile_counters(of_tenant, of_period)
  union all select * from signalops.reconcile_entries(of_tenant, of_period)
  union all select * from signalops.reconcile_hash_chain(of_tenant, of_period)
  union all select * from signalops.reconcile_invoices(of_tenant, of_period)
  union all select * from signalops.reconcile_credits(of_tenant)
$$;
comment on function signalops.reconcile is
  'The differences of a tenant and a period (NULL: of all), without reading more than those need. None: every figure is proven. What SQL can''t do, '
  'evaluating the meters'' patterns again and pricing invoices again, `signalops usage reconcile` does.';

create or replace view signalops.reconciliation_differences with (security_invoker = true) as
select * from signalops.reconcile(null, null)
union all select * from signalops.reconcile_numbers();
comment on view signalops.reconciliation_differences is
  'The differences of all tenants and periods: expected is computed from the underlying records, found is the stored figure. For the owner of '
  'the schema; empty when every figure is proven.';
comment on column signalops.reconciliation_differences.tenant_id is 'Whose; NULL: the operator''s.';
comment on column signalops.reconciliation_differences.period is 'The billing period; NULL: it belongs to none.';
comment on column signalops.reconciliation_differences."check" is
  'accepted, event, batch, counter, entry, twice, sealed, chain, line, invoice, burned, credit or number: see the functions reconcile_...';
comment on column signalops.reconciliation_differences.subject is 'What is wrong.';
comment on column signalops.reconciliation_differences.expected is 'What it should be.';
comment on column signalops.reconciliation_differences.found is 'What it is.';
