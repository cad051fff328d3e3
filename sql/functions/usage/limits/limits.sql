-- Limits: which one applies, and what a change of one does to accepted counters.

create or replace view signalops.limited_meters with (security_invoker = true) as
select m.tenant_id, m.key, m.first_version, m.name, m.aggregation, m.field, m.grammar, m.pattern, m.group_by, m.allows_negative
from signalops.meters m
where m.end_version is null and m.aggregation in ('count', 'sum')
  and exists (select from signalops.limits l where l.tenant_id = m.tenant_id and l.meter = m.key and coalesce(l.soft, l.hard) is not null);
comment on view signalops.limited_meters is
  'The meters besides events whose quantities the API computes for incoming events: those with a limit now, earlier, or later.';

create or replace function signalops.limit_of(tenant uuid, of_meter text, on_day date) returns setof signalops.limits
language sql stable parallel safe rows 1 as $$
  select * from signalops.limits l
  where l.tenant_id = tenant and l.meter = of_meter and l.starts_on <= on_day
  order by l.origin desc, l.starts_on desc limit 1
$$;
comment on function signalops.limit_of is
  'The limit of a meter in effect on a day: the tenant''s own before the plan''s, of these the latest; no row without one.';

create or replace function signalops.check_limit() returns trigger
language plpgsql as $$
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
comment on function signalops.check_limit is 'Only what adds up can have a limit.';

create or replace trigger check_limit before insert or update on signalops.limits for each row execute function signalops.check_limit();
comment on trigger check_limit on signalops.limits is 'A limit is of events, or of a meter that counts or sums.';

create or replace function signalops.await_changed_limits() returns void
language plpgsql volatile set lock_timeout = '100ms' as $$
begin
  perform pg_advisory_xact_lock_shared(hashtext('signalops.new_accepted_counters'));
end
$$;
comment on function signalops.await_changed_limits is
  'Before a flush that makes a month''s first accepted counters is tried again: awaits, for a moment, the limits that are being changed.';

create or replace function signalops.reset_next_thresholds(tenant uuid, of_meter text) returns void
language plpgsql volatile as $$
declare
  zone text;
  month date;
  before bigint;
  version bigint;
begin
  -- Lock order: tenants; new_accepted_counters, against flushes that make rows which can't be seen here; accepted counters by period and meter.
  update signalops.tenants t set limited_meters_version = t.limited_meters_version + (of_meter <> 'events')::integer where t.id = tenant
  returning t.limited_meters_version - (of_meter <> 'events')::integer, t.limited_meters_version, t.time_zone into before, version, zone;
  if not found then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('signalops.new_accepted_counters'));
  month := signalops.period_of(now(), zone);
  if version > 0 then
    insert into signalops.accepted_counters (tenant_id, period, meter, limited_meters_version)
    select tenant, month, m.key, m.limited_meters_version
    from (select 'events' as key, before as limited_meters_version union all select l.key, -1 from signalops.limited_meters l where l.tenant_id = tenant) m
    order by m.key
    on conflict do nothing;
  end if;
  perform from signalops.accepted_counters q where q.tenant_id = tenant order by q.period, q.meter for update;
  update signalops.accepted_counters q set next_threshold = 0, limited_meters_version = version,
    accepted = case when q.meter = 'events' or q.limited_meters_version = before then q.accepted else coalesce((
      select greatest(sum(u.value), 0) from signalops.usage_counters u
      where u.tenant_id = tenant and u.meter = q.meter
        and u.hour >= signalops.period_start(q.period, zone)
        and u.hour < signalops.period_start((q.period + interval '1 month')::date, zone)), 0) end
  where q.tenant_id = tenant
    and (q.meter = 'events' or q.meter in (select l.key from signalops.limited_meters l where l.tenant_id = tenant));
end
$$;
comment on function signalops.reset_next_thresholds is
  'Sends the next accept of a tenant to the slow path; for a meter other than events increments tenants.limited_meters_version, and the counter of a meter whose '
  'limit is new starts with the usage of the month.';

create or replace function signalops.version_limit() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op in ('UPDATE', 'DELETE') then
    perform signalops.reset_next_thresholds(old.tenant_id, old.meter);
  end if;
  if tg_op = 'INSERT' or (tg_op = 'UPDATE' and (new.tenant_id, new.meter) <> (old.tenant_id, old.meter)) then
    perform signalops.reset_next_thresholds(new.tenant_id, new.meter);
  end if;
  return null;
end
$$;
comment on function signalops.version_limit is 'A limit that is set, changed or removed takes effect with its commit, in every process.';

create or replace trigger version_limit after insert or update or delete on signalops.limits for each row execute function signalops.version_limit();
comment on trigger version_limit on signalops.limits is 'Events accepted after the commit are checked against the new limit.';

create or replace function signalops.version_limited_meter() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if exists (select from signalops.limits l where l.tenant_id = new.tenant_id and l.meter = new.key) then
    perform signalops.reset_next_thresholds(new.tenant_id, new.key);
  end if;
  return null;
end
$$;
comment on function signalops.version_limited_meter is 'A limited meter that ends or starts changes the quantities that the API computes.';

create or replace trigger version_limited_meter after insert or update on signalops.meters
  for each row execute function signalops.version_limited_meter();
comment on trigger version_limited_meter on signalops.meters is 'The API computes quantities by the active meters.';
