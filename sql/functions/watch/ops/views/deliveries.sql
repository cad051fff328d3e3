-- Schema ops: channels and dead letters.

create or replace view ops.delivery_health as
select t.slug as tenant, c.tenant_id, c.name as channel, c.id as channel_id, c.kind, c.enabled,
  coalesce(n.pending, 0) as pending, coalesce(n.sending, 0) as sending, coalesce(n.retrying, 0) as retrying, d.dead as dead_in_a_day,
  n.sent as sent_in_an_hour, n.tried as tried_in_an_hour, round(n.sent::numeric / nullif(n.tried, 0), 4) as success_ratio,
  case when o.circuit_open_until > now() then 'open' when o.circuit_open_until is not null then 'half-open' else 'closed' end as breaker,
  o.circuit_open_until, o.failing_since, n.oldest, now() - n.oldest as oldest_age,
  case when o.failing_since is not null then regexp_replace(o.last_error, '([(:"]|\s'').*', '') end as last_error
from signalops.channels c
join signalops.tenants t on t.id = c.tenant_id
left join (
  select p.tenant_id, p.channel_id, sum(w.pending) as pending, sum(w.sending) as sending, sum(w.retrying) as retrying,
    sum(h.sent) as sent, sum(h.tried) as tried, min(w.oldest) as oldest
  from (select distinct v.tenant_id, v.rule_id, v.channel_id from signalops.rule_versions v) p
  -- Each of these reads of deliveries_by_rule what it counts, and nothing else, however much else there is.
  cross join lateral (
    select sum(k.waiting) filter (where u.status = 'pending') as pending, sum(k.waiting) filter (where u.status = 'sending') as sending,
      sum(k.waiting) filter (where u.status = 'retrying') as retrying, min(signalops.uuid7_time(f.id)) as oldest
    from unnest(array['pending', 'sending', 'retrying']) as u (status)
    cross join lateral (
      select count(*) as waiting from signalops.deliveries s
      where s.tenant_id = p.tenant_id and s.rule_id = p.rule_id and s.channel_id = p.channel_id and s.status = u.status
    ) k
    left join lateral (
      select s.id from signalops.deliveries s
      where s.tenant_id = p.tenant_id and s.rule_id = p.rule_id and s.channel_id = p.channel_id and s.status = u.status
      order by s.id limit 1
    ) f on k.waiting > 0
  ) w
  cross join lateral (
    select count(*) filter (where s.status in ('sent', 'delivered', 'read')) as sent, count(*) as tried
    from signalops.deliveries s
    where s.tenant_id = p.tenant_id and s.rule_id = p.rule_id and s.channel_id = p.channel_id
      and s.status in ('sent', 'delivered', 'read', 'retrying', 'dead') and s.id >= signalops.uuid7_floor(now() - interval '1 hour')
  ) h
  group by p.tenant_id, p.channel_id
) n on n.tenant_id = c.tenant_id and n.channel_id = c.id
left join signalops.send_targets o on o.tenant_id = c.tenant_id and o.id = coalesce(c.send_target_id, c.id)
cross join lateral (
  select count(*) as dead from signalops.dead_letters l
  where l.tenant_id = c.tenant_id and l.channel_id = c.id and l.resolved_at is null and l.died_at >= now() - interval '1 day'
) d
where c.deleted_at is null or n.oldest is not null;
comment on view ops.delivery_health is
  'Channels: what waits, what fails, and whether their circuit is open. Counted along deliveries_by_rule: it costs what it counts.';
comment on column ops.delivery_health.tenant is 'The tenant''s slug.';
comment on column ops.delivery_health.tenant_id is 'Its id.';
comment on column ops.delivery_health.channel is 'The channel''s name.';
comment on column ops.delivery_health.channel_id is 'Its id.';
comment on column ops.delivery_health.kind is 'email, telegram, whatsapp, webhook, slack or http.';
comment on column ops.delivery_health.enabled is 'Whether it is in use.';
comment on column ops.delivery_health.pending is 'Deliveries that have a job, or wait for their channel''s turn.';
comment on column ops.delivery_health.sending is 'Deliveries that are being sent.';
comment on column ops.delivery_health.retrying is 'Deliveries that failed, and wait for their next attempt.';
comment on column ops.delivery_health.dead_in_a_day is 'Unresolved dead letters of the last 24 hours.';
comment on column ops.delivery_health.sent_in_an_hour is 'Deliveries asked for in the last hour that arrived; NULL: no rule ever used it.';
comment on column ops.delivery_health.tried_in_an_hour is
  'Deliveries asked for in the last hour that were tried: that arrived, are retried, or died.';
comment on column ops.delivery_health.success_ratio is 'The former of the latter, from 0 to 1; NULL: none was tried.';
comment on column ops.delivery_health.breaker is 'closed: it is called; open: it is not; half-open: one attempt finds out.';
comment on column ops.delivery_health.circuit_open_until is 'Until when its circuit is open and nothing is sent; NULL: its circuit is closed.';
comment on column ops.delivery_health.failing_since is 'Since when every attempt has failed; NULL: it works.';
comment on column ops.delivery_health.oldest is 'When the first of those that are not over was asked for; NULL: all are.';
comment on column ops.delivery_health.oldest_age is 'How long ago that is.';
comment on column ops.delivery_health.last_error is
  'What the last attempt that failed came to, without what the error quotes; NULL: it works.';

create or replace view ops.deliveries as
select t.slug as tenant, d.tenant_id, d.id as delivery_id, d.event_id, d.status, r.name as rule, c.name as channel, c.kind, d.attempts,
  d.next_attempt_at, d.updated_at, now() - d.updated_at as unchanged_for, a.outcome as last_outcome, a.status_code as last_status_code,
  regexp_replace(a.error, '([(:"]|\s'').*', '') as last_error
from signalops.deliveries d
join signalops.tenants t on t.id = d.tenant_id
left join signalops.rules r on r.tenant_id = d.tenant_id and r.id = d.rule_id
left join signalops.channels c on c.tenant_id = d.tenant_id and c.id = d.channel_id
left join lateral (
  select n.outcome, n.status_code, n.error from signalops.delivery_attempts n
  where n.tenant_id = d.tenant_id and n.delivery_id = d.id order by n.attempt desc limit 1
) a on true;
comment on view ops.deliveries is
  'Deliveries with their last attempt. One delivery is found by tenant_id and delivery_id along the primary key; narrow a list by tenant_id and status.';
comment on column ops.deliveries.tenant is 'The tenant''s slug.';
comment on column ops.deliveries.tenant_id is 'Its id.';
comment on column ops.deliveries.delivery_id is 'The delivery.';
comment on column ops.deliveries.event_id is 'The event that it is about.';
comment on column ops.deliveries.status is 'pending, sending, retrying, sent, delivered, read, dead, cancelled or suppressed.';
comment on column ops.deliveries.rule is 'The rule that asked for it; NULL: it was deleted.';
comment on column ops.deliveries.channel is 'The channel; NULL: it was deleted.';
comment on column ops.deliveries.kind is 'email, telegram, whatsapp, webhook, slack or http.';
comment on column ops.deliveries.attempts is 'Attempts begun.';
comment on column ops.deliveries.next_attempt_at is 'When it is tried next; NULL: it has a job, or is over.';
comment on column ops.deliveries.updated_at is 'When its status changed last.';
comment on column ops.deliveries.unchanged_for is 'How long ago that is.';
comment on column ops.deliveries.last_outcome is 'What the last attempt came to; NULL: there was none.';
comment on column ops.deliveries.last_status_code is 'The status that its receiver answered; NULL: none.';
comment on column ops.deliveries.last_error is 'Why the last attempt failed, without what the error quotes; NULL: it did not.';

create or replace view ops.dead_letters as
select t.slug as tenant, l.tenant_id, l.id as dead_letter_id, l.kind, l.died_at, regexp_replace(l.error, '([(:"]|\s'').*', '') as error,
  r.name as rule, c.name as channel, l.event_id, l.delivery_id
from signalops.dead_letters l
join signalops.tenants t on t.id = l.tenant_id
left join signalops.rules r on r.tenant_id = l.tenant_id and r.id = l.rule_id
left join signalops.channels c on c.tenant_id = l.tenant_id and c.id = l.channel_id
where l.resolved_at is null;
comment on view ops.dead_letters is
  'Events and deliveries that were given up and wait for somebody to look: see ops.retry_dead_letters and ops.discard_dead_letters. One tenant''s are read '
  'along dead_letters_open.';
comment on column ops.dead_letters.tenant is 'The tenant''s slug.';
comment on column ops.dead_letters.tenant_id is 'Its id.';
comment on column ops.dead_letters.dead_letter_id is 'The dead letter: the id of its event or delivery.';
comment on column ops.dead_letters.kind is 'event or delivery.';
comment on column ops.dead_letters.died_at is 'When it was given up.';
comment on column ops.dead_letters.error is 'Why, without what the error quotes: that may be of a payload, and is in the tenant''s own.';
comment on column ops.dead_letters.rule is 'The rule that asked for the delivery; NULL: it is an event.';
comment on column ops.dead_letters.channel is 'The channel; NULL: it is an event.';
comment on column ops.dead_letters.event_id is 'The event.';
comment on column ops.dead_letters.delivery_id is 'The delivery; NULL: it is an event.';
