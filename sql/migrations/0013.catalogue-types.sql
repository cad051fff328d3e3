-- The catalogue of the types that each tenant sends, and the JSON Schemas that it holds their payloads against.

create table signalops.event_types (
  tenant_id uuid not null,
  type text not null,
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  count bigint not null check (count > 0),
  fields jsonb not null,
  fields_cut boolean not null default false,
  example jsonb,
  primary key (tenant_id, type)
) with (fillfactor = 70);
comment on table signalops.event_types is
  'What a tenant sends, for editors to offer: at most 1,000 types a tenant. Workers write it a second after they processed.';
comment on column signalops.event_types.tenant_id is 'Whose events they are.';
comment on column signalops.event_types.type is 'The type, as events name it.';
comment on column signalops.event_types.first_seen_at is 'When the first of these events was received.';
comment on column signalops.event_types.last_seen_at is 'When the last of these events was received.';
comment on column signalops.event_types.count is
  'The events of this type that were processed since the catalogue is kept, without dead letters; less what a killed worker had not '
  'written yet, about a second of its work. Usage is what is exact.';
comment on column signalops.event_types.fields is
  'The fields seen in samples: {path: {types: [...], example: ...}}, at most 200; paths as patterns name them.';
comment on column signalops.event_types.fields_cut is 'There are further fields.';
comment on column signalops.event_types.example is 'A recent event of at most 16 KiB; NULL: none was that small.';
call signalops.protect('signalops.event_types');
call signalops.admit_group('signalops.event_types', 'signalops_worker');
grant select on signalops.event_types to signalops_api;
grant select, insert, update on signalops.event_types to signalops_worker;

create function signalops.merge_fields(known jsonb, seen jsonb) returns jsonb
language sql immutable parallel safe
as $$
  select jsonb_object_agg(path, field) from (
    select coalesce(k.key, s.key) as path, jsonb_strip_nulls(jsonb_build_object(
      'types', (select jsonb_agg(distinct t) from jsonb_array_elements(
        coalesce(k.value -> 'types', '[]') || coalesce(s.value -> 'types', '[]')) as t),
      'example', coalesce(k.value -> 'example', s.value -> 'example'))) as field
    from jsonb_each(known) k full join jsonb_each(seen) s on s.key = k.key
    -- What is known stays; one more than is kept tells that there are more.
    order by k.key is null, path limit 201
  ) as fields
$$;
comment on function signalops.merge_fields(jsonb, jsonb) is
  'Adds fields that were seen to those that are known, and their types to those of the known; at most 201.';

create function signalops.note_types(seen jsonb) returns void
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  perform signalops.act_for((select array_agg(distinct s.tenant) from jsonb_to_recordset(seen) as s (tenant uuid)));

  with noted as (
    -- In one order, so that two workers can't lock each other out.
    select s.*, k.fields as known, k.type is null as is_new,
      count(*) filter (where k.type is null) over (partition by s.tenant order by s.type) as place
    from jsonb_to_recordset(seen)
      as s (tenant uuid, type text, first uuid, last uuid, count bigint, fields jsonb, cut boolean, example jsonb)
    left join lateral (
      select e.type, e.fields from signalops.event_types e where e.tenant_id = s.tenant and e.type = s.type limit 1
    ) k on true
    order by s.tenant, s.type
  ), room as (
    select n.tenant, 1000 - (select count(*) from signalops.event_types e where e.tenant_id = n.tenant) as places
    from noted n where n.is_new group by n.tenant
  )
  insert into signalops.event_types as t (tenant_id, type, first_seen_at, last_seen_at, count, fields, fields_cut, example)
  select n.tenant, n.type, signalops.time_of(n.first), signalops.time_of(n.last), n.count, n.fields, n.cut, n.example
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

  perform signalops.act_for(null);
end
$$;
comment on function signalops.note_types(jsonb) is
  'Adds what a worker has seen to the catalogue: [{tenant, type, first, last, count, fields, cut, example}], first and last being ids of '
  'events. A tenant''s types beyond 1,000 are not catalogued: whoever puts ids into types fills nothing.';

create table signalops.event_schemas (
  tenant_id uuid not null references signalops.tenants (id) on delete cascade,
  type text not null,
  mode text not null check (mode in ('warn', 'reject')),
  schema json not null check (octet_length(schema::text) <= 65536),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, type)
);
comment on table signalops.event_schemas is 'JSON Schemas that the payloads of a tenant''s events are held against as they come in.';
comment on column signalops.event_schemas.tenant_id is 'Whose schema it is.';
comment on column signalops.event_schemas.type is 'The type of the events.';
comment on column signalops.event_schemas.mode is 'warn: the answer names the faults; reject: the event is refused.';
comment on column signalops.event_schemas.schema is 'JSON Schema of the payload (draft 2020-12 or 7), as it was written.';
comment on column signalops.event_schemas.updated_at is 'When it was written last.';
call signalops.protect('signalops.event_schemas');
grant select, insert, update, delete on signalops.event_schemas to signalops_api;

create function signalops.announce_schema_change() returns trigger
language plpgsql
as $$
begin
  perform pg_notify('signalops_schemas', coalesce(new.tenant_id, old.tenant_id)::text);
  return null;
end
$$;
comment on function signalops.announce_schema_change() is
  'Tells every API process whose schemas changed: events are held against the new ones from then on.';
create trigger announce_schema_change after insert or update or delete on signalops.event_schemas
  for each row execute function signalops.announce_schema_change();
comment on trigger announce_schema_change on signalops.event_schemas is 'A change is live in every API process at once.';
