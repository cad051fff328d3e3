-- Station send. Run in a transaction of the tenant; each statement is one round trip.

-- claim-delivery: Begins an attempt and reads all that it needs; no row if there is nothing to send.
-- What waits (`next_attempt_at`) is not claimed: only the sweep wakes it, and a job that finds it so was given back after its
-- work was done.
-- Outer joins: what was deleted meanwhile must become a dead letter, not an endless attempt.
-- `not in`, here and below: with `in` the planner takes the small partial index deliveries_in_hand and reads all of it, for
-- each claim, once a burst has made it large.
with claimed as (
  update signalops.deliveries
  set status = 'sending', attempts = attempts + 1, updated_at = now()
  where tenant_id = %(tenant)s and id = %(delivery)s and status not in ('retrying', 'sent', 'dead') and next_attempt_at is null
  returning event_id, rule_id, rule_version, channel_id, attempts, context, replay_id
)
select
  d.attempts as attempt, d.context, d.replay_id is not null as replay,
  -- Only of the rule itself: to another one that matches such an event, and of what a tenant sends by that name, it is an event.
  case when e.depth > 0 and e.payload #>> '{rule,id}' = d.rule_id::text then
    case e.type when 'signalops.rule.digest' then 'digest' when 'signalops.rule.absent' then 'absence' else 'event' end
    else 'event' end as about,
  case when e.id is not null then json_build_object(
    'id', e.id, 'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload) end as event,
  case when r.id is not null then json_build_object('id', r.id, 'name', r.name, 'version', v.version,
    'severity', v.severity) end as rule,
  v.template,
  c.kind, c.config, c.secret, c.enabled
from claimed d
left join signalops.events e on e.tenant_id = %(tenant)s and e.id = d.event_id
left join signalops.rules r on r.tenant_id = %(tenant)s and r.id = d.rule_id
left join signalops.rule_versions v
  on v.tenant_id = %(tenant)s and v.rule_id = d.rule_id and v.version = d.rule_version
left join signalops.channels c on c.tenant_id = %(tenant)s and c.id = d.channel_id;

-- read-listed-events: The events that a digest lists, in its order; ends after the one with which the payloads exceed 1 MiB.
-- One after the other: a join would read and unpack all of them first.
with recursive listed as (
  select 0 as place, 0 as size, null::json as event
  union all
  select l.place + 1, l.size + coalesce(octet_length(e.payload), 0), case when e.id is not null then json_build_object(
    'id', e.id, 'type', e.type, 'source', e.source, 'occurredAt', e.occurred_at, 'payload', e.payload::json) end
  from listed l
  left join lateral (
    select id, type, source, occurred_at, payload::text from signalops.events
    where tenant_id = %(tenant)s and id = (%(ids)s::uuid[])[l.place + 1] limit 1
  ) e on true
  where l.place < least(cardinality(%(ids)s::uuid[]), 100) and l.size <= 1048576
)
select event from listed where event is not null order by place;

-- settle-delivery: Records an attempt and what follows from it: sent, retrying, or dead with its letter.
-- Two workers may have one delivery in hand after a rescue. What was sent is sent, whoever says so; beyond that only the
-- newest attempt decides.
with noted as (
  insert into signalops.delivery_attempts
    (tenant_id, delivery_id, attempt, started_at, duration_ms, outcome, status_code, answer, error)
  values (%(tenant)s, %(delivery)s, %(attempt)s, %(started_at)s, %(duration_ms)s, %(outcome)s, %(status_code)s,
    %(answer)s, %(error)s)
), settled as (
  update signalops.deliveries
  set status = %(status)s, next_attempt_at = now() + make_interval(secs => %(delay)s), updated_at = now()
  where tenant_id = %(tenant)s and id = %(delivery)s
    and status not in ('sent', 'dead') and (attempts = %(attempt)s or %(status)s = 'sent')
  returning id, event_id, status
)
insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)
select %(tenant)s, id, 'delivery', event_id, id, %(error)s from settled where status = 'dead';

-- add-channel: Stores a channel; no row if the tenant has one of that name.
insert into signalops.channels (tenant_id, id, name, kind, config, secret)
values (%(tenant)s, %(id)s, %(name)s, %(kind)s, %(config)s, %(secret)s)
on conflict (tenant_id, name) do nothing
returning id;

-- list-channels: The tenant's channels by name, without their secrets.
select id, name, kind, config, secret is not null as has_secret, enabled, created_at
from signalops.channels where tenant_id = %(tenant)s order by name;
