-- Adjustments: corrections of usage by people.

create or replace function signalops.add_adjustment(
  tenant uuid, new_id uuid, of_meter text, at timestamptz, of_grp text, quantity numeric, reason text, author text,
  key_id uuid default null, idempotency_key text default null, body_hash bytea default null
) returns signalops.usage_adjustments
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  zone text;
  closed timestamptz;
  slot timestamptz;
  made signalops.usage_adjustments;
begin
  -- Closing changes this row first, so it waits for us; and if it was first, we wait, and read what it closed.
  select t.time_zone, t.closed_until into zone, closed from signalops.tenants t
  where t.id = tenant and t.id = signalops.current_tenant() for share;
  if not found then
    raise 'usage is adjusted in a transaction of its tenant: call signalops.set_tenant first' using errcode = 'insufficient_privilege';
  end if;
  if of_meter <> 'events' and not exists (
    select from signalops.meters m
    where m.tenant_id = tenant and m.key = of_meter and m.aggregation in ('count', 'sum', 'unique_count')
  ) then
    raise 'the meter % can''t be adjusted: only what counts or sums can be added to', of_meter using errcode = 'check_violation';
  end if;
  slot := date_trunc('hour', at, zone);
  insert into signalops.usage_adjustments as a
    (tenant_id, id, meter, hour, group_key, period, is_late, quantity, reason, author, key_id, idempotency_key, body_hash)
  values (tenant, new_id, of_meter, slot, of_grp, signalops.period_of(greatest(slot, closed), zone), slot < closed,
    quantity, reason, author, key_id, idempotency_key, body_hash)
  on conflict on constraint usage_adjustments_by_key do nothing
  returning a.* into made;
  if not found then
    select a.* into made from signalops.usage_adjustments a
    where a.tenant_id = tenant and a.idempotency_key = add_adjustment.idempotency_key;
  end if;
  return made;
end
$$;
comment on function signalops.add_adjustment is
  'Corrects the usage of the hour of a moment by a quantity, for the current tenant. When its billing period is closed, the open one bills it, '
  'late. Returns the adjustment; with an idempotency key that was used before the first one, with an id of its own.';
