-- UUIDv7 ids, positions in lists, and up to where a list is settled.

create or replace function signalops.uuid7_floor(moment timestamptz) returns uuid
language sql immutable strict parallel safe
return (lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;
comment on function signalops.uuid7_floor is
  'The least UUIDv7 of a millisecond: ids compare with it as their times do, so it bounds time ranges and partitions.';

create or replace function signalops.uuid7_time(id uuid) returns timestamptz
language sql immutable strict parallel safe
return to_timestamp(('x' || lpad(translate(left(id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint / 1000.0);
comment on function signalops.uuid7_time is 'The millisecond in which a UUIDv7 was made (RFC 9562, section 5.7).';

create or replace function signalops.position_time() returns timestamptz
language plpgsql as $$
begin
  if coalesce(current_setting('signalops.positions', true), '') = '' then
    perform pg_advisory_xact_lock_shared((21327::bigint << 48) | floor(extract(epoch from clock_timestamp()) * 1000)::bigint);
    perform set_config('signalops.positions', 'announced', true);
  end if;
  return clock_timestamp();
end
$$;
comment on function signalops.position_time is
  'The time by which a row that this transaction adds stands in a list. The first call announces it, by an advisory lock whose key (SO, then 48 '
  'bits of milliseconds) is no later than any of its times, until the transaction ends: settled_time stops before it, so no row appears behind a '
  'cursor that was given out.';

create or replace function signalops.new_id() returns uuid
language sql volatile
return (
  select encode(overlay(uuid_send(gen_random_uuid()) placing int8send(((t.micros / 1000) << 16) | (b'0111000000000000'::bigint)
    | ((t.micros % 1000) * 4096 / 1000)) from 1 for 8), 'hex')::uuid
  from (select (extract(epoch from signalops.position_time()) * 1000000)::bigint as micros) t);
comment on function signalops.new_id is
  'A new UUIDv7, for rows that SQL itself makes, in order to the microsecond (RFC 9562, 6.2, method 3) and announced as position_time says. '
  'PostgreSQL 18 has uuidv7(); 15 to 17 have not.';

create or replace function signalops.repositioned_id(place text, id text) returns uuid
language sql immutable parallel safe
return coalesce(place || substr(id, 14), id)::uuid;
comment on function signalops.repositioned_id is
  'The UUIDv7 with the milliseconds of a place (13 characters) and the rest of an id that was made before its transaction began; without a place, '
  'the id.';

create or replace function signalops.settled_time() returns timestamptz
language plpgsql set lock_timeout = '250ms' as $$
declare
  settled timestamptz := date_trunc('milliseconds', clock_timestamp());
  opened bigint;
begin
  for opened in
    select (l.classid::bigint << 32) | l.objid::bigint from pg_locks l
    where l.locktype = 'advisory' and l.mode = 'ShareLock' and l.granted and l.objsubid = 1 and l.classid::bigint >> 16 = 21327
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
    order by 1
  loop
    -- What was written a moment ago is shown at once: most transactions end within milliseconds.
    begin
      perform pg_advisory_lock(opened);
      perform pg_advisory_unlock(opened);
    exception when lock_not_available then
      return to_timestamp((opened & (1::bigint << 48) - 1) / 1000.0);
    end;
  end loop;
  return settled;
end
$$;
comment on function signalops.settled_time is
  'The time before which all rows of lists have been committed or never will be. Waits a quarter of a second for a transaction that is adding some. '
  'To be called in a statement before the one that reads the list, whose snapshot must be the later one.';
