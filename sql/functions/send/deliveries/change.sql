-- Deliveries that people retry or cancel.

create or replace function signalops.pick_deliveries(
  tenant uuid, statuses text[], rule uuid, channel uuid, lower_id uuid, upper_id uuid, upwards boolean, at_most integer)
returns setof uuid
language plpgsql stable
-- Custom, so that the direction is known to the planner. It takes a rule and its channel for independent and so expects few rows of
-- both; without a sort it can't read them all.
set plan_cache_mode = force_custom_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
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
comment on function signalops.pick_deliveries is
  'A page of a tenant''s deliveries in some states, of a rule and a channel (NULL: any), between two ids, newest first or upwards. It goes from '
  'each pair of a rule and its channel to the next: one index serves all filters, however rare what they let through is among millions.';

create or replace function signalops.cancel_deliveries(tenant uuid, delivery_ids uuid[]) returns setof uuid
language plpgsql volatile as $$
declare
  cancelled uuid[];
begin
  -- Lock order: deliveries by id. Before the update: when a row changed while the update below waited for it, PostgreSQL 18.4 crashed as it
  -- evaluated the sub-select on a partitioned table once more (EvalPlanQual, signal 11).
  perform from signalops.deliveries d where d.tenant_id = tenant and d.id = any (delivery_ids) order by d.id for update;
  with ended as (
    update signalops.deliveries d set status = 'cancelled', next_attempt_at = null, updated_at = now()
    where d.tenant_id = tenant and d.id = any (delivery_ids) and (d.status in ('pending', 'retrying')
      -- In hand of a worker that is gone or late: longer than any attempt takes, or after one that has left no record.
      or d.status = 'sending' and (d.updated_at < now() - signalops.circuit_probe_timeout() or d.attempts > 1 and not exists (
        select from signalops.delivery_attempts a
        where a.tenant_id = tenant and a.delivery_id = d.id and a.attempt = d.attempts - 1)))
    returning d.id
  )
  select array_agg(e.id) into cancelled from ended e;
  perform signalops.log_bulk_action(tenant, 'delivery.cancelled', cancelled);
  return query select unnest(cancelled);
end
$$;
comment on function signalops.cancel_deliveries is
  'Cancels deliveries that wait, or whose worker is gone or late; returns which. One that is just being sent, or has ended, stays as it is.';

create or replace function signalops.retry_deliveries(tenant uuid, delivery_ids uuid[]) returns setof uuid
language plpgsql volatile as $$
declare
  retried uuid[];
  channels uuid[];
begin
  perform from signalops.deliveries d where d.tenant_id = tenant and d.id = any (delivery_ids) order by d.id for update;
  with waking as (
    update signalops.deliveries d set next_attempt_at = now(), updated_at = now()
    where d.tenant_id = tenant and d.id = any (delivery_ids) and d.next_attempt_at is not null
    returning d.id, d.channel_id
  )
  select array_agg(id), array_agg(distinct channel_id order by channel_id) into retried, channels from waking;
  perform signalops.close_circuits(tenant, channels);
  perform signalops.schedule_channel(tenant, c.id, now()) from unnest(channels) as c (id);
  perform signalops.log_bulk_action(tenant, 'delivery.retried', retried);
  return query select unnest(retried);
end
$$;
comment on function signalops.retry_deliveries is
  'Makes waiting deliveries due now; returns which. For dead ones see retry_dead_letters.';
