-- The schema as the migrations make it, for reading; a test keeps it true.
-- `python -m tests.sql.dump` writes it. Left out: the monthly partitions, and what procrastinate and yoyo own.

CREATE SCHEMA signalops;

COMMENT ON SCHEMA signalops IS 'The product: every table of a tenant begins with tenant_id and is protected row by row.';

CREATE FUNCTION signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer) RETURNS TABLE(event_id uuid, verdict text, first_id uuid, of_meter text, period_end timestamp with time zone)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  -- The flush's own moment: the same for all of it, and for whoever asks later.
  moment timestamptz := signalops.time_of(in_batch);
  tenants uuid[];
  meters text[];
  calms boolean[];
  admitted jsonb := flush;
  part record;
  checked jsonb;
  taken jsonb := '[]';
  careful uuid[] := '{}';
  telling jsonb := '[]';
  fresh bigint;
  notices bigint;
  emitted bigint := 0;
begin
  perform signalops.act_for((select array_agg(a.tenant) from jsonb_to_recordset(asked) as a (tenant uuid)));

  select array_agg(c.tenant), array_agg(c.of_meter), array_agg(c.is_calm) into tenants, meters, calms
  from signalops.count_in(asked, moment) c;
  if (cardinality(tenants) = jsonb_array_length(asked) and true = all (calms)) is not true then
    if false = any (calms) then
      perform signalops.await_changed_limits();
    end if;
    for part in
      select a.tenant, jsonb_agg(a) as asked, array_agg(a.meter) as meters, array_agg(c.meter) as counted,
        array_agg(c.meter) filter (where not c.is_calm) as made
      from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric, scales bigint)
      left join unnest(tenants, meters, calms) as c (tenant, meter, is_calm) on c.tenant = a.tenant and c.meter = a.meter
      group by a.tenant having bool_and(coalesce(c.is_calm, false)) is false order by a.tenant
    loop
      careful := careful || part.tenant;
      select jsonb_agg(c) into checked from signalops.admit(part.tenant, moment, part.asked, flush, part.counted, part.made) c;
      if checked is null then
        return query select null::uuid, 'stale', part.tenant, null::text, null::timestamptz;
        continue;
      end if;
      return query
        select (c.event ->> 'id')::uuid, 'refused', null::uuid, c.refused_by, c.period_end
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text, period_end timestamptz) where c.refused_by is not null;
      taken := taken || (
        select coalesce(jsonb_agg(c.event), '[]')
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text) where c.refused_by is null);
      telling := telling || jsonb_build_object('tenant', part.tenant, 'meters', part.meters, 'refusing', (
        select array_agg(distinct c.refused_by) from jsonb_to_recordset(checked) as c (refused_by text)));
    end loop;
    perform signalops.recount(taken, moment, 1);
    admitted := taken || (
      select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(flush) i where (i ->> 'tenant')::uuid <> all (careful));
    return query
      select o.id, 'over_limit', null::uuid, null::text, null::timestamptz
      from jsonb_to_recordset(taken) as o (id uuid, over_limit boolean) where o.over_limit;
  end if;

  fresh := signalops.store(admitted, in_batch);
  if fresh < jsonb_array_length(admitted) then
    return query
      select g.event_id, g.verdict, g.first_id, null::text, null::timestamptz from signalops.give_back(admitted, moment) g;
  end if;

  for part in select * from jsonb_to_recordset(telling) as t (tenant uuid, meters text[], refusing text[])
  loop
    return query
      select t.event_id, t.verdict, part.tenant, t.of_meter, null::timestamptz
      from signalops.tell(part.tenant, moment, in_batch, part.meters, part.refusing) t;
    get diagnostics notices = row_count;
    emitted := emitted + notices;
  end loop;

  if fresh + emitted > 0 then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer) IS 'Accepts a flush: [{tenant, id, type, source, occurred_at, received_at, payload, attributes, key, hash, weights: {meter: amount}}] with [{tenant, meter, amount, scales}]: what each tenant''s events add to the meter events and to each of its limited meters, and the version of these (tenants.scales). Counts against the limits, stores, fills the inbox and enqueues one job. Returns only what was not plainly accepted: stale (nothing of the tenant first_id is stored: weigh by its present scales and send again), refused (by of_meter, until period_end), over_limit, duplicate or conflict (first_id is the event stored under the key); and as soft_limit, hard_limit and threshold the notices it emitted (of the tenant first_id), each once when it was reached.';

CREATE FUNCTION signalops.act_as(tenant uuid) RETURNS void
    LANGUAGE sql
    AS $$ select set_config('signalops.tenant_id', tenant::text, true) $$;

COMMENT ON FUNCTION signalops.act_as(tenant uuid) IS 'Sets the tenant of this transaction; the end of the transaction forgets it.';

CREATE FUNCTION signalops.act_for(tenants uuid[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform set_config('signalops.tenant_group', coalesce(tenants::text, ''), true);
end
$$;

COMMENT ON FUNCTION signalops.act_for(tenants uuid[]) IS 'Opens the rows of a group of tenants to the functions that handle a flush or a batch; NULL closes them again.';

CREATE TABLE signalops.usage_adjustments (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    meter text NOT NULL,
    hour timestamp with time zone NOT NULL,
    grp text NOT NULL,
    period date NOT NULL,
    is_late boolean NOT NULL,
    quantity numeric NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    key_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    idempotency_key text,
    body_hash bytea,
    CONSTRAINT usage_adjustments_author_check CHECK (((length(author) >= 1) AND (length(author) <= 200))),
    CONSTRAINT usage_adjustments_check CHECK (((body_hash IS NULL) = (idempotency_key IS NULL))),
    CONSTRAINT usage_adjustments_idempotency_key_check CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255))),
    CONSTRAINT usage_adjustments_quantity_check CHECK (((quantity <> (0)::numeric) AND (quantity <> ALL (ARRAY['NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric])))),
    CONSTRAINT usage_adjustments_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.usage_adjustments FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_adjustments IS 'Corrections of usage by a person, on record beside what was counted and never within it.';
COMMENT ON COLUMN signalops.usage_adjustments.tenant_id IS 'Whose usage it corrects.';
COMMENT ON COLUMN signalops.usage_adjustments.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.usage_adjustments.meter IS 'The meter''s key; one that counts, sums or counts different values.';
COMMENT ON COLUMN signalops.usage_adjustments.hour IS 'As of a counter: the hour whose usage is corrected.';
COMMENT ON COLUMN signalops.usage_adjustments.grp IS 'As of a counter.';
COMMENT ON COLUMN signalops.usage_adjustments.period IS 'The billing period that it is billed in, by its first day.';
COMMENT ON COLUMN signalops.usage_adjustments.is_late IS 'Whether the period of the hour was closed already.';
COMMENT ON COLUMN signalops.usage_adjustments.quantity IS 'What is added, in the meter''s unit; negative: taken off.';
COMMENT ON COLUMN signalops.usage_adjustments.reason IS 'Why.';
COMMENT ON COLUMN signalops.usage_adjustments.author IS 'Who answers for it.';
COMMENT ON COLUMN signalops.usage_adjustments.key_id IS 'The API key it came with; NULL: from the command line.';
COMMENT ON COLUMN signalops.usage_adjustments.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.usage_adjustments.idempotency_key IS 'With which it was sent; NULL: without one.';
COMMENT ON COLUMN signalops.usage_adjustments.body_hash IS 'SHA-256 of what was sent with the key: the key stands for nothing else.';

CREATE FUNCTION signalops.add_adjustment(tenant uuid, new_id uuid, of_meter text, at timestamp with time zone, of_grp text, quantity numeric, reason text, author text, key_id uuid DEFAULT NULL::uuid, idempotency_key text DEFAULT NULL::text, body_hash bytea DEFAULT NULL::bytea) RETURNS signalops.usage_adjustments
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
#variable_conflict use_variable
declare
  zone text;
  closed timestamptz;
  slot timestamptz;
  made signalops.usage_adjustments;
begin
  -- Closing changes this row first, so it waits for us; and if it was first, we wait, and read what it closed.
  select t.time_zone, t.closed_until into zone, closed from signalops.tenants t
  where t.id = tenant and t.id = signalops.current_tenant() for share;
  if not found then
    raise 'usage is adjusted in a transaction of its tenant: call signalops.act_as first' using errcode = 'insufficient_privilege';
  end if;
  if of_meter <> 'events' and not exists (
    select from signalops.meters m
    where m.tenant_id = tenant and m.key = of_meter and m.aggregation in ('count', 'sum', 'unique_count')
  ) then
    raise 'the meter % can''t be adjusted: only what counts or sums can be added to', of_meter using errcode = 'check_violation';
  end if;
  slot := date_trunc('hour', at, zone);
  insert into signalops.usage_adjustments as a
    (tenant_id, id, meter, hour, grp, period, is_late, quantity, reason, author, key_id, idempotency_key, body_hash)
  values (tenant, new_id, of_meter, slot, of_grp, signalops.period_of(greatest(slot, closed), zone), slot < closed,
    quantity, reason, author, key_id, idempotency_key, body_hash)
  on conflict on constraint usage_adjustments_by_key do nothing
  returning a.* into made;
  if not found then
    select a.* into made from signalops.usage_adjustments a
    where a.tenant_id = tenant and a.idempotency_key = add_adjustment.idempotency_key;
  end if;
  return made;
end
$$;

COMMENT ON FUNCTION signalops.add_adjustment(tenant uuid, new_id uuid, of_meter text, at timestamp with time zone, of_grp text, quantity numeric, reason text, author text, key_id uuid, idempotency_key text, body_hash bytea) IS 'Corrects the usage of the hour of a moment by a quantity, for the current tenant. When its billing period is closed, the open one bills it, late. Returns the adjustment; with an idempotency key that was used before the first one, with an id of its own.';

CREATE FUNCTION signalops.add_plan_meters(tenant uuid, terms jsonb, in_grammar smallint) RETURNS void
    LANGUAGE sql
    AS $$
  -- One of its own that counts the same gives way: the tenant could end that, and with it what it is billed for.
  update signalops.meters h set ended_at = now()
  from jsonb_to_recordset(terms -> 'meters') as m (key text, aggregation text, field text, pattern jsonb, "groupBy" text[])
  where h.tenant_id = tenant and h.key = m.key and h.until is null and h.origin = 'tenant'
    and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy");
  -- Counted from now on even if the plan begins later: a figure that is ready early harms nobody.
  insert into signalops.meters (tenant_id, key, since, name, aggregation, field, grammar, pattern, group_by, unit, origin)
  select tenant, m.key, 0, m.name, m.aggregation, m.field, in_grammar, m.pattern, m."groupBy", m.unit, 'plan'
  from jsonb_to_recordset(terms -> 'meters')
    as m (key text, name text, aggregation text, field text, pattern jsonb, "groupBy" text[], unit text)
  where not exists (
    -- What has the key and counts something else is left to the trigger, which refuses it.
    select from signalops.meters h where h.tenant_id = tenant and h.key = m.key and h.until is null
      and (h.aggregation, h.field, h.pattern, h.group_by) is not distinct from (m.aggregation, m.field, m.pattern, m."groupBy")
  )
  order by m.key
$$;

COMMENT ON FUNCTION signalops.add_plan_meters(tenant uuid, terms jsonb, in_grammar smallint) IS 'Gives a tenant the meters of a plan that it lacks, or has as its own. A unique_violation: it has one of that key that counts something else.';

CREATE FUNCTION signalops.admit(wanted uuid, moment timestamp with time zone, asked jsonb, offered jsonb, counted text[], made text[]) RETURNS TABLE(event jsonb, refused_by text, period_end timestamp with time zone)
    LANGUAGE plpgsql
    AS $$
declare
  zone text;
  month date;
  version bigint;
  meters text[];
  rooms numeric[];
  refuses boolean[];
  enough boolean;
  place record;
  blocked text;
  verdicts text[] := '{}';
begin
  select t.time_zone, signalops.period_of(moment, t.time_zone), t.scales into zone, month, version
  from signalops.tenants t where t.id = wanted;
  -- What count_in has counted already is counted again by what comes in; and the row that it made may hold for newer scales.
  update signalops.quotas q set accepted = q.accepted - a.amount, scales = case when q.meter = any (made) then version else q.scales end
  from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric)
  where a.tenant = wanted and a.meter = any (counted)
    and q.tenant_id = wanted and q.period = month and q.meter = a.meter;

  if not exists (
    select from jsonb_to_recordset(asked) as a (tenant uuid, meter text, scales bigint)
    join signalops.quotas q on q.tenant_id = wanted and q.period = month and q.meter = a.meter
    where a.tenant = wanted and a.meter = 'events' and a.scales = q.scales
  ) then
    return;
  end if;

  select array_agg(q.meter order by q.meter), array_agg(r.room order by q.meter),
    array_agg(coalesce(l.overage = 'refuse', false) order by q.meter), bool_and(a.amount <= r.room)
  into meters, rooms, refuses, enough
  from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric)
  join signalops.quotas q on q.tenant_id = wanted and q.period = month and q.meter = a.meter
  left join lateral signalops.limit_of(wanted, q.meter, (moment at time zone zone)::date) l on true
  cross join lateral (select coalesce(l.hard - q.accepted, 'Infinity') as room) r
  where a.tenant = wanted;

  for place in
    select i.item, i.ord::integer, i.stored, min(i.ord) over (partition by coalesce(i.item ->> 'key', E'\n' || i.ord))::integer as first,
      array(select signalops.weight(i.item, m) from unnest(meters) with ordinality as u (m, n) order by u.n) as needs
    from (
      select o.item, o.ord, k.key is not null as stored
      from jsonb_array_elements(offered) with ordinality as o (item, ord)
      left join lateral (
        select k.key from signalops.idempotency_keys k where k.tenant_id = wanted and k.key = o.item ->> 'key' limit 1
      ) k on not enough
      where o.item ->> 'tenant' = wanted::text
    ) i
    order by i.ord
  loop
    event := place.item;
    -- What is stored already needs no room; a repeat within the flush shares the place of its first.
    if enough or place.stored then
      refused_by := null;
    elsif place.first < place.ord then
      refused_by := verdicts[place.first];
    else
      select min(x.meter) filter (where x.refuses),
        case when bool_or(not x.refuses) then event || '{"over_limit": true}' else event end
      into refused_by, event
      from unnest(meters, place.needs, rooms, refuses) as x (meter, need, room, refuses) where x.need > greatest(x.room, 0);
      if refused_by is null then
        rooms := array(select x.room - x.need from unnest(rooms, place.needs) with ordinality as x (room, need, n) order by x.n);
      end if;
      verdicts[place.ord] := refused_by;
    end if;
    period_end := signalops.starts_at((month + interval '1 month')::date, zone);
    return next;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.admit(wanted uuid, moment timestamp with time zone, asked jsonb, offered jsonb, counted text[], made text[]) IS 'The careful path of accept, for a tenant whose quotas have something to tell or refuse: undoes what count_in counted, and returns each of its events with the meter that refuses it, or marked when it is over a limit. Nothing at all when it was weighed by old scales.';

CREATE PROCEDURE signalops.admit_group(IN target regclass, IN product_role text, IN key text DEFAULT 'tenant_id'::text)
    LANGUAGE plpgsql
    AS $$
begin
  execute format(
    'create policy tenant_group_%s on %s to %I using (%I = any ((select signalops.current_group())::uuid[])) '
    'with check (%I = any ((select signalops.current_group())::uuid[]))', product_role, target, product_role, key, key);
  execute format('comment on policy tenant_group_%s on %s is %L', product_role, target,
    'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.');
end
$$;

COMMENT ON PROCEDURE signalops.admit_group(IN target regclass, IN product_role text, IN key text) IS 'Gives a table that is handled for many tenants at once its policy for a role of the product.';

CREATE PROCEDURE signalops.admit_owner(IN target regclass, IN reason text)
    LANGUAGE plpgsql
    AS $$
begin
  execute format('create policy owner_acts on %s to signalops_owner using (true) with check (true)', target);
  execute format('comment on policy owner_acts on %s is %L', target, reason);
end
$$;

COMMENT ON PROCEDURE signalops.admit_owner(IN target regclass, IN reason text) IS 'Lets the narrow SECURITY DEFINER functions of signalops_owner see a table across tenants. No process logs in as that role.';

CREATE FUNCTION signalops.advance_delivery(tenant uuid, delivery uuid, to_status text, because text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
begin
  update signalops.deliveries d set status = to_status, updated_at = now()
  where d.tenant_id = tenant and d.id = delivery and signalops.may_become(d.status, to_status);
  if found and to_status = 'dead' then
    perform signalops.bury_delivery(tenant, delivery, because);
  end if;
  return found;
end
$$;

COMMENT ON FUNCTION signalops.advance_delivery(tenant uuid, delivery uuid, to_status text, because text) IS 'Moves a delivery to what its provider says (delivered, read, dead with the reason), unless it is further already; returns whether it did.';

CREATE FUNCTION signalops.announce(event_type text, about jsonb, at_depth smallint) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  in_batch uuid := signalops.new_id();
  event uuid := signalops.emit(signalops.current_tenant(), in_batch, event_type, about, at_depth);
begin
  perform signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', in_batch));
  return event;
end
$$;

COMMENT ON FUNCTION signalops.announce(event_type text, about jsonb, at_depth smallint) IS 'Emits an operational event of the tenant that the transaction acts for, with its job.';

CREATE TABLE signalops.invoices (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    number bigint NOT NULL,
    customer text NOT NULL,
    period date NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    currency text NOT NULL,
    subtotal numeric NOT NULL,
    credited numeric NOT NULL,
    total numeric NOT NULL,
    issued_at timestamp with time zone DEFAULT now() NOT NULL,
    corrects uuid,
    reason text,
    author text NOT NULL,
    voided_at timestamp with time zone,
    void_reason text,
    voided_by text,
    CONSTRAINT invoices_author_check CHECK (((length(author) >= 1) AND (length(author) <= 200))),
    CONSTRAINT invoices_check CHECK (((credited >= (0)::numeric) AND (credited <= GREATEST(subtotal, (0)::numeric)))),
    CONSTRAINT invoices_check1 CHECK ((total = (subtotal - credited))),
    CONSTRAINT invoices_check2 CHECK (((corrects IS NOT NULL) = (kind = 'credit_note'::text))),
    CONSTRAINT invoices_check3 CHECK ((((length(void_reason) >= 1) AND (length(void_reason) <= 500)) AND ((void_reason IS NULL) = (voided_at IS NULL)))),
    CONSTRAINT invoices_check4 CHECK ((((length(voided_by) >= 1) AND (length(voided_by) <= 200)) AND ((voided_by IS NULL) = (voided_at IS NULL)))),
    CONSTRAINT invoices_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT invoices_kind_check CHECK ((kind = ANY (ARRAY['invoice'::text, 'credit_note'::text]))),
    CONSTRAINT invoices_number_check CHECK ((number > 0)),
    CONSTRAINT invoices_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.invoices FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.invoices IS 'Invoices and credit notes, as they were issued. They can be voided, once; nothing else of them ever changes.';
COMMENT ON COLUMN signalops.invoices.tenant_id IS 'Who owes it.';
COMMENT ON COLUMN signalops.invoices.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.invoices.kind IS 'invoice; or credit_note: takes off an invoice.';
COMMENT ON COLUMN signalops.invoices.number IS 'Its number, without gaps in the series of its kind across all tenants.';
COMMENT ON COLUMN signalops.invoices.customer IS 'The tenant''s name when it was issued.';
COMMENT ON COLUMN signalops.invoices.period IS 'The billing period, by its first day.';
COMMENT ON COLUMN signalops.invoices.starts_at IS 'When the period began.';
COMMENT ON COLUMN signalops.invoices.ends_at IS 'When it ended.';
COMMENT ON COLUMN signalops.invoices.currency IS 'ISO 4217.';
COMMENT ON COLUMN signalops.invoices.subtotal IS 'The sum of the lines before credit. Below zero: in the tenant''s favour.';
COMMENT ON COLUMN signalops.invoices.credited IS 'Credit that was burned for it.';
COMMENT ON COLUMN signalops.invoices.total IS 'What is due: the sum of all lines.';
COMMENT ON COLUMN signalops.invoices.issued_at IS 'When it was issued.';
COMMENT ON COLUMN signalops.invoices.corrects IS 'The invoice that a credit note takes off; NULL: it is an invoice.';
COMMENT ON COLUMN signalops.invoices.reason IS 'Why a credit note was given, or an invoice issued anew.';
COMMENT ON COLUMN signalops.invoices.author IS 'Who issued it; signalops: the closing of the period.';
COMMENT ON COLUMN signalops.invoices.voided_at IS 'When it was voided; NULL: it holds.';
COMMENT ON COLUMN signalops.invoices.void_reason IS 'Why.';
COMMENT ON COLUMN signalops.invoices.voided_by IS 'By whom.';

CREATE FUNCTION signalops.announce_invoice(about signalops.invoices, what text, why text) RETURNS uuid
    LANGUAGE sql
    AS $$
  select signalops.announce('signalops.invoice.' || what, jsonb_strip_nulls(jsonb_build_object('invoice', coalesce(about.corrects, about.id),
    'creditNote', case when about.corrects is not null then about.id end, 'number', about.number,
    'period', to_char(about.period, 'YYYY-MM'), 'currency', about.currency, 'credited', about.credited::text,
    'total', about.total::text, 'reason', why)), 1::smallint)
$$;

COMMENT ON FUNCTION signalops.announce_invoice(about signalops.invoices, what text, why text) IS 'Emits signalops.invoice.issued, .credited or .voided, in the tenant that the transaction acts for.';

CREATE FUNCTION signalops.announce_key_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_notify('signalops_access', '');
  return null;
end
$$;

COMMENT ON FUNCTION signalops.announce_key_change() IS 'Tells every API process to forget the keys that it remembers: what was revoked or suspended is refused from then on.';

CREATE FUNCTION signalops.announce_schema_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_notify('signalops_schemas', coalesce(new.tenant_id, old.tenant_id)::text);
  return null;
end
$$;

COMMENT ON FUNCTION signalops.announce_schema_change() IS 'Tells every API process whose schemas changed: events are held against the new ones from then on.';

CREATE FUNCTION signalops.arm_absence() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  said record;
begin
  select v.since, v.absent into said from signalops.rule_versions v
  where v.tenant_id = new.tenant_id and v.rule_id = new.id and v.version = new.active_version;
  -- Groups are known from their first event on; without groups the time runs from the moment the rule is enabled.
  if new.enabled and coalesce(said.absent -> 'groupBy', '[]') = '[]' and said.absent is not null then
    insert into signalops.rule_groups as g (tenant_id, rule_id, since, group_key, labels, due_at, forget_at)
    values (new.tenant_id, new.id, said.since, '[]', '{}',
      now() + (said.absent ->> 'after')::interval + coalesce(said.absent ->> 'lateness', '0s')::interval, now())
    on conflict (tenant_id, rule_id, since, group_key) do update set due_at = excluded.due_at, seen_at = null
    where tg_op = 'UPDATE' and not old.enabled;
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.arm_absence() IS 'Starts the time of a rule with an absence. What a changed or disabled rule waits for, perhaps in very many groups, tell_absences passes over.';

CREATE FUNCTION signalops.audit(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
  select * from signalops.audit_accepted(of_tenant, of_period)
  union all select * from signalops.audit_batches(of_tenant, of_period)
  union all select * from signalops.audit_counters(of_tenant, of_period)
  union all select * from signalops.audit_entries(of_tenant, of_period)
  union all select * from signalops.audit_seals(of_tenant, of_period)
  union all select * from signalops.audit_invoices(of_tenant, of_period)
  union all select * from signalops.audit_credits(of_tenant)
$$;

COMMENT ON FUNCTION signalops.audit(of_tenant uuid, of_period date) IS 'The differences of a tenant and a period (NULL: of all), without reading more than those need. None: every figure is proven. What SQL can''t do, holding the meters'' patterns against the events anew and pricing again what was invoiced, `signalops audit` does.';

CREATE FUNCTION signalops.audit_acceptance(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, event uuid, ways bigint)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_acceptance(of_tenant uuid, of_period date) IS 'The stored events of tenants by the month of acceptance, and how many times each was counted, waits or is dead: once, if all is well.';

CREATE FUNCTION signalops.audit_accepted(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_accepted(of_tenant uuid, of_period date) IS 'Checks accepted (what a month accepted = what was processed, waits or is dead) and event (each is exactly one of that).';

CREATE FUNCTION signalops.audit_batches(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_batches(of_tenant uuid, of_period date) IS 'Check batch: what a batch billed = what the entries of it count.';

CREATE FUNCTION signalops.audit_counters(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_counters(of_tenant uuid, of_period date) IS 'Check counter: each is the aggregation of its entries. Of counters from before all entries are stored the seals tell.';

CREATE FUNCTION signalops.audit_credits(of_tenant uuid) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_credits(of_tenant uuid) IS 'Check credit: what remains of a grant is the sum of its entries, and only invoices burn it. Credit belongs to no period.';

CREATE FUNCTION signalops.audit_entries(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_entries(of_tenant uuid, of_period date) IS 'Checks entry (its events are stored, and of its hour and period) and twice (no meter counts an event twice).';

CREATE FUNCTION signalops.audit_invoices(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_invoices(of_tenant uuid, of_period date) IS 'Checks line (its quantity is the usage of its hours that the period bills), invoice (totals are sums of lines) and burned (what an invoice was credited was burned for it, and came back when it was voided).';

CREATE FUNCTION signalops.audit_numbers() RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_numbers() IS 'Check number: each number of a series is one document''s, of whatever tenant, up to the last that was given.';

CREATE FUNCTION signalops.audit_seals(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, period date, "check" text, subject text, expected text, found text)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_seals(of_tenant uuid, of_period date) IS 'Checks sealed (the daily totals of a closed period = its counters with their adjustments) and chain (each seal is the digest of its totals and of the seal before; the last period is the one that the tenant is closed until). They hold also when the events have outlived their retention.';

CREATE FUNCTION signalops.audit_span(of_tenant uuid, of_period date) RETURNS TABLE(tenant_id uuid, time_zone text, since timestamp with time zone, earliest uuid, lower uuid, upper uuid)
    LANGUAGE sql STABLE
    AS $$
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

COMMENT ON FUNCTION signalops.audit_span(of_tenant uuid, of_period date) IS 'Since when a tenant''s events, batches and entries are all stored (-infinity: from its beginning); the earliest id that is of interest to a period (NULL: all time) and stored; and the ids between which the period lies.';

CREATE FUNCTION signalops.await_changed_limits() RETURNS void
    LANGUAGE plpgsql
    SET lock_timeout TO '100ms'
    AS $$
begin
  perform pg_advisory_xact_lock_shared(hashtext('signalops.new_quotas'));
end
$$;

COMMENT ON FUNCTION signalops.await_changed_limits() IS 'Before a flush uses rows of quotas that it made: awaits the limits that are being changed, by whoever can''t see these rows. At most for a moment, since the change may be waiting for the flush: then lock_not_available, and the flush is sent again.';

CREATE FUNCTION signalops.await_turn(tenant uuid, channel uuid, due timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  insert into signalops.channel_queues as q (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  values (tenant, channel, 1000, clock_timestamp(), due)
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
  -- Most deliveries are due after another one of their channel: those need not wait for its row.
  where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
end
$$;

COMMENT ON FUNCTION signalops.await_turn(tenant uuid, channel uuid, due timestamp with time zone) IS 'Notes that a delivery of a channel waits without a job until a moment.';

CREATE FUNCTION signalops.bump_metering(tenant uuid) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$ update signalops.tenants set metering = metering + 1 where id = tenant and id = signalops.current_tenant() returning metering $$;

COMMENT ON FUNCTION signalops.bump_metering(tenant uuid) IS 'Starts a new version of the meters of the tenant that the transaction acts for; returns it. Whoever counts by an older one finds out.';

CREATE FUNCTION signalops.bump_ruleset() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  insert into signalops.rulesets (tenant_id) values (coalesce(new.tenant_id, old.tenant_id))
  on conflict (tenant_id) do update set version = signalops.rulesets.version + 1;
  return null;
exception when foreign_key_violation then
  return null; -- the tenant itself is being deleted
end
$$;

COMMENT ON FUNCTION signalops.bump_ruleset() IS 'Counts a change of a tenant''s rules.';

CREATE FUNCTION signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) RETURNS numeric
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  burned numeric;
begin
  perform signalops.require_tenant(tenant);
  with usable as materialized (
    -- Locked in one order; a row that another invoice is burning is waited for, and read anew with what that left.
    select * from signalops.credit_grants g
    where g.tenant_id = tenant and g.currency = of_currency and g.remaining > 0 and (g.expires_at is null or g.expires_at > now())
    order by g.id for update
  ), queued as (
    select u.id, u.remaining,
      coalesce(sum(u.remaining) over (order by u.priority, u.expires_at nulls last, u.created_at, u.id
        rows between unbounded preceding and 1 preceding), 0) as before
    from usable u
  ), burnt as (
    insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount, invoice_id)
    select tenant, signalops.new_id(), q.id, 'burned', -least(q.remaining, at_most - q.before), invoice
    from queued q where q.before < at_most order by q.before
    returning amount
  )
  select coalesce(-sum(b.amount), 0) into burned from burnt b;
  return burned;
end
$$;

COMMENT ON FUNCTION signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) IS 'Has an invoice use up to an amount of the tenant''s credit: by priority, then what expires soonest, then the oldest. Returns how much.';

CREATE FUNCTION signalops.bury_delivery(tenant uuid, delivery uuid, because text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  lost record;
begin
  select d.event_id, d.rule_id, d.channel_id, d.attempts, coalesce(e.depth, 0) as depth, c.enabled into lost
  from signalops.deliveries d
  left join signalops.events e on e.tenant_id = d.tenant_id and e.id = d.event_id
  left join signalops.channels c on c.tenant_id = d.tenant_id and c.id = d.channel_id
  where d.tenant_id = tenant and d.id = delivery;
  insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)
  values (tenant, delivery, 'delivery', lost.event_id, delivery, left(because, 500))
  on conflict (tenant_id, id) do update
    set error = excluded.error, died_at = now(), ended_at = null, ending = null, reason = null;
  -- Of a channel that is disabled the tenant was told once; its backlog would be so many more notices.
  if lost.enabled then
    perform signalops.announce('signalops.delivery.dead', jsonb_build_object('delivery', delivery, 'event', lost.event_id,
      'rule', jsonb_build_object('id', lost.rule_id), 'channel', jsonb_build_object('id', lost.channel_id),
      'attempts', lost.attempts, 'error', left(because, 500)), (lost.depth + 1)::smallint);
  end if;
end
$$;

COMMENT ON FUNCTION signalops.bury_delivery(tenant uuid, delivery uuid, because text) IS 'Writes the dead letter of a delivery that has just died, and tells the tenant: signalops.delivery.dead.';

CREATE FUNCTION signalops.cancel_deliveries(tenant uuid, wanted uuid[]) RETURNS SETOF uuid
    LANGUAGE sql
    AS $$
  update signalops.deliveries d set status = 'cancelled', next_attempt_at = null, updated_at = now()
  where d.tenant_id = tenant and d.id = any (wanted) and d.status in ('pending', 'retrying')
  returning d.id
$$;

COMMENT ON FUNCTION signalops.cancel_deliveries(tenant uuid, wanted uuid[]) IS 'Cancels deliveries that wait; returns which. One that is being sent, or has ended, stays as it is.';

CREATE FUNCTION signalops.charges(terms jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((((terms ->> 'baseFee'::text))::numeric > (0)::numeric) OR ((terms -> 'prices'::text) <> '[]'::jsonb));

COMMENT ON FUNCTION signalops.charges(terms jsonb) IS 'Whether anything costs something under these terms.';

CREATE FUNCTION signalops.check_limit() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if new.meter <> 'events' and not exists (
    select from signalops.meters m
    where m.tenant_id = new.tenant_id and m.key = new.meter and m.aggregation in ('count', 'sum')
  ) then
    raise 'there is no meter % that counts or sums: limits are for these', new.meter using errcode = 'check_violation';
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.check_limit() IS 'Only what adds up can have a limit.';

CREATE FUNCTION signalops.check_way() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if not signalops.may_become(old.status, new.status) then
    raise 'a delivery can not become % once it is %', new.status, old.status using errcode = 'check_violation';
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.check_way() IS 'Refuses to move a delivery against its ways.';

CREATE FUNCTION signalops.claim_deliveries(wanted jsonb, busy uuid[]) RETURNS TABLE(tenant uuid, delivery uuid, outlet uuid, channel uuid, attempt smallint, attempts_before smallint, context jsonb, replay boolean, about text, event json, rule json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean, retry_schedule integer[], suppressed boolean)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  tenants uuid[];
  deliveries uuid[];
  one record;
begin
  -- What a crash of the server takes back is claimed again: no reason to wait for the disk.
  perform set_config('synchronous_commit', 'off', true);
  -- In the order of the channels, as grant_turns has it, so that no two workers lock each other out.
  perform signalops.act_for((select array_agg(w.tenant) from jsonb_to_recordset(wanted) as w (tenant uuid)));
  select array_agg(w.tenant order by w.tenant, d.channel_id, w.delivery), array_agg(w.delivery order by w.tenant, d.channel_id, w.delivery)
  into tenants, deliveries
  from jsonb_to_recordset(wanted) as w (tenant uuid, delivery uuid), lateral (
    -- `attempts` keeps the planner from deliveries_by_rule, of which it would read all that a tenant has, sparing itself the table.
    select d.channel_id from signalops.deliveries d where d.tenant_id = w.tenant and d.id = w.delivery and d.attempts >= 0 limit 1) d;
  perform signalops.act_for(null);
  for one in select * from unnest(tenants, deliveries) as u (tenant, delivery) loop
    return query select one.tenant, one.delivery, c.* from signalops.claim_delivery(one.tenant, one.delivery, busy) c;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.claim_deliveries(wanted jsonb, busy uuid[]) IS 'Begins an attempt at each of [{tenant, delivery}], whatever their tenants, as claim_delivery does.';

CREATE FUNCTION signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) RETURNS TABLE(outlet uuid, channel uuid, attempt smallint, attempts_before smallint, context jsonb, replay boolean, about text, event json, rule json, template jsonb, kind text, config jsonb, secret bytea, enabled boolean, retry_schedule integer[], suppressed boolean)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  asked record;
  wait_until timestamptz;
begin
  perform signalops.act_as(tenant);
  -- `not in`: with `in` the planner takes the small partial index deliveries_in_hand and reads all of it, for each claim, once a
  -- burst has made it large.
  select d.channel_id, coalesce(c.outlet_id, d.channel_id) as outlet, c.most_per_minute, c.enabled into asked
  from signalops.deliveries d
  left join lateral (select * from signalops.channels c where c.tenant_id = tenant and c.id = d.channel_id limit 1) c on true
  where d.tenant_id = tenant and d.id = delivery and d.next_attempt_at is null
    and d.status not in ('retrying', 'sent', 'delivered', 'read', 'dead', 'cancelled', 'suppressed')
  for update of d;
  if not found then
    return;
  end if;
  if asked.channel_id = any (busy) then
    wait_until := clock_timestamp() + interval '1 second';
  elsif asked.enabled then -- what can't be sent any more need not wait to be told so
    wait_until := signalops.take_turn(tenant, asked.outlet, delivery, asked.most_per_minute);
  end if;
  if wait_until is not null then
    update signalops.deliveries d set status = 'pending', next_attempt_at = wait_until, updated_at = now()
    where d.tenant_id = tenant and d.id = delivery;
    perform signalops.await_turn(tenant, asked.channel_id, wait_until);
    return;
  end if;
  return query
    with claimed as (
      update signalops.deliveries d set status = 'sending', attempts = d.attempts + 1, updated_at = now()
      where d.tenant_id = tenant and d.id = delivery
      returning d.event_id, d.rule_id, d.rule_version, d.channel_id, d.attempts, d.attempts_before, d.context, d.replay_id
    )
    select asked.outlet, d.channel_id, d.attempts, d.attempts_before, d.context, d.replay_id is not null,
      -- Only of the rule itself: to another one that matches such an event, and of what a tenant sends by that name, it is an event.
      case when e.depth > 0 and e.payload #>> '{rule,id}' = d.rule_id::text then
        case e.type when 'signalops.rule.digest' then 'digest' when 'signalops.rule.absent' then 'absence' else 'event' end
        else 'event' end,
      case when e.id is not null then json_build_object(
        'id', e.id, 'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload) end,
      case when r.id is not null then json_build_object('id', r.id, 'name', r.name, 'version', v.version, 'severity', v.severity) end,
      v.template, c.kind, c.config, c.secret, c.enabled, c.retry_schedule,
      c.kind = 'email' and exists (
        select from signalops.suppressions s where s.tenant_id = tenant and s.address = lower(c.config ->> 'to'))
    from claimed d
    -- Outer joins: what was deleted meanwhile must become a dead letter, not an endless attempt.
    left join lateral (select * from signalops.events e where e.tenant_id = tenant and e.id = d.event_id limit 1) e on true
    left join lateral (select * from signalops.rules r where r.tenant_id = tenant and r.id = d.rule_id limit 1) r on true
    left join lateral (
      select * from signalops.rule_versions v
      where v.tenant_id = tenant and v.rule_id = d.rule_id and v.version = d.rule_version limit 1
    ) v on true
    left join lateral (select * from signalops.channels c where c.tenant_id = tenant and c.id = d.channel_id limit 1) c on true;
end
$$;

COMMENT ON FUNCTION signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) IS 'Begins an attempt and returns all that it needs; no row if there is nothing to send, or not yet: then it waits for its channel''s turn, a second if the channel is among the busy. Acts for the tenant. What waits already is not claimed: only the sweep wakes it.';

CREATE FUNCTION signalops.count_in(asked jsonb, moment timestamp with time zone) RETURNS TABLE(tenant uuid, of_meter text, is_calm boolean)
    LANGUAGE plpgsql
    AS $$
begin
  -- In one order, rows that a month lacks yet included: two flushes that share some can't lock each other out.
  return query
    insert into signalops.quotas as q (tenant_id, period, meter, accepted, scales)
    select a.tenant, signalops.period_of(moment, t.time_zone), a.meter, a.amount, a.scales
    from (
      select * from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric, scales bigint) order by a.tenant, a.meter
    ) a
    cross join lateral (select t.time_zone from signalops.tenants t where t.id = a.tenant limit 1) t
    on conflict (tenant_id, period, meter) do update set accepted = q.accepted + excluded.accepted
    where q.scales = excluded.scales and q.accepted + excluded.accepted < q.calm_until
    returning q.tenant_id, q.meter, q.accepted < q.calm_until;
end
$$;

COMMENT ON FUNCTION signalops.count_in(asked jsonb, moment timestamp with time zone) IS 'Counts [{tenant, meter, amount, scales}] and locks their quotas. Returns what it counted: calm where that was all there was to do, and not calm where the row is the first of its month; what is missing had something to tell or refuse, or was weighed by old scales.';

CREATE FUNCTION signalops.count_usage(in_batch uuid, metered jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $_$
begin
  -- Items and counters stay locked until the commit: each in one order, so that two workers can't lock each other out.
  if metered @? '$[*].items' then
    insert into signalops.usage_items (tenant_id, meter, hour, grp, period, item)
    select m.tenant, m.meter, m.hour, m.grp, m.period, i.item
    from jsonb_to_recordset(metered) as m (tenant uuid, meter text, period date, hour timestamptz, grp text, items jsonb),
      jsonb_array_elements_text(m.items) as i (item)
    order by m.tenant, m.meter, m.hour, m.grp, m.period, i.item
    on conflict do nothing;
  end if;

  -- One statement: reading the elements costs as much as storing them. Their ids are made by the worker: here it took 3 us each.
  with counted as materialized (
    select * from jsonb_to_recordset(metered) as m (tenant uuid, id uuid, meter text, aggregation text, period date,
      hour timestamptz, grp text, is_late boolean, events integer, value numeric, latest_at timestamptz, latest_event uuid,
      event_ids uuid[])
  ), entered as (
    insert into signalops.usage_entries
      (tenant_id, meter, period, id, batch, hour, grp, is_late, events, value, latest_at, latest_event, event_ids)
    select tenant, meter, period, id, in_batch, hour, grp, is_late, events, value, latest_at, latest_event, event_ids from counted
  )
  insert into signalops.usage_counters as u
    (tenant_id, meter, hour, grp, period, aggregation, is_late, events, value, latest_at, latest_event)
  select tenant, meter, hour, grp, period, aggregation, is_late, events, value, latest_at, latest_event
  from counted order by tenant, meter, hour, grp, period
  on conflict (tenant_id, meter, hour, grp, period) do update set
    events = u.events + excluded.events,
    value = case u.aggregation when 'max' then greatest(u.value, excluded.value) when 'min' then least(u.value, excluded.value)
      when 'latest' then case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
        then excluded.value else u.value end
      else u.value + excluded.value end,
    latest_event = case when (excluded.latest_at, excluded.latest_event) > (u.latest_at, u.latest_event)
      then excluded.latest_event else u.latest_event end,
    latest_at = greatest(u.latest_at, excluded.latest_at);
end
$_$;

COMMENT ON FUNCTION signalops.count_usage(in_batch uuid, metered jsonb) IS 'Adds to the counters what a batch counts, with its entries: [{tenant, id, meter, aggregation, period, hour, grp, is_late, events, value, latest_at, latest_event, event_ids, items}], one element for each counter.';

CREATE FUNCTION signalops.cross_window(tenant uuid, rule uuid, state integer, in_group text, kind text, threshold numeric, span interval, keep interval, events jsonb, INOUT told tstzmultirange, OUT crossings jsonb) RETURNS record
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  -- A count needs no more events before a new one than this. Sums and distinct values look at so many at most.
  before_it bigint := case kind when 'count' then threshold - 1 else 20000 end;
  seen_before timestamptz := (
    select w.at from signalops.window_events w
    where w.tenant_id = tenant and w.rule_id = rule and w.since = state and w.group_key = in_group
    order by w.at desc limit 1);
  touched tstzmultirange;
  reached tstzmultirange;
  near tstzmultirange;
begin
  with noted as (
    insert into signalops.window_events (tenant_id, rule_id, since, group_key, at, event_id, weight, item)
    select tenant, rule, state, in_group, e.at, e.event, e.weight, e.item
    from jsonb_to_recordset(events) as e (event uuid, at timestamptz, weight numeric, item text)
    on conflict do nothing returning at
  )
  select range_agg(tstzrange(at, at + span)) into touched from noted;
  if touched is null then
    return; -- a replay of what counts already
  end if;

  with held as materialized (
    select p.part, h.at, h.weight, h.item
    from unnest(touched) as p (part)
    cross join lateral (
      (select w.at, w.weight, w.item from signalops.window_events w
        where w.tenant_id = tenant and w.rule_id = rule and w.since = state and w.group_key = in_group
          and w.at < lower(p.part) and w.at > lower(p.part) - span
        order by w.at desc limit before_it)
      union all
      (select w.at, w.weight, w.item from signalops.window_events w
        where w.tenant_id = tenant and w.rule_id = rule and w.since = state and w.group_key = in_group
          and w.at >= lower(p.part) and w.at < upper(p.part)
        order by w.at limit 20000)
    ) h
  ), presences as (
    select h.part, h.at as begins, h.at + span as ends, h.weight from held h where kind <> 'distinct'
    union all
    select d.part, lower(d.presence), upper(d.presence), 1
    from (
      select h.part, unnest(range_agg(tstzrange(h.at, h.at + span))) as presence from held h where kind = 'distinct' group by h.item, h.part
    ) d
  ), levels as (
    select part, moment, sum(change) over w as level, lead(moment) over w as next
    from (
      -- What began before the part is one step, at its beginning: half as many to sort.
      select part, lower(part), sum(weight) from presences where begins <= lower(part) group by part
      union all
      select part, begins, weight from presences where begins > lower(part)
      union all
      select part, ends, -weight from presences
    ) as s (part, moment, change)
    window w as (partition by part order by moment)
  ), found as (
    select part, unnest(range_agg(tstzrange(moment, next)) * tstzmultirange(part)) as stretch
    from levels where level >= threshold and next is not null group by part
  )
  -- A sum may also rise when something negative leaves it: that counts once an event sees it, and not in the future.
  select coalesce(range_agg(f.stretch), '{}') into reached
  from found f where kind <> 'sum' or exists (select from held h where h.part = f.part and f.stretch @> h.at);

  near := told * tstzmultirange(tstzrange(lower(touched) - span, upper(touched), '[]'));
  told := told - touched + reached - tstzmultirange(tstzrange(null, lower(touched) - keep));

  with come as materialized (
    select e.event, e.at from jsonb_to_recordset(events) as e (event uuid, at timestamptz)
  )
  select jsonb_agg(to_jsonb(t)) into crossings
  from (
    -- One event may bring about several stretches; it tells of the first.
    select distinct on (c.event) c.event, m.value, lower(s.stretch) - span as since, lower(s.stretch) as until
    from unnest(near - touched + reached) as s (stretch)
    cross join lateral (
      select e.event from come e
      where e.at > lower(s.stretch) - span and e.at <= lower(s.stretch) order by e.at desc, e.event desc limit 1
    ) c
    cross join lateral (
      -- Readers take numbers as doubles.
      select case kind when 'distinct' then count(distinct w.item) else least(sum(w.weight), 1.7e308) end as value
      from signalops.window_events w
      where w.tenant_id = tenant and w.rule_id = rule and w.since = state and w.group_key = in_group
        and w.at > lower(s.stretch) - span and w.at <= lower(s.stretch)
    ) m
    -- Of what was told, only what events have seen is known: what negative ones have taken away since may come again.
    where s.stretch && reached and not s.stretch && (near * tstzmultirange(tstzrange(null, seen_before, '[]')))
    order by c.event, lower(s.stretch)
  ) t;
end
$$;

COMMENT ON FUNCTION signalops.cross_window(tenant uuid, rule uuid, state integer, in_group text, kind text, threshold numeric, span interval, keep interval, events jsonb, INOUT told tstzmultirange, OUT crossings jsonb) IS 'Adds [{event, at, weight, item}] to a group''s window (count, sum or distinct) and returns the stretches told and to be told, with the crossings that are new: [{event, value, since, until}], the event being the one that brought it about. The group must be locked.';

CREATE FUNCTION signalops.current_group() RETURNS uuid[]
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('signalops.tenant_group'::text, true), ''::text))::uuid[];

COMMENT ON FUNCTION signalops.current_group() IS 'The tenants of the flush or batch that signalops.accept, read_batch or record_batch is at; NULL outside of them.';

CREATE FUNCTION signalops.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (NULLIF(current_setting('signalops.tenant_id'::text, true), ''::text))::uuid;

COMMENT ON FUNCTION signalops.current_tenant() IS 'The tenant that this transaction acts for; NULL when none is set, and then no row of any tenant is visible.';

CREATE TABLE signalops.usage_days (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    day date NOT NULL,
    meter text NOT NULL,
    grp text NOT NULL,
    is_late boolean NOT NULL,
    aggregation text NOT NULL,
    events bigint NOT NULL,
    quantity numeric
);

ALTER TABLE ONLY signalops.usage_days FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_days IS 'The sealed figures of closed periods, by day: what stays when the events behind them have outlived their retention.';
COMMENT ON COLUMN signalops.usage_days.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_days.period IS 'The period that it is billed in.';
COMMENT ON COLUMN signalops.usage_days.day IS 'The day on which it happened, in the tenant''s time zone; before the period: late.';
COMMENT ON COLUMN signalops.usage_days.meter IS 'The meter''s key; events: all events.';
COMMENT ON COLUMN signalops.usage_days.grp IS 'The group, as of usage_counters.';
COMMENT ON COLUMN signalops.usage_days.is_late IS 'Whether it happened in an earlier period, which was closed already.';
COMMENT ON COLUMN signalops.usage_days.aggregation IS 'The meter''s: what is made of the events.';
COMMENT ON COLUMN signalops.usage_days.events IS 'How many events.';
COMMENT ON COLUMN signalops.usage_days.quantity IS 'The day''s figure, with its adjustments.';

CREATE FUNCTION signalops.digest_days(tenant uuid, of_period date, before bytea) RETURNS bytea
    LANGUAGE sql STABLE
    RETURN sha256((COALESCE(before, '\x'::bytea) || convert_to(((json_build_array(tenant, of_period))::text || COALESCE((SELECT string_agg(('
'::text || (json_build_array(d.day, d.meter, d.grp, d.is_late, d.aggregation, d.events, (d.quantity)::text))::text), ''::text ORDER BY d.day, (d.meter COLLATE "C"), (d.grp COLLATE "C")) AS string_agg FROM signalops.usage_days d WHERE ((d.tenant_id = digest_days.tenant) AND (d.period = digest_days.of_period))), ''::text)), 'UTF8'::name)));

COMMENT ON FUNCTION signalops.digest_days(tenant uuid, of_period date, before bytea) IS 'The digest of a sealed period: SHA-256 of the digest before (none: nothing), the line [tenant, period], and for each row of usage_days, by day, meter and group (in the order of bytes), a line [day, meter, grp, is_late, aggregation, events, quantity], as JSON in UTF-8 with line feeds between.';

CREATE FUNCTION signalops.disable_channel(tenant uuid, channel uuid, because text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
declare
  called text;
begin
  update signalops.channels c set enabled = false, disabled_because = left(because, 500), updated_at = now()
  where c.tenant_id = tenant and c.id = channel and c.enabled returning c.name into called;
  if not found then
    return false;
  end if;
  perform signalops.announce('signalops.channel.disabled', jsonb_build_object(
    'channel', jsonb_build_object('id', channel, 'name', called), 'reason', left(because, 500)), 1::smallint);
  return true;
end
$$;

COMMENT ON FUNCTION signalops.disable_channel(tenant uuid, channel uuid, because text) IS 'Disables a channel that wants or brings nothing any more, and tells the tenant: signalops.channel.disabled.';

CREATE FUNCTION signalops.discard_dead_letters(tenant uuid, letters uuid[], because text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  discarded bigint;
begin
  update signalops.dead_letters l set ended_at = now(), ending = 'discarded', reason = because
  where l.tenant_id = tenant and l.id = any (letters) and l.ended_at is null;
  get diagnostics discarded = row_count;
  return discarded;
end
$$;

COMMENT ON FUNCTION signalops.discard_dead_letters(tenant uuid, letters uuid[], because text) IS 'Takes dead letters off the list for good, with a reason; they stay on record. Returns how many.';

CREATE FUNCTION signalops.emit(tenant uuid, in_batch uuid, event_type text, about jsonb, at_depth smallint) RETURNS uuid
    LANGUAGE sql
    AS $$
  with emitted as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, depth)
    values (tenant, signalops.new_id(), in_batch, event_type, 'signalops', clock_timestamp(), clock_timestamp(), about, at_depth)
    returning id)
  insert into signalops.inbox (tenant_id, event_id, batch) select tenant, id, in_batch from emitted returning event_id
$$;

COMMENT ON FUNCTION signalops.emit(tenant uuid, in_batch uuid, event_type text, about jsonb, at_depth smallint) IS 'Stores an operational event of a tenant in a batch that is about to be enqueued: rules can match it, nobody is billed for it.';

CREATE FUNCTION signalops.end_unneeded_meters(tenant uuid) RETURNS bigint
    LANGUAGE sql
    AS $$
  with kept as (
    select s.terms, lead(s.starts_on, 1, 'infinity') over (order by s.starts_on) as next_day
    from signalops.subscriptions s where s.tenant_id = tenant
  ), ended as (
    update signalops.meters m set ended_at = now()
    from signalops.tenants t
    where t.id = tenant and m.tenant_id = tenant and m.origin = 'plan' and m.until is null and not exists (
      select from kept k
      -- A plan that is over has days in a period that is still open: what happened then is still to be counted.
      where k.next_day > (t.closed_until at time zone t.time_zone)::date
        and k.terms -> 'meters' @> jsonb_build_array(jsonb_build_object('key', m.key))
    )
    returning m.key
  )
  select count(*) from ended
$$;

COMMENT ON FUNCTION signalops.end_unneeded_meters(tenant uuid) IS 'Ends the meters that plans brought and that no plan of an open period, the present or a scheduled one has; returns how many.';

CREATE FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
begin
  return (procrastinate_defer_jobs_v1(array[
    row(queue, task, priority, null, null, args, null)::procrastinate_job_to_defer_v1]))[1];
end
$$;

COMMENT ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) IS 'Enqueues one job in the current transaction and returns its id. Arguments are ids, never payloads.';

CREATE FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
begin
  perform signalops.require_tenant(tenant);
  -- The lock: one slice at a time in the whole installation, in turn, so that looking back takes one core from the present and no
  -- tenant's long backtest keeps another's short one waiting.
  return (procrastinate_defer_jobs_v1(array[row('backtests', 'run_backtest', -20, 'backtests', null,
    jsonb_build_object('tenant', tenant, 'backtest', backtest), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;

COMMENT ON FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) IS 'Enqueues the next slice of a backtest of the tenant that the transaction acts for, below all other jobs; returns the job.';

CREATE FUNCTION signalops.enqueue_deliveries(wanted jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'procrastinate', 'pg_temp'
    AS $$
begin
  perform procrastinate_defer_jobs_v1((
    select array_agg(row('deliveries', 'send_delivery', j.priority, null, null,
      case when jsonb_array_length(j.told) = 1 then j.told -> 0
        else (j.told -> 0) || jsonb_build_object('more', j.told - 0) end, null)::procrastinate_job_to_defer_v1 order by j.priority desc, j.part)
    from (
      select p.priority, p.part, jsonb_agg(p.job - 'priority' order by p.place) as told
      from (
        select w.job, w.place, r.priority, (row_number() over (partition by r.priority order by w.place) - 1) / 20 as part
        from jsonb_array_elements(wanted) with ordinality as w (job, place),
          lateral (select coalesce((w.job ->> 'priority')::integer, -6)) as r (priority)
      ) p
      group by p.priority, p.part
    ) j));
  return jsonb_array_length(wanted);
end
$$;

COMMENT ON FUNCTION signalops.enqueue_deliveries(wanted jsonb) IS 'Enqueues one attempt each: [{tenant, delivery, priority}], not empty; returns how many. -5: the channel has sent little lately; -6: usual; -7: backlog. Events go first (0), bulk loads of events last (-10). Twenty share a job: fetching and finishing one costs a worker more than sending.';

CREATE FUNCTION signalops.enqueue_due_deliveries(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  is_full boolean := exists (
    select from procrastinate.procrastinate_jobs j where j.queue_name = 'deliveries' and j.status = 'todo' offset 999);
  channels bigint := (select count(*) from (
    select from signalops.channel_queues q where q.next_due_at <= now() limit 500) due);
  turn record;
  share double precision;
  woken jsonb;
  jobs jsonb := '[]';
begin
  if is_full or channels = 0 then
    return 0;
  end if;
  for turn in
    select q.tenant_id, q.channel_id, c.most_per_minute, o.opened_until, o.tokens, o.refilled_at from signalops.channel_queues q
    left join lateral (
      select * from signalops.channels c where c.tenant_id = q.tenant_id and c.id = q.channel_id limit 1
    ) c on true
    left join lateral (
      select * from signalops.outlets o where o.tenant_id = q.tenant_id and o.id = coalesce(c.outlet_id, q.channel_id) limit 1
    ) o on true
    where q.next_due_at <= now() order by q.next_due_at limit 500 for update of q skip locked
  loop
    if turn.opened_until > now() then
      update signalops.channel_queues q set next_due_at = turn.opened_until
      where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
      continue;
    end if;
    share := greatest(1, at_most / channels);
    if turn.opened_until is not null then
      share := 1; -- while a circuit is open one attempt tries
    elsif turn.most_per_minute is not null then
      -- More would only be put back.
      share := least(share, signalops.tokens_at(clock_timestamp(), turn.tokens, turn.refilled_at, turn.most_per_minute));
      if share < 1 then
        update signalops.channel_queues q set next_due_at = clock_timestamp() + make_interval(secs => (1 - share) * 60 / turn.most_per_minute)
        where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
        continue;
      end if;
    end if;
    with due as (
      select d.id from signalops.deliveries d
      where d.tenant_id = turn.tenant_id and d.channel_id = turn.channel_id and d.next_attempt_at <= now()
      order by d.next_attempt_at limit floor(share)
      for update skip locked
    ), taken as (
      update signalops.deliveries d set status = 'pending', next_attempt_at = null, updated_at = now()
      from due where d.tenant_id = turn.tenant_id and d.id = due.id
      returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id, 'priority', -7) as job
    )
    select jsonb_agg(job) into woken from taken;
    jobs := jobs || coalesce(woken, '[]');
    update signalops.channel_queues q set next_due_at = (
      -- What was woken has not asked its outlet yet: the next must not be woken for the same turn.
      select greatest(d.next_attempt_at, case
        when turn.opened_until is not null or turn.most_per_minute is not null then now() + interval '1 second' end)
      from signalops.deliveries d
      where d.tenant_id = turn.tenant_id and d.channel_id = turn.channel_id and d.next_attempt_at is not null
      order by d.next_attempt_at limit 1)
    where q.tenant_id = turn.tenant_id and q.channel_id = turn.channel_id;
  end loop;
  if jobs <> '[]' then
    perform signalops.enqueue_deliveries(jobs);
  end if;
  return jsonb_array_length(jobs);
end
$$;

COMMENT ON FUNCTION signalops.enqueue_due_deliveries(at_most integer) IS 'Gives jobs to deliveries whose time has come, channel by channel: each gets an equal share of what workers can have at hand, but no more than its outlet''s rate limit admits, and none while its circuit is open. Returns how many.';

CREATE FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive waiting as (
    -- Hops from batch to batch along the index: a select distinct would read the whole backlog.
    (select batch from signalops.inbox order by batch limit 1)
    union all
    select (select i.batch from signalops.inbox i where i.batch > w.batch order by i.batch limit 1)
    from waiting w where w.batch < signalops.id_at(now() - older_than)
  ), old as (
    select batch from waiting where batch < signalops.id_at(now() - older_than) limit at_most
  )
  select count(signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', batch)))
  from old,
    -- Whoever processes a batch holds its rows. That a job is `doing` says less: procrastinate leaves it so, under a worker that
    -- lives on, when it could not write down how the job ended.
    lateral (select from signalops.inbox i where i.batch = old.batch limit 1 for update skip locked) as idle
  where not exists (
    select from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'process_batch' and j.args ->> 'batch' = old.batch::text)
$$;

COMMENT ON FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) IS 'Gives a new job to batches that wait in the inbox without one (deleted, aborted, stuck): accepted means processed, whatever becomes of a job. Returns how many.';

CREATE FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with old as (
    select tenant_id, id, channel_id from signalops.deliveries
    where status in ('pending', 'sending') and updated_at < now() - older_than and next_attempt_at is null
    order by updated_at limit at_most for update skip locked
  ), waiting as materialized (
    select j.args ->> 'delivery' as delivery from procrastinate.procrastinate_jobs j
    where j.status = 'todo' and j.task_name = 'send_delivery' and exists (select from old)
    union all
    select m ->> 'delivery' from procrastinate.procrastinate_jobs j, jsonb_array_elements(j.args -> 'more') m
    where j.status = 'todo' and j.task_name = 'send_delivery' and exists (select from old)
  ), lost as (
    update signalops.deliveries d set updated_at = now()
    from old where d.tenant_id = old.tenant_id and d.id = old.id
      and not exists (select from waiting w where w.delivery = old.id::text)
    returning jsonb_build_object('tenant', d.tenant_id, 'delivery', d.id) as job
  )
  select coalesce((select signalops.enqueue_deliveries(jobs) from (select jsonb_agg(job) as jobs from lost) l where jobs is not null), 0)
$$;

COMMENT ON FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) IS 'Gives a new job to deliveries in hand whose job is gone (deleted, aborted, stuck); returns how many.';

CREATE FUNCTION signalops.expire_credits(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  expired bigint;
begin
  with due as materialized (
    select g.tenant_id, g.id, g.remaining from signalops.credit_grants g
    where g.remaining > 0 and g.expires_at <= now()
    order by g.expires_at limit at_most for update skip locked
  )
  insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount)
  select d.tenant_id, signalops.new_id(), d.id, 'expired', -d.remaining from due d;
  get diagnostics expired = row_count;
  return expired;
end
$$;

COMMENT ON FUNCTION signalops.expire_credits(at_most integer) IS 'Writes off what is left of grants that have expired, of all tenants; returns of how many. The next call does those beyond the bound.';

CREATE FUNCTION signalops.find_called_channel(wanted uuid) RETURNS TABLE(tenant_id uuid, secret bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select c.tenant_id, c.secret from signalops.channels c
  where c.id = wanted and c.kind = 'whatsapp' and c.deleted_at is null and c.secret is not null
$$;

COMMENT ON FUNCTION signalops.find_called_channel(wanted uuid) IS 'Whose channel a provider calls back, with the sealed secret that tells whether it is the provider: looked up before a tenant is known.';

CREATE FUNCTION signalops.find_keys(wanted text) RETURNS TABLE(tenant_id uuid, key_id uuid, hash text, scopes text[], allowed_cidrs cidr[], expires_at timestamp with time zone, tenant_status text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.allowed_cidrs, k.expires_at, t.status
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;

COMMENT ON FUNCTION signalops.find_keys(wanted text) IS 'The usable keys with a prefix, with hash and tenant: the one look-up that happens before a tenant is known.';

CREATE TABLE signalops.deliveries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    channel_id uuid NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    context jsonb,
    replay_id uuid,
    provider_id text,
    attempts_before smallint DEFAULT 0 NOT NULL,
    CONSTRAINT deliveries_provider_id_check CHECK ((length(provider_id) <= 500)),
    CONSTRAINT deliveries_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'sent'::text, 'delivered'::text, 'read'::text, 'retrying'::text, 'dead'::text, 'cancelled'::text, 'suppressed'::text]))),
    CONSTRAINT waits_or_is_in_hand CHECK (
CASE status
    WHEN 'retrying'::text THEN (next_attempt_at IS NOT NULL)
    WHEN 'pending'::text THEN true
    ELSE (next_attempt_at IS NULL)
END)
)
PARTITION BY RANGE (id);

ALTER TABLE ONLY signalops.deliveries FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.deliveries IS 'One notification of one event by one rule through one channel. Partitioned by month of the id.';
COMMENT ON COLUMN signalops.deliveries.tenant_id IS 'Whose notification it is.';
COMMENT ON COLUMN signalops.deliveries.id IS 'UUIDv7; the id that the receiver sees, the same in every attempt.';
COMMENT ON COLUMN signalops.deliveries.event_id IS 'The event that it tells of.';
COMMENT ON COLUMN signalops.deliveries.rule_id IS 'The rule that asked for it.';
COMMENT ON COLUMN signalops.deliveries.rule_version IS 'In which version; its template is rendered.';
COMMENT ON COLUMN signalops.deliveries.channel_id IS 'Where it goes.';
COMMENT ON COLUMN signalops.deliveries.status IS 'pending (has a job, or waits for its turn) -> sending -> sent -> delivered -> read; or -> retrying (waits) -> pending; or -> dead (has a dead letter), cancelled, suppressed. signalops.may_become knows all ways.';
COMMENT ON COLUMN signalops.deliveries.attempts IS 'Attempts begun.';
COMMENT ON COLUMN signalops.deliveries.next_attempt_at IS 'When the sweep enqueues it; only while it waits.';
COMMENT ON COLUMN signalops.deliveries.created_at IS 'When the rule asked for it.';
COMMENT ON COLUMN signalops.deliveries.updated_at IS 'When the status changed last.';
COMMENT ON COLUMN signalops.deliveries.context IS 'What a window saw when it fired: {value, group, since, until}; NULL without one.';
COMMENT ON COLUMN signalops.deliveries.replay_id IS 'The replay that asked for it; NULL: the event itself did.';
COMMENT ON COLUMN signalops.deliveries.provider_id IS 'The provider''s own id of the message, by which it calls back.';
COMMENT ON COLUMN signalops.deliveries.attempts_before IS 'Attempts made before a person had it retried: the schedule begins anew after them.';

CREATE FUNCTION signalops.find_sent(tenant uuid, channel uuid, provider text) RETURNS uuid
    LANGUAGE sql STABLE
    RETURN (SELECT d.id FROM signalops.deliveries d WHERE ((d.tenant_id = find_sent.tenant) AND (d.channel_id = find_sent.channel) AND (d.provider_id = find_sent.provider)) ORDER BY d.id DESC LIMIT 1);

COMMENT ON FUNCTION signalops.find_sent(tenant uuid, channel uuid, provider text) IS 'The delivery that a provider knows by an id of its own; NULL: none.';

CREATE FUNCTION signalops.period_of(moment timestamp with time zone, zone text) RETURNS date
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (date_trunc('month'::text, (moment AT TIME ZONE zone)))::date;

COMMENT ON FUNCTION signalops.period_of(moment timestamp with time zone, zone text) IS 'The billing period of a moment: the first day of the calendar month in a time zone.';

CREATE TABLE signalops.usage_counters (
    tenant_id uuid CONSTRAINT usage_counters_tenant_id_not_null1 NOT NULL,
    meter text CONSTRAINT usage_counters_meter_not_null1 NOT NULL,
    hour timestamp with time zone NOT NULL,
    grp text NOT NULL,
    period date NOT NULL,
    aggregation text NOT NULL,
    is_late boolean NOT NULL,
    events bigint NOT NULL,
    value numeric,
    latest_at timestamp with time zone,
    latest_event uuid,
    CONSTRAINT usage_counters_events_check CHECK ((events > 0)),
    CONSTRAINT usage_counters_period_check CHECK ((EXTRACT(day FROM period) = (1)::numeric))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.usage_counters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_counters IS 'Usage by hour and group: added to in the transaction that takes the events out of the inbox, so each is counted exactly once.';
COMMENT ON COLUMN signalops.usage_counters.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_counters.meter IS 'The meter''s key; events: all events.';
COMMENT ON COLUMN signalops.usage_counters.hour IS 'Start of the hour in which the events happened, in the tenant''s time zone.';
COMMENT ON COLUMN signalops.usage_counters.grp IS 'The group, as the JSON list of the values of the meter''s group_by; [] when it has none.';
COMMENT ON COLUMN signalops.usage_counters.period IS 'The billing period that it is billed in, by its first day.';
COMMENT ON COLUMN signalops.usage_counters.aggregation IS 'The meter''s: what is made of the events.';
COMMENT ON COLUMN signalops.usage_counters.is_late IS 'Whether the period in which the events happened was closed already.';
COMMENT ON COLUMN signalops.usage_counters.events IS 'How many events.';
COMMENT ON COLUMN signalops.usage_counters.value IS 'Their number (count), sum (sum, avg), extreme (max, min) or latest value; NULL for unique_count.';
COMMENT ON COLUMN signalops.usage_counters.latest_at IS 'When the latest of them happened; NULL but for latest.';
COMMENT ON COLUMN signalops.usage_counters.latest_event IS 'The latest of them; NULL but for latest.';

CREATE FUNCTION signalops.first_period(tenant uuid, zone text, made timestamp with time zone) RETURNS date
    LANGUAGE sql STABLE
    RETURN signalops.period_of(LEAST(made, (SELECT min(u.hour) AS min FROM signalops.usage_counters u WHERE ((u.tenant_id = first_period.tenant) AND (u.meter = 'events'::text))), (SELECT min(a.hour) AS min FROM signalops.usage_adjustments a WHERE (a.tenant_id = first_period.tenant))), zone);

COMMENT ON FUNCTION signalops.first_period(tenant uuid, zone text, made timestamp with time zone) IS 'The first billing period of a tenant: of when it was made, or of the earliest usage that it sent in afterwards.';

CREATE FUNCTION signalops.fix_time_zone() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  -- What a worker has in hand is still in the inbox for us, until it commits what it counted.
  if new.closed_until > '-infinity' or exists (select from signalops.usage_counters u where u.tenant_id = new.id)
    or exists (select from signalops.usage_adjustments a where a.tenant_id = new.id)
    or exists (select from signalops.inbox i where i.tenant_id = new.id) then
    raise 'the tenant % has usage in the time zone %, which is fixed by that: make another tenant', old.slug, old.time_zone
      using errcode = 'check_violation';
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.fix_time_zone() IS 'Keeps the time zone of a tenant once something of it was or will be counted: its hours and periods lie in it.';

CREATE FUNCTION signalops.forget_failures() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update signalops.outlets o set failures = 0, failing_since = null, opened_until = null, probe = null
  where o.tenant_id = new.tenant_id and o.id = coalesce(new.outlet_id, new.id);
  return null;
end
$$;

COMMENT ON FUNCTION signalops.forget_failures() IS 'Has a channel that is enabled again begin anew.';

CREATE FUNCTION signalops.forget_groups(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  one record;
  forgotten bigint := 0;
begin
  for one in
    delete from signalops.rule_groups g
    using (
      select tenant_id, rule_id, since, group_key from signalops.rule_groups
      where forget_at <= now() and due_at is null order by forget_at limit at_most for update skip locked
    ) past
    where g.tenant_id = past.tenant_id and g.rule_id = past.rule_id and g.since = past.since and g.group_key = past.group_key
    returning g.tenant_id, g.rule_id, g.since, g.group_key
  loop
    delete from signalops.window_events w
    where w.tenant_id = one.tenant_id and w.rule_id = one.rule_id and w.since = one.since and w.group_key = one.group_key;
    forgotten := forgotten + 1;
  end loop;
  return forgotten;
end
$$;

COMMENT ON FUNCTION signalops.forget_groups(at_most integer) IS 'Removes groups of rules, with what their windows hold, that can''t matter any more; returns how many.';

CREATE FUNCTION signalops.freeze_periods(closing_after interval, at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION signalops.freeze_periods(closing_after interval, at_most integer) IS 'Freezes the next period of tenants whose month ended so long ago, and of whom nothing waits that came before its end; returns of how many. It must be committed before note_barriers.';

CREATE FUNCTION signalops.give_back(admitted jsonb, moment timestamp with time zone) RETURNS TABLE(event_id uuid, verdict text, first_id uuid)
    LANGUAGE plpgsql
    AS $$
declare
  repeated jsonb;
begin
  select jsonb_agg(i.item || jsonb_build_object('first', k.event_id, 'is_same', k.body_hash = decode(i.item ->> 'hash', 'hex')))
  into repeated
  from jsonb_array_elements(admitted) as i (item)
  cross join lateral (
    select * from signalops.idempotency_keys k where k.tenant_id = (i.item ->> 'tenant')::uuid and k.key = i.item ->> 'key' limit 1
  ) k
  where k.event_id <> (i.item ->> 'id')::uuid;
  perform signalops.recount(repeated, moment, -1);
  return query
    select r.id, case when r.is_same then 'duplicate' else 'conflict' end, r.first
    from jsonb_to_recordset(repeated) as r (id uuid, is_same boolean, first uuid);
end
$$;

COMMENT ON FUNCTION signalops.give_back(admitted jsonb, moment timestamp with time zone) IS 'Of events whose idempotency key was stored before, returns the first event and whether the body is the same, and uncounts them.';

CREATE FUNCTION signalops.grant_credit(tenant uuid, granted numeric, in_currency text, reason text, author text, priority smallint DEFAULT 50, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS uuid
    LANGUAGE plpgsql
    AS $$
declare
  made uuid := signalops.new_id();
begin
  insert into signalops.credit_grants (tenant_id, id, amount, currency, priority, expires_at, reason, author)
  values (tenant, made, granted, in_currency, priority, expires_at, reason, author);
  insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount)
  values (tenant, signalops.new_id(), made, 'granted', granted);
  return made;
end
$$;

COMMENT ON FUNCTION signalops.grant_credit(tenant uuid, granted numeric, in_currency text, reason text, author text, priority smallint, expires_at timestamp with time zone) IS 'Grants a tenant credit; returns the grant. For the operator: no role of the product may write grants.';

CREATE FUNCTION signalops.grant_turns(decided jsonb) RETURNS TABLE(channel uuid, granted integer, priority integer)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  -- More jobs than workers have at hand delay whoever comes next: while so many wait, only who has sent little lately gets one at once.
  is_full boolean := exists (
    select from procrastinate.procrastinate_jobs j where j.queue_name = 'deliveries' and j.status = 'todo' offset 2000);
begin
  return query
    with asked as (
      select m.tenant, m.channel, count(*)::integer as wanted
      from jsonb_to_recordset(decided) as m (tenant uuid, channel uuid, outcome text, not_before timestamptz)
      where coalesce(m.outcome, 'notified') = 'notified' and m.not_before is null
      -- In one order, so that two workers can't lock each other out.
      group by m.tenant, m.channel order by m.tenant, m.channel
    ), taken as (
      insert into signalops.channel_queues as q (tenant_id, channel_id, tokens, refilled_at)
      select a.tenant, a.channel, 1000 - a.wanted, clock_timestamp() from asked a
      on conflict (tenant_id, channel_id) do update set refilled_at = clock_timestamp(),
        tokens = excluded.tokens - 1000
          + least(1000, greatest(q.tokens, 0) + 500 * extract(epoch from clock_timestamp() - q.refilled_at))
      returning q.channel_id, q.tokens
    )
    select a.channel,
      case when is_full and t.tokens + a.wanted < 900 then 0 else greatest(0, a.wanted + least(0, floor(t.tokens))::integer) end,
      case when t.tokens + a.wanted >= 900 then -5 else -6 end
    from asked a join taken t on t.channel_id = a.channel;
end
$$;

COMMENT ON FUNCTION signalops.grant_turns(decided jsonb) IS 'Says how many of a batch''s new deliveries get a job at once, by channel, and of which priority; the others wait for their channel''s turn.';

CREATE FUNCTION signalops.hear_of_delivery(delivery uuid, provider text, to_status text, because text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
declare
  tenant uuid := signalops.current_tenant();
  known record;
begin
  select d.status, d.provider_id into known from signalops.deliveries d where d.tenant_id = tenant and d.id = delivery;
  if to_status in ('delivered', 'read') then
    -- It was sent, whatever we know: the callback may overtake our record, and an attempt that was thought lost had succeeded.
    update signalops.deliveries d set status = 'sent', next_attempt_at = null, updated_at = now()
    where d.tenant_id = tenant and d.id = delivery and d.status <> 'sent' and signalops.may_become(d.status, 'sent');
  elsif known.status = 'sending' then
    return null;
  elsif known.status is distinct from 'sent' or known.provider_id <> provider then
    -- What failed is an earlier message: this one waits for its turn, is on its way or has arrived.
    return false;
  end if;
  return signalops.advance_delivery(tenant, delivery, to_status, because);
end
$$;

COMMENT ON FUNCTION signalops.hear_of_delivery(delivery uuid, provider text, to_status text, because text) IS 'Moves a delivery of the tenant that the transaction acts for to what its provider says of a message: delivered, read, or dead with the reason. In any order, and repeated; returns whether it moved, and NULL of a failure that came before we know which message is meant: it must be told again.';

CREATE FUNCTION signalops.id_at(moment timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((lpad(to_hex(((EXTRACT(epoch FROM moment) * (1000)::numeric))::bigint), 12, '0'::text) || '00000000000000000000'::text))::uuid;

COMMENT ON FUNCTION signalops.id_at(moment timestamp with time zone) IS 'The least UUIDv7 of a millisecond: ids compare with it as their times do, so it bounds time ranges and partitions.';

CREATE FUNCTION signalops.is_time_zone(wanted text) RETURNS boolean
    LANGUAGE plpgsql STABLE
    AS $_$
begin
  perform now() at time zone wanted;
  return wanted ~ '^(UTC|[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+)+)$';
exception when invalid_parameter_value then
  return false;
end
$_$;

COMMENT ON FUNCTION signalops.is_time_zone(wanted text) IS 'Whether a name is one of the IANA database, such as Europe/Berlin; abbreviations are not.';

CREATE FUNCTION signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) IS 'Issues an invoice or a credit note of a closed period, with its lines, and tells the tenant; returns its number. issued: columns of invoices; lines: columns of invoice_lines, in their order; numbers as strings.';

CREATE TABLE signalops.limits (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    origin text NOT NULL,
    starts_on date NOT NULL,
    soft numeric,
    hard numeric,
    thresholds smallint[] DEFAULT '{}'::smallint[] NOT NULL,
    overage text DEFAULT 'refuse'::text NOT NULL,
    set_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT limits_check CHECK (((thresholds = '{}'::smallint[]) OR (COALESCE(soft, hard) IS NOT NULL))),
    CONSTRAINT limits_hard_check CHECK (((hard >= (0)::numeric) AND (hard < 'Infinity'::numeric))),
    CONSTRAINT limits_origin_check CHECK ((origin = ANY (ARRAY['tenant'::text, 'plan'::text]))),
    CONSTRAINT limits_overage_check CHECK ((overage = ANY (ARRAY['refuse'::text, 'accept'::text]))),
    CONSTRAINT limits_soft_check CHECK (((soft >= (0)::numeric) AND (soft < 'Infinity'::numeric))),
    CONSTRAINT limits_thresholds_check CHECK (((1 <= ALL (thresholds)) AND (1000 >= ALL (thresholds)) AND (array_position(thresholds, NULL::smallint) IS NULL) AND (cardinality(thresholds) <= 20)))
);

ALTER TABLE ONLY signalops.limits FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.limits IS 'How much of a meter may be accepted in a calendar month. The tenant''s own go before its plan''s, later ones before earlier ones.';
COMMENT ON COLUMN signalops.limits.tenant_id IS 'Whose limit it is.';
COMMENT ON COLUMN signalops.limits.meter IS 'The key of the meter: events, or one that counts or sums.';
COMMENT ON COLUMN signalops.limits.origin IS 'tenant: agreed with it; plan: brought by its plan.';
COMMENT ON COLUMN signalops.limits.starts_on IS 'The day, in the tenant''s time zone, from which it holds.';
COMMENT ON COLUMN signalops.limits.soft IS 'The amount at which a notice is emitted; NULL: none.';
COMMENT ON COLUMN signalops.limits.hard IS 'The amount beyond which events are refused, or marked; NULL: none. With neither soft nor hard there is no limit.';
COMMENT ON COLUMN signalops.limits.thresholds IS 'Percentages of hard (of soft, without hard) at which notices are emitted.';
COMMENT ON COLUMN signalops.limits.overage IS 'What becomes of events beyond hard: refuse, or accept (and mark).';
COMMENT ON COLUMN signalops.limits.set_at IS 'When it was set.';

CREATE FUNCTION signalops.limit_of(tenant uuid, of_meter text, on_day date) RETURNS SETOF signalops.limits
    LANGUAGE sql STABLE ROWS 1 PARALLEL SAFE
    AS $$
  select * from signalops.limits l
  where l.tenant_id = tenant and l.meter = of_meter and l.starts_on <= on_day
  order by l.origin desc, l.starts_on desc limit 1
$$;

COMMENT ON FUNCTION signalops.limit_of(tenant uuid, of_meter text, on_day date) IS 'The limit of a meter that holds on a day: the tenant''s own before the plan''s, of these the latest; none if it never had any.';

CREATE FUNCTION signalops.make_partitions(months_ahead integer DEFAULT 3) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  parent regclass;
  month date;
  part text;
begin
  -- Several processes may find the month missing at once.
  perform pg_advisory_xact_lock(hashtext('signalops.make_partitions'));
  for parent in
    select c.oid from pg_class c
    where c.relkind = 'p' and c.relnamespace = 'signalops'::regnamespace order by c.relname
  loop
    for month in
      select generate_series(
        date_trunc('month', now() at time zone 'UTC'),
        date_trunc('month', now() at time zone 'UTC') + make_interval(months => months_ahead), '1 month')::date
    loop
      part := format('%s_%s', (select relname from pg_class where oid = parent), to_char(month, 'YYYY_MM'));
      continue when to_regclass(format('signalops.%I', part)) is not null;
      -- Attached, not made in place: that would wait for every query of the table, a dump for instance, and all traffic behind it.
      execute format('create table signalops.%I (like %s including defaults including constraints)', part, parent);
      execute format('alter table %s attach partition signalops.%I for values from (%L) to (%L)', parent, part,
        signalops.id_at(month::timestamp at time zone 'UTC'),
        signalops.id_at((month + interval '1 month') at time zone 'UTC'));
      -- Policies of the parent do not hold for a query on the partition itself: with none of its own it shows nothing.
      execute format('alter table signalops.%I enable row level security', part);
      execute format('alter table signalops.%I force row level security', part);
      execute format('comment on table signalops.%I is %L', part, format('%s made in %s (UTC)', parent, to_char(month, 'YYYY-MM')));
      return next part;
    end loop;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.make_partitions(months_ahead integer) IS 'Makes the monthly partitions of every partitioned table, from this month to some months ahead; returns the names of new ones.';

CREATE FUNCTION signalops.may_become(before text, after text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (((((((((((((((((((before = 'pending'::text) AND (after = 'sending'::text)) OR ((before = 'pending'::text) AND (after = 'cancelled'::text))) OR ((before = 'pending'::text) AND (after = 'retrying'::text))) OR ((before = 'sending'::text) AND (after = 'sent'::text))) OR ((before = 'sending'::text) AND (after = 'retrying'::text))) OR ((before = 'sending'::text) AND (after = 'dead'::text))) OR ((before = 'sending'::text) AND (after = 'suppressed'::text))) OR ((before = 'sending'::text) AND (after = 'cancelled'::text))) OR ((before = 'sending'::text) AND (after = 'pending'::text))) OR ((before = 'retrying'::text) AND (after = 'pending'::text))) OR ((before = 'retrying'::text) AND (after = 'cancelled'::text))) OR ((before = 'retrying'::text) AND (after = 'sent'::text))) OR ((before = 'pending'::text) AND (after = 'sent'::text))) OR ((before = 'sent'::text) AND (after = 'delivered'::text))) OR ((before = 'sent'::text) AND (after = 'read'::text))) OR ((before = 'sent'::text) AND (after = 'dead'::text))) OR ((before = 'delivered'::text) AND (after = 'read'::text))) OR ((before = 'dead'::text) AND (after = 'retrying'::text)));

COMMENT ON FUNCTION signalops.may_become(before text, after text) IS 'The ways between the states of a delivery. To sent also from pending and retrying: an attempt that was thought lost had succeeded.';

CREATE FUNCTION signalops.mend_queues() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
declare
  mended bigint;
begin
  with recursive waiting as (
    -- Hops from channel to channel along the index: a group by would read all that waits.
    (select d.tenant_id, d.channel_id, d.next_attempt_at from signalops.deliveries d
      where d.next_attempt_at is not null order by d.tenant_id, d.channel_id, d.next_attempt_at limit 1)
    union all
    select n.* from waiting w, lateral (
      select d.tenant_id, d.channel_id, d.next_attempt_at from signalops.deliveries d
      where d.next_attempt_at is not null and (d.tenant_id, d.channel_id) > (w.tenant_id, w.channel_id)
      order by d.tenant_id, d.channel_id, d.next_attempt_at limit 1) n
  )
  insert into signalops.channel_queues as q (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  select tenant_id, channel_id, 0, now(), next_attempt_at from waiting
  on conflict (tenant_id, channel_id) do update set next_due_at = excluded.next_due_at
    where q.next_due_at is null or q.next_due_at > excluded.next_due_at;
  get diagnostics mended = row_count;
  return mended;
end
$$;

COMMENT ON FUNCTION signalops.mend_queues() IS 'Finds channels whose deliveries wait for less long than the channel is known to (put there by hand, or by the release before); returns how many.';

CREATE FUNCTION signalops.merge_fields(known jsonb, seen jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
  select jsonb_object_agg(path, field) from (
    select coalesce(k.key, s.key) as path, jsonb_strip_nulls(jsonb_build_object(
      'types', (select jsonb_agg(distinct t) from jsonb_array_elements(
        coalesce(k.value -> 'types', '[]') || coalesce(s.value -> 'types', '[]')) as t),
      'example', coalesce(k.value -> 'example', s.value -> 'example'))) as field
    from jsonb_each(known) k full join jsonb_each(seen) s on s.key = k.key
    -- What is known stays; one more than is kept tells that there are more.
    order by k.key is null, path limit 201
  ) as fields
$$;

COMMENT ON FUNCTION signalops.merge_fields(known jsonb, seen jsonb) IS 'Adds fields that were seen to those that are known, and their types to those of the known; at most 201.';

CREATE FUNCTION signalops.move_credit() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  update signalops.credit_grants set remaining = remaining + new.amount where tenant_id = new.tenant_id and id = new.grant_id;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.move_credit() IS 'Moves what remains of a grant by an entry; its check refuses to overdraw.';

CREATE FUNCTION signalops.new_id() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    RETURN (encode(set_bit(set_bit(OVERLAY(uuid_send(gen_random_uuid()) PLACING SUBSTRING(int8send(((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric))::bigint) FROM 3) FROM 1 FOR 6), (52)::bigint, 1), (53)::bigint, 1), 'hex'::text))::uuid;

COMMENT ON FUNCTION signalops.new_id() IS 'A new UUIDv7, for rows that SQL itself makes. PostgreSQL 18 has uuidv7(); 15 to 17 have not.';

CREATE FUNCTION signalops.note_barriers() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION signalops.note_barriers() IS 'Notes for frozen periods which transactions have to end before they can be closed; returns for how many.';

CREATE FUNCTION signalops.note_key_uses(tenants uuid[], keys uuid[], moments timestamp with time zone[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with due as materialized (
    select k.tenant_id, k.id, u.moment
    from unnest(tenants, keys, moments) as u (tenant, key, moment)
    join signalops.api_keys k on k.tenant_id = u.tenant and k.id = u.key
    where k.last_used_at is null or k.last_used_at <= u.moment - interval '1 minute'
    -- Whoever holds the row is noting the same in another process, or ends the key: neither is worth waiting for.
    for no key update of k skip locked
  )
  update signalops.api_keys k set last_used_at = d.moment from due d where k.tenant_id = d.tenant_id and k.id = d.id
$$;

COMMENT ON FUNCTION signalops.note_key_uses(tenants uuid[], keys uuid[], moments timestamp with time zone[]) IS 'Notes when keys of any tenants were used, unless that of a key was noted less than a minute before.';

CREATE FUNCTION signalops.note_outcome(tenant uuid, outlet uuid, delivery uuid, outcome text, pause interval) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  failing timestamptz;
begin
  if outcome = 'sent' then
    update signalops.outlets o set failures = 0, failing_since = null, opened_until = null, probe = null
    where o.tenant_id = tenant and o.id = outlet and (o.failures > 0 or o.failing_since is not null or o.opened_until is not null);
    return null;
  elsif outcome not in ('temporary', 'throttled', 'broken') then
    -- It says something of one message, and nothing of the outlet: another one may find out.
    update signalops.outlets o set opened_until = clock_timestamp(), probe = null
    where o.tenant_id = tenant and o.id = outlet and o.probe = delivery;
    return null;
  end if;
  insert into signalops.outlets as o (tenant_id, id, failures, failing_since, opened_until)
  values (tenant, outlet, (outcome = 'temporary')::integer, clock_timestamp(), clock_timestamp() + pause)
  on conflict (tenant_id, id) do update set
    -- What was on its way when the circuit opened says nothing new: counted, a burst alone would close the outlet for long.
    failures = o.failures + case when o.opened_until is null or o.probe = delivery then excluded.failures else 0 end,
    failing_since = coalesce(o.failing_since, excluded.failing_since),
    opened_until = greatest(excluded.opened_until, case
      when o.opened_until is not null and o.probe is distinct from delivery then o.opened_until
      when outcome <> 'temporary' then case when o.probe = delivery then clock_timestamp() end
      when o.failures >= 4 then clock_timestamp() + least(interval '10 minutes', interval '15 seconds' * 2 ^ least(o.failures - 4, 10))
      -- A probe after a pause that was asked for: the circuit closes again.
      end),
    probe = nullif(o.probe, delivery)
  returning o.failing_since into failing;
  return failing;
end
$$;

COMMENT ON FUNCTION signalops.note_outcome(tenant uuid, outlet uuid, delivery uuid, outcome text, pause interval) IS 'Notes what came of an attempt: a success closes the circuit, the fifth failure in a row opens it for 15 seconds, each probe that fails for twice as long, up to 10 minutes; throttled opens it for the pause that was asked for. Returns since when the outlet fails.';

CREATE FUNCTION signalops.note_types(seen jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
begin
  perform signalops.act_for((select array_agg(distinct s.tenant) from jsonb_to_recordset(seen) as s (tenant uuid)));

  with noted as (
    -- In one order, so that two workers can't lock each other out.
    select s.*, k.fields as known, k.type is null as is_new,
      count(*) filter (where k.type is null) over (partition by s.tenant order by s.type) as place
    from jsonb_to_recordset(seen)
      as s (tenant uuid, type text, first uuid, last uuid, count bigint, fields jsonb, cut boolean, example jsonb)
    left join lateral (
      select e.type, e.fields from signalops.event_types e where e.tenant_id = s.tenant and e.type = s.type limit 1
    ) k on true
    order by s.tenant, s.type
  ), room as (
    select n.tenant, 1000 - (select count(*) from signalops.event_types e where e.tenant_id = n.tenant) as places
    from noted n where n.is_new group by n.tenant
  )
  insert into signalops.event_types as t (tenant_id, type, first_seen_at, last_seen_at, count, fields, fields_cut, example)
  select n.tenant, n.type, signalops.time_of(n.first), signalops.time_of(n.last), n.count, n.fields, n.cut, n.example
  from noted n left join room r on r.tenant = n.tenant
  where not n.is_new or n.place <= r.places
  order by n.tenant, n.type
  on conflict (tenant_id, type) do update set
    first_seen_at = least(t.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at),
    count = t.count + excluded.count,
    fields = case when excluded.fields = '{}' then t.fields else signalops.merge_fields(t.fields, excluded.fields) end,
    fields_cut = t.fields_cut or excluded.fields_cut,
    example = coalesce(excluded.example, t.example);

  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.note_types(seen jsonb) IS 'Adds what a worker has seen to the catalogue: [{tenant, type, first, last, count, fields, cut, example}], first and last being ids of events. A tenant''s types beyond 1,000 are not catalogued: whoever puts ids into types fills nothing.';

CREATE FUNCTION signalops.oldest_transaction() RETURNS bigint
    LANGUAGE sql
    AS $$
  -- The xmin of a snapshot would wait for the transactions of every database of the cluster. A transaction holds the lock on its number
  -- before it reads anything else, and until what it did can be seen; the number of the lock lacks the epoch.
  select coalesce(min(n.latest + ((l.transactionid::text::bigint - n.latest + 3 * 2147483648) % 4294967296) - 2147483648), min(n.latest))
  from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as latest) n
  left join pg_locks l on l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and not exists (
    select from pg_stat_activity a join pg_database d on d.oid = a.datid where a.pid = l.pid and d.datname <> current_database())
$$;

COMMENT ON FUNCTION signalops.oldest_transaction() IS 'The number of the oldest transaction of this database that has one and has not ended; without any, one that is not given yet.';

CREATE FUNCTION signalops.periods_ready(at_most integer) RETURNS TABLE(tenant uuid, period date)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select o.tenant_id, o.period
  from (
    select distinct on (b.tenant_id) b.tenant_id, b.period, b.barrier
    from signalops.billing_periods b where b.closed_at is null order by b.tenant_id, b.period
  ) o
  where o.barrier <= (select signalops.oldest_transaction())
  -- Workers that ask at once begin at different ends.
  order by random() limit at_most
$$;

COMMENT ON FUNCTION signalops.periods_ready(at_most integer) IS 'Frozen periods into which nobody counts any more, of each tenant the first: they can be closed.';

CREATE TABLE signalops.dead_letters (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    event_id uuid NOT NULL,
    delivery_id uuid,
    error text NOT NULL,
    died_at timestamp with time zone DEFAULT now() NOT NULL,
    rule_id uuid,
    channel_id uuid,
    ended_at timestamp with time zone,
    ending text,
    reason text,
    CONSTRAINT dead_letters_check CHECK (((delivery_id IS NOT NULL) = (kind = 'delivery'::text))),
    CONSTRAINT dead_letters_check1 CHECK (((ended_at IS NULL) = (ending IS NULL))),
    CONSTRAINT dead_letters_ending_check CHECK ((ending = ANY (ARRAY['retried'::text, 'discarded'::text]))),
    CONSTRAINT dead_letters_error_check CHECK ((length(error) <= 500)),
    CONSTRAINT dead_letters_kind_check CHECK ((kind = ANY (ARRAY['event'::text, 'delivery'::text]))),
    CONSTRAINT dead_letters_reason_check CHECK ((length(reason) <= 500))
);

ALTER TABLE ONLY signalops.dead_letters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.dead_letters IS 'What kept failing: an event that could not be processed, or a delivery after its last attempt.';
COMMENT ON COLUMN signalops.dead_letters.tenant_id IS 'Whose it is.';
COMMENT ON COLUMN signalops.dead_letters.id IS 'The id of what died: the event''s or the delivery''s.';
COMMENT ON COLUMN signalops.dead_letters.kind IS 'event or delivery.';
COMMENT ON COLUMN signalops.dead_letters.event_id IS 'The event.';
COMMENT ON COLUMN signalops.dead_letters.delivery_id IS 'The delivery, when it is one that died.';
COMMENT ON COLUMN signalops.dead_letters.error IS 'Why, in a sentence.';
COMMENT ON COLUMN signalops.dead_letters.died_at IS 'When it was given up.';
COMMENT ON COLUMN signalops.dead_letters.rule_id IS 'The rule of the delivery; NULL: an event died.';
COMMENT ON COLUMN signalops.dead_letters.channel_id IS 'The channel of the delivery; NULL: an event died.';
COMMENT ON COLUMN signalops.dead_letters.ended_at IS 'When it was retried or discarded; NULL: it waits for somebody to look.';
COMMENT ON COLUMN signalops.dead_letters.ending IS 'retried or discarded.';
COMMENT ON COLUMN signalops.dead_letters.reason IS 'Why it was discarded, in the words of who did.';

CREATE FUNCTION signalops.pick_dead_letters(tenant uuid, letters uuid[] DEFAULT NULL::uuid[], of_kind text DEFAULT NULL::text, channel uuid DEFAULT NULL::uuid, rule uuid DEFAULT NULL::uuid, like_error text DEFAULT NULL::text, since timestamp with time zone DEFAULT NULL::timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, at_most integer DEFAULT 10000, beyond uuid DEFAULT NULL::uuid, upwards boolean DEFAULT false) RETURNS SETOF signalops.dead_letters
    LANGUAGE sql STABLE
    AS $$
  select l.* from signalops.dead_letters l
  where l.tenant_id = tenant and l.ended_at is null and (letters is null or l.id = any (letters))
    and (of_kind is null or l.kind = of_kind) and (channel is null or l.channel_id = channel)
    and (rule is null or l.rule_id = rule) and (like_error is null or strpos(lower(l.error), lower(like_error)) > 0)
    and (since is null or l.died_at >= since) and (until is null or l.died_at < until)
    and (beyond is null or upwards
      or (l.died_at, l.id) < (select b.died_at, b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
    and (beyond is null or not upwards
      or (l.died_at, l.id) > (select b.died_at, b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
  order by case when upwards then l.died_at end, case when upwards then l.id end, l.died_at desc, l.id desc limit at_most
$$;

COMMENT ON FUNCTION signalops.pick_dead_letters(tenant uuid, letters uuid[], of_kind text, channel uuid, rule uuid, like_error text, since timestamp with time zone, until timestamp with time zone, at_most integer, beyond uuid, upwards boolean) IS 'The dead letters of a tenant that wait for somebody to look, newest first, narrowed by ids, kind (event, delivery), channel, rule, a part of the error, and when they died. Count them before you retry them. A page begins beyond a letter, and may be read upwards.';

CREATE FUNCTION signalops.pick_deliveries(tenant uuid, statuses text[], rule uuid, channel uuid, lower_id uuid, upper_id uuid, upwards boolean, at_most integer) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
begin
  return query
    with pairs as materialized (
      select distinct v.rule_id, v.channel_id from signalops.rule_versions v
      where v.tenant_id = tenant and (rule is null or v.rule_id = rule) and (channel is null or v.channel_id = channel)
    )
    select d.id from pairs p
    cross join unnest(statuses) as s (status)
    cross join lateral (
      select o.id from signalops.deliveries o
      where o.tenant_id = tenant and o.rule_id = p.rule_id and o.channel_id = p.channel_id and o.status = s.status
        and o.id > lower_id and o.id < upper_id
      order by case when upwards then o.id end, o.id desc limit at_most
    ) d
    order by case when upwards then d.id end, d.id desc limit at_most;
end
$$;

COMMENT ON FUNCTION signalops.pick_deliveries(tenant uuid, statuses text[], rule uuid, channel uuid, lower_id uuid, upper_id uuid, upwards boolean, at_most integer) IS 'A page of a tenant''s deliveries in some states, of a rule and a channel (NULL: any), between two ids, newest first or upwards. It goes from each pair of a rule and its channel to the next: one index serves all filters, however rare what they let through is among millions.';

CREATE PROCEDURE signalops.protect(IN target regclass, IN key text DEFAULT 'tenant_id'::text)
    LANGUAGE plpgsql
    AS $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  -- The scalar sub-select makes the planner evaluate the tenant once per statement, not once per row.
  execute format(
    'create policy own_tenant on %s using (%I = (select signalops.current_tenant())) '
    'with check (%I = (select signalops.current_tenant()))', target, key, key);
  execute format('comment on policy own_tenant on %s is %L', target,
    'Rows of the current tenant are all that can be seen or written; without a tenant there are none.');
end
$$;

COMMENT ON PROCEDURE signalops.protect(IN target regclass, IN key text) IS 'Enables and forces row-level security on a tenant table, with the policy own_tenant. Every migration that makes one calls it.';

CREATE FUNCTION signalops.read_batch(wanted uuid) RETURNS TABLE(tenant uuid, ruleset bigint, metering bigint, time_zone text, closed_until timestamp with time zone, events text)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET "TimeZone" TO 'UTC'
    AS $$
declare
  tenants uuid[];
  ids uuid[];
  replays uuid[];
begin
  -- A worker that freezes, or whose machine is gone, must not keep the batch from others: its session ends, and all is undone.
  perform set_config('idle_in_transaction_session_timeout', '10s', true);
  select array_agg(t.tenant_id), array_agg(t.event_id), array_agg(t.replay_id) into tenants, ids, replays
  from signalops.take_batch(wanted) t;
  perform signalops.act_for(tenants);
  -- Closing a period waits for every transaction that may have read an older closed_until. Taking the batch gave this one its
  -- number, by which it is waited for; so closed_until is read after that, in a statement of its own.
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
      n.metering, n.time_zone, n.closed_until,
      -- One text per tenant: parsing it costs a third of loading as many rows.
      json_agg(json_build_object('id', e.id, 'depth', e.depth, 'attributes', e.attributes,
        'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload,
        'replay', t.replay_id, 'replay_rules', p.rules) order by e.id)::text
    from unnest(tenants, ids, replays) as t (tenant_id, event_id, replay_id)
    -- The limit keeps the planner from joining: a join planned while the partition was empty reads all of it for each batch.
    cross join lateral (
      select * from signalops.events e where e.tenant_id = t.tenant_id and e.id = t.event_id limit 1
    ) e
    left join lateral (
      select r.rules from signalops.replays r where r.tenant_id = t.tenant_id and r.id = t.replay_id limit 1
    ) p on true
    cross join lateral (
      select s.metering, s.time_zone, s.closed_until from signalops.tenants s where s.id = t.tenant_id limit 1
    ) n
    group by t.tenant_id, n.metering, n.time_zone, n.closed_until;
  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.read_batch(wanted uuid) IS 'Takes a batch and returns its events by tenant, with the versions of the rules and meters to use, the time zone, and until when the tenant''s billing periods are closed: [{id, depth, type, source, occurredAt, payload, attributes, replay, replay_rules}].';

CREATE FUNCTION signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  decided jsonb := results -> 'matches';
begin
  perform signalops.act_for((select array_agg(p.tenant) from jsonb_to_recordset(results -> 'parts') as p (tenant uuid)));

  if coalesce(results -> 'groups', '[]') <> '[]' then
    decided := decided || signalops.weigh(results -> 'groups');
  end if;
  if decided <> '[]' then
    with matched as materialized (
      select m.*, coalesce(m.outcome, 'notified') as result from jsonb_to_recordset(decided) as m (tenant uuid, event uuid, rule uuid,
        version integer, channel uuid, delivery uuid, outcome text, not_before timestamptz, context jsonb, replay uuid)
    ), noted as (
      insert into signalops.matches (tenant_id, event_id, rule_id, rule_version, outcome)
      select tenant, event, rule, version, result from matched
      -- Only a replay repeats a match; the first decision stays on record.
      on conflict do nothing
    )
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id, next_attempt_at, context, replay_id)
    select tenant, delivery, event, rule, version, channel, not_before, context, replay from matched where result = 'notified';
  end if;
  if results -> 'dead' <> '[]' then
    insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
    select d.tenant, d.event, 'event', d.event, left(d.error, 500)
    from jsonb_to_recordset(results -> 'dead') as d (tenant uuid, event uuid, error text)
    -- Somebody had it retried, and it died again.
    on conflict (tenant_id, id) do update
      set error = excluded.error, died_at = now(), ended_at = null, ending = null, reason = null;
  end if;

  -- A batch that was bisected around a poisonous event is recorded in several parts.
  insert into signalops.batches as b (tenant_id, batch, job_id, worker, ruleset, rules, metering, events, billed, dead)
  select p.tenant, in_batch, job, worker, p.ruleset, p.rules, p.metering, p.events, p.billed, p.dead
  from jsonb_to_recordset(results -> 'parts')
    as p (tenant uuid, ruleset bigint, rules integer, metering bigint, events integer, billed integer, dead integer)
  on conflict (tenant_id, batch) do update set events = b.events + excluded.events, billed = b.billed + excluded.billed,
    dead = b.dead + excluded.dead, processed_at = clock_timestamp();

  -- Last, since turns and counters stay locked until the commit; and in one order, so that two workers can't lock each other out.
  if decided <> '[]' then
    perform signalops.start_deliveries(decided);
  end if;
  if results -> 'metered' <> '[]' then
    perform signalops.count_usage(in_batch, results -> 'metered');
  end if;

  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) IS 'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, ruleset, rules, metering, events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery, outcome, not_before, context, replay}], groups: what signalops.weigh takes, dead: [{tenant, event, error}], metered: what count_usage takes}.';

CREATE FUNCTION signalops.recount(admitted jsonb, moment timestamp with time zone, direction integer) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  update signalops.quotas q set accepted = q.accepted + direction * w.amount
  from (
    select i.tenant, m.meter, sum(m.weight) as amount
    from jsonb_to_recordset(admitted) as i (tenant uuid, weights jsonb)
    cross join lateral (
      select 'events' as meter, 1::numeric as weight union all
      select u.key, u.value::numeric from jsonb_each_text(i.weights) as u (key, value)
    ) m
    group by i.tenant, m.meter
  ) w
  cross join lateral (select t.time_zone from signalops.tenants t where t.id = w.tenant limit 1) t
  where q.tenant_id = w.tenant and q.period = signalops.period_of(moment, t.time_zone) and q.meter = w.meter;
end
$$;

COMMENT ON FUNCTION signalops.recount(admitted jsonb, moment timestamp with time zone, direction integer) IS 'Counts events of a flush (direction 1), or takes them back (-1); their quotas are locked already.';

CREATE FUNCTION signalops.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  raise 'a row of % is never changed: %', tg_table_name, tg_argv[0] using errcode = 'check_violation';
end
$$;

COMMENT ON FUNCTION signalops.refuse_change() IS 'Keeps what was agreed upon as it was; its argument is the remedy.';

CREATE FUNCTION signalops.renew_quotas(tenant uuid, of_meter text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  zone text;
  month date;
  before bigint;
  version bigint;
begin
  -- First the tenant, then its quotas in the order of accept, then new ones: whoever changes limits locks in this order.
  update signalops.tenants t set scales = t.scales + (of_meter <> 'events')::integer where t.id = tenant
  returning t.scales - (of_meter <> 'events')::integer, t.scales, t.time_zone into before, version, zone;
  if not found then
    return;
  end if;
  month := signalops.period_of(now(), zone);
  if version > 0 then
    insert into signalops.quotas (tenant_id, period, meter, scales)
    select tenant, month, m.key, m.scales
    from (select 'events' as key, before as scales union all select l.key, -1 from signalops.limited_meters l where l.tenant_id = tenant) m
    order by m.key
    on conflict do nothing;
  end if;
  perform from signalops.quotas q where q.tenant_id = tenant order by q.period, q.meter for update;
  -- Flushes that have made rows which can't be seen here yet.
  perform pg_advisory_xact_lock(hashtext('signalops.new_quotas'));
  update signalops.quotas q set calm_until = 0, scales = version,
    accepted = case when q.meter = 'events' or q.scales = before then q.accepted else coalesce((
      select greatest(sum(u.value), 0) from signalops.usage_counters u
      where u.tenant_id = tenant and u.meter = q.meter
        and u.hour >= signalops.starts_at(q.period, zone)
        and u.hour < signalops.starts_at((q.period + interval '1 month')::date, zone)), 0) end
  where q.tenant_id = tenant
    and (q.meter = 'events' or q.meter in (select l.key from signalops.limited_meters l where l.tenant_id = tenant));
end
$$;

COMMENT ON FUNCTION signalops.renew_quotas(tenant uuid, of_meter text) IS 'Has accept find out anew what a tenant''s quotas allow; another meter than events starts a new version of tenants.scales, and a meter whose limit is new begins with what its counters hold of the month.';

CREATE FUNCTION signalops.require_tenant(tenant uuid) RETURNS void
    LANGUAGE plpgsql STABLE
    AS $$
begin
  if tenant is distinct from signalops.current_tenant() then
    raise 'the transaction acts for another tenant: select signalops.act_as(%) first', quote_literal(tenant)
      using errcode = 'insufficient_privilege';
  end if;
end
$$;

COMMENT ON FUNCTION signalops.require_tenant(tenant uuid) IS 'Refuses a tenant that the transaction doesn''t act for: what row security does, for functions that run as the owner.';

CREATE FUNCTION signalops.retry_dead_letters(tenant uuid, letters uuid[]) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  retried bigint;
  channels uuid[];
  batches uuid[];
begin
  with ended as (
    update signalops.dead_letters l set ended_at = now(), ending = 'retried', reason = null
    where l.tenant_id = tenant and l.id = any (letters) and l.ended_at is null
    returning l.kind, l.id
  ), again as (
    -- They wait for their channel's turn, which keeps them from pushing others aside.
    update signalops.deliveries d
    set status = 'retrying', next_attempt_at = now(), attempts_before = d.attempts, updated_at = now()
    -- Not joined: a plan made for few letters would read the deliveries whole for many.
    where d.tenant_id = tenant and d.id = any (array(select e.id from ended e where e.kind = 'delivery')) and d.status = 'dead'
    returning d.channel_id
  ), parts as (
    -- As large as a replay's: one job reads a batch whole.
    select e.id, (row_number() over (order by e.id) - 1) / 500 as part from ended e where e.kind = 'event'
  ), made as materialized (
    select p.part, signalops.new_id() as batch from parts p group by p.part
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch)
    select tenant, p.id, m.batch from parts p join made m using (part) on conflict do nothing returning batch
  )
  select (select count(*) from ended), (select array_agg(distinct channel_id order by channel_id) from again),
    (select array_agg(distinct batch) from waiting)
  into retried, channels, batches;
  perform signalops.await_turn(tenant, c.id, now()) from unnest(channels) as c (id);
  perform signalops.enqueue('events', 'process_batch', -10, jsonb_build_object('batch', b.batch)) from unnest(batches) as b (batch);
  return retried;
end
$$;

COMMENT ON FUNCTION signalops.retry_dead_letters(tenant uuid, letters uuid[]) IS 'Gives dead letters another chance: a delivery is tried again with a schedule of its own, an event is processed again, and counted then. For many: select signalops.retry_dead_letters(TENANT, array(select id from signalops.pick_dead_letters(TENANT, ...))). Returns how many.';

CREATE FUNCTION signalops.retry_deliveries(tenant uuid, wanted uuid[]) RETURNS SETOF uuid
    LANGUAGE plpgsql
    AS $$
declare
  one record;
begin
  for one in
    update signalops.deliveries d set next_attempt_at = now(), updated_at = now()
    where d.tenant_id = tenant and d.id = any (wanted) and d.next_attempt_at is not null
    returning d.id, d.channel_id
  loop
    perform signalops.await_turn(tenant, one.channel_id, now());
    return next one.id;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.retry_deliveries(tenant uuid, wanted uuid[]) IS 'Has deliveries that wait tried now; returns which. What is dead has a dead letter: see retry_dead_letters.';

CREATE FUNCTION signalops.return_credits(tenant uuid, invoice uuid) RETURNS numeric
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  returned numeric;
begin
  perform signalops.require_tenant(tenant);
  perform from signalops.credit_grants g
  where g.tenant_id = tenant
    and g.id in (select e.grant_id from signalops.credit_entries e where e.tenant_id = tenant and e.invoice_id = invoice)
  order by g.id for update;
  with back as (
    insert into signalops.credit_entries (tenant_id, id, grant_id, kind, amount, invoice_id)
    select tenant, signalops.new_id(), e.grant_id, 'returned', -sum(e.amount), invoice
    from signalops.credit_entries e where e.tenant_id = tenant and e.invoice_id = invoice
    group by e.grant_id having sum(e.amount) < 0
    returning amount
  )
  select coalesce(sum(b.amount), 0) into returned from back b;
  return returned;
end
$$;

COMMENT ON FUNCTION signalops.return_credits(tenant uuid, invoice uuid) IS 'Gives what an invoice burned back to its grants, once; returns how much. What comes back to a grant that has expired since expires with the next expire_credits: an expiry is a promise. Who voids for a reason of the operator''s own grants anew.';

CREATE FUNCTION signalops.seal_period(tenant uuid, of_period date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION signalops.seal_period(tenant uuid, of_period date) IS 'Writes down the figures of a frozen period of the tenant that the transaction acts for, seals them, and closes it; the transaction goes on to invoice it. False: it is closed, being closed, or somebody may still count into it.';

CREATE FUNCTION signalops.set_plan_limits(tenant uuid, terms jsonb, from_day date) RETURNS void
    LANGUAGE sql
    AS $$
  insert into signalops.limits (tenant_id, meter, origin, starts_on, soft, hard, thresholds, overage)
  select tenant, n.meter, 'plan', from_day, n.soft, n.hard, n.thresholds, n.overage
  from jsonb_to_recordset(terms -> 'limits') as n (meter text, soft numeric, hard numeric, thresholds smallint[], overage text)
  union all
  -- A limit of the plan before, which this one has not, ends.
  select distinct tenant, l.meter, 'plan', from_day, null::numeric, null::numeric, '{}'::smallint[], 'refuse'
  from signalops.limits l
  where l.tenant_id = tenant and l.origin = 'plan'
    and not terms -> 'limits' @> jsonb_build_array(jsonb_build_object('meter', l.meter))
$$;

COMMENT ON FUNCTION signalops.set_plan_limits(tenant uuid, terms jsonb, from_day date) IS 'Makes the limits of a plan hold from a day on.';

CREATE FUNCTION signalops.settle_deliveries(said jsonb) RETURNS SETOF uuid
    LANGUAGE plpgsql
    AS $$
declare
  one jsonb;
begin
  -- What a crash of the server takes back is sent again, with the same id, as after a crash of the worker.
  perform set_config('synchronous_commit', 'off', true);
  for one in select * from jsonb_array_elements(said) loop
    if signalops.settle_delivery((one ->> 'tenant')::uuid, (one ->> 'delivery')::uuid, (one ->> 'attempt')::smallint, one) then
      return next (one ->> 'delivery')::uuid;
    end if;
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.settle_deliveries(said jsonb) IS 'Records attempts in their order, each with its tenant, delivery and attempt beside what settle_delivery takes; returns which deliveries died. What fails belongs to one outlet, and what succeeds comes in the order of the outlets: no two of them lock each other out.';

CREATE FUNCTION signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, said jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  settled record;
  failing_since timestamptz;
  is_dead boolean := false;
begin
  perform signalops.act_as(tenant);
  insert into signalops.delivery_attempts
    (tenant_id, delivery_id, attempt, started_at, duration_ms, outcome, status_code, answer, error, request_id)
  select tenant, delivery, settle_delivery.attempt, a.started_at, a.duration_ms, a.outcome, a.status_code, a.answer, a.error, a.request_id
  from jsonb_to_record(said) as a (started_at timestamptz, duration_ms integer, outcome text, status_code integer, answer text, error text,
    request_id text);

  -- Two workers may have one delivery in hand after a rescue. What was sent is sent, whoever says so; beyond that only the newest
  -- attempt decides.
  update signalops.deliveries d set status = said ->> 'status', provider_id = said ->> 'provider_id', updated_at = now(),
    next_attempt_at = clock_timestamp() + make_interval(secs => (said ->> 'delay')::double precision)
  where d.tenant_id = tenant and d.id = delivery and signalops.may_become(d.status, said ->> 'status')
    and (d.attempts = settle_delivery.attempt or said ->> 'status' = 'sent')
  returning d.channel_id, d.status, d.next_attempt_at into settled;
  if found then
    is_dead := settled.status = 'dead';
  else
    select d.channel_id, null, null::timestamptz as next_attempt_at into settled
    from signalops.deliveries d where d.tenant_id = tenant and d.id = delivery;
  end if;

  failing_since := signalops.note_outcome(tenant,
    coalesce((select c.outlet_id from signalops.channels c where c.tenant_id = tenant and c.id = settled.channel_id limit 1),
      settled.channel_id),
    delivery, said ->> 'outcome', make_interval(secs => (said ->> 'pause')::double precision));
  -- After the outlet, as claim_delivery locks them.
  if settled.next_attempt_at is not null then
    perform signalops.await_turn(tenant, settled.channel_id, settled.next_attempt_at);
  end if;
  if said ->> 'outcome' = 'gone' then
    perform signalops.disable_channel(tenant, settled.channel_id, said ->> 'error');
  elsif failing_since < now() - make_interval(secs => (said ->> 'patience')::double precision) then
    perform signalops.disable_channel(tenant, settled.channel_id, format('It has failed since %s (UTC), at last so: %s',
      to_char(failing_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), said ->> 'error'));
  end if;
  if is_dead then
    perform signalops.bury_delivery(tenant, delivery, said ->> 'error');
  end if;
  return is_dead;
end
$$;

COMMENT ON FUNCTION signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, said jsonb) IS 'Records an attempt and what follows from it: {started_at, duration_ms, outcome, status_code, answer, error, request_id, provider_id, status, delay, pause, patience}; delay and pause (asked for by the provider) in seconds, patience the seconds of failure after which the channel is disabled. Acts for the tenant. Returns whether the delivery died of it.';

CREATE FUNCTION signalops.start_deliveries(decided jsonb) RETURNS void
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  waiting jsonb;
  jobs jsonb;
begin
  with turns as materialized (
    select * from signalops.grant_turns(decided)
  )
  select
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'channel', m.channel, 'due', m.due)) filter (where m.due is not null),
    jsonb_agg(jsonb_build_object('tenant', m.tenant, 'delivery', m.delivery, 'priority', m.priority)) filter (where m.due is null)
  into waiting, jobs
  from (
    select d.tenant, d.delivery, d.channel, t.priority, coalesce(d.not_before, case when t.granted < row_number() over (
      partition by d.channel, d.not_before is null order by d.delivery) then clock_timestamp() end) as due
    from jsonb_to_recordset(decided) as d (tenant uuid, delivery uuid, channel uuid, outcome text, not_before timestamptz)
    left join turns t on t.channel = d.channel
    where coalesce(d.outcome, 'notified') = 'notified'
  ) m;
  if jobs is not null then
    perform signalops.enqueue_deliveries(jobs);
  end if;
  if waiting is null then
    return;
  end if;
  update signalops.deliveries d set next_attempt_at = w.due
  from jsonb_to_recordset(waiting) as w (tenant uuid, delivery uuid, due timestamptz)
  where d.tenant_id = w.tenant and d.id = w.delivery and d.next_attempt_at is null;
  perform signalops.await_turn(w.tenant, w.channel, w.due)
  from (
    select w.tenant, w.channel, min(w.due) as due from jsonb_to_recordset(waiting) as w (tenant uuid, channel uuid, due timestamptz)
    group by w.tenant, w.channel order by w.tenant, w.channel
  ) w;
end
$$;

COMMENT ON FUNCTION signalops.start_deliveries(decided jsonb) IS 'Gives the new deliveries of a batch their jobs, as far as their channels have a turn; the others wait. Locks the channels until the commit.';

CREATE FUNCTION signalops.starts_at(day date, zone text) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN LEAST(((day)::timestamp without time zone AT TIME ZONE zone), ((((day)::timestamp without time zone - '00:00:01'::interval) AT TIME ZONE zone) + '00:00:01'::interval));

COMMENT ON FUNCTION signalops.starts_at(day date, zone text) IS 'The moment at which a day, or the period that it begins, starts in a time zone.';

CREATE FUNCTION signalops.store(flush jsonb, in_batch uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  fresh bigint;
begin
  with incoming as materialized (
    select * from jsonb_to_recordset(flush) as i (tenant uuid, id uuid, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text, over_limit boolean)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes, over_limit)
    select tenant, id, in_batch, type, source, occurred_at, received_at, payload, attributes, coalesce(over_limit, false)
    from incoming where key is null or id in (select event_id from keyed)
    returning tenant_id, id
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch) select tenant_id, id, in_batch from stored
  )
  select count(*) into fresh from stored;
  return fresh;
end
$$;

COMMENT ON FUNCTION signalops.store(flush jsonb, in_batch uuid) IS 'Stores the events whose idempotency key is new, and puts them into the inbox; returns how many were.';

CREATE FUNCTION signalops.stretches(tenant uuid, in_period date) RETURNS TABLE(plan text, version integer, terms jsonb, starts_on date, ends_on date, days integer, of_days integer)
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
  with held as (
    select s.plan, s.version, s.terms, greatest(s.starts_on, in_period) as first_day,
      least(lead(s.starts_on, 1, 'infinity') over (order by s.starts_on), (in_period + interval '1 month')::date) as next_day
    from signalops.subscriptions s
    where s.tenant_id = tenant and s.starts_on < in_period + interval '1 month'
  )
  select h.plan, h.version, h.terms, h.first_day, h.next_day, h.next_day - h.first_day,
    (in_period + interval '1 month')::date - in_period
  from held h where h.first_day < h.next_day order by h.first_day
$$;

COMMENT ON FUNCTION signalops.stretches(tenant uuid, in_period date) IS 'The stretches of a period (named by its first day) under one plan each, in order: from starts_on until before ends_on, which are days of the of_days of the period. A period that begins before the tenant''s first plan has days of none.';

CREATE TABLE signalops.subscriptions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    plan text NOT NULL,
    version integer NOT NULL,
    terms jsonb NOT NULL,
    starts_on date NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT subscriptions_author_check CHECK (((length(author) >= 1) AND (length(author) <= 200)))
);

ALTER TABLE ONLY signalops.subscriptions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.subscriptions IS 'Which plan a tenant has: each holds from its first day until the first day of the next.';
COMMENT ON COLUMN signalops.subscriptions.tenant_id IS 'Whose it is.';
COMMENT ON COLUMN signalops.subscriptions.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.subscriptions.plan IS 'The plan.';
COMMENT ON COLUMN signalops.subscriptions.version IS 'Its version.';
COMMENT ON COLUMN signalops.subscriptions.terms IS 'What the plan said when it was agreed upon: a copy, by which invoices are made.';
COMMENT ON COLUMN signalops.subscriptions.starts_on IS 'Its first day, in the tenant''s time zone.';
COMMENT ON COLUMN signalops.subscriptions.author IS 'Who subscribed the tenant.';
COMMENT ON COLUMN signalops.subscriptions.created_at IS 'When that was.';

CREATE FUNCTION signalops.subscribe(tenant uuid, wanted text, at_once boolean, author text) RETURNS signalops.subscriptions
    LANGUAGE plpgsql
    AS $$
declare
  offer signalops.plans;
  today date;
  starts date;
  before signalops.subscriptions;
  made signalops.subscriptions;
begin
  select (now() at time zone t.time_zone)::date into today from signalops.tenants t where t.id = tenant for no key update;
  if not found then
    raise 'there is no tenant %', tenant using errcode = 'no_data_found';
  end if;
  select * into offer from signalops.plans p where p.plan = wanted order by p.version desc limit 1;
  if not found then
    raise 'there is no plan %: make it first', wanted using errcode = 'no_data_found';
  end if;
  starts := case when at_once then today else date_trunc('month', today) + interval '1 month' end;

  if exists (
    -- An invoice has one currency, and a period one invoice.
    select from signalops.stretches(tenant, date_trunc('month', starts)::date) s
    where s.starts_on < starts and signalops.charges(s.terms) and signalops.charges(offer.document)
      and s.terms ->> 'currency' <> offer.document ->> 'currency'
  ) then
    raise 'the present period is billed in another currency than %: change the plan at the end of the period',
      offer.document ->> 'currency' using errcode = 'check_violation';
  end if;

  -- The last word wins: what was to begin on that day or later is withdrawn.
  delete from signalops.subscriptions s where s.tenant_id = tenant and s.starts_on >= starts;
  delete from signalops.limits l where l.tenant_id = tenant and l.origin = 'plan' and l.starts_on >= starts;
  select * into before from signalops.subscriptions s where s.tenant_id = tenant order by s.starts_on desc limit 1;
  if (before.plan, before.version) = (offer.plan, offer.version) then
    -- Not begun anew: a stretch of its own would have tiers and packages of its own.
    return before;
  end if;
  insert into signalops.subscriptions (tenant_id, id, plan, version, terms, starts_on, author)
  values (tenant, signalops.new_id(), offer.plan, offer.version, offer.document, starts, subscribe.author)
  returning * into made;
  perform signalops.add_plan_meters(tenant, offer.document, offer.grammar);
  perform signalops.set_plan_limits(tenant, offer.document, starts);
  return made;
end
$$;

COMMENT ON FUNCTION signalops.subscribe(tenant uuid, wanted text, at_once boolean, author text) IS 'Gives a tenant the newest version of a plan: from today, or from the first day of the next month (in its time zone). Whatever was to begin then or later is withdrawn. Returns the subscription, which is the present one when it has that version already.';

CREATE FUNCTION signalops.subscribe_to_free() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  insert into signalops.subscriptions (tenant_id, id, plan, version, terms, starts_on, author)
  -- Events may be older than their tenant, and its time zone can still change: its first plan begins with the month, where the day
  -- before was.
  select new.id, signalops.new_id(), p.plan, p.version, p.document,
    signalops.period_of(new.created_at - interval '1 day', new.time_zone), 'signalops'
  from signalops.plans p where p.plan = 'free' and p.version = 1;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.subscribe_to_free() IS 'Gives a tenant its first plan, under which nothing costs anything.';

CREATE FUNCTION signalops.take_batch(wanted uuid) RETURNS TABLE(tenant_id uuid, event_id uuid, replay_id uuid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query delete from signalops.inbox i where i.batch = wanted returning i.tenant_id, i.event_id, i.replay_id;
end
$$;

COMMENT ON FUNCTION signalops.take_batch(wanted uuid) IS 'Takes a batch out of the inbox. A second worker with the same batch waits for the first one''s commit and then finds nothing: that is what makes processing exactly-once.';

CREATE FUNCTION signalops.take_turn(tenant uuid, outlet uuid, delivery uuid, most_per_minute integer) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  found_outlet signalops.outlets;
  moment timestamptz;
  left_over double precision;
begin
  select * into found_outlet from signalops.outlets o where o.tenant_id = tenant and o.id = outlet;
  -- The usual case takes no lock: nothing has failed, and nothing is limited.
  if most_per_minute is null and found_outlet.opened_until is null then
    return null;
  end if;
  if found_outlet.id is null then
    insert into signalops.outlets (tenant_id, id) values (tenant, outlet) on conflict do nothing;
  end if;
  select * into found_outlet from signalops.outlets o where o.tenant_id = tenant and o.id = outlet for update;
  -- Only now: a clock read before the lock may be older than refilled_at, and the same second would refill twice.
  moment := clock_timestamp();
  if found_outlet.opened_until > moment then
    return found_outlet.opened_until;
  end if;
  if most_per_minute is not null then
    left_over := signalops.tokens_at(moment, found_outlet.tokens, found_outlet.refilled_at, most_per_minute) - 1;
    if left_over < 0 then
      return moment + make_interval(secs => -left_over * 60 / most_per_minute);
    end if;
    update signalops.outlets o set tokens = left_over, refilled_at = moment where o.tenant_id = tenant and o.id = outlet;
  end if;
  if found_outlet.opened_until is not null then
    -- This one finds out for all others; if its worker dies, another may in half a minute.
    update signalops.outlets o set opened_until = moment + interval '30 seconds', probe = delivery
    where o.tenant_id = tenant and o.id = outlet;
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.take_turn(tenant uuid, outlet uuid, delivery uuid, most_per_minute integer) IS 'Asks an outlet whether a delivery may be sent now: NULL, or when to ask again. After an outage one attempt alone is let through.';

CREATE FUNCTION signalops.tell(wanted uuid, moment timestamp with time zone, in_batch uuid, meters text[], refusing text[]) RETURNS TABLE(event_id uuid, verdict text, of_meter text)
    LANGUAGE plpgsql
    AS $$
declare
  quota record;
begin
  for quota in
    select q.period, q.meter, q.accepted, q.told, l.overage, l.hard, coalesce(l.hard, l.soft) as whole, p.points,
      exists (
        select from signalops.limits f where f.tenant_id = wanted and f.meter = q.meter and f.starts_on < q.period + interval '1 month'
          and f.starts_on > (moment at time zone t.time_zone)::date) as is_changing
    from signalops.tenants t
    join signalops.quotas q on q.tenant_id = t.id and q.period = signalops.period_of(moment, t.time_zone) and q.meter = any (meters)
    left join lateral signalops.limit_of(wanted, q.meter, (moment at time zone t.time_zone)::date) l on true
    cross join lateral (
      select coalesce(jsonb_object_agg(p.name, trim_scale(p.at)) filter (where (q.told ->> p.name)::numeric >= p.at is not true), '{}') as points
      from (
        select 'soft' as name, l.soft as at union all select 'hard', l.hard union all
        select percent::text, percent * coalesce(l.hard, l.soft) / 100 from unnest(l.thresholds) as percent
      ) p where p.at is not null
    ) p
    where t.id = wanted order by q.meter
  loop
    return query
      select signalops.emit(wanted, in_batch, 'signalops.usage.' || k.kind || '_reached',
        jsonb_build_object('meter', quota.meter, 'period', to_char(quota.period, 'YYYY-MM'), 'accepted', trim_scale(quota.accepted))
        || case k.kind when 'threshold' then jsonb_build_object('limit', trim_scale(quota.whole), 'percent', p.key::integer)
          when 'hard_limit' then jsonb_build_object('limit', p.value, 'overage', quota.overage)
          else jsonb_build_object('limit', p.value) end, 1::smallint), k.kind, quota.meter
      from jsonb_each(quota.points) as p (key, value)
      cross join lateral (select case p.key when 'soft' then 'soft_limit' when 'hard' then 'hard_limit' else 'threshold' end as kind) k
      where p.value::numeric <= quota.accepted or (p.key = 'hard' and quota.meter = any (refusing))
      order by p.value::numeric, p.key;
    update signalops.quotas q set told = q.told || p.reached, calm_until = p.next
    from (
      select coalesce(jsonb_object_agg(p.key, p.value) filter (where r.is_reached), '{}') as reached,
        case when quota.is_changing then 0 else least(min(p.value::numeric) filter (where not r.is_reached), quota.hard, 'Infinity') end as next
      from jsonb_each(quota.points) as p (key, value)
      cross join lateral (
        select p.value::numeric <= quota.accepted or (p.key = 'hard' and quota.meter = any (refusing)) as is_reached) r
    ) p
    where q.tenant_id = wanted and q.period = quota.period and q.meter = quota.meter
      and (p.reached <> '{}' or q.calm_until <> p.next);
  end loop;
end
$$;

COMMENT ON FUNCTION signalops.tell(wanted uuid, moment timestamp with time zone, in_batch uuid, meters text[], refusing text[]) IS 'Emits the notices of limits and thresholds that a tenant''s quotas have reached, each once, and notes until when there are none.';

CREATE FUNCTION signalops.tell_absences(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  in_batch uuid := signalops.new_id();
  told bigint;
begin
  with due as (
    select g.tenant_id, g.rule_id, g.since, g.group_key from signalops.rule_groups g
    -- What came in before the time was up may still wait to be processed, or be on its way into the inbox.
    where g.due_at <= now() - interval '1 second' and not exists (
      select from signalops.inbox i where i.tenant_id = g.tenant_id and i.event_id < signalops.id_at(g.due_at))
    order by g.due_at limit at_most for update of g skip locked
  ), spent as (
    update signalops.rule_groups g set due_at = null, forget_at = now() + interval '1 hour'
    from due where g.tenant_id = due.tenant_id and g.rule_id = due.rule_id and g.since = due.since and g.group_key = due.group_key
    returning g.*
  ), emitted as (
    select signalops.emit(s.tenant_id, in_batch, 'signalops.rule.absent', jsonb_build_object(
      'rule', jsonb_build_object('id', r.id, 'version', r.active_version),
      'group', s.labels, 'lastSeenAt', s.seen_at, 'after', v.absent ->> 'after'), s.depth + 1::smallint)
    from spent s
    -- A group that was not seen since the rule was enabled again may have been there meanwhile, unnoticed.
    join signalops.rules r on r.tenant_id = s.tenant_id and r.id = s.rule_id and r.enabled
      and (s.group_key = '[]' or coalesce(s.seen_at >= r.enabled_at, true))
    join signalops.rule_versions v
      on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version and v.since = s.since
  )
  select count(*) into told from emitted;
  if told > 0 then
    perform signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', in_batch));
  end if;
  return told;
end
$$;

COMMENT ON FUNCTION signalops.tell_absences(at_most integer) IS 'Emits signalops.rule.absent for each group in which nothing matched for as long as its rule says; the rule is notified of when that event is processed. Returns how many.';

CREATE FUNCTION signalops.tell_digests(at_most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
declare
  in_batch uuid := signalops.new_id();
  one signalops.digests;
  notice uuid;
  delivery uuid;
  jobs jsonb := '[]';
begin
  for one in
    delete from signalops.digests d
    using (
      select tenant_id, rule_id from signalops.digests where due_at <= now() order by due_at limit at_most for update skip locked
    ) due
    where d.tenant_id = due.tenant_id and d.rule_id = due.rule_id
    returning d.*
  loop
    notice := signalops.emit(one.tenant_id, in_batch, 'signalops.rule.digest', jsonb_build_object(
      'rule', jsonb_build_object('id', one.rule_id, 'version', one.rule_version),
      'since', one.opened_at, 'until', one.due_at, 'count', one.matched, 'events', one.events), one.depth + 1::smallint);
    delivery := signalops.new_id();
    insert into signalops.matches (tenant_id, event_id, rule_id, rule_version)
    values (one.tenant_id, notice, one.rule_id, one.rule_version);
    insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id)
    values (one.tenant_id, delivery, notice, one.rule_id, one.rule_version, one.channel_id);
    jobs := jobs || jsonb_build_object('tenant', one.tenant_id, 'delivery', delivery);
  end loop;
  if jobs <> '[]' then
    perform signalops.enqueue_deliveries(jobs);
    perform signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', in_batch));
  end if;
  return jsonb_array_length(jobs);
end
$$;

COMMENT ON FUNCTION signalops.tell_digests(at_most integer) IS 'Closes the digests that are due: each becomes an operational event signalops.rule.digest and one delivery of it, or stays as it is. Returns how many.';

CREATE FUNCTION signalops.time_of(id uuid) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_timestamp((((((('x'::text || lpad(translate("left"((id)::text, 13), '-'::text, ''::text), 16, '0'::text)))::bit(64))::bigint)::numeric / 1000.0))::double precision);

COMMENT ON FUNCTION signalops.time_of(id uuid) IS 'The millisecond in which a UUIDv7 was made (RFC 9562, section 5.7).';

CREATE FUNCTION signalops.tokens_at(moment timestamp with time zone, tokens double precision, refilled_at timestamp with time zone, most_per_minute integer) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN LEAST((GREATEST((1)::numeric, ((most_per_minute)::numeric / 60.0)))::double precision, (COALESCE(tokens, (0)::double precision) + (((CASE WHEN (COALESCE(refilled_at, '-infinity'::timestamp with time zone) = '-infinity'::timestamp with time zone) THEN '1000000000'::numeric ELSE EXTRACT(epoch FROM (moment - refilled_at)) END * (most_per_minute)::numeric) / 60.0))::double precision));

COMMENT ON FUNCTION signalops.tokens_at(moment timestamp with time zone, tokens double precision, refilled_at timestamp with time zone, most_per_minute integer) IS 'How many messages an outlet with a rate limit may send at a moment: a second''s worth at most, and at least one.';

CREATE FUNCTION signalops.usage_by(tenant uuid, of_meter text, lower timestamp with time zone, upper timestamp with time zone, step text, by_group boolean, in_period date, until_period date DEFAULT NULL::date) RETURNS TABLE(bucket timestamp with time zone, grp text, events bigint, quantity numeric)
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
#variable_conflict use_column
declare
  zone text := (select t.time_zone from signalops.tenants t where t.id = tenant);
begin
  return query
    with counted as (
      select u.hour, u.grp, u.period, u.aggregation, u.events, u.value, u.latest_at, u.latest_event, 0::numeric as adjusted
      from signalops.usage_counters u
      -- greatest passes over NULL: without a period the range is as it was asked for.
      where u.tenant_id = tenant and u.meter = of_meter
        and u.hour >= greatest(lower, signalops.starts_at(in_period, zone)) and u.hour < upper
        and (in_period is null or u.period = in_period and not u.is_late) and (until_period is null or u.period <= until_period)
      union all
      -- What a period bills late lies in hours before it: their range would read all that was billed in its own time.
      select u.hour, u.grp, u.period, u.aggregation, u.events, u.value, u.latest_at, u.latest_event, 0
      from signalops.usage_counters u
      where u.tenant_id = tenant and u.period = in_period and u.meter = of_meter and u.is_late and u.hour >= lower and u.hour < upper
      union all
      select a.hour, a.grp, a.period, null, 0, null, null, null, a.quantity
      from signalops.usage_adjustments a
      where a.tenant_id = tenant and a.meter = of_meter and a.hour >= lower and a.hour < upper
        and (in_period is null or a.period = in_period) and (until_period is null or a.period <= until_period)
    ), placed as (
      -- By the local day, which is turned into its first moment once for all its hours, not for each: that took half of the time.
      -- An hour is kept as it was counted: truncated again, the half of one after a change of the clock would join the other half.
      select case when step = 'hour' then c.hour end as slot,
        case step when 'day' then (c.hour at time zone zone)::date when 'month' then signalops.period_of(c.hour, zone) end as day,
        case when by_group then c.grp else '[]' end as shown, c.*
      from counted c
    ), differing as (
      select p.slot, p.day, p.shown, count(distinct i.item) as items
      from placed p
      join signalops.usage_items i on (i.tenant_id, i.meter, i.hour, i.grp, i.period) = (tenant, of_meter, p.hour, p.grp, p.period)
      where p.aggregation = 'unique_count'
      group by p.slot, p.day, p.shown
    ), summed as (
      select p.slot, p.day, p.shown, sum(p.events)::bigint as events, max(p.aggregation) as aggregation, sum(p.adjusted) as adjusted,
        sum(p.value) as total, max(p.value) as greatest, min(p.value) as least,
        (array_agg(p.value order by p.latest_at desc, p.latest_event desc) filter (where p.aggregation = 'latest'))[1] as latest
      from placed p
      group by p.slot, p.day, p.shown
    )
    select coalesce(s.slot, signalops.starts_at(s.day, zone), lower), s.shown, s.events, trim_scale(s.adjusted + coalesce(case s.aggregation
        when 'count' then s.events
        when 'sum' then s.total
        when 'max' then s.greatest
        when 'min' then s.least
        when 'avg' then round(s.total / s.events, 12)
        when 'latest' then s.latest
        when 'unique_count' then (
          select d.items from differing d
          where (d.slot, d.day, d.shown) is not distinct from (s.slot, s.day, s.shown))
      end, 0))
    from summed s;
end
$$;

COMMENT ON FUNCTION signalops.usage_by(tenant uuid, of_meter text, lower timestamp with time zone, upper timestamp with time zone, step text, by_group boolean, in_period date, until_period date) IS 'What a tenant''s meter counted in the hours from lower to before upper, with the adjustments: the one definition of a quantity. By hour, day or month in the tenant''s time zone (bucket: its start), or at once; by group, or all together ([]). Only what a period bills, or whatever it was billed in (NULL); or up to a period, what that and those before it bill. Nothing counted: no row.';

CREATE FUNCTION signalops.version_limit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op in ('UPDATE', 'DELETE') then
    perform signalops.renew_quotas(old.tenant_id, old.meter);
  end if;
  if tg_op = 'INSERT' or (tg_op = 'UPDATE' and (new.tenant_id, new.meter) <> (old.tenant_id, old.meter)) then
    perform signalops.renew_quotas(new.tenant_id, new.meter);
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.version_limit() IS 'A limit that is set, changed or removed holds from its commit on, for every process.';

CREATE FUNCTION signalops.version_limited_meter() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if exists (select from signalops.limits l where l.tenant_id = new.tenant_id and l.meter = new.key) then
    perform signalops.renew_quotas(new.tenant_id, new.key);
  end if;
  return null;
end
$$;

COMMENT ON FUNCTION signalops.version_limited_meter() IS 'A limited meter that ends, or begins again, changes what the API weighs.';

CREATE FUNCTION signalops.version_meter() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
declare
  version bigint;
begin
  if tg_op = 'INSERT' and exists (
    select from signalops.meters m where m.tenant_id = new.tenant_id and m.key = new.key
      and (m.aggregation, m.field, m.pattern, m.group_by) is distinct from (new.aggregation, new.field, new.pattern, new.group_by)
  ) then
    raise 'the meter % counted something else before: choose another key', new.key using errcode = 'unique_violation';
  elsif tg_op = 'UPDATE' and (
    old.until is not null or (to_jsonb(new) - '{until,ended_at}'::text[]) <> (to_jsonb(old) - '{until,ended_at}'::text[])
  ) then
    raise 'the meter % can be ended, not changed', old.key using errcode = 'check_violation';
  end if;
  version := signalops.bump_metering(new.tenant_id);
  if version is null and has_table_privilege('signalops.tenants', 'update') then
    -- Without a tenant: the owner's. Whoever else it is, the policy refuses the row.
    update signalops.tenants set metering = metering + 1 where id = new.tenant_id returning metering into version;
  end if;
  if tg_op = 'INSERT' then
    new.since := version;
  else
    new.until := version;
    new.ended_at := coalesce(new.ended_at, now());
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.version_meter() IS 'Gives meters the versions of the metering between which they count, and keeps them from being changed.';

CREATE FUNCTION signalops.weigh(groups jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $_$
declare
  one record;
  stretches tstzmultirange;
  is_quiet boolean;
  crossings jsonb;
  weighed jsonb;
  quiet timestamptz;
  -- An array, flattened at the end: jsonb that grows is copied whole each time.
  parts jsonb[] := '{}';
  decided jsonb;
begin
  for one in
    select *, e.first_at, e.last_at, e.deepest from jsonb_to_recordset(groups) as g (tenant uuid, rule uuid, version integer, since integer,
      channel uuid, "group" text, labels jsonb, kind text, threshold numeric, span interval, lateness interval, cooldown interval,
      digest_due timestamptz, events jsonb)
    cross join lateral (
      select min(e.at) as first_at, max(e.at) as last_at, max(e.depth) as deepest
      from jsonb_to_recordset(g.events) as e (at timestamptz, depth smallint)
    ) e
    -- In one order, so that two workers can't lock each other out.
    order by g.tenant, g.rule, g.since, g."group"
  loop
    stretches := null;
    is_quiet := false;
    crossings := null;
    quiet := null;
    if one.kind <> 'each' or one.cooldown is not null then
      insert into signalops.rule_groups as s (tenant_id, rule_id, since, group_key, labels, seen_at, due_at, depth, forget_at)
      values (one.tenant, one.rule, one.since, one."group", one.labels,
        -- The notice of an absence has the same group and is no match.
        case when one.kind <> 'each' then one.last_at end,
        case one.kind when 'absent' then one.last_at + one.span + one.lateness end,
        case one.kind when 'absent' then one.deepest else 0 end,
        clock_timestamp() + one.span + one.lateness + coalesce(one.cooldown, '0') + interval '1 hour')
      on conflict (tenant_id, rule_id, since, group_key) do update set
        seen_at = greatest(s.seen_at, excluded.seen_at),
        due_at = case when excluded.seen_at > s.seen_at or s.seen_at is null then greatest(s.due_at, excluded.due_at) else s.due_at end,
        depth = case when excluded.seen_at is null then s.depth else excluded.depth end,
        -- Moved once an hour: while no index is concerned the update is a cheap one (HOT).
        forget_at = case when s.forget_at < excluded.forget_at - interval '1 hour' then excluded.forget_at else s.forget_at end
      returning s.told, coalesce(s.quiet_until > clock_timestamp(), false) into stretches, is_quiet;
    end if;

    if one.kind in ('count', 'sum', 'distinct') then
      select c.told, coalesce(c.crossings, '[]') into stretches, crossings
      from signalops.cross_window(one.tenant, one.rule, one.since, one."group", one.kind, one.threshold, one.span,
        one.span + one.lateness + interval '1 hour', one.events, stretches) c;
      delete from signalops.window_events w
      where w.tenant_id = one.tenant and w.rule_id = one.rule and w.since = one.since and w.group_key = one."group"
        and w.at < one.first_at - one.span - one.lateness - interval '1 hour';
    end if;

    with events as (
      select e.*, c.value, c.since, c.until,
        e.verdict is null and (one.kind = 'each' or c.event is not null) as passes
      from jsonb_to_recordset(one.events)
        as e (event uuid, at timestamptz, verdict text, not_before timestamptz, delivery uuid, replay uuid, depth smallint)
      left join jsonb_to_recordset(crossings) as c (event uuid, value numeric, since timestamptz, until timestamptz) using (event)
    ), placed as (
      select *, row_number() over (partition by passes order by at, event) as place from events
    )
    select jsonb_agg(jsonb_build_object('tenant', one.tenant, 'event', p.event, 'rule', one.rule, 'version', one.version,
      'channel', one.channel, 'delivery', p.delivery, 'not_before', p.not_before, 'replay', p.replay, 'depth', p.depth,
      'digest_due', one.digest_due,
      'context', case when p.value is not null then
        jsonb_build_object('value', p.value, 'group', one.labels, 'since', p.since, 'until', p.until) end,
      'outcome', case
        when p.passes and one.cooldown is not null and (is_quiet or p.place > 1) then 'cooldown'
        when p.passes and one.digest_due is not null then 'digested'
        when p.passes then 'notified'
        when one.kind = 'each' or p.value is not null then p.verdict
        else 'counted' end))
    into weighed from placed p;
    parts := parts || weighed;

    if one.cooldown is not null and weighed @? '$[*] ? (@.outcome == "notified" || @.outcome == "digested")' then
      quiet := clock_timestamp() + one.cooldown;
    end if;
    update signalops.rule_groups s set told = stretches, quiet_until = coalesce(quiet, s.quiet_until)
    where s.tenant_id = one.tenant and s.rule_id = one.rule and s.since = one.since and s.group_key = one."group"
      and (s.told <> stretches or quiet is not null);
  end loop;
  select coalesce(jsonb_agg(m.match), '[]') into decided
  from unnest(parts) as p (part) cross join lateral jsonb_array_elements(p.part) as m (match);

  -- After all groups: a rule's digest is one row, and whoever waits for it must hold no group that another one wants.
  insert into signalops.digests as d (tenant_id, rule_id, rule_version, channel_id, due_at, matched, events, depth)
  select m.tenant, m.rule, max(m.version), (array_agg(m.channel order by m.version desc))[1], max(m.digest_due), count(*),
    (array_agg(m.event order by m.event))[1:100], max(m.depth)
  from jsonb_to_recordset(decided) as m (tenant uuid, rule uuid, version integer, channel uuid, event uuid, digest_due timestamptz,
    depth smallint, outcome text)
  where m.outcome = 'digested'
  group by m.tenant, m.rule order by m.tenant, m.rule
  on conflict (tenant_id, rule_id) do update set matched = d.matched + excluded.matched,
    events = (d.events || excluded.events)[1:100], depth = greatest(d.depth, excluded.depth),
    rule_version = greatest(d.rule_version, excluded.rule_version),
    channel_id = case when excluded.rule_version >= d.rule_version then excluded.channel_id else d.channel_id end;
  return decided;
end
$_$;

COMMENT ON FUNCTION signalops.weigh(groups jsonb) IS 'Decides what follows from matches of rules with state: [{tenant, rule, version, since, channel, group, labels, kind, threshold, span, lateness, cooldown, digest_due, events: [{event, at, weight, item, verdict, not_before, delivery, replay, depth}]}], one item per group; verdict is silenced or quiet where nobody is to be told. Returns matches with their outcomes, as record_batch takes them.';

CREATE FUNCTION signalops.weight(event jsonb, of_meter text) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE of_meter WHEN 'events'::text THEN (1)::numeric ELSE COALESCE(((event #>> ARRAY['weights'::text, of_meter]))::numeric, (0)::numeric) END;

COMMENT ON FUNCTION signalops.weight(event jsonb, of_meter text) IS 'How much an event of a flush adds to a meter.';

CREATE FUNCTION signalops.write_letter() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  if new.delivery_id is not null then
    select d.rule_id, d.channel_id into new.rule_id, new.channel_id
    from signalops.deliveries d where d.tenant_id = new.tenant_id and d.id = new.delivery_id limit 1;
  end if;
  return new;
end
$$;

COMMENT ON FUNCTION signalops.write_letter() IS 'Notes rule and channel on a dead letter, whoever writes it: by them letters are found.';

CREATE TABLE signalops.api_keys (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    prefix text NOT NULL,
    hash text NOT NULL,
    label text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    allowed_cidrs cidr[] DEFAULT '{}'::cidr[] NOT NULL,
    replaces uuid,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_allowed_cidrs_check CHECK ((cardinality(allowed_cidrs) <= 50)),
    CONSTRAINT api_keys_hash_check CHECK ((hash ~ '^\$2[aby]\$'::text)),
    CONSTRAINT api_keys_label_check CHECK (((length(label) >= 1) AND (length(label) <= 200))),
    CONSTRAINT api_keys_prefix_check CHECK ((length(prefix) = 16))
);

ALTER TABLE ONLY signalops.api_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.api_keys IS 'API keys, as bcrypt hashes; the key itself is shown once and never stored.';
COMMENT ON COLUMN signalops.api_keys.tenant_id IS 'Whose key it is.';
COMMENT ON COLUMN signalops.api_keys.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.api_keys.prefix IS 'The first 16 characters of the key: enough to find the row, too little to guess the rest.';
COMMENT ON COLUMN signalops.api_keys.hash IS 'bcrypt hash of the whole key.';
COMMENT ON COLUMN signalops.api_keys.label IS 'What the tenant calls it.';
COMMENT ON COLUMN signalops.api_keys.scopes IS 'What it may do, such as events:write.';
COMMENT ON COLUMN signalops.api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.api_keys.expires_at IS 'From when it is refused; NULL: never.';
COMMENT ON COLUMN signalops.api_keys.revoked_at IS 'When it was revoked; NULL: it is not.';
COMMENT ON COLUMN signalops.api_keys.allowed_cidrs IS 'Networks from which it is accepted; none: from everywhere.';
COMMENT ON COLUMN signalops.api_keys.replaces IS 'The key that was rotated to this one; NULL: it was made anew.';
COMMENT ON COLUMN signalops.api_keys.last_used_at IS 'When it was last let in, to the minute: it may have been used up to a minute later. NULL: it was not used since this is written.';

CREATE VIEW signalops.audit_differences WITH (security_invoker='true') AS
 SELECT audit.tenant_id,
    audit.period,
    audit."check",
    audit.subject,
    audit.expected,
    audit.found
   FROM signalops.audit(NULL::uuid, NULL::date) audit(tenant_id, period, "check", subject, expected, found)
UNION ALL
 SELECT audit_numbers.tenant_id,
    audit_numbers.period,
    audit_numbers."check",
    audit_numbers.subject,
    audit_numbers.expected,
    audit_numbers.found
   FROM signalops.audit_numbers() audit_numbers(tenant_id, period, "check", subject, expected, found);

COMMENT ON VIEW signalops.audit_differences IS 'What does not add up, of all tenants and periods: expected is what the records beneath a figure say, found what stands there. For the owner of the schema; empty when every figure is proven.';
COMMENT ON COLUMN signalops.audit_differences.tenant_id IS 'Whose; NULL: the operator''s.';
COMMENT ON COLUMN signalops.audit_differences.period IS 'The billing period; NULL: it belongs to none.';
COMMENT ON COLUMN signalops.audit_differences."check" IS 'accepted, event, batch, counter, entry, twice, sealed, chain, line, invoice, burned, credit or number: see the function audit_...';
COMMENT ON COLUMN signalops.audit_differences.subject IS 'What is wrong.';
COMMENT ON COLUMN signalops.audit_differences.expected IS 'What it should be.';
COMMENT ON COLUMN signalops.audit_differences.found IS 'What it is.';

CREATE TABLE signalops.backtests (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    asked jsonb NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    slices integer DEFAULT 0 NOT NULL,
    scanned bigint DEFAULT 0 NOT NULL,
    looked_until timestamp with time zone,
    state jsonb,
    result jsonb,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT backtests_check CHECK ((ends_at > starts_at)),
    CONSTRAINT backtests_check1 CHECK (((state IS NULL) OR (status = 'running'::text))),
    CONSTRAINT backtests_check2 CHECK ((((error IS NOT NULL) = (status = 'failed'::text)) AND (length(error) <= 500))),
    CONSTRAINT backtests_status_check CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'done'::text, 'failed'::text, 'cancelled'::text])))
);

ALTER TABLE ONLY signalops.backtests FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.backtests IS 'Rules held against past events. A job does about a second of the work at a time, and saves here where it is: the newest 50 of a tenant.';
COMMENT ON COLUMN signalops.backtests.tenant_id IS 'Whose events they are.';
COMMENT ON COLUMN signalops.backtests.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.backtests.asked IS 'What is held against what, as it was when it was asked for: {candidate, baseline, silences, types, examples}.';
COMMENT ON COLUMN signalops.backtests.starts_at IS 'Events received from then on.';
COMMENT ON COLUMN signalops.backtests.ends_at IS 'Events received before.';
COMMENT ON COLUMN signalops.backtests.status IS 'queued -> running -> done; or -> failed, or -> cancelled.';
COMMENT ON COLUMN signalops.backtests.slices IS 'How many slices of the work are saved: of two workers at one slice only the first saves it.';
COMMENT ON COLUMN signalops.backtests.scanned IS 'Events looked through.';
COMMENT ON COLUMN signalops.backtests.looked_until IS 'All events received before are looked through; NULL: not begun.';
COMMENT ON COLUMN signalops.backtests.state IS 'From where the next slice goes on; NULL before the first and after the last.';
COMMENT ON COLUMN signalops.backtests.result IS 'What was found, so far or in the end.';
COMMENT ON COLUMN signalops.backtests.error IS 'Why it failed, in a sentence.';
COMMENT ON COLUMN signalops.backtests.created_at IS 'When it was asked for.';
COMMENT ON COLUMN signalops.backtests.updated_at IS 'When it was saved last.';

CREATE TABLE signalops.batches (
    tenant_id uuid NOT NULL,
    batch uuid NOT NULL,
    job_id bigint NOT NULL,
    worker text NOT NULL,
    ruleset bigint NOT NULL,
    rules integer NOT NULL,
    events integer NOT NULL,
    dead integer DEFAULT 0 NOT NULL,
    processed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    metering bigint DEFAULT 0 NOT NULL,
    billed integer NOT NULL
)
PARTITION BY RANGE (batch);

ALTER TABLE ONLY signalops.batches FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.batches IS 'What a worker did with one tenant''s events of one batch. Partitioned by month of the batch.';
COMMENT ON COLUMN signalops.batches.tenant_id IS 'Whose events they were.';
COMMENT ON COLUMN signalops.batches.batch IS 'UUIDv7; the flush that stored them.';
COMMENT ON COLUMN signalops.batches.job_id IS 'The procrastinate job that processed it; finished jobs are deleted.';
COMMENT ON COLUMN signalops.batches.worker IS 'The worker process: host and process id.';
COMMENT ON COLUMN signalops.batches.ruleset IS 'The version of the tenant''s rules that it used.';
COMMENT ON COLUMN signalops.batches.rules IS 'How many rules each event was held against.';
COMMENT ON COLUMN signalops.batches.events IS 'Events processed and counted.';
COMMENT ON COLUMN signalops.batches.dead IS 'Events that became dead letters instead.';
COMMENT ON COLUMN signalops.batches.processed_at IS 'When, just before the commit.';
COMMENT ON COLUMN signalops.batches.metering IS 'The version of the tenant''s meters that it used.';
COMMENT ON COLUMN signalops.batches.billed IS 'Events of these that were counted: neither operational events nor replays.';

CREATE TABLE signalops.billing_periods (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    frozen_at timestamp with time zone DEFAULT now() NOT NULL,
    barrier bigint,
    closed_at timestamp with time zone,
    CONSTRAINT billing_periods_check CHECK ((ends_at > starts_at)),
    CONSTRAINT billing_periods_check1 CHECK (((closed_at IS NULL) OR (barrier IS NOT NULL))),
    CONSTRAINT billing_periods_period_check CHECK ((EXTRACT(day FROM period) = (1)::numeric))
);

ALTER TABLE ONLY signalops.billing_periods FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.billing_periods IS 'The billing periods that have ended: frozen, so that what is counted from then on is late; then closed, when nobody can count into them.';
COMMENT ON COLUMN signalops.billing_periods.tenant_id IS 'Whose period it is.';
COMMENT ON COLUMN signalops.billing_periods.period IS 'The calendar month, by its first day.';
COMMENT ON COLUMN signalops.billing_periods.starts_at IS 'When it began in the tenant''s time zone.';
COMMENT ON COLUMN signalops.billing_periods.ends_at IS 'When it ended.';
COMMENT ON COLUMN signalops.billing_periods.frozen_at IS 'When tenants.closed_until became its end.';
COMMENT ON COLUMN signalops.billing_periods.barrier IS 'A transaction that began after the freezing was committed; when all before it have ended, nobody counts by the old closed_until.';
COMMENT ON COLUMN signalops.billing_periods.closed_at IS 'When it was sealed and invoiced; NULL: not yet.';

CREATE TABLE signalops.channel_queues (
    tenant_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    tokens double precision NOT NULL,
    refilled_at timestamp with time zone NOT NULL,
    next_due_at timestamp with time zone
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.channel_queues FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.channel_queues IS 'The turns of the channels: who has sent little lately gets jobs at once, the others share what workers can do.';
COMMENT ON COLUMN signalops.channel_queues.tenant_id IS 'Whose channel it is.';
COMMENT ON COLUMN signalops.channel_queues.channel_id IS 'The channel.';
COMMENT ON COLUMN signalops.channel_queues.tokens IS 'Deliveries that may have a job at once, as of refilled_at: 1,000, and 500 more a second.';
COMMENT ON COLUMN signalops.channel_queues.refilled_at IS 'When the tokens were counted.';
COMMENT ON COLUMN signalops.channel_queues.next_due_at IS 'When the first of its deliveries that wait without a job is due; NULL: none waits.';

CREATE TABLE signalops.channels (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    config jsonb NOT NULL,
    secret bytea,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    retry_schedule integer[],
    disabled_because text,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    outlet_id uuid,
    most_per_minute integer,
    CONSTRAINT channels_check CHECK (((deleted_at IS NULL) OR (NOT enabled))),
    CONSTRAINT channels_disabled_because_check CHECK ((length(disabled_because) <= 500)),
    CONSTRAINT channels_kind_check CHECK ((kind = ANY (ARRAY['email'::text, 'telegram'::text, 'whatsapp'::text, 'webhook'::text, 'slack'::text, 'http'::text]))),
    CONSTRAINT channels_most_per_minute_check CHECK ((most_per_minute > 0)),
    CONSTRAINT channels_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT channels_retry_schedule_check CHECK (((cardinality(retry_schedule) <= 20) AND (1 <= ALL (retry_schedule))))
);

ALTER TABLE ONLY signalops.channels FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.channels IS 'Where a tenant''s notifications can go.';
COMMENT ON COLUMN signalops.channels.tenant_id IS 'Whose channel it is.';
COMMENT ON COLUMN signalops.channels.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.channels.name IS 'What the tenant calls it; rules on the command line name it so.';
COMMENT ON COLUMN signalops.channels.kind IS 'email, telegram, whatsapp, webhook, slack or http.';
COMMENT ON COLUMN signalops.channels.config IS 'What is no secret, such as {to} of an email, {url} of a webhook.';
COMMENT ON COLUMN signalops.channels.secret IS 'Signing secret or credentials, encrypted (Fernet) with the installation''s key; NULL: needs none.';
COMMENT ON COLUMN signalops.channels.enabled IS 'false: deliveries through it become dead letters at once.';
COMMENT ON COLUMN signalops.channels.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.channels.retry_schedule IS 'Seconds before each further attempt; NULL: the installation''s schedule.';
COMMENT ON COLUMN signalops.channels.disabled_because IS 'Why SignalOps itself disabled it; NULL: it did not.';
COMMENT ON COLUMN signalops.channels.updated_at IS 'When it was changed last.';
COMMENT ON COLUMN signalops.channels.deleted_at IS 'When it was deleted; NULL: it is not. The row stays, since versions of rules name it; its secret is gone, its name free again.';
COMMENT ON COLUMN signalops.channels.outlet_id IS 'The outlet that it sends through, where channels share one (a bot, an account); NULL: one of its own, with its id.';
COMMENT ON COLUMN signalops.channels.most_per_minute IS 'How many messages its outlet may send in a minute; NULL: as many as there are.';

CREATE TABLE signalops.credit_entries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    grant_id uuid NOT NULL,
    kind text NOT NULL,
    amount numeric NOT NULL,
    invoice_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT credit_entries_check CHECK (((amount <> (0)::numeric) AND ((amount > (0)::numeric) = (kind = ANY (ARRAY['granted'::text, 'returned'::text]))))),
    CONSTRAINT credit_entries_check1 CHECK (((invoice_id IS NOT NULL) = (kind = ANY (ARRAY['burned'::text, 'returned'::text])))),
    CONSTRAINT credit_entries_kind_check CHECK ((kind = ANY (ARRAY['granted'::text, 'burned'::text, 'returned'::text, 'expired'::text])))
);

ALTER TABLE ONLY signalops.credit_entries FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.credit_entries IS 'The ledger of credit: each movement of each grant. Never changed, only added to.';
COMMENT ON COLUMN signalops.credit_entries.tenant_id IS 'Whose credit it is.';
COMMENT ON COLUMN signalops.credit_entries.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.credit_entries.grant_id IS 'The grant that it moves.';
COMMENT ON COLUMN signalops.credit_entries.kind IS 'granted, burned by an invoice, returned when that was voided, or expired.';
COMMENT ON COLUMN signalops.credit_entries.amount IS 'What it adds to the grant; negative: takes off.';
COMMENT ON COLUMN signalops.credit_entries.invoice_id IS 'The invoice that burned it, or whose voiding returned it.';
COMMENT ON COLUMN signalops.credit_entries.created_at IS 'When it was made.';

CREATE TABLE signalops.credit_grants (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    amount numeric NOT NULL,
    remaining numeric DEFAULT 0 NOT NULL,
    currency text NOT NULL,
    priority smallint DEFAULT 50 NOT NULL,
    expires_at timestamp with time zone,
    reason text NOT NULL,
    author text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT credit_grants_amount_check CHECK (((amount > (0)::numeric) AND (amount < '1000000000000000'::numeric))),
    CONSTRAINT credit_grants_author_check CHECK (((length(author) >= 1) AND (length(author) <= 200))),
    CONSTRAINT credit_grants_check CHECK (((remaining >= (0)::numeric) AND (remaining <= amount))),
    CONSTRAINT credit_grants_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT credit_grants_priority_check CHECK (((priority >= 0) AND (priority <= 100))),
    CONSTRAINT credit_grants_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.credit_grants FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.credit_grants IS 'Credit that invoices in its currency use up. A grant is never changed; what is left of it follows its entries.';
COMMENT ON COLUMN signalops.credit_grants.tenant_id IS 'Whose credit it is.';
COMMENT ON COLUMN signalops.credit_grants.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.credit_grants.amount IS 'How much was granted, in the currency''s major unit.';
COMMENT ON COLUMN signalops.credit_grants.remaining IS 'The sum of its entries: moved by them alone, and never below zero.';
COMMENT ON COLUMN signalops.credit_grants.currency IS 'ISO 4217; it pays invoices in no other.';
COMMENT ON COLUMN signalops.credit_grants.priority IS 'The least is burned first.';
COMMENT ON COLUMN signalops.credit_grants.expires_at IS 'An invoice issued from then on can''t use it; NULL: never.';
COMMENT ON COLUMN signalops.credit_grants.reason IS 'What it was given for.';
COMMENT ON COLUMN signalops.credit_grants.author IS 'Who answers for it.';
COMMENT ON COLUMN signalops.credit_grants.created_at IS 'When it was granted.';

CREATE TABLE signalops.delivery_attempts (
    tenant_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    attempt smallint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    duration_ms integer NOT NULL,
    outcome text NOT NULL,
    status_code integer,
    answer text,
    error text,
    request_id text,
    CONSTRAINT delivery_attempts_answer_check CHECK ((length(answer) <= 2048)),
    CONSTRAINT delivery_attempts_duration_ms_check CHECK ((duration_ms >= 0)),
    CONSTRAINT delivery_attempts_error_check CHECK ((length(error) <= 500)),
    CONSTRAINT delivery_attempts_outcome_check CHECK ((outcome = ANY (ARRAY['sent'::text, 'temporary'::text, 'permanent'::text, 'throttled'::text, 'broken'::text, 'gone'::text, 'suppressed'::text]))),
    CONSTRAINT delivery_attempts_request_id_check CHECK ((length(request_id) <= 200))
)
PARTITION BY RANGE (delivery_id);

ALTER TABLE ONLY signalops.delivery_attempts FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.delivery_attempts IS 'What came of each attempt at a delivery. A number that is missing was cut off: its worker died.';
COMMENT ON COLUMN signalops.delivery_attempts.tenant_id IS 'Whose notification it is.';
COMMENT ON COLUMN signalops.delivery_attempts.delivery_id IS 'The delivery.';
COMMENT ON COLUMN signalops.delivery_attempts.attempt IS '1, 2, 3 ...';
COMMENT ON COLUMN signalops.delivery_attempts.started_at IS 'When the provider was called.';
COMMENT ON COLUMN signalops.delivery_attempts.duration_ms IS 'Milliseconds until its answer, or until there was none.';
COMMENT ON COLUMN signalops.delivery_attempts.outcome IS 'sent; temporary, throttled (retried); permanent, broken = configuration or template (not retried); gone = the receiver wants no more (its channel is disabled); suppressed = not asked, since it said no before.';
COMMENT ON COLUMN signalops.delivery_attempts.status_code IS 'HTTP status or SMTP code; NULL: no answer.';
COMMENT ON COLUMN signalops.delivery_attempts.answer IS 'The first 2 KiB of the answer.';
COMMENT ON COLUMN signalops.delivery_attempts.error IS 'The error in a sentence; NULL when sent.';
COMMENT ON COLUMN signalops.delivery_attempts.request_id IS 'The receiver''s own id of the request, for its support; NULL: it named none.';

CREATE TABLE signalops.digests (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    channel_id uuid NOT NULL,
    opened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    due_at timestamp with time zone NOT NULL,
    matched bigint NOT NULL,
    events uuid[] NOT NULL,
    depth smallint NOT NULL,
    CONSTRAINT digests_events_check CHECK (((cardinality(events) >= 1) AND (cardinality(events) <= 100))),
    CONSTRAINT digests_matched_check CHECK ((matched > 0))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.digests FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.digests IS 'The digests that are being collected. The transaction that removes one makes its delivery.';
COMMENT ON COLUMN signalops.digests.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.digests.rule_id IS 'The rule.';
COMMENT ON COLUMN signalops.digests.rule_version IS 'The version that collected last: its template tells.';
COMMENT ON COLUMN signalops.digests.channel_id IS 'Where that version sends to.';
COMMENT ON COLUMN signalops.digests.opened_at IS 'When the first match came.';
COMMENT ON COLUMN signalops.digests.due_at IS 'When it is told.';
COMMENT ON COLUMN signalops.digests.matched IS 'How many matches it holds.';
COMMENT ON COLUMN signalops.digests.events IS 'The first 100 of their events.';
COMMENT ON COLUMN signalops.digests.depth IS 'The largest depth of them (see events.depth).';

CREATE TABLE signalops.event_schemas (
    tenant_id uuid NOT NULL,
    type text NOT NULL,
    mode text NOT NULL,
    schema json NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT event_schemas_mode_check CHECK ((mode = ANY (ARRAY['warn'::text, 'reject'::text]))),
    CONSTRAINT event_schemas_schema_check CHECK ((octet_length((schema)::text) <= 65536))
);

ALTER TABLE ONLY signalops.event_schemas FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.event_schemas IS 'JSON Schemas that the payloads of a tenant''s events are held against as they come in.';
COMMENT ON COLUMN signalops.event_schemas.tenant_id IS 'Whose schema it is.';
COMMENT ON COLUMN signalops.event_schemas.type IS 'The type of the events.';
COMMENT ON COLUMN signalops.event_schemas.mode IS 'warn: the answer names the faults; reject: the event is refused.';
COMMENT ON COLUMN signalops.event_schemas.schema IS 'JSON Schema of the payload (draft 2020-12 or 7), as it was written.';
COMMENT ON COLUMN signalops.event_schemas.updated_at IS 'When it was written last.';

CREATE TABLE signalops.events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    batch uuid NOT NULL,
    type text NOT NULL,
    source text,
    occurred_at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    payload jsonb NOT NULL,
    attributes jsonb,
    depth smallint DEFAULT 0 NOT NULL,
    over_limit boolean DEFAULT false NOT NULL
)
PARTITION BY RANGE (id);

ALTER TABLE ONLY signalops.events FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.events IS 'Accepted events, immutable from then on. Partitioned by month of the id, which is a UUIDv7.';
COMMENT ON COLUMN signalops.events.tenant_id IS 'Whose event it is.';
COMMENT ON COLUMN signalops.events.id IS 'UUIDv7 made when the request came in; answered to the producer.';
COMMENT ON COLUMN signalops.events.batch IS 'The flush that stored it; see batches for what became of it.';
COMMENT ON COLUMN signalops.events.type IS 'Dot-separated words, such as user.signup.';
COMMENT ON COLUMN signalops.events.source IS 'Where it came from, in the producer''s words.';
COMMENT ON COLUMN signalops.events.occurred_at IS 'When it happened, in the producer''s words; else when it came in.';
COMMENT ON COLUMN signalops.events.received_at IS 'When it came in, by the clock of the API process.';
COMMENT ON COLUMN signalops.events.payload IS 'The producer''s object.';
COMMENT ON COLUMN signalops.events.attributes IS 'CloudEvents attributes beyond type, source and time (id, subject, extensions ...); NULL: none.';
COMMENT ON COLUMN signalops.events.depth IS '0: sent by the tenant, and billed. 1 and above: an operational event of SignalOps, caused by an event one level up.';
COMMENT ON COLUMN signalops.events.over_limit IS 'Accepted beyond a hard limit whose overage is accept.';

CREATE TABLE signalops.inbox (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    batch uuid NOT NULL,
    replay_id uuid
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.inbox FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.inbox IS 'The events not yet processed, ids only. Accepting fills it; the transaction that processes and counts empties it.';
COMMENT ON COLUMN signalops.inbox.tenant_id IS 'Whose event it is.';
COMMENT ON COLUMN signalops.inbox.event_id IS 'The event that waits.';
COMMENT ON COLUMN signalops.inbox.batch IS 'The flush that stored it: one job processes one batch.';
COMMENT ON COLUMN signalops.inbox.replay_id IS 'The replay that put it here; NULL: the event is new.';

CREATE VIEW signalops.event_status WITH (security_invoker='true') AS
 SELECT e.tenant_id,
    e.id,
    e.batch,
    e.type,
    e.source,
    e.occurred_at,
    e.received_at,
    e.payload,
    e.attributes,
    e.depth,
        CASE
            WHEN ((i.event_id IS NOT NULL) AND (i.replay_id IS NULL)) THEN 'pending'::text
            WHEN ((d.id IS NOT NULL) AND (d.ending IS DISTINCT FROM 'retried'::text)) THEN 'dead'::text
            ELSE 'processed'::text
        END AS status,
    e.over_limit
   FROM ((signalops.events e
     LEFT JOIN signalops.inbox i ON (((i.tenant_id = e.tenant_id) AND (i.event_id = e.id))))
     LEFT JOIN signalops.dead_letters d ON (((d.tenant_id = e.tenant_id) AND (d.id = e.id))));

COMMENT ON VIEW signalops.event_status IS 'Events with what became of them: pending (in the inbox, and not for a replay), processed, or dead (a dead letter).';
COMMENT ON COLUMN signalops.event_status.status IS 'pending, processed or dead.';

CREATE TABLE signalops.event_types (
    tenant_id uuid NOT NULL,
    type text NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    count bigint NOT NULL,
    fields jsonb NOT NULL,
    fields_cut boolean DEFAULT false NOT NULL,
    example jsonb,
    CONSTRAINT event_types_count_check CHECK ((count > 0))
)
WITH (fillfactor='70');

ALTER TABLE ONLY signalops.event_types FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.event_types IS 'What a tenant sends, for editors to offer: at most 1,000 types a tenant. Workers write it a second after they processed.';
COMMENT ON COLUMN signalops.event_types.tenant_id IS 'Whose events they are.';
COMMENT ON COLUMN signalops.event_types.type IS 'The type, as events name it.';
COMMENT ON COLUMN signalops.event_types.first_seen_at IS 'When the first of these events was received.';
COMMENT ON COLUMN signalops.event_types.last_seen_at IS 'When the last of these events was received.';
COMMENT ON COLUMN signalops.event_types.count IS 'The events of this type that were processed since the catalogue is kept, without dead letters; less what a killed worker had not written yet, about a second of its work. Usage is what is exact.';
COMMENT ON COLUMN signalops.event_types.fields IS 'The fields seen in samples: {path: {types: [...], example: ...}}, at most 200; paths as patterns name them.';
COMMENT ON COLUMN signalops.event_types.fields_cut IS 'There are further fields.';
COMMENT ON COLUMN signalops.event_types.example IS 'A recent event of at most 16 KiB; NULL: none was that small.';

CREATE TABLE signalops.idempotency_keys (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    body_hash bytea NOT NULL
);

ALTER TABLE ONLY signalops.idempotency_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.idempotency_keys IS 'Which key stored which event: the second request with a key gets the first one''s answer.';
COMMENT ON COLUMN signalops.idempotency_keys.tenant_id IS 'Whose key it is; two tenants may use the same one.';
COMMENT ON COLUMN signalops.idempotency_keys.key IS 'As sent; for CloudEvents source and id, with a line feed between (no plain key holds one).';
COMMENT ON COLUMN signalops.idempotency_keys.event_id IS 'The event that was stored under it.';
COMMENT ON COLUMN signalops.idempotency_keys.body_hash IS 'SHA-256 of the canonical event: another body under the same key is refused.';

CREATE TABLE signalops.invoice_lines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    "position" smallint NOT NULL,
    kind text NOT NULL,
    meter text,
    plan text,
    version integer,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    late_period date,
    aggregation text,
    events bigint,
    quantity numeric,
    included numeric,
    unit text,
    amount numeric NOT NULL,
    description text NOT NULL,
    details jsonb NOT NULL,
    CONSTRAINT invoice_lines_check CHECK (((meter IS NOT NULL) = (kind = ANY (ARRAY['usage'::text, 'late'::text])))),
    CONSTRAINT invoice_lines_check1 CHECK (((late_period IS NOT NULL) = (kind = 'late'::text))),
    CONSTRAINT invoice_lines_check2 CHECK (((aggregation IS NULL) = (meter IS NULL))),
    CONSTRAINT invoice_lines_kind_check CHECK ((kind = ANY (ARRAY['base'::text, 'usage'::text, 'late'::text, 'credit'::text, 'correction'::text]))),
    CONSTRAINT invoice_lines_position_check CHECK (("position" > 0))
);

ALTER TABLE ONLY signalops.invoice_lines FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.invoice_lines IS 'The lines of invoices and credit notes, each rounded to the minor unit; totals are sums of them.';
COMMENT ON COLUMN signalops.invoice_lines.tenant_id IS 'Of the invoice.';
COMMENT ON COLUMN signalops.invoice_lines.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.invoice_lines.invoice_id IS 'The document that it stands on.';
COMMENT ON COLUMN signalops.invoice_lines."position" IS 'Its place there, from 1.';
COMMENT ON COLUMN signalops.invoice_lines.kind IS 'base: the base fee of a stretch; usage: a meter of a stretch; late: what a closed period costs more by what came late; credit: credit that was burned; correction: what a credit note takes off.';
COMMENT ON COLUMN signalops.invoice_lines.meter IS 'The meter''s key; NULL: it is not about usage.';
COMMENT ON COLUMN signalops.invoice_lines.plan IS 'The plan by whose terms it is priced.';
COMMENT ON COLUMN signalops.invoice_lines.version IS 'The version of that plan.';
COMMENT ON COLUMN signalops.invoice_lines.starts_at IS 'From when: the usage of the hours from then on.';
COMMENT ON COLUMN signalops.invoice_lines.ends_at IS 'Until when.';
COMMENT ON COLUMN signalops.invoice_lines.late_period IS 'The closed period that the usage belongs to; NULL: it is not late.';
COMMENT ON COLUMN signalops.invoice_lines.aggregation IS 'The meter''s.';
COMMENT ON COLUMN signalops.invoice_lines.events IS 'How many events are behind it.';
COMMENT ON COLUMN signalops.invoice_lines.quantity IS 'signalops.usage_by of those hours in the invoice''s period; late: by how much the closed period''s figure changes.';
COMMENT ON COLUMN signalops.invoice_lines.included IS 'How much of it the base fee includes.';
COMMENT ON COLUMN signalops.invoice_lines.unit IS 'What is counted in.';
COMMENT ON COLUMN signalops.invoice_lines.amount IS 'What it costs, rounded half up to the minor unit.';
COMMENT ON COLUMN signalops.invoice_lines.description IS 'For people.';
COMMENT ON COLUMN signalops.invoice_lines.details IS 'The arithmetic: {days, ofDays, price, steps, before, after}, as far as it applies.';

CREATE TABLE signalops.invoice_numbers (
    series text NOT NULL,
    last bigint NOT NULL,
    CONSTRAINT invoice_numbers_last_check CHECK ((last > 0)),
    CONSTRAINT invoice_numbers_series_check CHECK ((series = ANY (ARRAY['invoice'::text, 'credit_note'::text])))
);

ALTER TABLE ONLY signalops.invoice_numbers FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.invoice_numbers IS 'The last number of each series of documents, across tenants: of the operator, who issues them.';
COMMENT ON COLUMN signalops.invoice_numbers.series IS 'invoice or credit_note.';
COMMENT ON COLUMN signalops.invoice_numbers.last IS 'The last that was given. Whoever takes the next holds the row until it commits, so a failure leaves no gap.';

CREATE TABLE signalops.meters (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    since bigint NOT NULL,
    until bigint,
    name text NOT NULL,
    aggregation text NOT NULL,
    field text,
    grammar smallint NOT NULL,
    pattern jsonb NOT NULL,
    group_by text[] DEFAULT '{}'::text[] NOT NULL,
    unit text,
    origin text DEFAULT 'tenant'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT meters_aggregation_check CHECK ((aggregation = ANY (ARRAY['count'::text, 'sum'::text, 'max'::text, 'min'::text, 'avg'::text, 'latest'::text, 'unique_count'::text]))),
    CONSTRAINT meters_check CHECK ((until > since)),
    CONSTRAINT meters_check1 CHECK (((field IS NULL) = (aggregation = 'count'::text))),
    CONSTRAINT meters_check2 CHECK (((ended_at IS NULL) = (until IS NULL))),
    CONSTRAINT meters_key_check CHECK (((key ~ '^[a-z][a-z0-9_]{0,62}$'::text) AND (key <> 'events'::text))),
    CONSTRAINT meters_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT meters_origin_check CHECK ((origin = ANY (ARRAY['tenant'::text, 'plan'::text]))),
    CONSTRAINT meters_pattern_check CHECK ((jsonb_typeof(pattern) = 'object'::text)),
    CONSTRAINT meters_unit_check CHECK (((length(unit) >= 1) AND (length(unit) <= 63)))
);

ALTER TABLE ONLY signalops.meters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.meters IS 'What of a tenant''s events is counted, besides their number (the meter events). Never changed, only ended: a key means the same for ever.';
COMMENT ON COLUMN signalops.meters.tenant_id IS 'Whose events it counts.';
COMMENT ON COLUMN signalops.meters.key IS 'Its name in usage, prices and limits, such as api_calls.';
COMMENT ON COLUMN signalops.meters.since IS 'The first version of the tenant''s metering in which it counts.';
COMMENT ON COLUMN signalops.meters.until IS 'The first version in which it counts no more; NULL: it counts.';
COMMENT ON COLUMN signalops.meters.name IS 'The name for people.';
COMMENT ON COLUMN signalops.meters.aggregation IS 'What is made of the events: how many, or of a field the sum, max, min, avg, latest value, or how many different ones.';
COMMENT ON COLUMN signalops.meters.field IS 'Path of the field, such as payload.bytes; NULL for count.';
COMMENT ON COLUMN signalops.meters.grammar IS 'Version of the pattern language.';
COMMENT ON COLUMN signalops.meters.pattern IS 'Which events it counts, in the language of rules.';
COMMENT ON COLUMN signalops.meters.group_by IS 'Paths of the fields by which it keeps its figures apart.';
COMMENT ON COLUMN signalops.meters.unit IS 'What it counts in, such as GB; NULL: pieces.';
COMMENT ON COLUMN signalops.meters.origin IS 'tenant: its own; plan: brought by its plan.';
COMMENT ON COLUMN signalops.meters.created_at IS 'When it was made; what was processed before is not counted.';
COMMENT ON COLUMN signalops.meters.ended_at IS 'When it ended; NULL: it counts.';

CREATE VIEW signalops.limited_meters WITH (security_invoker='true') AS
 SELECT tenant_id,
    key,
    since,
    name,
    aggregation,
    field,
    grammar,
    pattern,
    group_by
   FROM signalops.meters m
  WHERE ((until IS NULL) AND (aggregation = ANY (ARRAY['count'::text, 'sum'::text])) AND (EXISTS ( SELECT
           FROM signalops.limits l
          WHERE ((l.tenant_id = m.tenant_id) AND (l.meter = m.key) AND (COALESCE(l.soft, l.hard) IS NOT NULL)))));

COMMENT ON VIEW signalops.limited_meters IS 'The meters besides events that the API weighs incoming events by: those with a limit now, earlier, or later.';

CREATE TABLE signalops.matches (
    tenant_id uuid NOT NULL,
    event_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    outcome text DEFAULT 'notified'::text NOT NULL,
    CONSTRAINT matches_outcome_check CHECK ((outcome = ANY (ARRAY['notified'::text, 'counted'::text, 'late'::text, 'ignored'::text, 'silenced'::text, 'quiet'::text, 'cooldown'::text, 'digested'::text])))
)
PARTITION BY RANGE (event_id);

ALTER TABLE ONLY signalops.matches FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.matches IS 'Which rule, in which version, matched which event. Partitioned as events are.';
COMMENT ON COLUMN signalops.matches.tenant_id IS 'Whose event it is.';
COMMENT ON COLUMN signalops.matches.event_id IS 'The event.';
COMMENT ON COLUMN signalops.matches.rule_id IS 'The rule that matched.';
COMMENT ON COLUMN signalops.matches.rule_version IS 'The version that decided.';
COMMENT ON COLUMN signalops.matches.outcome IS 'notified: a delivery was made. counted: towards a window or absence. late, ignored: not counted (came in too late; the measured field is missing). silenced, quiet (active hours), cooldown: nobody was told. digested: is told with others.';

CREATE TABLE signalops.outlets (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    failing_since timestamp with time zone,
    opened_until timestamp with time zone,
    probe uuid,
    tokens double precision DEFAULT 0 NOT NULL,
    refilled_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.outlets FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.outlets IS 'What sending through an outlet is like: made at its first failure, or with a rate limit. Exact across workers by its row lock.';
COMMENT ON COLUMN signalops.outlets.tenant_id IS 'Whose outlet it is.';
COMMENT ON COLUMN signalops.outlets.id IS 'The channel''s id, or channels.outlet_id.';
COMMENT ON COLUMN signalops.outlets.failures IS 'Attempts in a row that failed for now; from the fifth on the circuit opens.';
COMMENT ON COLUMN signalops.outlets.failing_since IS 'When the first attempt after the last success failed; NULL: it works.';
COMMENT ON COLUMN signalops.outlets.opened_until IS 'Until when nobody calls it; then one attempt may try. NULL: the circuit is closed.';
COMMENT ON COLUMN signalops.outlets.probe IS 'The delivery that finds out whether it works again; NULL: none is on its way.';
COMMENT ON COLUMN signalops.outlets.tokens IS 'Messages that may be sent at once, as of refilled_at.';
COMMENT ON COLUMN signalops.outlets.refilled_at IS 'When the tokens were counted.';

CREATE TABLE signalops.plans (
    plan text NOT NULL,
    version integer NOT NULL,
    grammar smallint NOT NULL,
    document jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT plans_document_check CHECK ((jsonb_typeof(document) = 'object'::text)),
    CONSTRAINT plans_plan_check CHECK ((plan ~ '^[a-z][a-z0-9_-]{0,62}$'::text)),
    CONSTRAINT plans_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY signalops.plans FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.plans IS 'What the operator offers: fees, prices, meters and limits. Of the operator and no tenant: only the owner reads it.';
COMMENT ON COLUMN signalops.plans.plan IS 'The name for command lines, such as pro.';
COMMENT ON COLUMN signalops.plans.version IS 'From 1; whoever has an older one keeps it until subscribed anew.';
COMMENT ON COLUMN signalops.plans.grammar IS 'Version of the pattern language of its meters.';
COMMENT ON COLUMN signalops.plans.document IS 'name, currency, baseFee, meters, prices and limits, as PlanDocument (signalops/usage/plans/model.py) checks and writes them.';
COMMENT ON COLUMN signalops.plans.created_at IS 'When it was made.';

CREATE TABLE signalops.quotas (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    accepted numeric DEFAULT 0 NOT NULL,
    meter text DEFAULT 'events'::text NOT NULL,
    told jsonb DEFAULT '{}'::jsonb NOT NULL,
    calm_until numeric DEFAULT 0 NOT NULL,
    scales bigint DEFAULT 0 NOT NULL,
    CONSTRAINT quotas_accepted_check CHECK (((accepted >= (0)::numeric) AND (accepted < 'Infinity'::numeric))),
    CONSTRAINT quotas_period_check CHECK ((EXTRACT(day FROM period) = (1)::numeric)),
    CONSTRAINT quotas_told_check CHECK ((jsonb_typeof(told) = 'object'::text))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.quotas FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.quotas IS 'What was accepted in a month of each limited meter and of events, counted in the accepting transaction: the limit is exact across processes.';
COMMENT ON COLUMN signalops.quotas.tenant_id IS 'Whose count it is.';
COMMENT ON COLUMN signalops.quotas.period IS 'First day of the calendar month, in the tenant''s time zone.';
COMMENT ON COLUMN signalops.quotas.accepted IS 'The amount accepted; duplicates, refusals and operational events do not count.';
COMMENT ON COLUMN signalops.quotas.meter IS 'The meter''s key.';
COMMENT ON COLUMN signalops.quotas.told IS 'The amounts of which the tenant was told, by what they are: {"50": 60000, "soft": 100000, "hard": 120000}, where 50 is a threshold.';
COMMENT ON COLUMN signalops.quotas.calm_until IS 'As long as accepted stays below it there is nothing to tell or to refuse, and accept looks at nothing else; 0: it has to find out.';
COMMENT ON COLUMN signalops.quotas.scales IS 'The version of tenants.scales that it is counted by; a row that was left behind, since its meter had no limit, begins anew from usage_counters.';

CREATE TABLE signalops.replays (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    reason text NOT NULL,
    rules uuid[],
    events integer NOT NULL,
    batches uuid[] NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT replays_events_check CHECK ((events >= 0)),
    CONSTRAINT replays_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.replays FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.replays IS 'Past events that were run through the rules anew, on purpose.';
COMMENT ON COLUMN signalops.replays.tenant_id IS 'Whose events they are.';
COMMENT ON COLUMN signalops.replays.id IS 'UUIDv7; deliveries name it.';
COMMENT ON COLUMN signalops.replays.reason IS 'Why, for those who wonder about the second notification.';
COMMENT ON COLUMN signalops.replays.rules IS 'Only these rules decide; NULL: all.';
COMMENT ON COLUMN signalops.replays.events IS 'How many events were put into the inbox.';
COMMENT ON COLUMN signalops.replays.batches IS 'In these batches; the events themselves keep the batch that they came with.';
COMMENT ON COLUMN signalops.replays.requested_at IS 'When it was asked for.';

CREATE TABLE signalops.rule_groups (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    since integer NOT NULL,
    group_key text NOT NULL,
    labels jsonb NOT NULL,
    seen_at timestamp with time zone,
    told tstzmultirange DEFAULT '{}'::tstzmultirange NOT NULL,
    quiet_until timestamp with time zone,
    due_at timestamp with time zone,
    forget_at timestamp with time zone NOT NULL,
    depth smallint DEFAULT 0 NOT NULL
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.rule_groups FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rule_groups IS 'What a rule remembers of each of its groups. Its row lock makes many workers count as one.';
COMMENT ON COLUMN signalops.rule_groups.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.rule_groups.rule_id IS 'The rule.';
COMMENT ON COLUMN signalops.rule_groups.since IS 'The state''s version: rule_versions.since.';
COMMENT ON COLUMN signalops.rule_groups.group_key IS 'The JSON list of the values of the fields it groups by, or its hash; []: the rule does not group.';
COMMENT ON COLUMN signalops.rule_groups.labels IS 'The same values by field, for people.';
COMMENT ON COLUMN signalops.rule_groups.seen_at IS 'The latest event time of a match; NULL: none since the rule was enabled.';
COMMENT ON COLUMN signalops.rule_groups.told IS 'The stretches of event time for which a window was reached and told: what joins one of them is not told again.';
COMMENT ON COLUMN signalops.rule_groups.quiet_until IS 'Until when the cooldown lasts.';
COMMENT ON COLUMN signalops.rule_groups.due_at IS 'When an absence is told, unless something matches before; NULL: was told, or the rule has none.';
COMMENT ON COLUMN signalops.rule_groups.forget_at IS 'When nothing that it remembers can matter any more.';
COMMENT ON COLUMN signalops.rule_groups.depth IS 'The depth of the latest match (see events.depth): the notice of an absence is one deeper.';

CREATE TABLE signalops.rule_versions (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    version integer NOT NULL,
    grammar smallint NOT NULL,
    pattern jsonb NOT NULL,
    channel_id uuid NOT NULL,
    template jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    since integer DEFAULT 1 NOT NULL,
    conditions integer DEFAULT 1 NOT NULL,
    severity text DEFAULT 'info'::text NOT NULL,
    time_window jsonb,
    absent jsonb,
    cooldown jsonb,
    digest jsonb,
    active_hours jsonb,
    CONSTRAINT rule_versions_check CHECK (((since >= 1) AND (since <= version))),
    CONSTRAINT rule_versions_check1 CHECK (((absent IS NULL) OR (time_window IS NULL))),
    CONSTRAINT rule_versions_conditions_check CHECK ((conditions > 0)),
    CONSTRAINT rule_versions_severity_check CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'error'::text, 'critical'::text]))),
    CONSTRAINT rule_versions_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY signalops.rule_versions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rule_versions IS 'What a rule said, version by version; a version never changes, and every match names the one that decided it.';
COMMENT ON COLUMN signalops.rule_versions.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.rule_versions.rule_id IS 'The rule.';
COMMENT ON COLUMN signalops.rule_versions.version IS '1, 2, 3 ...';
COMMENT ON COLUMN signalops.rule_versions.grammar IS 'The grammar that the pattern is written in: 1 = field path to value, 2 = event patterns. Upgraded when read.';
COMMENT ON COLUMN signalops.rule_versions.pattern IS 'The condition, as it was written.';
COMMENT ON COLUMN signalops.rule_versions.channel_id IS 'The action: the channel to notify.';
COMMENT ON COLUMN signalops.rule_versions.template IS 'The action: {subject, body} in Liquid; what is missing gets a default.';
COMMENT ON COLUMN signalops.rule_versions.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.rule_versions.since IS 'The version from which pattern, time_window and absent have stood as they do: what was counted since then still counts.';
COMMENT ON COLUMN signalops.rule_versions.conditions IS 'How many conditions the pattern has once every $or is expanded: what it costs to hold it compiled.';
COMMENT ON COLUMN signalops.rule_versions.severity IS 'info, warning, error or critical: how urgent a notification is.';
COMMENT ON COLUMN signalops.rule_versions.time_window IS 'Fires once when enough happens within a time: {count | sum | distinct, within, groupBy, lateness}; NULL: on each match.';
COMMENT ON COLUMN signalops.rule_versions.absent IS 'Fires when nothing matches for a time: {after, groupBy, lateness}; NULL: on matches.';
COMMENT ON COLUMN signalops.rule_versions.cooldown IS 'After a notification none for a time, per group: {for, groupBy}; NULL: none.';
COMMENT ON COLUMN signalops.rule_versions.digest IS 'Matches are collected and told together: {every} or {at, timeZone}; NULL: at once.';
COMMENT ON COLUMN signalops.rule_versions.active_hours IS 'When notifications go out: {timeZone, days, from, to, otherwise}; NULL: at any time.';

CREATE TABLE signalops.rules (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    name text NOT NULL,
    active_version integer NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    enabled_at timestamp with time zone,
    deleted_at timestamp with time zone,
    CONSTRAINT rules_active_version_check CHECK ((active_version > 0)),
    CONSTRAINT rules_check CHECK (((deleted_at IS NULL) OR (NOT enabled))),
    CONSTRAINT rules_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

ALTER TABLE ONLY signalops.rules FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rules IS 'A tenant''s rules; what a rule says stands in its versions.';
COMMENT ON COLUMN signalops.rules.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.rules.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.rules.name IS 'What the tenant calls it.';
COMMENT ON COLUMN signalops.rules.active_version IS 'The version that decides now.';
COMMENT ON COLUMN signalops.rules.enabled IS 'false: it is not evaluated.';
COMMENT ON COLUMN signalops.rules.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.rules.updated_at IS 'When it was changed last.';
COMMENT ON COLUMN signalops.rules.enabled_at IS 'When it was enabled again; NULL: it was never disabled.';
COMMENT ON COLUMN signalops.rules.deleted_at IS 'When it was deleted; NULL: it is not. The row stays, since matches name its versions; its name is free again.';

CREATE TABLE signalops.rulesets (
    tenant_id uuid NOT NULL,
    version bigint DEFAULT 1 NOT NULL
);

ALTER TABLE ONLY signalops.rulesets FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.rulesets IS 'How often a tenant''s rules changed: a worker''s compiled rules hold for one value only.';
COMMENT ON COLUMN signalops.rulesets.tenant_id IS 'Whose rules they are.';
COMMENT ON COLUMN signalops.rulesets.version IS 'Counted up in the transaction of each change.';

CREATE TABLE signalops.silences (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    grammar smallint NOT NULL,
    pattern jsonb NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT silences_check CHECK ((starts_at < ends_at)),
    CONSTRAINT silences_reason_check CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

ALTER TABLE ONLY signalops.silences FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.silences IS 'Times in which matches of some events notify nobody. They are evaluated and counted all the same.';
COMMENT ON COLUMN signalops.silences.tenant_id IS 'Whose silence it is.';
COMMENT ON COLUMN signalops.silences.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.silences.grammar IS 'The grammar that the pattern is written in.';
COMMENT ON COLUMN signalops.silences.pattern IS 'Which events: a pattern as rules have it.';
COMMENT ON COLUMN signalops.silences.starts_at IS 'From when on.';
COMMENT ON COLUMN signalops.silences.ends_at IS 'Until when; ended early, it is set to that moment.';
COMMENT ON COLUMN signalops.silences.reason IS 'Why, for those who wonder where their notification is.';
COMMENT ON COLUMN signalops.silences.created_at IS 'When it was made.';

CREATE TABLE signalops.suppressions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    address text NOT NULL,
    reason text NOT NULL,
    detail text,
    delivery_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT suppressions_address_check CHECK (((address = lower(address)) AND (length(address) <= 254))),
    CONSTRAINT suppressions_detail_check CHECK ((length(detail) <= 500)),
    CONSTRAINT suppressions_reason_check CHECK ((reason = ANY (ARRAY['bounce'::text, 'complaint'::text])))
);

ALTER TABLE ONLY signalops.suppressions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.suppressions IS 'Addresses that a tenant''s mail is not sent to any more: they do not exist, or called it spam. Who writes on loses his name as a sender.';
COMMENT ON COLUMN signalops.suppressions.tenant_id IS 'Whose mail it is.';
COMMENT ON COLUMN signalops.suppressions.id IS 'UUIDv7.';
COMMENT ON COLUMN signalops.suppressions.address IS 'The address, in lower case.';
COMMENT ON COLUMN signalops.suppressions.reason IS 'bounce: there is no such mailbox; complaint: the recipient reported the mail as spam.';
COMMENT ON COLUMN signalops.suppressions.detail IS 'What the recipient''s server said.';
COMMENT ON COLUMN signalops.suppressions.delivery_id IS 'The delivery that it came of.';
COMMENT ON COLUMN signalops.suppressions.created_at IS 'When it was heard of.';

CREATE TABLE signalops.tenants (
    id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    metering bigint DEFAULT 0 NOT NULL,
    closed_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    scales bigint DEFAULT 0 NOT NULL,
    CONSTRAINT tenants_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT tenants_slug_check CHECK ((slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'::text)),
    CONSTRAINT tenants_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'closed'::text]))),
    CONSTRAINT tenants_time_zone_check CHECK (signalops.is_time_zone(time_zone))
);

ALTER TABLE ONLY signalops.tenants FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.tenants IS 'A customer of the installation. Everything else hangs on its id.';
COMMENT ON COLUMN signalops.tenants.id IS 'UUIDv7; the tenant_id of every other table.';
COMMENT ON COLUMN signalops.tenants.slug IS 'The name for command lines and log lines; unique, but no tenant can list or probe it.';
COMMENT ON COLUMN signalops.tenants.name IS 'The name for people.';
COMMENT ON COLUMN signalops.tenants.status IS 'active; suspended or closed: requests are refused, what was accepted before is still processed.';
COMMENT ON COLUMN signalops.tenants.created_at IS 'When it was made.';
COMMENT ON COLUMN signalops.tenants.time_zone IS 'IANA time zone in which its days and billing periods begin; fixed once something is counted.';
COMMENT ON COLUMN signalops.tenants.metering IS 'Version of its meters: 0 until it has any, and one more with each change.';
COMMENT ON COLUMN signalops.tenants.closed_until IS 'End of the last billing period that is closed: what happened before and is counted from now on is late, and billed in the open period.';
COMMENT ON COLUMN signalops.tenants.scales IS 'Version of its limited meters besides events, by which the API weighs what comes in: 0 until there are any, for most for ever.';

CREATE TABLE signalops.usage_entries (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    period date NOT NULL,
    id uuid NOT NULL,
    batch uuid NOT NULL,
    hour timestamp with time zone NOT NULL,
    grp text NOT NULL,
    is_late boolean NOT NULL,
    events integer NOT NULL,
    value numeric,
    latest_at timestamp with time zone,
    latest_event uuid,
    event_ids uuid[] NOT NULL,
    CONSTRAINT usage_entries_events_check CHECK ((events > 0))
)
PARTITION BY RANGE (id);

ALTER TABLE ONLY signalops.usage_entries FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_entries IS 'The ledger of usage: what each batch added to each counter, and of which events. Partitioned by month of the id, which is a UUIDv7.';
COMMENT ON COLUMN signalops.usage_entries.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_entries.meter IS 'The meter''s key; events: all events.';
COMMENT ON COLUMN signalops.usage_entries.period IS 'The billing period that it is billed in, by its first day.';
COMMENT ON COLUMN signalops.usage_entries.id IS 'UUIDv7 made by the worker that processed the batch.';
COMMENT ON COLUMN signalops.usage_entries.batch IS 'The batch in which the events were processed.';
COMMENT ON COLUMN signalops.usage_entries.hour IS 'Start of the hour in which the events happened, in the tenant''s time zone.';
COMMENT ON COLUMN signalops.usage_entries.grp IS 'The group, as the JSON list of the values of the meter''s group_by; [] when it has none.';
COMMENT ON COLUMN signalops.usage_entries.is_late IS 'Whether the period in which the events happened was closed already.';
COMMENT ON COLUMN signalops.usage_entries.events IS 'How many events.';
COMMENT ON COLUMN signalops.usage_entries.value IS 'Their number (count), sum (sum, avg), extreme (max, min) or latest value; NULL for unique_count.';
COMMENT ON COLUMN signalops.usage_entries.latest_at IS 'When the latest of them happened; NULL but for latest.';
COMMENT ON COLUMN signalops.usage_entries.latest_event IS 'The latest of them; NULL but for latest.';
COMMENT ON COLUMN signalops.usage_entries.event_ids IS 'The events.';

CREATE TABLE signalops.usage_items (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    hour timestamp with time zone NOT NULL,
    grp text NOT NULL,
    period date NOT NULL,
    item text NOT NULL
);

ALTER TABLE ONLY signalops.usage_items FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_items IS 'The different values that a meter of unique_count has met, by hour: those of a day or a month are not the sum of the hours''.';
COMMENT ON COLUMN signalops.usage_items.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_items.meter IS 'The meter''s key.';
COMMENT ON COLUMN signalops.usage_items.hour IS 'As of the counter.';
COMMENT ON COLUMN signalops.usage_items.grp IS 'As of the counter.';
COMMENT ON COLUMN signalops.usage_items.period IS 'As of the counter.';
COMMENT ON COLUMN signalops.usage_items.item IS 'The value as JSON; long ones as their SHA-256.';

CREATE TABLE signalops.usage_seals (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    digest bytea NOT NULL,
    previous bytea,
    days integer NOT NULL,
    sealed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT usage_seals_days_check CHECK ((days >= 0)),
    CONSTRAINT usage_seals_digest_check CHECK ((length(digest) = 32)),
    CONSTRAINT usage_seals_previous_check CHECK ((length(previous) = 32))
);

ALTER TABLE ONLY signalops.usage_seals FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_seals IS 'A hash chain over the sealed figures, a link for each closed period: who changes a figure must forge all that follow.';
COMMENT ON COLUMN signalops.usage_seals.tenant_id IS 'Whose chain it is.';
COMMENT ON COLUMN signalops.usage_seals.period IS 'The period that is sealed.';
COMMENT ON COLUMN signalops.usage_seals.digest IS 'SHA-256 of the previous digest and the period''s figures: see signalops.digest_days.';
COMMENT ON COLUMN signalops.usage_seals.previous IS 'The digest of the period before; NULL: it is the first.';
COMMENT ON COLUMN signalops.usage_seals.days IS 'How many rows of usage_days it covers.';
COMMENT ON COLUMN signalops.usage_seals.sealed_at IS 'When.';

CREATE TABLE signalops.window_events (
    tenant_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    since integer NOT NULL,
    group_key text NOT NULL,
    at timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    weight numeric NOT NULL,
    item text
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.window_events FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.window_events IS 'The matches that rules'' windows hold: as long as one of them, or one that comes in late, may need it.';
COMMENT ON COLUMN signalops.window_events.tenant_id IS 'Whose rule it is.';
COMMENT ON COLUMN signalops.window_events.rule_id IS 'The rule.';
COMMENT ON COLUMN signalops.window_events.since IS 'As in rule_groups.';
COMMENT ON COLUMN signalops.window_events.group_key IS 'As in rule_groups.';
COMMENT ON COLUMN signalops.window_events.at IS 'Event time: when it occurred, but not after it came in.';
COMMENT ON COLUMN signalops.window_events.event_id IS 'The event.';
COMMENT ON COLUMN signalops.window_events.weight IS 'What it adds: 1, or the measured number of a sum.';
COMMENT ON COLUMN signalops.window_events.item IS 'The measured value where distinct ones count, as canonical JSON or its hash; else NULL.';

ALTER TABLE ONLY signalops.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.backtests
    ADD CONSTRAINT backtests_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.batches
    ADD CONSTRAINT batches_pkey PRIMARY KEY (tenant_id, batch);

ALTER TABLE ONLY signalops.billing_periods
    ADD CONSTRAINT billing_periods_pkey PRIMARY KEY (tenant_id, period);

ALTER TABLE ONLY signalops.channel_queues
    ADD CONSTRAINT channel_queues_pkey PRIMARY KEY (tenant_id, channel_id);

ALTER TABLE ONLY signalops.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.credit_entries
    ADD CONSTRAINT credit_entries_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.credit_grants
    ADD CONSTRAINT credit_grants_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.delivery_attempts
    ADD CONSTRAINT delivery_attempts_pkey PRIMARY KEY (tenant_id, delivery_id, attempt);

ALTER TABLE ONLY signalops.digests
    ADD CONSTRAINT digests_pkey PRIMARY KEY (tenant_id, rule_id);

ALTER TABLE ONLY signalops.event_schemas
    ADD CONSTRAINT event_schemas_pkey PRIMARY KEY (tenant_id, type);

ALTER TABLE ONLY signalops.event_types
    ADD CONSTRAINT event_types_pkey PRIMARY KEY (tenant_id, type);

ALTER TABLE ONLY signalops.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key);

ALTER TABLE ONLY signalops.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (tenant_id, event_id);

ALTER TABLE ONLY signalops.invoice_lines
    ADD CONSTRAINT invoice_lines_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.invoice_lines
    ADD CONSTRAINT invoice_lines_tenant_id_invoice_id_position_key UNIQUE (tenant_id, invoice_id, "position");

ALTER TABLE ONLY signalops.invoice_numbers
    ADD CONSTRAINT invoice_numbers_pkey PRIMARY KEY (series);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_tenant_id_kind_number_key UNIQUE (tenant_id, kind, number);

ALTER TABLE ONLY signalops.limits
    ADD CONSTRAINT limits_pkey PRIMARY KEY (tenant_id, meter, origin, starts_on);

ALTER TABLE ONLY signalops.matches
    ADD CONSTRAINT matches_pkey PRIMARY KEY (tenant_id, event_id, rule_id);

ALTER TABLE ONLY signalops.meters
    ADD CONSTRAINT meters_pkey PRIMARY KEY (tenant_id, key, since);

ALTER TABLE ONLY signalops.outlets
    ADD CONSTRAINT outlets_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (plan, version);

ALTER TABLE ONLY signalops.quotas
    ADD CONSTRAINT quotas_pkey PRIMARY KEY (tenant_id, period, meter);

ALTER TABLE ONLY signalops.replays
    ADD CONSTRAINT replays_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.rule_groups
    ADD CONSTRAINT rule_groups_pkey PRIMARY KEY (tenant_id, rule_id, since, group_key);

ALTER TABLE ONLY signalops.rule_versions
    ADD CONSTRAINT rule_versions_pkey PRIMARY KEY (tenant_id, rule_id, version);

ALTER TABLE ONLY signalops.rules
    ADD CONSTRAINT rules_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.rulesets
    ADD CONSTRAINT rulesets_pkey PRIMARY KEY (tenant_id);

ALTER TABLE ONLY signalops.silences
    ADD CONSTRAINT silences_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.subscriptions
    ADD CONSTRAINT subscriptions_tenant_id_starts_on_key UNIQUE (tenant_id, starts_on);

ALTER TABLE ONLY signalops.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.suppressions
    ADD CONSTRAINT suppressions_tenant_id_address_key UNIQUE (tenant_id, address);

ALTER TABLE ONLY signalops.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY signalops.tenants
    ADD CONSTRAINT tenants_slug_key UNIQUE (slug);

ALTER TABLE ONLY signalops.usage_adjustments
    ADD CONSTRAINT usage_adjustments_by_key UNIQUE (tenant_id, idempotency_key);

ALTER TABLE ONLY signalops.usage_adjustments
    ADD CONSTRAINT usage_adjustments_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.usage_counters
    ADD CONSTRAINT usage_counters_pkey PRIMARY KEY (tenant_id, meter, hour, grp, period);

ALTER TABLE ONLY signalops.usage_days
    ADD CONSTRAINT usage_days_pkey PRIMARY KEY (tenant_id, period, day, meter, grp);

ALTER TABLE ONLY signalops.usage_entries
    ADD CONSTRAINT usage_entries_pkey PRIMARY KEY (tenant_id, meter, period, id);

ALTER TABLE ONLY signalops.usage_items
    ADD CONSTRAINT usage_items_pkey PRIMARY KEY (tenant_id, meter, hour, grp, period, item);

ALTER TABLE ONLY signalops.usage_seals
    ADD CONSTRAINT usage_seals_pkey PRIMARY KEY (tenant_id, period);

ALTER TABLE ONLY signalops.window_events
    ADD CONSTRAINT window_events_pkey PRIMARY KEY (tenant_id, rule_id, since, group_key, at, event_id);

CREATE INDEX api_keys_by_prefix ON signalops.api_keys USING btree (prefix);

CREATE UNIQUE INDEX api_keys_by_replaced ON signalops.api_keys USING btree (tenant_id, replaces) WHERE (replaces IS NOT NULL);

CREATE INDEX billing_periods_open ON signalops.billing_periods USING btree (tenant_id, period) WHERE (closed_at IS NULL);

CREATE INDEX channel_queues_by_due ON signalops.channel_queues USING btree (next_due_at) WHERE (next_due_at IS NOT NULL);

CREATE INDEX channels_by_id ON signalops.channels USING btree (id);

CREATE UNIQUE INDEX channels_by_name ON signalops.channels USING btree (tenant_id, name) WHERE (deleted_at IS NULL);

CREATE INDEX credit_entries_by_grant ON signalops.credit_entries USING btree (tenant_id, grant_id);

CREATE INDEX credit_entries_by_invoice ON signalops.credit_entries USING btree (tenant_id, invoice_id) WHERE (invoice_id IS NOT NULL);

CREATE INDEX credit_grants_expiring ON signalops.credit_grants USING btree (expires_at) WHERE (remaining > (0)::numeric);

CREATE INDEX credit_grants_remaining ON signalops.credit_grants USING btree (tenant_id, currency) WHERE (remaining > (0)::numeric);

CREATE INDEX dead_letters_by_channel ON signalops.dead_letters USING btree (tenant_id, channel_id, died_at DESC, id DESC) WHERE (ended_at IS NULL);

CREATE INDEX dead_letters_by_kind ON signalops.dead_letters USING btree (tenant_id, kind, died_at DESC, id DESC) WHERE (ended_at IS NULL);

CREATE INDEX dead_letters_by_rule ON signalops.dead_letters USING btree (tenant_id, rule_id, died_at DESC, id DESC) WHERE (ended_at IS NULL);

CREATE INDEX dead_letters_open ON signalops.dead_letters USING btree (tenant_id, died_at DESC, id DESC) WHERE (ended_at IS NULL);

CREATE INDEX deliveries_by_event ON ONLY signalops.deliveries USING btree (tenant_id, event_id);

CREATE INDEX deliveries_by_provider ON ONLY signalops.deliveries USING btree (tenant_id, channel_id, provider_id) WHERE (provider_id IS NOT NULL);

CREATE INDEX deliveries_by_replay ON ONLY signalops.deliveries USING btree (tenant_id, replay_id) WHERE (replay_id IS NOT NULL);

CREATE INDEX deliveries_by_rule ON ONLY signalops.deliveries USING btree (tenant_id, rule_id, channel_id, status, id);

CREATE INDEX deliveries_by_turn ON ONLY signalops.deliveries USING btree (tenant_id, channel_id, next_attempt_at) WHERE (next_attempt_at IS NOT NULL);

CREATE INDEX deliveries_in_hand ON ONLY signalops.deliveries USING btree (updated_at) WHERE ((status = ANY (ARRAY['pending'::text, 'sending'::text])) AND (next_attempt_at IS NULL));

CREATE INDEX digests_by_due ON signalops.digests USING btree (due_at);

CREATE INDEX events_by_type ON ONLY signalops.events USING btree (tenant_id, type, id);

CREATE INDEX inbox_by_batch ON signalops.inbox USING btree (batch);

CREATE INDEX invoices_by_corrected ON signalops.invoices USING btree (tenant_id, corrects) WHERE (corrects IS NOT NULL);

CREATE UNIQUE INDEX invoices_by_period ON signalops.invoices USING btree (tenant_id, period, currency) WHERE ((kind = 'invoice'::text) AND (voided_at IS NULL));

CREATE UNIQUE INDEX meters_active ON signalops.meters USING btree (tenant_id, key) WHERE (until IS NULL);

CREATE INDEX rule_groups_by_due ON signalops.rule_groups USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX rule_groups_by_forget ON signalops.rule_groups USING btree (forget_at);

CREATE UNIQUE INDEX rules_by_name ON signalops.rules USING btree (tenant_id, name) WHERE (deleted_at IS NULL);

CREATE INDEX usage_adjustments_by_meter ON signalops.usage_adjustments USING btree (tenant_id, meter, hour);

CREATE INDEX usage_counters_late ON signalops.usage_counters USING btree (tenant_id, period, meter) WHERE is_late;

CREATE TRIGGER announce_key_change AFTER DELETE OR UPDATE OF tenant_id, id, prefix, hash, scopes, allowed_cidrs, expires_at, revoked_at ON signalops.api_keys FOR EACH STATEMENT EXECUTE FUNCTION signalops.announce_key_change();

COMMENT ON TRIGGER announce_key_change ON signalops.api_keys IS 'A revoked key is refused at once everywhere.';

CREATE TRIGGER announce_key_change AFTER DELETE OR UPDATE OF status ON signalops.tenants FOR EACH STATEMENT EXECUTE FUNCTION signalops.announce_key_change();

COMMENT ON TRIGGER announce_key_change ON signalops.tenants IS 'A suspended tenant is refused at once everywhere.';

CREATE TRIGGER announce_schema_change AFTER INSERT OR DELETE OR UPDATE ON signalops.event_schemas FOR EACH ROW EXECUTE FUNCTION signalops.announce_schema_change();

COMMENT ON TRIGGER announce_schema_change ON signalops.event_schemas IS 'A change is live in every API process at once.';

CREATE CONSTRAINT TRIGGER arm_absence AFTER INSERT OR UPDATE OF enabled, active_version ON signalops.rules DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION signalops.arm_absence();

COMMENT ON TRIGGER arm_absence ON signalops.rules IS 'A dead man''s switch runs from the moment its rule is enabled.';

CREATE TRIGGER bump_ruleset AFTER INSERT OR DELETE OR UPDATE ON signalops.rules FOR EACH ROW EXECUTE FUNCTION signalops.bump_ruleset();

COMMENT ON TRIGGER bump_ruleset ON signalops.rules IS 'No worker evaluates the rules of before the change in a batch that it takes after it.';

CREATE TRIGGER bump_ruleset AFTER INSERT OR DELETE OR UPDATE ON signalops.silences FOR EACH ROW EXECUTE FUNCTION signalops.bump_ruleset();

COMMENT ON TRIGGER bump_ruleset ON signalops.silences IS 'A silence holds from the next batch on, as a change of a rule does.';

CREATE TRIGGER check_limit BEFORE INSERT OR UPDATE ON signalops.limits FOR EACH ROW EXECUTE FUNCTION signalops.check_limit();

COMMENT ON TRIGGER check_limit ON signalops.limits IS 'A limit is of events, or of a meter that counts or sums.';

CREATE TRIGGER check_way BEFORE UPDATE OF status ON signalops.deliveries FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION signalops.check_way();

COMMENT ON TRIGGER check_way ON signalops.deliveries IS 'No late callback and no second worker takes a delivery back.';

CREATE TRIGGER fix_time_zone BEFORE UPDATE OF time_zone ON signalops.tenants FOR EACH ROW WHEN ((new.time_zone <> old.time_zone)) EXECUTE FUNCTION signalops.fix_time_zone();

COMMENT ON TRIGGER fix_time_zone ON signalops.tenants IS 'An hour that was counted in one time zone may not exist in another.';

CREATE TRIGGER forget_failures AFTER UPDATE OF enabled ON signalops.channels FOR EACH ROW WHEN ((new.enabled AND (NOT old.enabled))) EXECUTE FUNCTION signalops.forget_failures();

COMMENT ON TRIGGER forget_failures ON signalops.channels IS 'What failed for days may not disable it at once again.';

CREATE TRIGGER move_credit AFTER INSERT ON signalops.credit_entries FOR EACH ROW EXECUTE FUNCTION signalops.move_credit();

COMMENT ON TRIGGER move_credit ON signalops.credit_entries IS 'What remains is what the entries add up to, whoever writes them.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.credit_entries FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('grant more, or void the invoice that burned it');

COMMENT ON TRIGGER refuse_change ON signalops.credit_entries IS 'The ledger is only added to.';

CREATE TRIGGER refuse_change BEFORE UPDATE ON signalops.credit_grants FOR EACH ROW WHEN (((to_jsonb(new.*) - 'remaining'::text) <> (to_jsonb(old.*) - 'remaining'::text))) EXECUTE FUNCTION signalops.refuse_change('grant more, or have an invoice burn it');

COMMENT ON TRIGGER refuse_change ON signalops.credit_grants IS 'What was granted stays as it was; only what remains of it moves.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.invoice_lines FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('void its invoice, or issue a credit note');

COMMENT ON TRIGGER refuse_change ON signalops.invoice_lines IS 'A line stays as it was issued.';

CREATE TRIGGER refuse_change BEFORE UPDATE ON signalops.invoices FOR EACH ROW WHEN (((old.voided_at IS NOT NULL) OR ((to_jsonb(new.*) - '{voided_at,void_reason,voided_by}'::text[]) <> (to_jsonb(old.*) - '{voided_at,void_reason,voided_by}'::text[])))) EXECUTE FUNCTION signalops.refuse_change('void it once, or issue a credit note');

COMMENT ON TRIGGER refuse_change ON signalops.invoices IS 'An invoice stays as it was issued; it can be voided, once.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.plans FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('make a new version of the plan');

COMMENT ON TRIGGER refuse_change ON signalops.plans IS 'A version of a plan says the same for ever.';

CREATE TRIGGER refuse_change BEFORE UPDATE ON signalops.subscriptions FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('subscribe the tenant anew');

COMMENT ON TRIGGER refuse_change ON signalops.subscriptions IS 'By these terms it was billed. Deleted are those that have not begun to count: see subscribe.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.usage_days FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('adjust the usage, which the open period bills');

COMMENT ON TRIGGER refuse_change ON signalops.usage_days IS 'A sealed figure stays as it was.';

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON signalops.usage_seals FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('adjust the usage, which the open period bills');

COMMENT ON TRIGGER refuse_change ON signalops.usage_seals IS 'The chain is only added to.';

CREATE TRIGGER refuse_deletion BEFORE DELETE ON signalops.credit_grants FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('let it expire');

COMMENT ON TRIGGER refuse_deletion ON signalops.credit_grants IS 'What was granted stays on record.';

CREATE TRIGGER refuse_deletion BEFORE DELETE ON signalops.invoices FOR EACH ROW EXECUTE FUNCTION signalops.refuse_change('void it once, or issue a credit note');

COMMENT ON TRIGGER refuse_deletion ON signalops.invoices IS 'Numbers have no gaps: a voided invoice stays on record.';

CREATE TRIGGER subscribe_to_free AFTER INSERT ON signalops.tenants FOR EACH ROW EXECUTE FUNCTION signalops.subscribe_to_free();

COMMENT ON TRIGGER subscribe_to_free ON signalops.tenants IS 'Every tenant has a plan from its first day on.';

CREATE TRIGGER version_limit AFTER INSERT OR DELETE OR UPDATE ON signalops.limits FOR EACH ROW EXECUTE FUNCTION signalops.version_limit();

COMMENT ON TRIGGER version_limit ON signalops.limits IS 'What is accepted after the commit is held against the new limit.';

CREATE TRIGGER version_limited_meter AFTER INSERT OR UPDATE ON signalops.meters FOR EACH ROW EXECUTE FUNCTION signalops.version_limited_meter();

COMMENT ON TRIGGER version_limited_meter ON signalops.meters IS 'The API weighs by the meters that count.';

CREATE TRIGGER version_meter BEFORE INSERT OR UPDATE ON signalops.meters FOR EACH ROW EXECUTE FUNCTION signalops.version_meter();

COMMENT ON TRIGGER version_meter ON signalops.meters IS 'A figure of last year means what it meant then.';

CREATE TRIGGER write_letter BEFORE INSERT ON signalops.dead_letters FOR EACH ROW EXECUTE FUNCTION signalops.write_letter();

COMMENT ON TRIGGER write_letter ON signalops.dead_letters IS 'A letter can be found by rule and channel.';

ALTER TABLE ONLY signalops.api_keys
    ADD CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.api_keys
    ADD CONSTRAINT api_keys_tenant_id_replaces_fkey FOREIGN KEY (tenant_id, replaces) REFERENCES signalops.api_keys(tenant_id, id);

ALTER TABLE ONLY signalops.backtests
    ADD CONSTRAINT backtests_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.billing_periods
    ADD CONSTRAINT billing_periods_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id);

ALTER TABLE ONLY signalops.channels
    ADD CONSTRAINT channels_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.credit_entries
    ADD CONSTRAINT credit_entries_tenant_id_grant_id_fkey FOREIGN KEY (tenant_id, grant_id) REFERENCES signalops.credit_grants(tenant_id, id);

ALTER TABLE ONLY signalops.credit_grants
    ADD CONSTRAINT credit_grants_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id);

ALTER TABLE ONLY signalops.event_schemas
    ADD CONSTRAINT event_schemas_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.invoice_lines
    ADD CONSTRAINT invoice_lines_tenant_id_invoice_id_fkey FOREIGN KEY (tenant_id, invoice_id) REFERENCES signalops.invoices(tenant_id, id);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_tenant_id_corrects_fkey FOREIGN KEY (tenant_id, corrects) REFERENCES signalops.invoices(tenant_id, id);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id);

ALTER TABLE ONLY signalops.invoices
    ADD CONSTRAINT invoices_tenant_id_period_fkey FOREIGN KEY (tenant_id, period) REFERENCES signalops.billing_periods(tenant_id, period);

ALTER TABLE ONLY signalops.limits
    ADD CONSTRAINT limits_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.meters
    ADD CONSTRAINT meters_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.replays
    ADD CONSTRAINT replays_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.rule_versions
    ADD CONSTRAINT rule_versions_tenant_id_channel_id_fkey FOREIGN KEY (tenant_id, channel_id) REFERENCES signalops.channels(tenant_id, id);

ALTER TABLE ONLY signalops.rule_versions
    ADD CONSTRAINT rule_versions_tenant_id_rule_id_fkey FOREIGN KEY (tenant_id, rule_id) REFERENCES signalops.rules(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.rules
    ADD CONSTRAINT rules_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.rulesets
    ADD CONSTRAINT rulesets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.silences
    ADD CONSTRAINT silences_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.subscriptions
    ADD CONSTRAINT subscriptions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.suppressions
    ADD CONSTRAINT suppressions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.usage_adjustments
    ADD CONSTRAINT usage_adjustments_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.usage_seals
    ADD CONSTRAINT usage_seals_tenant_id_period_fkey FOREIGN KEY (tenant_id, period) REFERENCES signalops.billing_periods(tenant_id, period);

ALTER TABLE signalops.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.backtests ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.batches ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.billing_periods ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.channel_queues ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.channels ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.credit_entries ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.credit_grants ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.dead_letters ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.deliveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.delivery_attempts ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.digests ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.event_schemas ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.event_types ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.events ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.inbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.invoice_lines ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.invoice_numbers ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.invoices ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.limits ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.matches ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.meters ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.outlets ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON signalops.api_keys USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.api_keys IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.backtests USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.backtests IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.batches USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.batches IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.billing_periods USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.billing_periods IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.channel_queues USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.channel_queues IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.channels USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.channels IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.credit_entries USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.credit_entries IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.credit_grants USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.credit_grants IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.dead_letters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.dead_letters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.deliveries USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.deliveries IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.delivery_attempts USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.delivery_attempts IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.digests USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.digests IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.event_schemas USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.event_schemas IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.event_types USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.event_types IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.events USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.events IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.idempotency_keys USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.idempotency_keys IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.inbox USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.inbox IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.invoice_lines USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.invoice_lines IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.invoices USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.invoices IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.limits USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.limits IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.matches USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.matches IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.meters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.meters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.outlets USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.outlets IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.quotas USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.quotas IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.replays USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.replays IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rule_groups USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rule_groups IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rule_versions USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rule_versions IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rules USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rules IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.rulesets USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.rulesets IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.silences USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.silences IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.subscriptions USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.subscriptions IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.suppressions USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.suppressions IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.tenants USING ((id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.tenants IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_adjustments USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_adjustments IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_counters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_counters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_days USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_days IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_entries USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_entries IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_items USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_items IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_seals USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_seals IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.window_events USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.window_events IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY owner_acts ON signalops.api_keys TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.api_keys IS 'find_keys looks a key up before any tenant is known.';

CREATE POLICY owner_acts ON signalops.batches TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.batches IS 'The audit holds what was accepted against what was processed.';

CREATE POLICY owner_acts ON signalops.billing_periods TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.billing_periods IS 'Periods of all tenants are found and closed by narrow functions.';

CREATE POLICY owner_acts ON signalops.channel_queues TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.channel_queues IS 'enqueue_due_deliveries goes from channel to channel.';

CREATE POLICY owner_acts ON signalops.channels TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.channels IS 'find_called_channel looks a channel up before any tenant is known.';

CREATE POLICY owner_acts ON signalops.credit_entries TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.credit_entries IS 'Only functions move credit; the audit adds the entries up.';

CREATE POLICY owner_acts ON signalops.credit_grants TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.credit_grants IS 'Only functions move credit; the audit holds it against its entries.';

CREATE POLICY owner_acts ON signalops.dead_letters TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.dead_letters IS 'The audit counts the events that died.';

CREATE POLICY owner_acts ON signalops.deliveries TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.deliveries IS 'enqueue_due_deliveries and enqueue_lost_deliveries sweep all tenants for what has no job.';

CREATE POLICY owner_acts ON signalops.digests TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.digests IS 'tell_digests sweeps all tenants for what is due.';

CREATE POLICY owner_acts ON signalops.events TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.events IS 'The command line finds out whose event an id is.';

CREATE POLICY owner_acts ON signalops.inbox TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.inbox IS 'take_batch removes a batch before it knows the tenants in it.';

CREATE POLICY owner_acts ON signalops.invoice_lines TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.invoice_lines IS 'issue_invoice alone writes them; the audit adds them up.';

CREATE POLICY owner_acts ON signalops.invoice_numbers TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.invoice_numbers IS 'issue_invoice takes numbers; the audit looks for gaps.';

CREATE POLICY owner_acts ON signalops.invoices TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.invoices IS 'issue_invoice alone writes them; the audit holds them against their lines.';

CREATE POLICY owner_acts ON signalops.limits TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.limits IS 'The command line sets the limits of a tenant; a change has them weighed anew.';

CREATE POLICY owner_acts ON signalops.matches TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.matches IS 'tell_digests notes the match that it makes.';

CREATE POLICY owner_acts ON signalops.meters TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.meters IS 'The command line lists the meters of a tenant; the audit reads what they count.';

CREATE POLICY owner_acts ON signalops.outlets TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.outlets IS 'enqueue_due_deliveries passes by outlets whose circuit is open; forget_failures closes it.';

CREATE POLICY owner_acts ON signalops.plans TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.plans IS 'The command line writes plans, and subscribe copies them to tenants.';

CREATE POLICY owner_acts ON signalops.quotas TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.quotas IS 'A limit that changes has quotas weighed anew; the audit holds them against the events.';

CREATE POLICY owner_acts ON signalops.rule_groups TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.rule_groups IS 'tell_absences and forget_groups sweep all tenants; arm_absence acts for whoever changes a rule.';

CREATE POLICY owner_acts ON signalops.rule_versions TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.rule_versions IS 'tell_absences and arm_absence read what the rule says.';

CREATE POLICY owner_acts ON signalops.rules TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.rules IS 'tell_absences asks whether the rule still stands.';

CREATE POLICY owner_acts ON signalops.subscriptions TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.subscriptions IS 'Making a tenant subscribes it, and the command line lists tenants with their plans.';

CREATE POLICY owner_acts ON signalops.tenants TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.tenants IS 'find_keys reads the status, and the command line lists and makes tenants.';

CREATE POLICY owner_acts ON signalops.usage_adjustments TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_adjustments IS 'The command line corrects usage; the audit reads the corrections.';

CREATE POLICY owner_acts ON signalops.usage_counters TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_counters IS 'The audit holds counters against their entries.';

CREATE POLICY owner_acts ON signalops.usage_days TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_days IS 'seal_period alone writes them; the audit holds them against the counters.';

CREATE POLICY owner_acts ON signalops.usage_entries TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_entries IS 'The audit holds counters against their entries.';

CREATE POLICY owner_acts ON signalops.usage_items TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_items IS 'The audit counts different values anew.';

CREATE POLICY owner_acts ON signalops.usage_seals TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.usage_seals IS 'seal_period alone writes them; the audit computes them anew.';

CREATE POLICY owner_acts ON signalops.window_events TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.window_events IS 'forget_groups removes what is past.';

ALTER TABLE signalops.plans ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.quotas ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.replays ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rule_groups ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rule_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rules ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rulesets ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.silences ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.subscriptions ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.suppressions ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_group_signalops_api ON signalops.events TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.idempotency_keys TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.idempotency_keys IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.inbox TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.inbox IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.limits TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.limits IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.quotas TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.quotas IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.tenants TO signalops_api USING ((id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.tenants IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.batches TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.batches IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.channel_queues TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.channel_queues IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.dead_letters TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.dead_letters IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.deliveries TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.deliveries IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.digests TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.digests IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.event_types TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.event_types IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.events TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.matches TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.matches IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.replays TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.replays IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.rule_groups TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.rule_groups IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.rulesets TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.rulesets IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.tenants TO signalops_worker USING ((id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.tenants IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.usage_counters TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.usage_counters IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.usage_entries TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.usage_entries IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.usage_items TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.usage_items IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.window_events TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.window_events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

ALTER TABLE signalops.tenants ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_adjustments ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_counters ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_entries ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_items ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_seals ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.window_events ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA signalops TO signalops_api;
GRANT USAGE ON SCHEMA signalops TO signalops_worker;
GRANT USAGE ON SCHEMA signalops TO signalops_operator;

GRANT SELECT ON TABLE signalops.usage_adjustments TO signalops_api;
GRANT SELECT ON TABLE signalops.usage_adjustments TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.add_adjustment(tenant uuid, new_id uuid, of_meter text, at timestamp with time zone, of_grp text, quantity numeric, reason text, author text, key_id uuid, idempotency_key text, body_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.add_adjustment(tenant uuid, new_id uuid, of_meter text, at timestamp with time zone, of_grp text, quantity numeric, reason text, author text, key_id uuid, idempotency_key text, body_hash bytea) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.announce(event_type text, about jsonb, at_depth smallint) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.announce(event_type text, about jsonb, at_depth smallint) TO signalops_api;
GRANT ALL ON FUNCTION signalops.announce(event_type text, about jsonb, at_depth smallint) TO signalops_worker;

GRANT SELECT ON TABLE signalops.invoices TO signalops_api;
GRANT SELECT ON TABLE signalops.invoices TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.announce_invoice(about signalops.invoices, what text, why text) FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.arm_absence() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.bump_metering(tenant uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.bump_metering(tenant uuid) TO signalops_api;
GRANT ALL ON FUNCTION signalops.bump_metering(tenant uuid) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.burn_credits(tenant uuid, invoice uuid, of_currency text, at_most numeric) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.claim_deliveries(wanted jsonb, busy uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.claim_deliveries(wanted jsonb, busy uuid[]) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.claim_delivery(tenant uuid, delivery uuid, busy uuid[]) TO signalops_worker;

GRANT SELECT ON TABLE signalops.usage_days TO signalops_api;
GRANT SELECT ON TABLE signalops.usage_days TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) TO signalops_api;
GRANT ALL ON FUNCTION signalops.enqueue(queue text, task text, priority integer, args jsonb) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) TO signalops_api;
GRANT ALL ON FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_deliveries(wanted jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_deliveries(wanted jsonb) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_due_deliveries(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_due_deliveries(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_lost_batches(older_than interval, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.enqueue_lost_deliveries(older_than interval, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.expire_credits(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.expire_credits(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.find_called_channel(wanted uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.find_called_channel(wanted uuid) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.find_keys(wanted text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.find_keys(wanted text) TO signalops_api;

GRANT SELECT ON TABLE signalops.deliveries TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.deliveries TO signalops_worker;

GRANT UPDATE(status) ON TABLE signalops.deliveries TO signalops_api;

GRANT UPDATE(next_attempt_at) ON TABLE signalops.deliveries TO signalops_api;

GRANT UPDATE(updated_at) ON TABLE signalops.deliveries TO signalops_api;

GRANT UPDATE(attempts_before) ON TABLE signalops.deliveries TO signalops_api;

GRANT SELECT ON TABLE signalops.usage_counters TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.usage_counters TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.forget_failures() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.forget_groups(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.forget_groups(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.freeze_periods(closing_after interval, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.freeze_periods(closing_after interval, at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.hear_of_delivery(delivery uuid, provider text, to_status text, because text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.hear_of_delivery(delivery uuid, provider text, to_status text, because text) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.issue_invoice(tenant uuid, issued jsonb, lines jsonb) TO signalops_worker;

GRANT SELECT ON TABLE signalops.limits TO signalops_api;
GRANT SELECT ON TABLE signalops.limits TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.make_partitions(months_ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.make_partitions(months_ahead integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.mend_queues() FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.mend_queues() TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.note_barriers() FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.note_barriers() TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.note_key_uses(tenants uuid[], keys uuid[], moments timestamp with time zone[]) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.note_key_uses(tenants uuid[], keys uuid[], moments timestamp with time zone[]) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.periods_ready(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.periods_ready(at_most integer) TO signalops_worker;

GRANT SELECT ON TABLE signalops.dead_letters TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.dead_letters TO signalops_worker;

GRANT UPDATE(ended_at) ON TABLE signalops.dead_letters TO signalops_api;

GRANT UPDATE(ending) ON TABLE signalops.dead_letters TO signalops_api;

GRANT UPDATE(reason) ON TABLE signalops.dead_letters TO signalops_api;

REVOKE ALL ON FUNCTION signalops.return_credits(tenant uuid, invoice uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.return_credits(tenant uuid, invoice uuid) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.seal_period(tenant uuid, of_period date) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.seal_period(tenant uuid, of_period date) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.settle_deliveries(said jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.settle_deliveries(said jsonb) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, said jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.settle_delivery(tenant uuid, delivery uuid, attempt smallint, said jsonb) TO signalops_worker;

GRANT SELECT ON TABLE signalops.subscriptions TO signalops_api;
GRANT SELECT ON TABLE signalops.subscriptions TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.take_batch(wanted uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.take_batch(wanted uuid) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.tell_absences(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.tell_absences(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.tell_digests(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.tell_digests(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.version_limit() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.version_limited_meter() FROM PUBLIC;

GRANT SELECT ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(tenant_id) ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(id) ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(prefix) ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(hash) ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(label) ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(scopes) ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(expires_at),UPDATE(expires_at) ON TABLE signalops.api_keys TO signalops_api;

GRANT UPDATE(revoked_at) ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(allowed_cidrs) ON TABLE signalops.api_keys TO signalops_api;

GRANT INSERT(replaces) ON TABLE signalops.api_keys TO signalops_api;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE signalops.backtests TO signalops_api;
GRANT SELECT,UPDATE ON TABLE signalops.backtests TO signalops_worker;

GRANT SELECT ON TABLE signalops.batches TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.batches TO signalops_worker;

GRANT SELECT ON TABLE signalops.billing_periods TO signalops_api;
GRANT SELECT ON TABLE signalops.billing_periods TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.channel_queues TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.channel_queues TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.channels TO signalops_api;
GRANT SELECT,UPDATE ON TABLE signalops.channels TO signalops_worker;

GRANT SELECT ON TABLE signalops.credit_entries TO signalops_api;
GRANT SELECT ON TABLE signalops.credit_entries TO signalops_worker;

GRANT SELECT ON TABLE signalops.credit_grants TO signalops_api;
GRANT SELECT ON TABLE signalops.credit_grants TO signalops_worker;

GRANT SELECT ON TABLE signalops.delivery_attempts TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.delivery_attempts TO signalops_worker;

GRANT SELECT ON TABLE signalops.digests TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.digests TO signalops_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE signalops.event_schemas TO signalops_api;

GRANT SELECT,INSERT ON TABLE signalops.events TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.events TO signalops_worker;

GRANT SELECT,INSERT ON TABLE signalops.inbox TO signalops_api;
GRANT SELECT ON TABLE signalops.inbox TO signalops_worker;

GRANT SELECT ON TABLE signalops.event_status TO signalops_api;
GRANT SELECT ON TABLE signalops.event_status TO signalops_worker;

GRANT SELECT ON TABLE signalops.event_types TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.event_types TO signalops_worker;

GRANT SELECT,INSERT ON TABLE signalops.idempotency_keys TO signalops_api;

GRANT SELECT ON TABLE signalops.invoice_lines TO signalops_api;
GRANT SELECT ON TABLE signalops.invoice_lines TO signalops_worker;

GRANT SELECT ON TABLE signalops.meters TO signalops_api;
GRANT SELECT ON TABLE signalops.meters TO signalops_worker;

GRANT INSERT(tenant_id) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(key) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(since) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(name) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(aggregation) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(field) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(grammar) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(pattern) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(group_by) ON TABLE signalops.meters TO signalops_api;

GRANT INSERT(unit) ON TABLE signalops.meters TO signalops_api;

GRANT UPDATE(ended_at) ON TABLE signalops.meters TO signalops_api;
GRANT UPDATE(ended_at) ON TABLE signalops.meters TO signalops_worker;

GRANT SELECT ON TABLE signalops.limited_meters TO signalops_api;
GRANT SELECT ON TABLE signalops.limited_meters TO signalops_worker;

GRANT SELECT ON TABLE signalops.matches TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.matches TO signalops_worker;

GRANT SELECT ON TABLE signalops.outlets TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.outlets TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.quotas TO signalops_api;
GRANT SELECT ON TABLE signalops.quotas TO signalops_worker;

GRANT SELECT,INSERT ON TABLE signalops.replays TO signalops_api;
GRANT SELECT ON TABLE signalops.replays TO signalops_worker;

GRANT SELECT ON TABLE signalops.rule_groups TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.rule_groups TO signalops_worker;

GRANT SELECT,INSERT ON TABLE signalops.rule_versions TO signalops_api;
GRANT SELECT ON TABLE signalops.rule_versions TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.rules TO signalops_api;
GRANT SELECT ON TABLE signalops.rules TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.rulesets TO signalops_api;
GRANT SELECT ON TABLE signalops.rulesets TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.silences TO signalops_api;
GRANT SELECT ON TABLE signalops.silences TO signalops_worker;

GRANT SELECT,INSERT,DELETE ON TABLE signalops.suppressions TO signalops_api;
GRANT SELECT ON TABLE signalops.suppressions TO signalops_worker;

GRANT SELECT ON TABLE signalops.tenants TO signalops_api;
GRANT SELECT ON TABLE signalops.tenants TO signalops_worker;

GRANT SELECT ON TABLE signalops.usage_entries TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.usage_entries TO signalops_worker;

GRANT SELECT ON TABLE signalops.usage_items TO signalops_api;
GRANT SELECT,INSERT ON TABLE signalops.usage_items TO signalops_worker;

GRANT SELECT ON TABLE signalops.usage_seals TO signalops_api;
GRANT SELECT ON TABLE signalops.usage_seals TO signalops_worker;

GRANT SELECT ON TABLE signalops.window_events TO signalops_api;
GRANT SELECT,INSERT,DELETE ON TABLE signalops.window_events TO signalops_worker;
