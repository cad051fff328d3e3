-- Dead letters: written, listed, retried and discarded.

alter table signalops.dead_letters alter column died_at set default signalops.position_time(),
  alter column first_died_at set default signalops.position_time();

create or replace function signalops.fill_dead_letter() returns trigger
language plpgsql as $$
begin
  if new.delivery_id is not null then
    select d.rule_id, d.channel_id into new.rule_id, new.channel_id
    from signalops.deliveries d where d.tenant_id = new.tenant_id and d.id = new.delivery_id limit 1;
  end if;
  return new;
end
$$;
comment on function signalops.fill_dead_letter is 'Sets rule and channel of a dead letter, which lists filter by.';

create or replace trigger fill_dead_letter before insert on signalops.dead_letters for each row execute function signalops.fill_dead_letter();
comment on trigger fill_dead_letter on signalops.dead_letters is 'Dead letters are filtered by rule and channel.';

create or replace function signalops.pick_dead_letters(
  tenant uuid, dead_letter_ids uuid[] default null, of_kind text default null, channel uuid default null, rule uuid default null, like_error
  text default null, since timestamptz default null, until timestamptz default null, at_most integer default 10000, beyond uuid default
  null, upwards boolean default false
) returns setof signalops.dead_letters
language sql stable as $$
  select l.* from signalops.dead_letters l
  where l.tenant_id = tenant and l.resolved_at is null and (dead_letter_ids is null or l.id = any (dead_letter_ids))
    and (of_kind is null or l.kind = of_kind) and (channel is null or l.channel_id = channel)
    and (rule is null or l.rule_id = rule) and (like_error is null or strpos(lower(l.error), lower(like_error)) > 0)
    and (since is null or l.died_at >= since) and (until is null or l.died_at < until)
    and (beyond is null or upwards
      or (l.died_at, l.id) < (select b.died_at, b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
    and (beyond is null or not upwards
      or (l.died_at, l.id) > (select least(b.first_died_at, b.died_at), b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
  order by case when upwards then l.died_at end, case when upwards then l.id end, l.died_at desc, l.id desc limit at_most
$$;
comment on function signalops.pick_dead_letters is
  'The unresolved dead letters of a tenant, newest first, filtered by ids, kind (event, delivery), channel, rule, a part of the '
  'error, and when they died. Count them before you retry them. A page begins after a dead letter, and can be read upwards.';

create or replace function signalops.retry_dead_letters(tenant uuid, dead_letter_ids uuid[]) returns bigint
language plpgsql volatile as $$
declare
  retried uuid[];
  channels uuid[];
  batches uuid[];
begin
  -- Lock order: deliveries by id, which guard their dead letters; dead_letters by id; send_targets; channel_schedules.
  perform from signalops.deliveries d where d.tenant_id = tenant and d.id = any (dead_letter_ids) order by d.id for update;
  perform from signalops.dead_letters l where l.tenant_id = tenant and l.id = any (dead_letter_ids) and l.resolved_at is null order by l.id for update;
  with ended as (
    update signalops.dead_letters l set resolved_at = now(), resolution = 'retried', reason = null
    where l.tenant_id = tenant and l.id = any (dead_letter_ids) and l.resolved_at is null
    returning l.kind, l.id, l.error
  ), again as (
    -- They wait for their channel's turn, which keeps them from pushing others aside.
    update signalops.deliveries d
    set status = 'retrying', next_attempt_at = now(), attempts_at_reset = d.attempts, updated_at = now(),
      -- What could not be rendered would fail again by the template that it had.
      rule_version = coalesce(case when d.id = any (array(select e.id from ended e where e.error like 'The template%' or e.error like '%rule''s template%'))
        then (select r.active_version from signalops.rules r where r.tenant_id = tenant and r.id = d.rule_id and r.deleted_at is null limit 1) end, d.rule_version)
    -- Not joined: a query plan for few dead letters would scan all deliveries for many.
    where d.tenant_id = tenant and d.id = any (array(select e.id from ended e where e.kind = 'delivery')) and d.status = 'dead'
    returning d.channel_id
  ), parts as (
    -- As large as a replay's: one job reads a batch whole.
    select e.id, (row_number() over (order by e.id) - 1) / signalops.bulk_batch_events() as part from ended e where e.kind = 'event'
  ), made as materialized (
    select p.part, signalops.new_id() as batch from parts p group by p.part
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch)
    select tenant, p.id, m.batch from parts p join made m using (part) on conflict do nothing returning batch
  )
  select (select array_agg(id) from ended), (select array_agg(distinct channel_id order by channel_id) from again),
    (select array_agg(distinct batch) from waiting)
  into retried, channels, batches;
  perform signalops.close_circuits(tenant, channels);
  perform signalops.schedule_channel(tenant, c.id, now()) from unnest(channels) as c (id);
  perform signalops.enqueue('events', 'process_batch', signalops.priority_bulk(), jsonb_build_object('batch', b.batch)) from unnest(batches) as b (batch);
  perform signalops.log_bulk_action(tenant, 'dead-letter.retried', retried);
  return coalesce(cardinality(retried), 0);
end
$$;
comment on function signalops.retry_dead_letters is
  'Retries dead letters: a delivery is sent again with its whole retry schedule, an event is processed again, and counted then. For '
  'many: select signalops.retry_dead_letters(TENANT, array(select id from signalops.pick_dead_letters(TENANT, ...))). Returns how many. What could '
  'not be rendered is rendered by the active version of its rule, all else by the version that it had; the circuits of the channels are closed.';

create or replace function signalops.discard_dead_letters(tenant uuid, dead_letter_ids uuid[], because text) returns bigint
language plpgsql volatile as $$
declare
  discarded uuid[];
begin
  perform from signalops.dead_letters l where l.tenant_id = tenant and l.id = any (dead_letter_ids) and l.resolved_at is null order by l.id for update;
  with ended as (
    update signalops.dead_letters l set resolved_at = now(), resolution = 'discarded', reason = because
    where l.tenant_id = tenant and l.id = any (dead_letter_ids) and l.resolved_at is null
    returning l.id
  )
  select array_agg(e.id) into discarded from ended e;
  perform signalops.log_bulk_action(tenant, 'dead-letter.discarded', discarded, jsonb_build_object('reason', because));
  return coalesce(cardinality(discarded), 0);
end
$$;
comment on function signalops.discard_dead_letters is
  'Discards dead letters for good, with a reason; they stay on record. Returns how many.';
