-- The ground of every table: who the current tenant is, how a table is protected, how it is partitioned by time.

grant usage on schema signalops to signalops_api, signalops_worker, signalops_operator;
grant usage on schema yoyo to signalops_api, signalops_worker, signalops_operator;
alter default privileges in schema yoyo grant select on tables to signalops_api, signalops_worker, signalops_operator;
grant select on all tables in schema yoyo to signalops_api, signalops_worker, signalops_operator;

create function signalops.current_tenant() returns uuid
language sql stable parallel safe
-- After a transaction that set it the setting reads '' and not NULL.
return nullif(current_setting('signalops.tenant_id', true), '')::uuid;
comment on function signalops.current_tenant() is
  'The tenant that this transaction acts for; NULL when none is set, and then no row of any tenant is visible.';

create function signalops.act_as(tenant uuid) returns void
language sql volatile
as $$ select set_config('signalops.tenant_id', tenant::text, true) $$;
comment on function signalops.act_as(uuid) is 'Sets the tenant of this transaction; the end of the transaction forgets it.';

create procedure signalops.protect(target regclass, key text default 'tenant_id')
language plpgsql
as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  -- The scalar sub-select makes the planner evaluate the tenant once per statement, not once per row.
  execute format(
    'create policy own_tenant on %s using (%I = (select signalops.current_tenant())) '
    'with check (%I = (select signalops.current_tenant()))', target, key, key);
  execute format('comment on policy own_tenant on %s is %L', target,
    'Rows of the current tenant are all that can be seen or written; without a tenant there are none.');
end
$$;
comment on procedure signalops.protect(regclass, text) is
  'Enables and forces row-level security on a tenant table, with the policy own_tenant. Every migration that makes one calls it.';

create procedure signalops.admit_owner(target regclass, reason text)
language plpgsql
as $$
begin
  execute format('create policy owner_acts on %s to signalops_owner using (true) with check (true)', target);
  execute format('comment on policy owner_acts on %s is %L', target, reason);
end
$$;
comment on procedure signalops.admit_owner(regclass, text) is
  'Lets the narrow SECURITY DEFINER functions of signalops_owner see a table across tenants. No process logs in as that role.';

create function signalops.id_at(moment timestamptz) returns uuid
language sql immutable strict parallel safe
return (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;
comment on function signalops.id_at(timestamptz) is
  'The least UUIDv7 of a millisecond: ids compare with it as their times do, so it bounds time ranges and partitions.';

create function signalops.time_of(id uuid) returns timestamptz
language sql immutable strict parallel safe
return to_timestamp(('x' || lpad(translate(left(id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint / 1000.0);
comment on function signalops.time_of(uuid) is 'The millisecond in which a UUIDv7 was made (RFC 9562, section 5.7).';

create function signalops.new_id() returns uuid
language sql volatile parallel safe
return encode(
  set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid())
      placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;
comment on function signalops.new_id() is
  'A new UUIDv7, for rows that SQL itself makes. PostgreSQL 18 has uuidv7(); 15 to 17 have not.';

create function signalops.make_partitions(months_ahead integer default 3) returns setof text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  parent regclass;
  month date;
  part text;
begin
  -- Several processes may find the month missing at once.
  perform pg_advisory_xact_lock(hashtext('signalops.make_partitions'));
  for parent in
    select c.oid from pg_class c
    where c.relkind = 'p' and c.relnamespace = 'signalops'::regnamespace order by c.relname
  loop
    for month in
      select generate_series(
        date_trunc('month', now() at time zone 'UTC'),
        date_trunc('month', now() at time zone 'UTC') + make_interval(months => months_ahead), '1 month')::date
    loop
      part := format('%s_%s', (select relname from pg_class where oid = parent), to_char(month, 'YYYY_MM'));
      continue when to_regclass(format('signalops.%I', part)) is not null;
      -- Attached, not made in place: that would wait for every query of the table, a dump for instance, and all traffic behind it.
      execute format('create table signalops.%I (like %s including defaults including constraints)', part, parent);
      execute format('alter table %s attach partition signalops.%I for values from (%L) to (%L)', parent, part,
        signalops.id_at(month::timestamp at time zone 'UTC'),
        signalops.id_at((month + interval '1 month') at time zone 'UTC'));
      -- Policies of the parent do not hold for a query on the partition itself: with none of its own it shows nothing.
      execute format('alter table signalops.%I enable row level security', part);
      execute format('alter table signalops.%I force row level security', part);
      execute format('comment on table signalops.%I is %L', part, format('%s made in %s (UTC)', parent, to_char(month, 'YYYY-MM')));
      return next part;
    end loop;
  end loop;
end
$$;
comment on function signalops.make_partitions(integer) is
  'Makes the monthly partitions of every partitioned table, from this month to some months ahead; returns the names of new ones.';
revoke all on function signalops.make_partitions(integer) from public;
grant execute on function signalops.make_partitions(integer) to signalops_worker;
