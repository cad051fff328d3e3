-- Station send: people try again what waits, and what died.

create function signalops.retry_deliveries(tenant uuid, wanted uuid[]) returns setof uuid
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
comment on function signalops.retry_deliveries(uuid, uuid[]) is
  'Has deliveries that wait tried now; returns which. What is dead has a dead letter: see retry_dead_letters.';

create function signalops.retry_dead_letters(tenant uuid, letters uuid[]) returns bigint
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
comment on function signalops.retry_dead_letters(uuid, uuid[]) is
  'Gives dead letters another chance: a delivery is tried again with a schedule of its own, an event is processed again, and counted then. '
  'For many: select signalops.retry_dead_letters(TENANT, array(select id from signalops.pick_dead_letters(TENANT, ...))). Returns how many.';
