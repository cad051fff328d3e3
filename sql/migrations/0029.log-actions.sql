-- Every act of management is on record: who did what to what, from where, and what it changed; written in the transaction that does it.

create table signalops.audit_log (
  tenant_id uuid not null,
  id uuid not null,
  actor_kind text not null check (actor_kind in ('key', 'user', 'operator', 'command_line', 'sql', 'system')),
  actor text not null,
  address text,
  operation text,
  action text not null,
  target_id text,
  target text,
  change jsonb not null,
  primary key (tenant_id, id)
) partition by range (id);
-- Serves list-actions: what was done to one thing.
create index audit_log_by_target on signalops.audit_log (tenant_id, target_id, id);
-- Serves list-actions: what was done in the whole installation, newest first.
create index audit_log_by_id on signalops.audit_log (id);
comment on table signalops.audit_log is
  'What people did to what they manage, by HTTP, command line or SQL. Only added to. Partitioned by month of the id, which is a UUIDv7.';
comment on column signalops.audit_log.tenant_id is 'Whose the target is; 00000000-0000-0000-0000-000000000000: the installation''s own.';
comment on column signalops.audit_log.id is 'UUIDv7; its time is when it was done.';
comment on column signalops.audit_log.actor_kind is
  'key, user or operator by HTTP; command_line; sql: a login of PostgreSQL itself; system: a process of SignalOps.';
comment on column signalops.audit_log.actor is 'The id of a key, the subject of a token, the login of the machine or of PostgreSQL, or the role.';
comment on column signalops.audit_log.address is 'From which address a request came; NULL: it was none.';
comment on column signalops.audit_log.operation is 'The operation of the API or the command; NULL: by SQL, or by a process itself.';
comment on column signalops.audit_log.action is 'What was done: a thing and a verb, such as rule.created.';
comment on column signalops.audit_log.target_id is 'To what, by its id or key; NULL: to several, which the change names.';
comment on column signalops.audit_log.target is 'The name that it had for people then.';
comment on column signalops.audit_log.change is
  'before and after: what changed, by column. Secrets are ***, of URLs only the origin is kept, and what is long is cut.';

call signalops.protect('signalops.audit_log');
call signalops.admit_owner('signalops.audit_log', 'Actions are noted by functions of the owner, so that nobody can note those of others.');
create policy platform_reads on signalops.audit_log for select to signalops_platform using (true);
comment on policy platform_reads on signalops.audit_log is 'Operators of the installation read what was done in all of it.';
create policy operator_reads on signalops.audit_log for select to signalops_operator using (true);
comment on policy operator_reads on signalops.audit_log is 'Who runs the installation reads what was done in all of it.';
grant usage on schema signalops to signalops_platform;
grant select on signalops.audit_log to signalops_api, signalops_platform, signalops_operator;

create function signalops.may_delete(tenant uuid) returns boolean
language sql stable
return current_user = 'signalops_owner' and exists (select from signalops.tenants t where t.id = tenant and t.status = 'deleting');
comment on function signalops.may_delete(uuid) is
  'Whether what is never deleted may be: all of a tenant that is being deleted, by the function of the owner which does that.';

create function signalops.refuse_log_change() returns trigger
language plpgsql
as $$
begin
  if tg_op = 'DELETE' then
    if signalops.may_delete(old.tenant_id) then
      return old;
    end if;
  end if;
  raise 'the audit log is only added to: what is too old goes with its partition' using errcode = 'check_violation';
end
$$;
comment on function signalops.refuse_log_change() is 'Refuses everybody to change or delete actions, but for those of a tenant that is being deleted.';
create trigger refuse_change before update or delete on signalops.audit_log
  for each row execute function signalops.refuse_log_change();
comment on trigger refuse_change on signalops.audit_log is 'What was done stays on record as it was.';
create trigger refuse_truncation before truncate on signalops.audit_log
  for each statement execute function signalops.refuse_log_change();
comment on trigger refuse_truncation on signalops.audit_log is 'What was done stays on record.';

create or replace function signalops.make_partitions(months_ahead integer default 3) returns setof text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  parent regclass;
  month date;
  part text;
  guard record;
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
      -- Of the parent's triggers a partition has those for rows alone.
      for guard in
        select g.tgname, g.tgfoid::regproc as runs, obj_description(g.oid, 'pg_trigger') as purpose from pg_trigger g
        where g.tgrelid = parent and g.tgtype & 32 <> 0 and not g.tgisinternal
      loop
        execute format('create trigger %I before truncate on signalops.%I for each statement execute function %s()',
          guard.tgname, part, guard.runs);
        execute format('comment on trigger %I on signalops.%I is %L', guard.tgname, part, guard.purpose);
      end loop;
      return next part;
    end loop;
  end loop;
end
$$;
do $$ begin perform signalops.make_partitions(); end $$;

create or replace function signalops.new_id() returns uuid
language sql volatile parallel safe
return (
  select encode(overlay(uuid_send(gen_random_uuid())
    placing int8send((t.micros / 1000 << 16) | x'7000'::bigint | (t.micros % 1000 * 4096 / 1000)) from 1 for 8), 'hex')::uuid
  from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as micros) t);
comment on function signalops.new_id() is
  'A new UUIDv7, for rows that SQL itself makes, in order to the microsecond (RFC 9562, 6.2, method 3). PostgreSQL 18 has uuidv7(); 15 to 17 have not.';

create function signalops.note(tenant uuid, action text, target_id text, target text, change jsonb) returns void
language plpgsql volatile
as $$
declare
  said jsonb := nullif(current_setting('signalops.action', true), '');
  -- That of SET ROLE, also within a SECURITY DEFINER function.
  as_role text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
  kind text := coalesce(said #>> '{actor,kind}', case when as_role in ('signalops_api', 'signalops_worker', 'signalops_platform')
    then 'system' else 'sql' end);
begin
  -- What the processes make by themselves, such as invoices, is on record itself; what they change of people's is noted.
  if kind = 'system' and action like '%.created' then
    return;
  end if;
  insert into signalops.audit_log (tenant_id, id, actor_kind, actor, address, operation, action, target_id, target, change)
  values (tenant, signalops.new_id(), kind, coalesce(said #>> '{actor,name}', case kind when 'sql' then session_user else as_role end),
    said ->> 'address', said ->> 'operation', note.action, note.target_id, left(note.target, 500), note.change);
end
$$;
comment on function signalops.note(uuid, text, text, text, jsonb) is
  'Adds to the audit log, as the owner: for the functions that know what was done. Who did it stands in the setting signalops.action.';

create function signalops.without_secrets(value jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  case jsonb_typeof(value)
    when 'object' then
      return coalesce((
        select jsonb_object_agg(e.key, case
          when e.key ~* '(password|token|secret|credentials?|authorization)$' then '"***"'
          when e.key = 'headers' and jsonb_typeof(e.value) = 'object'
            then coalesce((select jsonb_object_agg(h, '***') from jsonb_object_keys(e.value) as h), '{}')
          else signalops.without_secrets(e.value) end)
        from jsonb_each(value) e), '{}');
    when 'array' then
      return coalesce((select jsonb_agg(signalops.without_secrets(e.value)) from jsonb_array_elements(value) e), '[]');
    when 'string' then
      -- A path or a query may be all that protects an address.
      return to_jsonb(regexp_replace(value #>> '{}', '^([a-z][a-z0-9+.-]*://)([^/?#]*@)?([^/?#]*).*$', '\1\3/***', 'i'));
    else
      return value;
  end case;
end
$$;
comment on function signalops.without_secrets(jsonb) is
  'A configuration as it may be shown to whoever reads the audit log: of URLs the origin alone, of headers the names, nothing that is called a secret.';

create function signalops.as_noted(value jsonb, is_secret boolean) returns jsonb
language plpgsql immutable
as $$
declare
  told jsonb := case when not is_secret or value = 'null' then value
    when jsonb_typeof(value) = 'object' then signalops.without_secrets(value) else '"***"' end;
begin
  if length(told::text) > 8192 then
    return jsonb_build_object('cut', left(told::text, 8192), 'characters', length(told::text));
  end if;
  return told;
end
$$;
comment on function signalops.as_noted(jsonb, boolean) is
  'A value as the audit log has it: beyond 8,192 characters of JSON its beginning as text ("cut"), with how many "characters" it has.';

create function signalops.changed(before jsonb, after jsonb, secrets text[]) returns jsonb
language sql immutable
return (
  select jsonb_object_agg(a.key, signalops.as_noted(a.value, a.key = any (secrets))) from jsonb_each(after) a
  -- NULL is as good as not there.
  where nullif(a.value, 'null') is distinct from nullif(before -> a.key, 'null'));
comment on function signalops.changed(jsonb, jsonb, text[]) is
  'What a row has that it had not before, by column, in the words of the audit log; NULL: nothing. Turned round: what it had.';

create function signalops.verb_of(before jsonb, after jsonb) returns text
language sql immutable
return case
  when before is null then case when after ->> 'replaces' is null then 'created' else 'rotated' end
  when after is null or before ->> 'deleted_at' is null and after ->> 'deleted_at' is not null then 'deleted'
  when before ->> 'revoked_at' is null and after ->> 'revoked_at' is not null then 'revoked'
  when before ->> 'voided_at' is null and after ->> 'voided_at' is not null then 'voided'
  when before ->> 'ended_at' is null and after ->> 'ended_at' is not null then 'ended'
  when before ->> 'status' <> after ->> 'status' then case after ->> 'status' when 'active' then 'resumed' else after ->> 'status' end
  when before - '{enabled,disabled_because}'::text[] = after - '{enabled,disabled_because}'::text[]
    then case after ->> 'enabled' when 'true' then 'enabled' else 'disabled' end
  else 'changed' end;
comment on function signalops.verb_of(jsonb, jsonb) is 'What became of a row, as a verb: created, changed, deleted, disabled, revoked ...';

create function signalops.note_change(noun text, tenant uuid, target_id text, target text, before jsonb, after jsonb, secrets text[])
returns void
language plpgsql volatile
as $$
declare
  was jsonb := signalops.changed(coalesce(after, '{}'), coalesce(before, '{}'), secrets);
  is_now jsonb := signalops.changed(coalesce(before, '{}'), coalesce(after, '{}'), secrets);
begin
  if was is not null or is_now is not null then
    perform signalops.note(tenant, noun || '.' || signalops.verb_of(before, after), target_id, target,
      jsonb_build_object('before', was, 'after', is_now));
  end if;
end
$$;
comment on function signalops.note_change(text, uuid, text, text, jsonb, jsonb, text[]) is
  'Notes what became of a row: before is NULL when it was made, after when it was deleted. What changed nothing is not noted.';

create function signalops.log_action() returns trigger
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  left_out text[] := '{tenant_id,created_at,updated_at}'::text[] || tg_argv[1] || string_to_array(tg_argv[3], ',');
  was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  is_now jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  subject jsonb := coalesce(is_now, was);
  -- A tenant that is gone has no log to note it in; a plan is the installation's.
  of_tenant uuid := coalesce(case tg_table_name when 'tenants' then is_now ->> 'id' else subject ->> 'tenant_id' end,
    '00000000-0000-0000-0000-000000000000');
begin
  -- What a trigger does, and what comes with a plan, follows from an action that is noted itself.
  if pg_trigger_depth() > 1 or subject ->> 'origin' = 'plan' then
    return null;
  end if;
  if tg_op = 'DELETE' and exists (select from signalops.tenants t where t.id = of_tenant and t.status = 'deleting') then
    return null;
  end if;
  perform signalops.note_change(tg_argv[0], of_tenant, subject ->> tg_argv[1], subject ->> tg_argv[2], was - left_out, is_now - left_out,
    string_to_array(tg_argv[4], ','));
  return null;
end
$$;
comment on function signalops.log_action() is
  'Notes in the audit log what became of a row. Arguments: what such a row is; the columns of its id and of its name; those left out; those '
  'with secrets, the last two with commas between.';
revoke all on function signalops.log_action() from public;

create function signalops.log_rule() returns trigger
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  left_out constant text[] := '{tenant_id,id,rule_id,version,created_at,updated_at,enabled_at,since,conditions}';
  was jsonb;
  is_now jsonb := to_jsonb(new);
begin
  if tg_op = 'UPDATE' then
    was := to_jsonb(old) || coalesce((
      select to_jsonb(v) from signalops.rule_versions v where (v.tenant_id, v.rule_id, v.version) = (old.tenant_id, old.id, old.active_version)
    ), '{}');
  end if;
  is_now := is_now || coalesce((
    select to_jsonb(v) from signalops.rule_versions v where (v.tenant_id, v.rule_id, v.version) = (new.tenant_id, new.id, new.active_version)
  ), '{}');
  perform signalops.note_change('rule', new.tenant_id, new.id::text, new.name, was - left_out, is_now - left_out, '{}');
  return null;
end
$$;
comment on function signalops.log_rule() is 'Notes in the audit log what became of a rule, with what its active version says: one action, though several rows.';
revoke all on function signalops.log_rule() from public;

do $$
declare
  logged record;
begin
  for logged in
    select * from (values
      ('tenants', 'insert or update or delete', 'tenant', 'id', 'slug', 'metering,closed_until,scales,status_since,is_resuming', ''),
      ('api_keys', 'insert or update or delete', 'key', 'id', 'label', 'last_used_at,fingerprint', 'hash'),
      ('event_schemas', 'insert or update or delete', 'event-schema', 'type', 'type', '', ''),
      ('rules', 'delete', 'rule', 'id', 'name', 'enabled_at', ''),
      ('rule_versions', 'update or delete', 'rule-version', 'rule_id', 'version', '', ''),
      ('silences', 'insert or update or delete', 'silence', 'id', 'reason', '', ''),
      ('backtests', 'insert', 'backtest', 'id', '', 'state,result,slices,scanned,looked_until,error', ''),
      ('replays', 'insert or update or delete', 'replay', 'id', 'reason', 'batches', ''),
      ('channels', 'insert or update or delete', 'channel', 'id', 'name', 'outlet_id', 'config,secret'),
      ('suppressions', 'insert or update or delete', 'suppression', 'id', 'address', '', ''),
      ('meters', 'insert or update or delete', 'meter', 'key', 'name', 'since,until', ''),
      ('limits', 'insert or update or delete', 'limit', 'meter', 'meter', 'set_at', ''),
      ('usage_adjustments', 'insert or update or delete', 'adjustment', 'id', 'meter', 'idempotency_key,body_hash', ''),
      ('subscriptions', 'insert or update or delete', 'subscription', 'id', 'plan', 'terms', ''),
      ('invoices', 'insert or update or delete', 'invoice', 'id', 'number', '', ''),
      ('credit_grants', 'insert or update or delete', 'credit', 'id', 'reason', 'remaining', ''),
      ('plans', 'insert or update or delete', 'plan', 'plan', 'version', '', '')
    ) as tables (name, moments, noun, id, label, left_out, secrets)
  loop
    execute format('create trigger log_action after %s on signalops.%I for each row execute function signalops.log_action(%L, %L, %L, %L, %L)',
      logged.moments, logged.name, logged.noun, logged.id, logged.label, logged.left_out, logged.secrets);
    execute format('comment on trigger log_action on signalops.%I is %L', logged.name, 'Who did it is on record in the audit log.');
  end loop;
end
$$;
-- Deferred: what a new rule says is stored after the rule.
create constraint trigger log_rule after insert or update on signalops.rules deferrable initially deferred
  for each row execute function signalops.log_rule();
comment on trigger log_rule on signalops.rules is 'Who did it is on record in the audit log, with what the rule says.';
-- What workers do to a backtest, slice by slice, is no action.
create trigger log_cancellation after update of status on signalops.backtests
  for each row when (new.status = 'cancelled' and old.status <> 'cancelled')
  execute function signalops.log_action('backtest', 'id', '', 'state,result,slices,scanned,looked_until,error', '');
comment on trigger log_cancellation on signalops.backtests is 'Who did it is on record in the audit log.';

create function signalops.note_action(tenant uuid, action text, target_id text, target text, details jsonb default '{}') returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not pg_has_role(coalesce(nullif(current_setting('role', true), 'none'), session_user), 'signalops_owner', 'member') then
    perform signalops.require_tenant(tenant);
  end if;
  perform signalops.note(tenant, action, target_id, target, jsonb_build_object('before', null, 'after', nullif(details, '{}')));
end
$$;
comment on function signalops.note_action(uuid, text, text, text, jsonb) is
  'Notes an action that changes no row which is managed, with its details, for the tenant that the transaction acts for.';
revoke all on function signalops.note_action(uuid, text, text, text, jsonb) from public;
grant execute on function signalops.note_action(uuid, text, text, text, jsonb) to signalops_api;

create function signalops.note_actions(tenant uuid, action text, targets uuid[], details jsonb default '{}') returns void
language plpgsql volatile
as $$
begin
  if cardinality(targets) = 1 then
    perform signalops.note_action(tenant, action, targets[1]::text, null, details);
  elsif cardinality(targets) > 1 then
    perform signalops.note_action(tenant, action, null, null,
      details || jsonb_build_object('count', cardinality(targets), 'ids', to_jsonb(targets[1:100])));
  end if;
end
$$;
comment on function signalops.note_actions(uuid, text, uuid[], jsonb) is
  'Notes as one what is done to several things at once, with their count and the first hundred ids; nothing, when there are none.';

create or replace function signalops.retry_deliveries(tenant uuid, wanted uuid[]) returns setof uuid
language plpgsql volatile
as $$
declare
  one record;
  retried uuid[] := '{}';
begin
  for one in
    update signalops.deliveries d set next_attempt_at = now(), updated_at = now()
    where d.tenant_id = tenant and d.id = any (wanted) and d.next_attempt_at is not null
    returning d.id, d.channel_id
  loop
    perform signalops.await_turn(tenant, one.channel_id, now());
    retried := retried || one.id;
  end loop;
  perform signalops.note_actions(tenant, 'delivery.retried', retried);
  return query select unnest(retried);
end
$$;

create or replace function signalops.cancel_deliveries(tenant uuid, wanted uuid[]) returns setof uuid
language plpgsql volatile
as $$
declare
  cancelled uuid[];
begin
  with ended as (
    update signalops.deliveries d set status = 'cancelled', next_attempt_at = null, updated_at = now()
    where d.tenant_id = tenant and d.id = any (wanted) and d.status in ('pending', 'retrying')
    returning d.id
  )
  select array_agg(e.id) into cancelled from ended e;
  perform signalops.note_actions(tenant, 'delivery.cancelled', cancelled);
  return query select unnest(cancelled);
end
$$;

create or replace function signalops.discard_dead_letters(tenant uuid, letters uuid[], because text) returns bigint
language plpgsql volatile
as $$
declare
  discarded uuid[];
begin
  with ended as (
    update signalops.dead_letters l set ended_at = now(), ending = 'discarded', reason = because
    where l.tenant_id = tenant and l.id = any (letters) and l.ended_at is null
    returning l.id
  )
  select array_agg(e.id) into discarded from ended e;
  perform signalops.note_actions(tenant, 'dead-letter.discarded', discarded, jsonb_build_object('reason', because));
  return coalesce(cardinality(discarded), 0);
end
$$;

create or replace function signalops.retry_dead_letters(tenant uuid, letters uuid[]) returns bigint
language plpgsql volatile
as $$
declare
  retried uuid[];
  channels uuid[];
  batches uuid[];
begin
  with ended as (
    update signalops.dead_letters l set ended_at = now(), ending = 'retried', reason = null
    where l.tenant_id = tenant and l.id = any (letters) and l.ended_at is null
    returning l.kind, l.id
  ), again as (
    -- They wait for their channel's turn, which keeps them from pushing others aside.
    update signalops.deliveries d
    set status = 'retrying', next_attempt_at = now(), attempts_before = d.attempts, updated_at = now()
    -- Not joined: a plan made for few letters would read the deliveries whole for many.
    where d.tenant_id = tenant and d.id = any (array(select e.id from ended e where e.kind = 'delivery')) and d.status = 'dead'
    returning d.channel_id
  ), parts as (
    -- As large as a replay's: one job reads a batch whole.
    select e.id, (row_number() over (order by e.id) - 1) / 500 as part from ended e where e.kind = 'event'
  ), made as materialized (
    select p.part, signalops.new_id() as batch from parts p group by p.part
  ), waiting as (
    insert into signalops.inbox (tenant_id, event_id, batch)
    select tenant, p.id, m.batch from parts p join made m using (part) on conflict do nothing returning batch
  )
  select (select array_agg(id) from ended), (select array_agg(distinct channel_id order by channel_id) from again),
    (select array_agg(distinct batch) from waiting)
  into retried, channels, batches;
  perform signalops.await_turn(tenant, c.id, now()) from unnest(channels) as c (id);
  perform signalops.enqueue('events', 'process_batch', -10, jsonb_build_object('batch', b.batch)) from unnest(batches) as b (batch);
  perform signalops.note_actions(tenant, 'dead-letter.retried', retried);
  return coalesce(cardinality(retried), 0);
end
$$;
