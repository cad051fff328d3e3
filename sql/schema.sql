-- The schema as the migrations make it, for reading; a test keeps it true.
-- `python -m tests.sql.dump` writes it. Left out: the monthly partitions, and what procrastinate and yoyo own.

CREATE SCHEMA signalops;

COMMENT ON SCHEMA signalops IS 'The product: every table of a tenant begins with tenant_id and is protected row by row.';

CREATE FUNCTION signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer) RETURNS TABLE(event_id uuid, verdict text, first_id uuid)
    LANGUAGE plpgsql
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
declare
  -- The flush's own moment, which its usage is counted by as well: accepted and processed agree at the turn of a month.
  month date := date_trunc('month', signalops.time_of(in_batch) at time zone 'UTC');
  fitting uuid[];
  near_soft uuid[];
  admitted jsonb := flush;
  part uuid;
  fresh bigint;
  emitted bigint := 0;
begin
  perform signalops.act_for((select array_agg(a.tenant) from jsonb_to_recordset(asked) as a (tenant uuid)));

  select coalesce(array_agg(c.tenant), '{}'), array_agg(c.tenant) filter (where c.near_soft) into fitting, near_soft
  from signalops.count_in(asked, month) c;
  if cardinality(fitting) < jsonb_array_length(asked) then
    for part in
      select a.tenant from jsonb_to_recordset(asked) as a (tenant uuid) where a.tenant <> all (fitting) order by a.tenant
    loop
      admitted := (select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(admitted) i where i ->> 'tenant' <> part::text)
        || signalops.admit(part, month, flush);
      near_soft := near_soft || part;
    end loop;
    return query
      select (f.item ->> 'id')::uuid, 'refused', null::uuid
      from (select jsonb_array_elements(flush) except select jsonb_array_elements(admitted)) as f (item);
  end if;

  fresh := signalops.store(admitted, in_batch);
  if fresh < jsonb_array_length(admitted) then
    return query select * from signalops.give_back(admitted, month);
  end if;

  if near_soft is not null then
    return query
      with reached as (
        update signalops.quotas q set soft_reached_at = now()
        from signalops.tenants t
        where q.tenant_id = any (near_soft) and q.period = month and t.id = q.tenant_id
          and q.soft_reached_at is null and q.accepted >= t.soft_limit
        returning q.tenant_id, q.accepted, t.soft_limit
      )
      select signalops.emit(r.tenant_id, in_batch, 'signalops.usage.soft_limit_reached', jsonb_build_object(
        'period', to_char(month, 'YYYY-MM'), 'limit', r.soft_limit, 'accepted', r.accepted), 1::smallint), 'soft_limit', r.tenant_id
      from reached r;
    get diagnostics emitted = row_count;
  end if;

  if fresh + emitted > 0 then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer) IS 'Accepts a flush: [{tenant, id, type, source, occurred_at, received_at, payload, attributes, key, hash}] with [{tenant, events}], how many each tenant has in it. Counts against the limits, stores, fills the inbox and enqueues one job. Returns only what was not plainly accepted: refused (hard limit), duplicate or conflict (first_id is the event stored under the key), and soft_limit (event_id is the notice, first_id the tenant), once when it was reached.';

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

CREATE FUNCTION signalops.admit(wanted uuid, month date, offered jsonb) RETURNS jsonb
    LANGUAGE plpgsql
    AS $$
declare
  room bigint;
  admitted jsonb;
begin
  insert into signalops.quotas (tenant_id, period) values (wanted, month) on conflict do nothing;
  -- The row lock makes the limit exact: whoever else accepts for this tenant waits for our commit.
  select coalesce(t.hard_limit, 9223372036854775807) - q.accepted into room
  from signalops.quotas q join signalops.tenants t on t.id = q.tenant_id
  where q.tenant_id = wanted and q.period = month
  for update of q;
  -- What is stored already needs no room; a repeat within the flush shares the place of its first.
  select coalesce(jsonb_agg(item order by ord) filter (where stored or place <= room), '[]') into admitted
  from (
    select item, ord, stored, count(*) filter (where ord = first and not stored) over (order by first) as place
    from (
      select i.item, i.ord, k.key is not null as stored,
        min(i.ord) over (partition by coalesce(i.item ->> 'key', E'\n' || i.ord)) as first
      from jsonb_array_elements(offered) with ordinality as i (item, ord)
      left join lateral (
        select k.key from signalops.idempotency_keys k where k.tenant_id = wanted and k.key = i.item ->> 'key' limit 1
      ) k on true
      where i.item ->> 'tenant' = wanted::text
    ) as items
  ) as placed;
  update signalops.quotas set accepted = accepted + jsonb_array_length(admitted)
  where tenant_id = wanted and period = month;
  return admitted;
end
$$;

COMMENT ON FUNCTION signalops.admit(wanted uuid, month date, offered jsonb) IS 'The careful path of accept, for a tenant''s first events of a month and at its hard limit: counts and returns what may come in.';

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

CREATE FUNCTION signalops.count_in(asked jsonb, month date) RETURNS TABLE(tenant uuid, near_soft boolean)
    LANGUAGE plpgsql
    AS $$
declare
  places tid[];
  totals bigint[];
  tenants uuid[];
  nearing boolean[];
begin
  -- In the order of the tenants: two flushes that share some lock the counters in the same order.
  select array_agg(q.ctid), array_agg(q.accepted + w.events), array_agg(w.tenant),
    array_agg(coalesce(q.accepted + w.events >= t.soft_limit and q.soft_reached_at is null, false))
  into places, totals, tenants, nearing
  from (select * from jsonb_to_recordset(asked) as a (tenant uuid, events integer) order by a.tenant) w
  cross join lateral (
    select q.ctid, * from signalops.quotas q where q.tenant_id = w.tenant and q.period = month limit 1 for update
  ) q
  cross join lateral (select * from signalops.tenants t where t.id = w.tenant limit 1) t
  where t.hard_limit is null or q.accepted + w.events <= t.hard_limit;
  -- A locked row stays where it is; and a statement of its own sees it, even if another flush has just moved it there.
  update signalops.quotas q set accepted = c.total from unnest(places, totals) as c (place, total) where q.ctid = c.place;
  return query select * from unnest(tenants, nearing);
end
$$;

COMMENT ON FUNCTION signalops.count_in(asked jsonb, month date) IS 'Counts [{tenant, events}] against the limits and returns the tenants whose events all fit; the others are for admit.';

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
  -- The lock: one slice at a time in the whole installation, in turn, so that looking back takes one core from the present and no
  -- tenant's long backtest keeps another's short one waiting.
  return (procrastinate_defer_jobs_v1(array[row('backtests', 'run_backtest', -20, 'backtests', null,
    jsonb_build_object('tenant', tenant, 'backtest', backtest), null)::procrastinate_job_to_defer_v1]))[1];
end
$$;

COMMENT ON FUNCTION signalops.enqueue_backtest(tenant uuid, backtest uuid) IS 'Enqueues the next slice of a backtest, below all other jobs; returns the job.';

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

CREATE FUNCTION signalops.find_called_channel(wanted uuid) RETURNS TABLE(tenant_id uuid, secret bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select c.tenant_id, c.secret from signalops.channels c
  where c.id = wanted and c.kind = 'whatsapp' and c.deleted_at is null and c.secret is not null
$$;

COMMENT ON FUNCTION signalops.find_called_channel(wanted uuid) IS 'Whose channel a provider calls back, with the sealed secret that tells whether it is the provider: looked up before a tenant is known.';

CREATE FUNCTION signalops.find_keys(wanted text) RETURNS TABLE(tenant_id uuid, key_id uuid, hash text, scopes text[], expires_at timestamp with time zone, tenant_status text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.expires_at, t.status
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

CREATE FUNCTION signalops.give_back(admitted jsonb, month date) RETURNS TABLE(event_id uuid, verdict text, first_id uuid)
    LANGUAGE plpgsql
    AS $$
begin
  return query
    with repeated as materialized (
      select i.tenant, i.id, decode(i.hash, 'hex') as body_hash, k.body_hash as first_hash, k.event_id as first
      from jsonb_to_recordset(admitted) as i (tenant uuid, id uuid, key text, hash text)
      cross join lateral (
        select * from signalops.idempotency_keys k where k.tenant_id = i.tenant and k.key = i.key limit 1
      ) k
      where k.event_id <> i.id
    ), counted as (
      update signalops.quotas q set accepted = q.accepted - r.events
      from (select tenant, count(*) as events from repeated group by tenant) r
      where q.tenant_id = r.tenant and q.period = month
    )
    select r.id, case when r.body_hash = r.first_hash then 'duplicate' else 'conflict' end, r.first from repeated r;
end
$$;

COMMENT ON FUNCTION signalops.give_back(admitted jsonb, month date) IS 'Of events whose idempotency key was stored before, returns the first event and whether the body is the same, and uncounts them.';

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

CREATE FUNCTION signalops.new_id() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    RETURN (encode(set_bit(set_bit(OVERLAY(uuid_send(gen_random_uuid()) PLACING SUBSTRING(int8send(((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric))::bigint) FROM 3) FROM 1 FOR 6), (52)::bigint, 1), (53)::bigint, 1), 'hex'::text))::uuid;

COMMENT ON FUNCTION signalops.new_id() IS 'A new UUIDv7, for rows that SQL itself makes. PostgreSQL 18 has uuidv7(); 15 to 17 have not.';

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

CREATE FUNCTION signalops.read_batch(wanted uuid) RETURNS TABLE(tenant uuid, ruleset bigint, events text)
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
  return query
    select t.tenant_id, coalesce((select r.version from signalops.rulesets r where r.tenant_id = t.tenant_id), 0),
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
    group by t.tenant_id;
  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.read_batch(wanted uuid) IS 'Takes a batch and returns its events by tenant, with the version of the rules to use: [{id, depth, type, source, occurredAt, payload, attributes, replay, replay_rules}].';

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
  insert into signalops.batches as b (tenant_id, batch, job_id, worker, ruleset, rules, events, dead)
  select p.tenant, in_batch, job, worker, p.ruleset, p.rules, p.events, p.dead
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, ruleset bigint, rules integer, events integer, dead integer)
  on conflict (tenant_id, batch) do update
    set events = b.events + excluded.events, dead = b.dead + excluded.dead, processed_at = clock_timestamp();

  -- Last, since turns and counters stay locked until the commit; and in one order, so that two workers can't lock each other out.
  if decided <> '[]' then
    perform signalops.start_deliveries(decided);
  end if;
  insert into signalops.usage_counters as u (tenant_id, meter, day, quantity)
  select p.tenant, 'events', (signalops.time_of(in_batch) at time zone 'UTC')::date, p.billed
  from jsonb_to_recordset(results -> 'parts') as p (tenant uuid, billed bigint) where p.billed > 0 order by p.tenant
  on conflict (tenant_id, meter, day) do update set quantity = u.quantity + excluded.quantity;

  perform signalops.act_for(null);
end
$$;

COMMENT ON FUNCTION signalops.record_batch(in_batch uuid, job bigint, worker text, results jsonb) IS 'Records what was decided about a batch: matches, deliveries with their jobs, dead events, usage. {parts: [{tenant, ruleset, rules, events, billed, dead}], matches: [{tenant, event, rule, version, channel, delivery, outcome, not_before, context, replay}], groups: what weigh decides, dead: [{tenant, event, error}]}. A match without an outcome is notified of; one with not_before waits till then.';

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

CREATE FUNCTION signalops.store(flush jsonb, in_batch uuid) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  fresh bigint;
begin
  with incoming as materialized (
    select * from jsonb_to_recordset(flush) as i (tenant uuid, id uuid, type text, source text, occurred_at timestamptz,
      received_at timestamptz, payload jsonb, attributes jsonb, key text, hash text)
  ), keyed as (
    insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
    select tenant, key, id, decode(hash, 'hex') from incoming where key is not null
    on conflict do nothing returning event_id
  ), stored as (
    insert into signalops.events (tenant_id, id, batch, type, source, occurred_at, received_at, payload, attributes)
    select tenant, id, in_batch, type, source, occurred_at, received_at, payload, attributes
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
    processed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
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
    depth smallint DEFAULT 0 NOT NULL
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
        END AS status
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

CREATE TABLE signalops.quotas (
    tenant_id uuid NOT NULL,
    period date NOT NULL,
    accepted bigint DEFAULT 0 NOT NULL,
    soft_reached_at timestamp with time zone,
    CONSTRAINT quotas_accepted_check CHECK ((accepted >= 0)),
    CONSTRAINT quotas_period_check CHECK ((EXTRACT(day FROM period) = (1)::numeric))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.quotas FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.quotas IS 'Events accepted in a month, counted in the accepting transaction: the limit is exact across processes.';
COMMENT ON COLUMN signalops.quotas.tenant_id IS 'Whose count it is.';
COMMENT ON COLUMN signalops.quotas.period IS 'First day of the calendar month (UTC).';
COMMENT ON COLUMN signalops.quotas.accepted IS 'Events accepted; duplicates, refusals and operational events do not count.';
COMMENT ON COLUMN signalops.quotas.soft_reached_at IS 'When the soft limit was reached and its notice emitted; NULL: not yet.';

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
    plan text DEFAULT 'free'::text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    soft_limit bigint,
    hard_limit bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenants_hard_limit_check CHECK ((hard_limit >= 0)),
    CONSTRAINT tenants_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT tenants_plan_check CHECK (((length(plan) >= 1) AND (length(plan) <= 63))),
    CONSTRAINT tenants_slug_check CHECK ((slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'::text)),
    CONSTRAINT tenants_soft_limit_check CHECK ((soft_limit >= 0)),
    CONSTRAINT tenants_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'closed'::text])))
);

ALTER TABLE ONLY signalops.tenants FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.tenants IS 'A customer of the installation. Everything else hangs on its id.';
COMMENT ON COLUMN signalops.tenants.id IS 'UUIDv7; the tenant_id of every other table.';
COMMENT ON COLUMN signalops.tenants.slug IS 'The name for command lines and log lines; unique, but no tenant can list or probe it.';
COMMENT ON COLUMN signalops.tenants.name IS 'The name for people.';
COMMENT ON COLUMN signalops.tenants.plan IS 'The plan it is billed by.';
COMMENT ON COLUMN signalops.tenants.status IS 'active; suspended or closed: requests are refused, what was accepted before is still processed.';
COMMENT ON COLUMN signalops.tenants.soft_limit IS 'Events a calendar month (UTC) at which a notice is emitted, once; NULL: none.';
COMMENT ON COLUMN signalops.tenants.hard_limit IS 'Events a calendar month (UTC) beyond which events are refused; NULL: none. A new value holds at once.';
COMMENT ON COLUMN signalops.tenants.created_at IS 'When it was made.';

CREATE TABLE signalops.usage_counters (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    day date NOT NULL,
    quantity bigint NOT NULL,
    CONSTRAINT usage_counters_meter_check CHECK (((length(meter) >= 1) AND (length(meter) <= 63))),
    CONSTRAINT usage_counters_quantity_check CHECK ((quantity >= 0))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.05', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY signalops.usage_counters FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE signalops.usage_counters IS 'Usage by day: added to in the transaction that takes the events out of the inbox, so each is counted exactly once.';
COMMENT ON COLUMN signalops.usage_counters.tenant_id IS 'Whose usage it is.';
COMMENT ON COLUMN signalops.usage_counters.meter IS 'What is counted; events: processed events.';
COMMENT ON COLUMN signalops.usage_counters.day IS 'The day (UTC) of the flush that stored the events; months agree with quotas.period.';
COMMENT ON COLUMN signalops.usage_counters.quantity IS 'How many.';

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

ALTER TABLE ONLY signalops.channel_queues
    ADD CONSTRAINT channel_queues_pkey PRIMARY KEY (tenant_id, channel_id);

ALTER TABLE ONLY signalops.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (tenant_id, id);

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

ALTER TABLE ONLY signalops.matches
    ADD CONSTRAINT matches_pkey PRIMARY KEY (tenant_id, event_id, rule_id);

ALTER TABLE ONLY signalops.outlets
    ADD CONSTRAINT outlets_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.quotas
    ADD CONSTRAINT quotas_pkey PRIMARY KEY (tenant_id, period);

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

ALTER TABLE ONLY signalops.suppressions
    ADD CONSTRAINT suppressions_pkey PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY signalops.suppressions
    ADD CONSTRAINT suppressions_tenant_id_address_key UNIQUE (tenant_id, address);

ALTER TABLE ONLY signalops.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

ALTER TABLE ONLY signalops.tenants
    ADD CONSTRAINT tenants_slug_key UNIQUE (slug);

ALTER TABLE ONLY signalops.usage_counters
    ADD CONSTRAINT usage_counters_pkey PRIMARY KEY (tenant_id, meter, day);

ALTER TABLE ONLY signalops.window_events
    ADD CONSTRAINT window_events_pkey PRIMARY KEY (tenant_id, rule_id, since, group_key, at, event_id);

CREATE INDEX api_keys_by_prefix ON signalops.api_keys USING btree (prefix);

CREATE INDEX channel_queues_by_due ON signalops.channel_queues USING btree (next_due_at) WHERE (next_due_at IS NOT NULL);

CREATE INDEX channels_by_id ON signalops.channels USING btree (id);

CREATE UNIQUE INDEX channels_by_name ON signalops.channels USING btree (tenant_id, name) WHERE (deleted_at IS NULL);

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

CREATE INDEX rule_groups_by_due ON signalops.rule_groups USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX rule_groups_by_forget ON signalops.rule_groups USING btree (forget_at);

CREATE UNIQUE INDEX rules_by_name ON signalops.rules USING btree (tenant_id, name) WHERE (deleted_at IS NULL);

CREATE TRIGGER announce_key_change AFTER DELETE OR UPDATE ON signalops.api_keys FOR EACH STATEMENT EXECUTE FUNCTION signalops.announce_key_change();

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

CREATE TRIGGER check_way BEFORE UPDATE OF status ON signalops.deliveries FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION signalops.check_way();

COMMENT ON TRIGGER check_way ON signalops.deliveries IS 'No late callback and no second worker takes a delivery back.';

CREATE TRIGGER forget_failures AFTER UPDATE OF enabled ON signalops.channels FOR EACH ROW WHEN ((new.enabled AND (NOT old.enabled))) EXECUTE FUNCTION signalops.forget_failures();

COMMENT ON TRIGGER forget_failures ON signalops.channels IS 'What failed for days may not disable it at once again.';

CREATE TRIGGER write_letter BEFORE INSERT ON signalops.dead_letters FOR EACH ROW EXECUTE FUNCTION signalops.write_letter();

COMMENT ON TRIGGER write_letter ON signalops.dead_letters IS 'A letter can be found by rule and channel.';

ALTER TABLE ONLY signalops.api_keys
    ADD CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.backtests
    ADD CONSTRAINT backtests_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.channels
    ADD CONSTRAINT channels_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE ONLY signalops.event_schemas
    ADD CONSTRAINT event_schemas_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

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

ALTER TABLE ONLY signalops.suppressions
    ADD CONSTRAINT suppressions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES signalops.tenants(id) ON DELETE CASCADE;

ALTER TABLE signalops.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.backtests ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.batches ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.channel_queues ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.channels ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.dead_letters ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.deliveries ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.delivery_attempts ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.digests ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.event_schemas ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.event_types ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.events ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.inbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.matches ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.outlets ENABLE ROW LEVEL SECURITY;

CREATE POLICY own_tenant ON signalops.api_keys USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.api_keys IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.backtests USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.backtests IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.batches USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.batches IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.channel_queues USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.channel_queues IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.channels USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.channels IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

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

CREATE POLICY own_tenant ON signalops.matches USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.matches IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

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

CREATE POLICY own_tenant ON signalops.suppressions USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.suppressions IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.tenants USING ((id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.tenants IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.usage_counters USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.usage_counters IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY own_tenant ON signalops.window_events USING ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant))) WITH CHECK ((tenant_id = ( SELECT signalops.current_tenant() AS current_tenant)));

COMMENT ON POLICY own_tenant ON signalops.window_events IS 'Rows of the current tenant are all that can be seen or written; without a tenant there are none.';

CREATE POLICY owner_acts ON signalops.api_keys TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.api_keys IS 'find_keys looks a key up before any tenant is known.';

CREATE POLICY owner_acts ON signalops.channel_queues TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.channel_queues IS 'enqueue_due_deliveries goes from channel to channel.';

CREATE POLICY owner_acts ON signalops.channels TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.channels IS 'find_called_channel looks a channel up before any tenant is known.';

CREATE POLICY owner_acts ON signalops.deliveries TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.deliveries IS 'enqueue_due_deliveries and enqueue_lost_deliveries sweep all tenants for what has no job.';

CREATE POLICY owner_acts ON signalops.digests TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.digests IS 'tell_digests sweeps all tenants for what is due.';

CREATE POLICY owner_acts ON signalops.events TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.events IS 'The command line finds out whose event an id is.';

CREATE POLICY owner_acts ON signalops.inbox TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.inbox IS 'take_batch removes a batch before it knows the tenants in it.';

CREATE POLICY owner_acts ON signalops.matches TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.matches IS 'tell_digests notes the match that it makes.';

CREATE POLICY owner_acts ON signalops.outlets TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.outlets IS 'enqueue_due_deliveries passes by outlets whose circuit is open; forget_failures closes it.';

CREATE POLICY owner_acts ON signalops.rule_groups TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.rule_groups IS 'tell_absences and forget_groups sweep all tenants; arm_absence acts for whoever changes a rule.';

CREATE POLICY owner_acts ON signalops.rule_versions TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.rule_versions IS 'tell_absences and arm_absence read what the rule says.';

CREATE POLICY owner_acts ON signalops.rules TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.rules IS 'tell_absences asks whether the rule still stands.';

CREATE POLICY owner_acts ON signalops.tenants TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.tenants IS 'find_keys reads the status, and the command line lists and makes tenants.';

CREATE POLICY owner_acts ON signalops.window_events TO signalops_owner USING (true) WITH CHECK (true);

COMMENT ON POLICY owner_acts ON signalops.window_events IS 'forget_groups removes what is past.';

ALTER TABLE signalops.quotas ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.replays ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rule_groups ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rule_versions ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rules ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.rulesets ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.silences ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.suppressions ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_group_signalops_api ON signalops.events TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.idempotency_keys TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.idempotency_keys IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_api ON signalops.inbox TO signalops_api USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_api ON signalops.inbox IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

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

CREATE POLICY tenant_group_signalops_worker ON signalops.usage_counters TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.usage_counters IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

CREATE POLICY tenant_group_signalops_worker ON signalops.window_events TO signalops_worker USING ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[]))) WITH CHECK ((tenant_id = ANY (( SELECT signalops.current_group() AS current_group)::uuid[])));

COMMENT ON POLICY tenant_group_signalops_worker ON signalops.window_events IS 'While a flush or a batch is handled, the rows of the tenants in it can be seen and written, and no others.';

ALTER TABLE signalops.tenants ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.usage_counters ENABLE ROW LEVEL SECURITY;

ALTER TABLE signalops.window_events ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA signalops TO signalops_api;
GRANT USAGE ON SCHEMA signalops TO signalops_worker;
GRANT USAGE ON SCHEMA signalops TO signalops_operator;

REVOKE ALL ON FUNCTION signalops.announce(event_type text, about jsonb, at_depth smallint) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.announce(event_type text, about jsonb, at_depth smallint) TO signalops_api;
GRANT ALL ON FUNCTION signalops.announce(event_type text, about jsonb, at_depth smallint) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.arm_absence() FROM PUBLIC;

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

REVOKE ALL ON FUNCTION signalops.forget_failures() FROM PUBLIC;

REVOKE ALL ON FUNCTION signalops.forget_groups(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.forget_groups(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.hear_of_delivery(delivery uuid, provider text, to_status text, because text) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.hear_of_delivery(delivery uuid, provider text, to_status text, because text) TO signalops_api;

REVOKE ALL ON FUNCTION signalops.make_partitions(months_ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.make_partitions(months_ahead integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.mend_queues() FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.mend_queues() TO signalops_worker;

GRANT SELECT ON TABLE signalops.dead_letters TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.dead_letters TO signalops_worker;

GRANT UPDATE(ended_at) ON TABLE signalops.dead_letters TO signalops_api;

GRANT UPDATE(ending) ON TABLE signalops.dead_letters TO signalops_api;

GRANT UPDATE(reason) ON TABLE signalops.dead_letters TO signalops_api;

REVOKE ALL ON FUNCTION signalops.take_batch(wanted uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.take_batch(wanted uuid) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.tell_absences(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.tell_absences(at_most integer) TO signalops_worker;

REVOKE ALL ON FUNCTION signalops.tell_digests(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION signalops.tell_digests(at_most integer) TO signalops_worker;

GRANT SELECT ON TABLE signalops.api_keys TO signalops_api;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE signalops.backtests TO signalops_api;
GRANT SELECT,UPDATE ON TABLE signalops.backtests TO signalops_worker;

GRANT SELECT ON TABLE signalops.batches TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.batches TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.channel_queues TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.channel_queues TO signalops_worker;

GRANT SELECT,INSERT,UPDATE ON TABLE signalops.channels TO signalops_api;
GRANT SELECT,UPDATE ON TABLE signalops.channels TO signalops_worker;

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

GRANT SELECT ON TABLE signalops.usage_counters TO signalops_api;
GRANT SELECT,INSERT,UPDATE ON TABLE signalops.usage_counters TO signalops_worker;

GRANT SELECT ON TABLE signalops.window_events TO signalops_api;
GRANT SELECT,INSERT,DELETE ON TABLE signalops.window_events TO signalops_worker;
