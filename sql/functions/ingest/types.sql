-- The catalogue of event types, and the cache of their schemas.

create or replace function signalops.merge_fields(known jsonb, seen jsonb) returns jsonb
language sql immutable parallel safe as $$
  select jsonb_object_agg(path, field) from (
    select coalesce(k.key, s.key) as path, jsonb_strip_nulls(jsonb_build_object(
      'types', (select jsonb_agg(distinct t) from jsonb_array_elements(
        coalesce(k.value -> 'types', '[]') || coalesce(s.value -> 'types', '[]')) as t),
      'example', coalesce(k.value -> 'example', s.value -> 'example'))) as field
    from jsonb_each(known) k full join jsonb_each(seen) s on s.key = k.key
    -- Known fields stay; one more than the maximum shows that there are more.
    order by k.key is null, path limit 201
  ) as fields
$$;
comment on function signalops.merge_fields is
  'Adds fields that were seen to those that are known, and their types to those of the known; at most 201.';

create or replace function signalops.record_event_types(seen jsonb) returns void
language plpgsql volatile set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
begin
  perform signalops.set_tenant_group((select array_agg(distinct s.tenant) from jsonb_to_recordset(seen) as s (tenant uuid)));

  with noted as (
    -- Lock order: event_types by key.
    select s.*, k.fields as known, k.type is null as is_new,
      count(*) filter (where k.type is null) over (partition by s.tenant order by s.type) as place
    from jsonb_to_recordset(seen)
      as s (tenant uuid, type text, first uuid, last uuid, count bigint, fields jsonb, cut boolean, example jsonb)
    left join lateral (
      select e.type, e.fields from signalops.event_types e where e.tenant_id = s.tenant and e.type = s.type limit 1
    ) k on true
    -- A tenant deleted concurrently must not get rows again.
    where exists (select from signalops.tenants t where t.id = s.tenant and t.status <> 'deleting')
    order by s.tenant, s.type
  ), room as (
    select n.tenant, 1000 - (select count(*) from signalops.event_types e where e.tenant_id = n.tenant) as places
    from noted n where n.is_new group by n.tenant
  )
  insert into signalops.event_types as t (tenant_id, type, first_seen_at, last_seen_at, count, fields, fields_cut, example)
  select n.tenant, n.type, signalops.uuid7_time(n.first), signalops.uuid7_time(n.last), n.count, n.fields, n.cut, n.example
  from noted n left join room r on r.tenant = n.tenant
  where not n.is_new or n.place <= r.places
  order by n.tenant, n.type
  on conflict (tenant_id, type) do update set
    first_seen_at = least(t.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at),
    count = t.count + excluded.count,
    fields = case when excluded.fields = '{}' then t.fields else signalops.merge_fields(t.fields, excluded.fields) end,
    fields_cut = t.fields_cut or excluded.fields_cut,
    example = coalesce(excluded.example, t.example);

  perform signalops.set_tenant_group(null);
end
$$;
comment on function signalops.record_event_types is
  'Adds what a worker has seen to the catalogue: [{tenant, type, first, last, count, fields, cut, example}], first and last being ids of events. A '
  'tenant''s types beyond 1,000 are not catalogued, so ids in types can''t fill the table.';

create or replace function signalops.notify_schema_change() returns trigger
language plpgsql as $$
begin
  perform pg_notify('signalops_schemas', coalesce(new.tenant_id, old.tenant_id)::text);
  return null;
end
$$;
comment on function signalops.notify_schema_change is
  'Notifies every API process whose schemas changed, so that it validates with the new ones.';

create or replace trigger notify_schema_change after insert or update or delete on signalops.event_schemas
  for each row execute function signalops.notify_schema_change();
comment on trigger notify_schema_change on signalops.event_schemas is 'A change is live in every API process at once.';
