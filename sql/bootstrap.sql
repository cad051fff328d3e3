-- Roles and schemas: what must exist before the first migration. Idempotent; `signalops migrate` runs it first, and it does
-- nothing where all is there.
-- Where the migrating login may not create roles, a DBA runs this file once in the product's database, and then:
--   grant signalops_owner, signalops_api, signalops_worker, signalops_platform to APP_LOGIN;
-- and where the processes have logins of their own, the same with signalops_worker and signalops_platform:
--   alter role signalops_api login password '...';

do $$
declare
  duty record;
  part record;
  setting record;
  -- Since PostgreSQL 16, who makes a role is a member of it that can't act as it.
  acting text := case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end;
begin
  for duty in
    select * from (values
      ('signalops_owner', 'owns the schema and the narrow functions that work across tenants; migrates'),
      ('signalops_api', 'the HTTP process: sees one tenant at a time'),
      ('signalops_worker', 'the job process: sees one tenant at a time, and the job tables'),
      ('signalops_platform', 'the HTTP process on behalf of an operator: makes, changes and ends tenants'),
      ('signalops_operator', 'people who run the installation: reads the operations views')
    ) as duties (name, purpose)
  loop
    if not exists (select from pg_roles where rolname = duty.name) then
      -- Roles belong to the cluster: another database of it may be making them right now.
      begin
        execute format('create role %I nologin', duty.name);
        execute format('comment on role %I is %L', duty.name, 'SignalOps: ' || duty.purpose);
      exception when duplicate_object or unique_violation then
        null;
      end;
    end if;
    -- What a process asks for when it connects; through a pooler it can't, and its login has it as its own.
    for setting in
      select * from (values
        ('search_path', 'signalops, procrastinate', null),
        -- A jobs table that was vacuumed while empty leaves cached generic plans that scan it as if it still were.
        ('plan_cache_mode', 'force_custom_plan', null),
        ('timezone', 'UTC', null),
        ('idle_in_transaction_session_timeout', '60s', null),
        -- Compiling the statement that weighs windows took 186 ms, each time; nothing here runs for long enough to gain by it.
        ('jit', 'off', null),
        ('statement_timeout', '7s', '{signalops_api,signalops_platform}')
      ) as settings (name, value, roles)
      where duty.name in ('signalops_api', 'signalops_worker', 'signalops_platform')
        and (settings.roles is null or duty.name = any (settings.roles::text[]))
        and not exists (
          select from pg_db_role_setting s join pg_roles r on r.oid = s.setrole and r.rolname = duty.name
          where s.setdatabase = 0 and exists (select from unnest(s.setconfig) as c where lower(c) like lower(settings.name) || '=%'))
    loop
      begin
        if setting.name = 'search_path' then
          execute format('alter role %I set search_path = signalops, procrastinate', duty.name);
        else
          execute format('alter role %I set %I = %L', duty.name, setting.name, setting.value);
        end if;
      exception when insufficient_privilege or sqlstate 'XX000' then
        null; -- a DBA's to set, for those who use a pooler; or another database's bootstrap does the same now
      end;
    end loop;
    begin
      if not pg_has_role(duty.name, acting) then
        execute format('grant %I to %I', duty.name, current_user);
      end if;
    exception when insufficient_privilege or sqlstate 'XX000' then
      null; -- a DBA's to grant; or "tuple concurrently updated": the other database's bootstrap grants the same
    end;
  end loop;

  -- For ops.sessions, which shows of each statement what stands before its first literal.
  begin
    if not pg_has_role('signalops_owner', 'pg_read_all_stats', 'usage') then
      grant pg_read_all_stats to signalops_owner;
    end if;
  exception when insufficient_privilege or sqlstate 'XX000' then
    null; -- a DBA's to grant: without it ops.sessions shows no other role's statements
  end;

  if not has_database_privilege('signalops_owner', current_database(), 'create') then
    execute format('grant create on database %I to signalops_owner', current_database());
  end if;

  for part in
    select * from (values
      ('signalops', 'The product: every table of a tenant begins with tenant_id and is protected row by row.'),
      ('ops', 'For who runs the installation: views of what goes on, and guarded functions for what is dangerous.'),
      ('procrastinate', 'The job queue, as the procrastinate library ships it.'),
      ('yoyo', 'Which migrations were applied, and when.')
    ) as parts (name, purpose)
  loop
    if to_regnamespace(part.name) is null then
      execute format('create schema %I authorization signalops_owner', part.name);
      execute format('comment on schema %I is %L', part.name, part.purpose);
    end if;
  end loop;
end
$$;
