-- Ground: the id of a moment is of the millisecond that has begun, as in Python: rounded up, an event that came after the moment could count as older.
-- Stage: pre

create or replace function signalops.id_at(moment timestamptz) returns uuid
language sql immutable strict parallel safe
return (lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;
