-- Station usage: the proof. Every figure is held against what it is made of, from the events up to the invoice, by SQL that only reads.
-- A difference is a row (tenant, period, check, subject, expected, found): expected is what the records beneath say, found what stands there.

create function signalops.audit_span(of_tenant uuid, of_period date)
returns table (tenant_id uuid, time_zone text, since timestamptz, earliest uuid, lower uuid, upper uuid)
language sql stable
as $$
  select t.id, t.time_zone, k.since, greatest(
      case when isfinite(k.since) then signalops.id_at(k.since) else l.least end,
      -- The events of a flush came before it, and an entry may be made by a slower clock.
      coalesce(signalops.id_at(signalops.starts_at(of_period, t.time_zone) - interval '1 day'), l.least)),
    coalesce(signalops.id_at(signalops.starts_at(of_period, t.time_zone)), l.least),
    coalesce(signalops.id_at(signalops.starts_at((of_period + interval '1 month')::date, t.time_zone)), l.most)
  from signalops.tenants t
  cross join (values ('00000000-0000-0000-0000-000000000000'::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)) l (least, most)
  cross join (
    -- The youngest of the oldest months that are stored: before it something is missing, and nothing can be said.
    select max(p.oldest) as oldest
    from (
      select min(to_date(right(c.relname, 7), 'YYYY_MM'))::timestamp at time zone 'UTC' as oldest
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent in ('signalops.events'::regclass, 'signalops.usage_entries'::regclass, 'signalops.batches'::regclass)
      group by i.inhparent
    ) p
  ) o
  -- An hour later, since ids are made by several clocks.
  cross join lateral (select case when t.created_at >= o.oldest then '-infinity' else o.oldest + interval '1 hour' end as since) k
  where of_tenant is null or t.id = of_tenant
$$;
comment on function signalops.audit_span(uuid, date) is
  'Since when a tenant''s events, batches and entries are all stored (-infinity: from its beginning); the earliest id that is of interest '
  'to a period (NULL: all time) and stored; and the ids between which the period lies.';

create function signalops.audit_acceptance(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, event uuid, ways bigint)
language sql stable
as $$
  with span as materialized (
    select * from signalops.audit_span(of_tenant, of_period)
  ), counted as (
    select n.tenant_id, i.event, count(*) as times
    from span s
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and n.meter = 'events' and n.id >= s.earliest
    cross join unnest(n.event_ids) as i (event)
    group by n.tenant_id, i.event
  )
  select e.tenant_id, signalops.period_of(signalops.time_of(e.batch), s.time_zone), e.id,
    coalesce(c.times, 0) + (i.event_id is not null)::int + (d.id is not null)::int
  from span s
  join signalops.events e on e.tenant_id = s.tenant_id and e.depth = 0
    and e.batch >= s.lower and e.batch < s.upper and e.id >= s.earliest
  left join counted c on c.tenant_id = e.tenant_id and c.event = e.id
  left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id and i.replay_id is null
  left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id and d.kind = 'event'
    and d.ending is distinct from 'retried'
$$;
comment on function signalops.audit_acceptance(uuid, date) is
  'The stored events of tenants by the month of acceptance, and how many times each was counted, waits or is dead: once, if all is well.';

create function signalops.audit_accepted(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
  with known as materialized (
    select * from signalops.audit_acceptance(of_tenant, of_period)
  ), stored as (
    select k.tenant_id, k.period, count(*) filter (where k.ways > 0) as events from known k group by k.tenant_id, k.period
  ), accepted as (
    select q.tenant_id, q.period, q.accepted from signalops.quotas q
    where q.meter = 'events' and (of_tenant is null or q.tenant_id = of_tenant) and (of_period is null or q.period = of_period)
  )
  select k.tenant_id, k.period, 'event', k.event::text, 'counted, waiting or dead',
    case k.ways when 0 then 'nothing of it' else format('%s of it at once', k.ways) end
  from known k where k.ways <> 1
  union all
  select s.tenant_id, period, 'accepted', 'events', coalesce(a.accepted, 0)::text,
    format('%s processed, waiting or dead', coalesce(e.events, 0))
  from stored e full join accepted a using (tenant_id, period)
  join signalops.audit_span(of_tenant, of_period) s using (tenant_id)
  where coalesce(a.accepted, 0) <> coalesce(e.events, 0) and signalops.starts_at(period, s.time_zone) >= s.since
$$;
comment on function signalops.audit_accepted(uuid, date) is
  'Checks accepted (what a month accepted = what was processed, waits or is dead) and event (each is exactly one of that).';

create function signalops.audit_batches(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
  with span as materialized (
    select * from signalops.audit_span(of_tenant, of_period)
  ), billed as (
    select b.tenant_id, b.batch, b.billed from span s
    join signalops.batches b on b.tenant_id = s.tenant_id and b.batch >= greatest(s.lower, s.earliest) and b.batch < s.upper
    where b.billed > 0
  ), counted as (
    select n.tenant_id, n.batch, sum(n.events) as events from span s
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and n.meter = 'events'
      and n.batch >= greatest(s.lower, s.earliest) and n.batch < s.upper
    group by n.tenant_id, n.batch
  )
  select s.tenant_id, signalops.period_of(signalops.time_of(batch), s.time_zone), 'batch', batch::text,
    format('%s billed', coalesce(b.billed, 0)), format('%s counted', coalesce(c.events, 0))
  from billed b full join counted c using (tenant_id, batch)
  join span s using (tenant_id)
  where b.billed is distinct from c.events
$$;
comment on function signalops.audit_batches(uuid, date) is 'Check batch: what a batch billed = what the entries of it count.';

create function signalops.audit_counters(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
  with span as materialized (
    select * from signalops.audit_span(of_tenant, of_period)
  ), ledger as (
    select n.tenant_id, n.meter, n.hour, n.grp, n.period, bool_or(n.is_late) as is_late, sum(n.events) as events,
      sum(n.value) as total, max(n.value) as most, min(n.value) as least,
      (array_agg(n.value order by n.latest_at desc, n.latest_event desc) filter (where n.latest_event is not null))[1] as latest
    from span s
    -- No entry is older than its hour: those of an hour since which all is stored are all there.
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and (of_period is null or n.period = of_period) and n.hour >= s.since
    group by n.tenant_id, n.meter, n.hour, n.grp, n.period
  ), counters as (
    select c.* from span s
    join signalops.usage_counters c on c.tenant_id = s.tenant_id and (of_period is null or c.period = of_period) and c.hour >= s.since
  ), held as (
    select tenant_id, period, format('%s %s %s', meter, hour, grp) as subject, l.events as expected_events, c.events as found_events,
      case c.aggregation when 'max' then l.most when 'min' then l.least when 'latest' then l.latest else l.total end as expected_value,
      c.value as found_value, coalesce(l.is_late = c.is_late, true) as is_placed
    from ledger l full join counters c using (tenant_id, meter, hour, grp, period)
  )
  select h.tenant_id, h.period, 'counter', h.subject,
    case when h.expected_events is null then 'no entry'
      else format('%s events, %s', h.expected_events, coalesce(trim_scale(h.expected_value)::text, 'no value')) end,
    case when h.found_events is null then 'no counter'
      else format('%s events, %s', h.found_events, coalesce(trim_scale(h.found_value)::text, 'no value')) end
  from held h
  where (h.expected_events, h.expected_value) is distinct from (h.found_events, h.found_value) or not h.is_placed
$$;
comment on function signalops.audit_counters(uuid, date) is
  'Check counter: each is the aggregation of its entries. Of counters from before all entries are stored the seals tell.';

create function signalops.audit_entries(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
  with span as materialized (
    select * from signalops.audit_span(of_tenant, of_period)
  ), entries as (
    select s.time_zone, s.since, n.* from span s
    join signalops.usage_entries n on n.tenant_id = s.tenant_id and (of_period is null or n.period = of_period)
  ), members as (
    select n.tenant_id, n.period, n.meter, n.id, n.hour, i.event, e.id as stored, e.depth,
      date_trunc('hour', least(e.occurred_at, signalops.time_of(e.id)), n.time_zone) as happened
    from entries n
    cross join unnest(n.event_ids) as i (event)
    left join signalops.events e on e.tenant_id = n.tenant_id and e.id = i.event
    where signalops.time_of(i.event) >= n.since
  )
  select m.tenant_id, m.period, 'entry', format('%s %s', m.meter, m.id), 'events of its hour',
    format('%s of others, such as %s', count(*), min(m.event::text))
  from members m where m.stored is null or m.depth > 0 or m.happened <> m.hour
  group by m.tenant_id, m.period, m.meter, m.id
  union all
  select n.tenant_id, n.period, 'entry', format('%s %s', n.meter, n.id),
    format('%s events, of %s', cardinality(n.event_ids), signalops.period_of(n.hour, n.time_zone)),
    format('%s events, %s, %s %s', n.events, trim_scale(n.value), case when n.is_late then 'late in' else 'in' end, n.period)
  from entries n
  where n.events <> cardinality(n.event_ids) or n.meter = 'events' and n.value is distinct from n.events or case when n.is_late then n.period <= signalops.period_of(n.hour, n.time_zone)
    else n.period <> signalops.period_of(n.hour, n.time_zone) end
  union all
  select n.tenant_id, min(n.period), 'twice', format('%s %s', n.meter, i.event), 'once', format('%s times', count(*))
  from entries n cross join unnest(n.event_ids) as i (event)
  group by n.tenant_id, n.meter, i.event having count(*) > 1
$$;
comment on function signalops.audit_entries(uuid, date) is
  'Checks entry (its events are stored, and of its hour and period) and twice (no meter counts an event twice).';

create function signalops.audit_seals(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
  with closed as materialized (
    select b.tenant_id, b.period, b.starts_at, b.ends_at, t.time_zone
    from signalops.billing_periods b join signalops.tenants t on t.id = b.tenant_id
    where b.closed_at is not null and (of_tenant is null or b.tenant_id = of_tenant) and (of_period is null or b.period = of_period)
  ), meters as (
    select c.*, 'events' as meter from closed c
    union select c.*, m.key from closed c join signalops.meters m using (tenant_id)
  ), counted as (
    select m.tenant_id, m.period, (u.bucket at time zone m.time_zone)::date as day, m.meter, u.grp, u.bucket < m.starts_at as is_late,
      u.events, u.quantity
    from meters m
    cross join lateral signalops.usage_by(m.tenant_id, m.meter, '-infinity', m.ends_at, 'day', true, m.period) u
  ), sealed as (
    select d.tenant_id, d.period, d.day, d.meter, d.grp, d.is_late, d.events, d.quantity from signalops.usage_days d
    where (of_tenant is null or d.tenant_id = of_tenant) and (of_period is null or d.period = of_period)
  ), chain as (
    -- All links, for the link before that of a period is another period's.
    select s.*, lag(s.digest) over (partition by s.tenant_id order by s.period) as link,
      signalops.digest_days(s.tenant_id, s.period, s.previous) as computed,
      (select count(*) from signalops.usage_days d where d.tenant_id = s.tenant_id and d.period = s.period) as present
    from signalops.usage_seals s where of_tenant is null or s.tenant_id = of_tenant
  )
  select tenant_id, period, 'sealed', format('%s %s %s', meter, day, grp),
    case when c.events is null then 'nothing counted' else format('%s events, %s', c.events, trim_scale(c.quantity)) end,
    case when d.events is null then 'not sealed' else format('%s events, %s', d.events, trim_scale(d.quantity)) end
  from counted c full join sealed d using (tenant_id, period, day, meter, grp)
  where (c.events, c.quantity, c.is_late) is distinct from (d.events, d.quantity, d.is_late)
  union all
  select h.tenant_id, h.period, 'chain', 'digest', encode(h.computed, 'hex'), encode(h.digest, 'hex')
  from chain h where (of_period is null or h.period = of_period) and (h.digest <> h.computed or h.days <> h.present)
  union all
  select h.tenant_id, h.period, 'chain', 'previous', coalesce(encode(h.link, 'hex'), 'none'), coalesce(encode(h.previous, 'hex'), 'none')
  from chain h where (of_period is null or h.period = of_period) and h.previous is distinct from h.link
  union all
  select c.tenant_id, c.period, 'chain', 'seal', 'one', 'none'
  from closed c left join signalops.usage_seals s using (tenant_id, period) where s.digest is null
  union all
  select t.id, null, 'chain', 'closed until', t.closed_until::text, coalesce(max(b.ends_at), '-infinity')::text
  from signalops.tenants t left join signalops.billing_periods b on b.tenant_id = t.id
  where of_period is null and (of_tenant is null or t.id = of_tenant)
  group by t.id having t.closed_until <> coalesce(max(b.ends_at), '-infinity')
$$;
comment on function signalops.audit_seals(uuid, date) is
  'Checks sealed (the daily totals of a closed period = its counters with their adjustments) and chain (each seal is the digest of its '
  'totals and of the seal before; the last period is the one that the tenant is closed until). They hold also '
  'when the events have outlived their retention.';

create function signalops.audit_invoices(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
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
comment on function signalops.audit_invoices(uuid, date) is
  'Checks line (its quantity is the usage of its hours that the period bills), invoice (totals are sums of lines) and burned (what an '
  'invoice was credited was burned for it, and came back when it was voided).';

create function signalops.audit_credits(of_tenant uuid)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
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
comment on function signalops.audit_credits(uuid) is
  'Check credit: what remains of a grant is the sum of its entries, and only invoices burn it. Credit belongs to no period.';

create function signalops.audit_numbers()
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
  select null::uuid, null::date, 'number', format('%s %s', s.kind, n.number), case when n.number <= s.last then 'one' else 'none' end,
    count(i.id)::text
  from (
    select k.kind, coalesce(max(l.last), 0) as last,
      greatest(max(l.last), (select max(i.number) from signalops.invoices i where i.kind = k.kind), 0) as most
    from (values ('invoice'), ('credit_note')) k (kind) left join signalops.invoice_numbers l on l.series = k.kind
    group by k.kind
  ) s
  cross join lateral generate_series(1, s.most) as n (number)
  left join signalops.invoices i on i.kind = s.kind and i.number = n.number
  group by s.kind, s.last, n.number having count(i.id) <> (n.number <= s.last)::int
$$;
comment on function signalops.audit_numbers() is
  'Check number: each number of a series is one document''s, of whatever tenant, up to the last that was given.';

create function signalops.audit(of_tenant uuid, of_period date)
returns table (tenant_id uuid, period date, "check" text, subject text, expected text, found text)
language sql stable
as $$
  select * from signalops.audit_accepted(of_tenant, of_period)
  union all select * from signalops.audit_batches(of_tenant, of_period)
  union all select * from signalops.audit_counters(of_tenant, of_period)
  union all select * from signalops.audit_entries(of_tenant, of_period)
  union all select * from signalops.audit_seals(of_tenant, of_period)
  union all select * from signalops.audit_invoices(of_tenant, of_period)
  union all select * from signalops.audit_credits(of_tenant)
$$;
comment on function signalops.audit(uuid, date) is
  'The differences of a tenant and a period (NULL: of all), without reading more than those need. None: every figure is proven. What '
  'SQL can''t do, holding the meters'' patterns against the events anew and pricing again what was invoiced, `signalops audit` does.';

create view signalops.audit_differences with (security_invoker = true) as
select * from signalops.audit(null, null)
union all select * from signalops.audit_numbers();
comment on view signalops.audit_differences is
  'What does not add up, of all tenants and periods: expected is what the records beneath a figure say, found what stands there. '
  'For the owner of the schema; empty when every figure is proven.';
comment on column signalops.audit_differences.tenant_id is 'Whose; NULL: the operator''s.';
comment on column signalops.audit_differences.period is 'The billing period; NULL: it belongs to none.';
comment on column signalops.audit_differences."check" is
  'accepted, event, batch, counter, entry, twice, sealed, chain, line, invoice, burned, credit or number: see the function audit_...';
comment on column signalops.audit_differences.subject is 'What is wrong.';
comment on column signalops.audit_differences.expected is 'What it should be.';
comment on column signalops.audit_differences.found is 'What it is.';
