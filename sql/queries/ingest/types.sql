-- Station ingest: the catalogue of event types, and their schemas.

-- record-event-types: adds what a worker has seen to the catalogue
select signalops.record_event_types(%(seen)s::text::jsonb);

-- list-types: a page of a tenant's catalogue, by type
select t.type, t.first_seen_at as "firstSeenAt", t.last_seen_at as "lastSeenAt", t.count, t.fields, t.fields_cut as "fieldsCut", t.example,
  s.mode as "schemaMode"
from signalops.event_types t
left join signalops.event_schemas s on s.tenant_id = t.tenant_id and s.type = t.type
where t.tenant_id = %(tenant)s and t.type > %(after)s
order by t.type limit %(limit)s;

-- find-type: one type of a tenant's catalogue
select t.type, t.first_seen_at as "firstSeenAt", t.last_seen_at as "lastSeenAt", t.count, t.fields, t.fields_cut as "fieldsCut", t.example,
  s.mode as "schemaMode"
from signalops.event_types t
left join signalops.event_schemas s on s.tenant_id = t.tenant_id and s.type = t.type
where t.tenant_id = %(tenant)s and t.type = %(type)s;

-- list-schemas: every schema of a tenant
select type, mode, schema from signalops.event_schemas where tenant_id = %(tenant)s;

-- find-schema: the schema of one type
select type, mode, schema, updated_at as "updatedAt" from signalops.event_schemas where tenant_id = %(tenant)s and type = %(type)s;

-- other-schemas: how many schemas a tenant has for other types, and their bytes
select count(*), coalesce(sum(octet_length(schema::text)), 0)
from signalops.event_schemas where tenant_id = %(tenant)s and type <> %(type)s;

-- put-schema: writes the schema of a type
insert into signalops.event_schemas (tenant_id, type, mode, schema) values (%(tenant)s, %(type)s, %(mode)s, %(schema)s)
on conflict (tenant_id, type) do update set mode = excluded.mode, schema = excluded.schema, updated_at = now()
returning type, mode, schema, updated_at as "updatedAt";

-- delete-schema: removes the schema of a type
delete from signalops.event_schemas where tenant_id = %(tenant)s and type = %(type)s
returning type, mode, schema, updated_at as "updatedAt";
