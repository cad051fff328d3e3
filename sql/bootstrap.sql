-- Roles and schemas: what must exist before the first migration. Idempotent; `signalops migrate` runs it first.
-- Where the migrating login may not create roles, a DBA runs this file once by hand (README.md, "Roles").

do $$
declare
  duty record;
begin
  for duty in
    select * from (values
      ('signalops_owner', 'owns the schema and the narrow functions that work across tenants; migrates'),
      ('signalops_api', 'the HTTP process: sees one tenant at a time'),
      ('signalops_worker', 'the job process: sees one tenant at a time, and the job tables'),
      ('signalops_operator', 'people who run the installation: reads the operations views')
    ) as duties (name, purpose)
  loop
    -- Roles belong to the cluster: another database of it may have made them, or be making them right now.
    begin
      execute format('create role %I nologin', duty.name);
    exception when duplicate_object or unique_violation then
      null;
    end;
    begin
      execute format('comment on role %I is %L', duty.name, 'SignalOps: ' || duty.purpose);
      -- A login without superuser rights needs membership to act as the role it has just made (PostgreSQL 16 and later).
      if not pg_has_role(duty.name, 'member') then
        execute format('grant %I to %I', duty.name, current_user);
      end if;
    exception when insufficient_privilege or sqlstate 'XX000' then
      null; -- "tuple concurrently updated": the other database's bootstrap says the same words
    end;
  end loop;
  execute format('grant create on database %I to signalops_owner', current_database());
end
$$;

create schema if not exists signalops authorization signalops_owner;
create schema if not exists procrastinate authorization signalops_owner;
create schema if not exists yoyo authorization signalops_owner;

comment on schema signalops is 'The product: every table of a tenant begins with tenant_id and is protected row by row.';
comment on schema procrastinate is 'The job queue, as the procrastinate library ships it.';
comment on schema yoyo is 'Which migrations were applied, and when.';
