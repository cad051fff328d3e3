-- Station send: deliveries and dead letters as people look at them and take them in hand. Run in a transaction of the tenant.

-- pick-deliveries: the ids of a page of deliveries between two ids
-- A page is picked first, by ids alone, then read: so each way to pick has its index, and nothing is looked up in vain.
select id from signalops.deliveries
where tenant_id = %(tenant)s and id > %(lower)s and id < %(upper)s
order by case when %(upwards)s then id end, id desc limit %(limit)s;

-- pick-deliveries-of-event: likewise of one event, narrowed by status, rule and channel
select id from signalops.deliveries
where tenant_id = %(tenant)s and event_id = %(event)s and id > %(lower)s and id < %(upper)s and status = any (%(statuses)s)
  and (%(rule)s::uuid is null or rule_id = %(rule)s) and (%(channel)s::uuid is null or channel_id = %(channel)s)
order by case when %(upwards)s then id end, id desc limit %(limit)s;

-- pick-deliveries-of-rules: likewise narrowed by status, rule and channel
select id from signalops.pick_deliveries(%(tenant)s, %(statuses)s, %(rule)s, %(channel)s, %(lower)s, %(upper)s, %(upwards)s,
  %(limit)s) as picked (id);

-- read-deliveries: some deliveries with the names of what they belong to, newest first
select d.id, d.status, d.attempts, d.next_attempt_at as "nextAttemptAt", d.created_at as "createdAt", d.updated_at as "updatedAt",
  json_build_object('id', d.event_id, 'type', e.type) as event,
  json_build_object('id', d.rule_id, 'name', r.name, 'version', d.rule_version) as rule,
  json_build_object('id', d.channel_id, 'name', c.name, 'kind', c.kind) as channel, o.circuit_open_until as "pausedUntil",
  case
    when d.next_attempt_at is null then case when d.status = 'pending' then 'worker' end
    when d.next_attempt_at = 'infinity' then 'resumption'
    when o.circuit_open_until is not null then 'circuit'
    when d.status = 'retrying' then 'retry'
    else 'turn'
  end as "waitsFor",
  d.window_context as "window", d.replay_id as replay, d.provider_id as "providerId", l.error, a.error as "lastError"
from unnest(%(ids)s::uuid[]) as w (id)
cross join lateral (select * from signalops.deliveries where tenant_id = %(tenant)s and id = w.id limit 1) d
left join lateral (select type from signalops.events where tenant_id = %(tenant)s and id = d.event_id limit 1) e on true
left join lateral (select name from signalops.rules where tenant_id = %(tenant)s and id = d.rule_id limit 1) r on true
left join lateral (
  select name, kind, send_target_id from signalops.channels where tenant_id = %(tenant)s and id = d.channel_id limit 1
) c on true
left join lateral (
  select o.circuit_open_until from signalops.send_targets o
  where o.tenant_id = %(tenant)s and o.id = coalesce(c.send_target_id, d.channel_id) and o.circuit_open_until > now() limit 1
) o on true
left join lateral (
  select a.error from signalops.delivery_attempts a
  where a.tenant_id = %(tenant)s and a.delivery_id = d.id and d.status not in ('sent', 'delivered', 'read') order by a.attempt desc limit 1
) a on true
left join lateral (
  select error from signalops.dead_letters where tenant_id = %(tenant)s and id = d.id and d.status = 'dead' limit 1
) l on true
order by d.id desc;

-- read-attempts: the attempts at a delivery, in order
select attempt, started_at as "startedAt", duration_ms as "durationMs", outcome, status_code as "statusCode", answer, error, request_id as "requestId"
from signalops.delivery_attempts where tenant_id = %(tenant)s and delivery_id = %(delivery)s order by attempt;

-- retry-delivery: has a delivery tried now that waits, or is dead and has not been given up; whether it is
select exists (select from signalops.retry_deliveries(%(tenant)s, array[%(delivery)s]::uuid[]))
  or signalops.retry_dead_letters(%(tenant)s, array[%(delivery)s]::uuid[]) > 0;

-- cancel-delivery: cancels a delivery that waits; whether it is
select exists (select from signalops.cancel_deliveries(%(tenant)s, array[%(delivery)s]::uuid[]));

-- pick-dead-letters: the ids of a page of the dead letters that wait for somebody to look
select id from signalops.pick_dead_letters(%(tenant)s, %(ids)s::uuid[], %(kind)s, %(channel)s, %(rule)s, %(error)s, %(since)s, %(until)s,
  %(limit)s, %(beyond)s::uuid, %(upwards)s);

-- read-dead-letters: some dead letters with the names of what they belong to, in the order of their ids as given
select l.id, l.kind, l.error, l.died_at as "diedAt", l.resolved_at as "resolvedAt", l.resolution, l.reason,
  json_build_object('id', l.event_id, 'type', e.type) as event,
  case when l.kind = 'delivery' then json_build_object('id', l.rule_id, 'name', r.name) end as rule,
  case when l.kind = 'delivery' then json_build_object('id', l.channel_id, 'name', c.name, 'kind', c.kind) end as channel
from unnest(%(ids)s::uuid[]) with ordinality as w (id, place)
cross join lateral (select * from signalops.dead_letters where tenant_id = %(tenant)s and id = w.id limit 1) l
left join lateral (select type from signalops.events where tenant_id = %(tenant)s and id = l.event_id limit 1) e on true
left join lateral (select name from signalops.rules where tenant_id = %(tenant)s and id = l.rule_id limit 1) r on true
left join lateral (select name, kind from signalops.channels where tenant_id = %(tenant)s and id = l.channel_id limit 1) c on true
order by w.place;

-- count-dead-letters: how many dead letters are chosen
select count(*) from signalops.pick_dead_letters(%(tenant)s, %(ids)s::uuid[], %(kind)s, %(channel)s, %(rule)s, %(error)s, %(since)s,
  %(until)s, null);

-- retry-dead-letters: retries the newest of the chosen dead letters; how many
select signalops.retry_dead_letters(%(tenant)s, array(
  select id from signalops.pick_dead_letters(%(tenant)s, %(ids)s::uuid[], %(kind)s, %(channel)s, %(rule)s, %(error)s, %(since)s,
    %(until)s, %(limit)s)));

-- discard-dead-letters: discards the newest of the chosen dead letters; how many
select signalops.discard_dead_letters(%(tenant)s, array(
  select id from signalops.pick_dead_letters(%(tenant)s, %(ids)s::uuid[], %(kind)s, %(channel)s, %(rule)s, %(error)s, %(since)s,
    %(until)s, %(limit)s)), %(reason)s);
