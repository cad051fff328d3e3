-- What was done is forgotten; nothing is noted any more.

create or replace function signalops.retry_dead_letters(tenant uuid, letters uuid[]) returns bigint
language plpgsql volatile
as $$
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

create or replace function signalops.discard_dead_letters(tenant uuid, letters uuid[], because text) returns bigint
language plpgsql volatile
as $$
declare
  discarded bigint;
begin
  update signalops.dead_letters l set ended_at = now(), ending = 'discarded', reason = because
  where l.tenant_id = tenant and l.id = any (letters) and l.ended_at is null;
  get diagnostics discarded = row_count;
  return discarded;
end
$$;

create or replace function signalops.cancel_deliveries(tenant uuid, wanted uuid[]) returns setof uuid
language sql volatile
as $$
  update signalops.deliveries d set status = 'cancelled', next_attempt_at = null, updated_at = now()
  where d.tenant_id = tenant and d.id = any (wanted) and d.status in ('pending', 'retrying')
  returning d.id
$$;

create or replace function signalops.retry_deliveries(tenant uuid, wanted uuid[]) returns setof uuid
language plpgsql volatile
as $$
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

drop function signalops.note_actions(uuid, text, uuid[], jsonb);
drop function signalops.note_action(uuid, text, text, text, jsonb);

drop trigger log_cancellation on signalops.backtests;
drop trigger log_rule on signalops.rules;
drop trigger log_action on signalops.tenants;
drop trigger log_action on signalops.api_keys;
drop trigger log_action on signalops.event_schemas;
drop trigger log_action on signalops.rules;
drop trigger log_action on signalops.rule_versions;
drop trigger log_action on signalops.silences;
drop trigger log_action on signalops.backtests;
drop trigger log_action on signalops.replays;
drop trigger log_action on signalops.channels;
drop trigger log_action on signalops.suppressions;
drop trigger log_action on signalops.meters;
drop trigger log_action on signalops.limits;
drop trigger log_action on signalops.usage_adjustments;
drop trigger log_action on signalops.subscriptions;
drop trigger log_action on signalops.invoices;
drop trigger log_action on signalops.credit_grants;
drop trigger log_action on signalops.plans;

drop function signalops.log_rule();
drop function signalops.log_action();
drop function signalops.note_change(text, uuid, text, text, jsonb, jsonb, text[]);
drop function signalops.verb_of(jsonb, jsonb);
drop function signalops.changed(jsonb, jsonb, text[]);
drop function signalops.as_noted(jsonb, boolean);
drop function signalops.without_secrets(jsonb);
drop function signalops.note(uuid, text, text, text, jsonb);

create or replace function signalops.new_id() returns uuid
language sql volatile parallel safe
return encode(
  set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
      placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;
comment on function signalops.new_id() is
  'A new UUIDv7, for rows that SQL itself makes. PostgreSQL 18 has uuidv7(); 15 to 17 have not.';

create or replace function signalops.make_partitions(months_ahead integer default 3) returns setof text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
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

drop table signalops.audit_log;
drop function signalops.refuse_log_change();
drop function signalops.may_delete(uuid);

revoke usage on schema signalops from signalops_platform;
