-- Station send: every state that a delivery can be in and the ways between them, enforced; dead letters retried or discarded.

alter table signalops.channels
  drop constraint channels_kind_check,
  add constraint channels_kind_check check (kind in ('email', 'telegram', 'whatsapp', 'webhook', 'slack', 'http')),
  drop constraint channels_tenant_id_name_key,
  add column retry_schedule integer[] check (cardinality(retry_schedule) <= 20 and 1 <= all (retry_schedule)),
  add column disabled_because text check (length(disabled_because) <= 500),
  add column updated_at timestamptz not null default now(),
  add column deleted_at timestamptz check (deleted_at is null or not enabled);
comment on column signalops.channels.kind is 'email, telegram, whatsapp, webhook, slack or http.';
comment on column signalops.channels.config is 'What is no secret, such as {to} of an email, {url} of a webhook.';
comment on column signalops.channels.retry_schedule is 'Seconds before each further attempt; NULL: the installation''s schedule.';
comment on column signalops.channels.disabled_because is 'Why SignalOps itself disabled it; NULL: it did not.';
comment on column signalops.channels.updated_at is 'When it was changed last.';
comment on column signalops.channels.deleted_at is
  'When it was deleted; NULL: it is not. The row stays, since versions of rules name it; its secret is gone, its name free again.';
-- Serves add-channel: a tenant has one channel of a name.
create unique index channels_by_name on signalops.channels (tenant_id, name) where deleted_at is null;
revoke delete on signalops.channels from signalops_api;

alter table signalops.deliveries
  drop constraint deliveries_status_check,
  add constraint deliveries_status_check check (status in
    ('pending', 'sending', 'sent', 'delivered', 'read', 'retrying', 'dead', 'cancelled', 'suppressed')),
  add column provider_id text check (length(provider_id) <= 500),
  add column attempts_before smallint not null default 0;
comment on column signalops.deliveries.status is
  'pending (has a job, or waits for its turn) -> sending -> sent -> delivered -> read; or -> retrying (waits) -> pending; or -> dead (has a '
  'dead letter), cancelled, suppressed. signalops.may_become knows all ways.';
comment on column signalops.deliveries.provider_id is 'The provider''s own id of the message, by which it calls back.';
comment on column signalops.deliveries.attempts_before is 'Attempts made before a person had it retried: the schedule begins anew after them.';
-- Serves find_sent.
create index deliveries_by_provider on signalops.deliveries (tenant_id, channel_id, provider_id) where provider_id is not null;
-- Serves pick_deliveries.
create index deliveries_by_rule on signalops.deliveries (tenant_id, rule_id, channel_id, status, id);

alter table signalops.delivery_attempts
  add column request_id text check (length(request_id) <= 200),
  drop constraint delivery_attempts_outcome_check,
  add constraint delivery_attempts_outcome_check check (outcome in
    ('sent', 'temporary', 'permanent', 'throttled', 'broken', 'gone', 'suppressed'));
comment on column signalops.delivery_attempts.request_id is 'The receiver''s own id of the request, for its support; NULL: it named none.';
comment on column signalops.delivery_attempts.outcome is
  'sent; temporary, throttled (retried); permanent, broken = configuration or template (not retried); gone = the receiver wants no more '
  '(its channel is disabled); suppressed = not asked, since it said no before.';

alter table signalops.dead_letters
  add column rule_id uuid,
  add column channel_id uuid,
  add column ended_at timestamptz,
  add column ending text check (ending in ('retried', 'discarded')),
  add column reason text check (length(reason) <= 500),
  add check ((ended_at is null) = (ending is null));
comment on column signalops.dead_letters.rule_id is 'The rule of the delivery; NULL: an event died.';
comment on column signalops.dead_letters.channel_id is 'The channel of the delivery; NULL: an event died.';
comment on column signalops.dead_letters.ended_at is 'When it was retried or discarded; NULL: it waits for somebody to look.';
comment on column signalops.dead_letters.ending is 'retried or discarded.';
comment on column signalops.dead_letters.reason is 'Why it was discarded, in the words of who did.';
grant update (ended_at, ending, reason) on signalops.dead_letters to signalops_api;
grant update on signalops.dead_letters to signalops_worker;
grant update (status, next_attempt_at, attempts_before, updated_at) on signalops.deliveries to signalops_api;
alter table signalops.dead_letters no force row level security; -- here the owner works across tenants
alter table signalops.deliveries no force row level security;
update signalops.dead_letters l set rule_id = d.rule_id, channel_id = d.channel_id
from signalops.deliveries d where d.tenant_id = l.tenant_id and d.id = l.delivery_id;
alter table signalops.deliveries force row level security;
alter table signalops.dead_letters force row level security;
-- Serves pick_dead_letters: what waits for somebody to look, newest first.
create index dead_letters_open on signalops.dead_letters (tenant_id, died_at desc, id desc) where ended_at is null;
-- Serves pick_dead_letters with a kind.
create index dead_letters_by_kind on signalops.dead_letters (tenant_id, kind, died_at desc, id desc) where ended_at is null;
-- Serves pick_dead_letters with a channel.
create index dead_letters_by_channel on signalops.dead_letters (tenant_id, channel_id, died_at desc, id desc) where ended_at is null;
-- Serves pick_dead_letters with a rule.
create index dead_letters_by_rule on signalops.dead_letters (tenant_id, rule_id, died_at desc, id desc) where ended_at is null;

create function signalops.write_letter() returns trigger
language plpgsql
as $$
begin
  if new.delivery_id is not null then
    select d.rule_id, d.channel_id into new.rule_id, new.channel_id
    from signalops.deliveries d where d.tenant_id = new.tenant_id and d.id = new.delivery_id limit 1;
  end if;
  return new;
end
$$;
comment on function signalops.write_letter() is
  'Notes rule and channel on a dead letter, whoever writes it: by them letters are found.';
create trigger write_letter before insert on signalops.dead_letters for each row execute function signalops.write_letter();
comment on trigger write_letter on signalops.dead_letters is 'A letter can be found by rule and channel.';

create or replace view signalops.event_status with (security_invoker = true) as
select e.tenant_id, e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.depth,
  case when i.event_id is not null and i.replay_id is null then 'pending'
    when d.id is not null and d.ending is distinct from 'retried' then 'dead' else 'processed' end as status
from signalops.events e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id;

create function signalops.may_become(before text, after text) returns boolean
language sql immutable strict parallel safe
return (before, after) in (
  ('pending', 'sending'), ('pending', 'cancelled'), ('pending', 'retrying'),
  ('sending', 'sent'), ('sending', 'retrying'), ('sending', 'dead'), ('sending', 'suppressed'), ('sending', 'cancelled'),
  ('sending', 'pending'),
  ('retrying', 'pending'), ('retrying', 'cancelled'), ('retrying', 'sent'), ('pending', 'sent'),
  ('sent', 'delivered'), ('sent', 'read'), ('sent', 'dead'), ('delivered', 'read'),
  ('dead', 'retrying'));
comment on function signalops.may_become(text, text) is
  'The ways between the states of a delivery. To sent also from pending and retrying: an attempt that was thought lost had succeeded.';

create function signalops.check_way() returns trigger
language plpgsql
as $$
begin
  if not signalops.may_become(old.status, new.status) then
    raise 'a delivery can not become % once it is %', new.status, old.status using errcode = 'check_violation';
  end if;
  return new;
end
$$;
comment on function signalops.check_way() is 'Refuses to move a delivery against its ways.';
create trigger check_way before update of status on signalops.deliveries
  for each row when (old.status is distinct from new.status) execute function signalops.check_way();
comment on trigger check_way on signalops.deliveries is 'No late callback and no second worker takes a delivery back.';

create function signalops.announce(event_type text, about jsonb, at_depth smallint) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  in_batch uuid := signalops.new_id();
  event uuid := signalops.emit(signalops.current_tenant(), in_batch, event_type, about, at_depth);
begin
  perform signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', in_batch));
  return event;
end
$$;
comment on function signalops.announce(text, jsonb, smallint) is
  'Emits an operational event of the tenant that the transaction acts for, with its job.';
revoke all on function signalops.announce(text, jsonb, smallint) from public;
grant execute on function signalops.announce(text, jsonb, smallint) to signalops_api, signalops_worker;

create function signalops.bury_delivery(tenant uuid, delivery uuid, because text) returns void
language plpgsql volatile
as $$
declare
  lost record;
begin
  select d.event_id, d.rule_id, d.channel_id, d.attempts, coalesce(e.depth, 0) as depth into lost
  from signalops.deliveries d left join signalops.events e on e.tenant_id = d.tenant_id and e.id = d.event_id
  where d.tenant_id = tenant and d.id = delivery;
  insert into signalops.dead_letters (tenant_id, id, kind, event_id, delivery_id, error)
  values (tenant, delivery, 'delivery', lost.event_id, delivery, left(because, 500))
  on conflict (tenant_id, id) do update
    set error = excluded.error, died_at = now(), ended_at = null, ending = null, reason = null;
  perform signalops.announce('signalops.delivery.dead', jsonb_build_object('delivery', delivery, 'event', lost.event_id,
    'rule', jsonb_build_object('id', lost.rule_id), 'channel', jsonb_build_object('id', lost.channel_id),
    'attempts', lost.attempts, 'error', left(because, 500)), (lost.depth + 1)::smallint);
end
$$;
comment on function signalops.bury_delivery(uuid, uuid, text) is
  'Writes the dead letter of a delivery that has just died, and tells the tenant: signalops.delivery.dead.';

create function signalops.advance_delivery(tenant uuid, delivery uuid, to_status text, because text default null) returns boolean
language plpgsql volatile
as $$
begin
  update signalops.deliveries d set status = to_status, updated_at = now()
  where d.tenant_id = tenant and d.id = delivery and signalops.may_become(d.status, to_status);
  if found and to_status = 'dead' then
    perform signalops.bury_delivery(tenant, delivery, because);
  end if;
  return found;
end
$$;
comment on function signalops.advance_delivery(uuid, uuid, text, text) is
  'Moves a delivery to what its provider says (delivered, read, dead with the reason), unless it is further already; returns whether it did.';

create function signalops.pick_deliveries(
  tenant uuid, statuses text[], rule uuid, channel uuid, lower_id uuid, upper_id uuid, upwards boolean, at_most integer)
returns setof uuid
language plpgsql stable
-- Custom, so that the direction is known to the planner. It takes a rule and its channel for independent and so expects few rows of
-- both; without a sort it can't read them all.
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
begin
  return query
    with pairs as materialized (
      select distinct v.rule_id, v.channel_id from signalops.rule_versions v
      where v.tenant_id = tenant and (rule is null or v.rule_id = rule) and (channel is null or v.channel_id = channel)
    )
    select d.id from pairs p
    cross join unnest(statuses) as s (status)
    cross join lateral (
      select o.id from signalops.deliveries o
      where o.tenant_id = tenant and o.rule_id = p.rule_id and o.channel_id = p.channel_id and o.status = s.status
        and o.id > lower_id and o.id < upper_id
      order by case when upwards then o.id end, o.id desc limit at_most
    ) d
    order by case when upwards then d.id end, d.id desc limit at_most;
end
$$;
comment on function signalops.pick_deliveries(uuid, text[], uuid, uuid, uuid, uuid, boolean, integer) is
  'A page of a tenant''s deliveries in some states, of a rule and a channel (NULL: any), between two ids, newest first or upwards. It goes from '
  'each pair of a rule and its channel to the next: one index serves all filters, however rare what they let through is among millions.';

create function signalops.find_sent(tenant uuid, channel uuid, provider text) returns uuid
language sql stable
return (
  select d.id from signalops.deliveries d
  where d.tenant_id = tenant and d.channel_id = channel and d.provider_id = provider order by d.id desc limit 1);
comment on function signalops.find_sent(uuid, uuid, text) is 'The delivery that a provider knows by an id of its own; NULL: none.';

create function signalops.cancel_deliveries(tenant uuid, wanted uuid[]) returns setof uuid
language sql volatile
as $$
  update signalops.deliveries d set status = 'cancelled', next_attempt_at = null, updated_at = now()
  where d.tenant_id = tenant and d.id = any (wanted) and d.status in ('pending', 'retrying')
  returning d.id
$$;
comment on function signalops.cancel_deliveries(uuid, uuid[]) is
  'Cancels deliveries that wait; returns which. One that is being sent, or has ended, stays as it is.';

create function signalops.pick_dead_letters(
  tenant uuid, letters uuid[] default null, of_kind text default null, channel uuid default null, rule uuid default null,
  like_error text default null, since timestamptz default null, until timestamptz default null, at_most integer default 10000,
  beyond uuid default null, upwards boolean default false)
returns setof signalops.dead_letters
language sql stable
-- One statement without settings: the planner inlines it, folds what is NULL, and takes the index of what is left.
as $$
  select l.* from signalops.dead_letters l
  where l.tenant_id = tenant and l.ended_at is null and (letters is null or l.id = any (letters))
    and (of_kind is null or l.kind = of_kind) and (channel is null or l.channel_id = channel)
    and (rule is null or l.rule_id = rule) and (like_error is null or strpos(lower(l.error), lower(like_error)) > 0)
    and (since is null or l.died_at >= since) and (until is null or l.died_at < until)
    and (beyond is null or upwards
      or (l.died_at, l.id) < (select b.died_at, b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
    and (beyond is null or not upwards
      or (l.died_at, l.id) > (select b.died_at, b.id from signalops.dead_letters b where b.tenant_id = tenant and b.id = beyond))
  order by case when upwards then l.died_at end, case when upwards then l.id end, l.died_at desc, l.id desc limit at_most
$$;
comment on function signalops.pick_dead_letters(
  uuid, uuid[], text, uuid, uuid, text, timestamptz, timestamptz, integer, uuid, boolean) is
  'The dead letters of a tenant that wait for somebody to look, newest first, narrowed by ids, kind (event, delivery), channel, rule, a part '
  'of the error, and when they died. Count them before you retry them. A page begins beyond a letter, and may be read upwards.';

create function signalops.discard_dead_letters(tenant uuid, letters uuid[], because text) returns bigint
language plpgsql volatile
as $$
declare
  discarded bigint;
begin
  update signalops.dead_letters l set ended_at = now(), ending = 'discarded', reason = because
  where l.tenant_id = tenant and l.id = any (letters) and l.ended_at is null;
  get diagnostics discarded = row_count;
  return discarded;
end
$$;
comment on function signalops.discard_dead_letters(uuid, uuid[], text) is
  'Takes dead letters off the list for good, with a reason; they stay on record. Returns how many.';
