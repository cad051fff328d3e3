-- Takes the retentions of tenants away: events stay until their partitions go. What has expired is not brought back, and an audit that
-- does not know of it tells of it as missing.

create or replace function signalops.audit_span(of_tenant uuid, of_period date)
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

drop function signalops.expire(integer, integer);
drop function signalops.expire_blocks(text, integer);
drop function signalops.expire_tenant(uuid, uuid, bigint);
drop function signalops.expire_rows(uuid, text, text, uuid, bigint, text);
drop function signalops.begin_expiry(integer);
drop function signalops.keep(integer);
drop policy owner_acts on signalops.idempotency_keys;
drop policy owner_acts on signalops.backtests;
drop policy owner_acts on signalops.delivery_attempts;
drop table signalops.sweeps;
drop table signalops.expiries;
alter table signalops.tenants drop column retention_days;

-- Last: a column of that name would go before its argument.
create or replace function signalops.kept_from(retention_days integer) returns timestamptz
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select least(now() - make_interval(days => retention_days),
    min(case when isfinite(t.closed_until) then t.closed_until else t.created_at end) - interval '2 days',
    min(signalops.time_of((select i.event_id from signalops.inbox i where i.tenant_id = t.id order by i.event_id limit 1))))
  from signalops.tenants t where t.status <> 'deleting'
$$;
comment on function signalops.kept_from(integer) is
  'Before this nothing need be kept of any tenant: it is that many days ago, its billing period is closed, and it does not wait.';
