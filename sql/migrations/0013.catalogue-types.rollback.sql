-- Removes the catalogue and the schemas; the catalogue can be seen again, the schemas are lost.

drop table signalops.event_schemas;
drop function signalops.announce_schema_change();
drop function signalops.note_types(jsonb);
drop function signalops.merge_fields(jsonb, jsonb);
drop table signalops.event_types;
