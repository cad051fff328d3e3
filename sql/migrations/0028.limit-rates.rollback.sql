-- Takes back rate limits of events: every tenant and key may bring in what comes; wrong keys are told by bcrypt alone.

drop function signalops.accept(jsonb, jsonb, uuid, integer, jsonb);
drop function signalops.asked_of(jsonb, jsonb);
drop function signalops.without_refused(jsonb, jsonb);
drop function signalops.take_tokens(jsonb, jsonb);
drop function signalops.lock_buckets(jsonb);
drop table signalops.rate_buckets;
create function signalops.accept(flush jsonb, asked jsonb, in_batch uuid, in_priority integer)
returns table (event_id uuid, verdict text, first_id uuid, of_meter text, period_end timestamptz)
language plpgsql volatile
-- The hot statements go through primary keys, and a generic plan saves planning each of them anew. But a plan made while a table
-- was small is kept while it grows a thousandfold: so seq scans are off, and a table is looked up row by row (lateral, limit 1)
-- where a join could come to read the whole of it.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  -- The flush's own moment: the same for all of it, and for whoever asks later.
  moment timestamptz := signalops.time_of(in_batch);
  tenants uuid[];
  meters text[];
  calms boolean[];
  admitted jsonb := flush;
  part record;
  checked jsonb;
  taken jsonb := '[]';
  careful uuid[] := '{}';
  telling jsonb := '[]';
  fresh bigint;
  notices bigint;
  emitted bigint := 0;
begin
  perform signalops.act_for((select array_agg(a.tenant) from jsonb_to_recordset(asked) as a (tenant uuid)));

  select array_agg(c.tenant), array_agg(c.of_meter), array_agg(c.is_calm) into tenants, meters, calms
  from signalops.count_in(asked, moment) c;
  if (cardinality(tenants) = jsonb_array_length(asked) and true = all (calms)) is not true then
    if false = any (calms) then
      perform signalops.await_changed_limits();
    end if;
    for part in
      select a.tenant, jsonb_agg(a) as asked, array_agg(a.meter) as meters, array_agg(c.meter) as counted,
        array_agg(c.meter) filter (where not c.is_calm) as made
      from jsonb_to_recordset(asked) as a (tenant uuid, meter text, amount numeric, scales bigint)
      left join unnest(tenants, meters, calms) as c (tenant, meter, is_calm) on c.tenant = a.tenant and c.meter = a.meter
      group by a.tenant having bool_and(coalesce(c.is_calm, false)) is false order by a.tenant
    loop
      careful := careful || part.tenant;
      select jsonb_agg(c) into checked from signalops.admit(part.tenant, moment, part.asked, flush, part.counted, part.made) c;
      if checked is null then
        return query select null::uuid, 'stale', part.tenant, null::text, null::timestamptz;
        continue;
      end if;
      return query
        select (c.event ->> 'id')::uuid, 'refused', null::uuid, c.refused_by, c.period_end
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text, period_end timestamptz) where c.refused_by is not null;
      taken := taken || (
        select coalesce(jsonb_agg(c.event), '[]')
        from jsonb_to_recordset(checked) as c (event jsonb, refused_by text) where c.refused_by is null);
      telling := telling || jsonb_build_object('tenant', part.tenant, 'meters', part.meters, 'refusing', (
        select array_agg(distinct c.refused_by) from jsonb_to_recordset(checked) as c (refused_by text)));
    end loop;
    perform signalops.recount(taken, moment, 1);
    admitted := taken || (
      select coalesce(jsonb_agg(i), '[]') from jsonb_array_elements(flush) i where (i ->> 'tenant')::uuid <> all (careful));
    return query
      select o.id, 'over_limit', null::uuid, null::text, null::timestamptz
      from jsonb_to_recordset(taken) as o (id uuid, over_limit boolean) where o.over_limit;
  end if;

  fresh := signalops.store(admitted, in_batch);
  if fresh < jsonb_array_length(admitted) then
    return query
      select g.event_id, g.verdict, g.first_id, null::text, null::timestamptz from signalops.give_back(admitted, moment) g;
  end if;

  for part in select * from jsonb_to_recordset(telling) as t (tenant uuid, meters text[], refusing text[])
  loop
    return query
      select t.event_id, t.verdict, part.tenant, t.of_meter, null::timestamptz
      from signalops.tell(part.tenant, moment, in_batch, part.meters, part.refusing) t;
    get diagnostics notices = row_count;
    emitted := emitted + notices;
  end loop;

  if fresh + emitted > 0 then
    perform signalops.enqueue('events', 'process_batch', in_priority, jsonb_build_object('batch', in_batch));
  end if;
  perform signalops.act_for(null);
end
$$;
comment on function signalops.accept(jsonb, jsonb, uuid, integer) is
  'Accepts a flush: [{tenant, id, type, source, occurred_at, received_at, payload, attributes, key, hash, weights: {meter: amount}}] with '
  '[{tenant, meter, amount, scales}]: what each tenant''s events add to the meter events and to each of its limited meters, and the version '
  'of these (tenants.scales). Counts against the limits, stores, fills the inbox and enqueues one job. Returns only what was not plainly '
  'accepted: stale (nothing of the tenant first_id is stored: weigh by its present scales and send again), refused (by of_meter, until '
  'period_end), over_limit, duplicate or conflict (first_id is the event stored under the key); and as soft_limit, hard_limit and '
  'threshold the notices it emitted (of the tenant first_id), each once when it was reached.';

drop trigger announce_key_change on signalops.tenants;
create trigger announce_key_change after update of status or delete on signalops.tenants
  for each statement execute function signalops.announce_key_change();
comment on trigger announce_key_change on signalops.tenants is 'A suspended tenant is refused at once everywhere.';
drop trigger announce_key_change on signalops.api_keys;
create trigger announce_key_change
  after delete or update of tenant_id, id, prefix, hash, scopes, allowed_cidrs, expires_at, revoked_at on signalops.api_keys
  for each statement execute function signalops.announce_key_change();
comment on trigger announce_key_change on signalops.api_keys is 'A revoked key is refused at once everywhere.';

drop function signalops.find_keys(text);
create function signalops.find_keys(wanted text)
returns table (
  tenant_id uuid, key_id uuid, hash text, scopes text[], allowed_cidrs cidr[], expires_at timestamptz, tenant_status text
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  select k.tenant_id, k.id, k.hash, k.scopes, k.allowed_cidrs, k.expires_at, t.status
  from signalops.api_keys k join signalops.tenants t on t.id = k.tenant_id
  where k.prefix = wanted and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
$$;
comment on function signalops.find_keys(text) is
  'The usable keys with a prefix, with hash and tenant: the one look-up that happens before a tenant is known.';
revoke all on function signalops.find_keys(text) from public;
grant execute on function signalops.find_keys(text) to signalops_api;
drop policy tenant_group_signalops_api on signalops.api_keys;
alter table signalops.api_keys drop column rate_per_second, drop column rate_burst, drop column fingerprint;
alter table signalops.tenants drop column rate_per_second, drop column rate_burst;
