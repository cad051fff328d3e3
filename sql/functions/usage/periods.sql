-- Billing periods in the time zone of a tenant.

create or replace function signalops.is_time_zone(zone text) returns boolean
language plpgsql stable as $$
begin
  perform now() at time zone zone;
  return zone ~ '^(UTC|[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+)+)$';
exception when invalid_parameter_value then
  return false;
end
$$;
comment on function signalops.is_time_zone is 'Whether a name is one of the IANA database, such as Europe/Berlin; abbreviations are not.';

alter table signalops.tenants drop constraint if exists tenants_time_zone_check,
  add constraint tenants_time_zone_check check (signalops.is_time_zone(time_zone));

create or replace function signalops.period_of(moment timestamptz, zone text) returns date
language sql immutable parallel safe
return date_trunc('month', moment at time zone zone)::date;
comment on function signalops.period_of is 'The billing period of a moment: the first day of the calendar month in a time zone.';

create or replace function signalops.period_start(day date, zone text) returns timestamptz
language sql immutable parallel safe
-- Where the clock goes back at midnight, as in Havana, a day's first midnight is the one that follows the day before.
return least(day::timestamp at time zone zone, (day::timestamp - interval '1 second') at time zone zone + interval '1 second');
comment on function signalops.period_start is 'The moment at which a day, or the period that it begins, starts in a time zone.';

create or replace function signalops.first_period(tenant uuid, zone text, made timestamptz) returns date
language sql stable
return signalops.period_of(least(made,
  (select min(u.hour) from signalops.usage_counters u where u.tenant_id = tenant and u.meter = 'events'),
  (select min(a.hour) from signalops.usage_adjustments a where a.tenant_id = tenant)), zone);
comment on function signalops.first_period is
  'The first billing period of a tenant: of when it was made, or of the earliest usage that it sent in afterwards.';
