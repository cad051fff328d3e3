-- Removes the functions that accept; the events stay.

drop function signalops.accept(jsonb, uuid, integer);
drop function signalops.store(uuid, uuid, jsonb);
drop function signalops.admit(uuid, date, jsonb);
drop function signalops.emit(uuid, uuid, text, jsonb, smallint);
