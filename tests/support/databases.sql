-- Added to the template of the tests' databases: notes what a test changes besides rows, and removes its rows again.
create schema testing;

create table testing.commands (tag text not null);
comment on table testing.commands is 'The DDL that this database has seen: it is dropped, and not used by another test.';

create function testing.note_command() returns event_trigger language plpgsql security definer set search_path = ''
as $$ begin insert into testing.commands values (tg_tag); end $$;

-- Rows that the migrations themselves store, to be put back where a test changed them.
create table testing.originals as
select c.oid::regclass as name, c.reltuples, null::regclass as copy
from pg_class c
where c.relkind = 'r' and c.relnamespace::regnamespace::text in ('signalops', 'ops', 'procrastinate', 'yoyo');

do $$
declare
  original record;
  has_rows boolean;
begin
  for original in select name from testing.originals loop
    execute format('select exists (select from %s)', original.name) into has_rows;
    if has_rows then
      execute format('create table testing.%I as table %s', 'copy_' || original.name::oid, original.name);
      update testing.originals set copy = ('testing.copy_' || name::oid)::regclass where name = original.name;
    end if;
  end loop;
end $$;

-- Returns whether the database is as the template was: if not, it was changed by more than rows, or by very many of them.
-- Deletes leaf by leaf, and only where there ever was a row: TRUNCATE makes new files for each table and index.
create function testing.clean(most_bytes bigint) returns boolean language plpgsql as $$
declare
  original record;
  number record;
begin
  if exists (select from testing.commands)
    or exists (
      select from pg_database d where d.datname = current_database()
        and (d.datconnlimit <> -1 or exists (select from pg_db_role_setting s where s.setdatabase = d.oid)))
    or exists (select from pg_index where not indisvalid)
    or exists (
      select from testing.originals o join pg_class c on c.oid = o.name where c.reltuples <> o.reltuples)
    or (select sum(pg_relation_size(name)) from testing.originals) > most_bytes
  then
    return false;
  end if;
  perform set_config('session_replication_role', 'replica', true);
  for original in select name, copy from testing.originals where pg_relation_size(name) > 0 loop
    execute format('delete from %s', original.name);
    if original.copy is not null then
      execute format('insert into %s overriding system value table %s', original.name, original.copy);
    end if;
  end loop;
  for number in select format('%I.%I', schemaname, sequencename)::regclass as name, start_value
    from pg_sequences where last_value is not null loop
    perform setval(number.name, number.start_value, false);
  end loop;
  return true;
end $$;

create event trigger testing_note_command on ddl_command_end execute function testing.note_command();
alter event trigger testing_note_command enable always;
