-- Takes back the states beyond sent and dead, and what became of dead letters. Channels of the new kinds are deleted for good.

drop function signalops.discard_dead_letters(uuid, uuid[], text);
drop function signalops.pick_dead_letters(
  uuid, uuid[], text, uuid, uuid, text, timestamptz, timestamptz, integer, uuid, boolean);
drop function signalops.cancel_deliveries(uuid, uuid[]);
drop function signalops.find_sent(uuid, uuid, text);
drop function signalops.pick_deliveries(uuid, text[], uuid, uuid, uuid, uuid, boolean, integer);
drop function signalops.advance_delivery(uuid, uuid, text, text);
drop function signalops.bury_delivery(uuid, uuid, text);
drop function signalops.announce(text, jsonb, smallint);
drop trigger check_way on signalops.deliveries;
drop function signalops.check_way();
drop function signalops.may_become(text, text);

create or replace view signalops.event_status with (security_invoker = true) as
select e.tenant_id, e.id, e.batch, e.type, e.source, e.occurred_at, e.received_at, e.payload, e.attributes, e.depth,
  case when i.event_id is not null and i.replay_id is null then 'pending' when d.id is not null then 'dead' else 'processed' end as status
from signalops.events e
left join signalops.inbox i on i.tenant_id = e.tenant_id and i.event_id = e.id
left join signalops.dead_letters d on d.tenant_id = e.tenant_id and d.id = e.id;

alter table signalops.dead_letters no force row level security; -- here the owner works across tenants
delete from signalops.dead_letters where ending is not null;
alter table signalops.dead_letters force row level security;
drop trigger write_letter on signalops.dead_letters;
drop function signalops.write_letter();
drop index signalops.dead_letters_by_rule;
drop index signalops.dead_letters_by_channel;
drop index signalops.dead_letters_by_kind;
drop index signalops.dead_letters_open;
revoke update on signalops.dead_letters from signalops_worker;
revoke update (ended_at, ending, reason) on signalops.dead_letters from signalops_api;
revoke update (status, next_attempt_at, attempts_before, updated_at) on signalops.deliveries from signalops_api;
alter table signalops.dead_letters
  drop column reason,
  drop column ending,
  drop column ended_at,
  drop column channel_id,
  drop column rule_id;

update signalops.deliveries set status = 'sent' where status in ('delivered', 'read', 'suppressed');
update signalops.deliveries set status = 'dead' where status = 'cancelled';
drop index signalops.deliveries_by_rule;
drop index signalops.deliveries_by_provider;
alter table signalops.deliveries
  drop column attempts_before,
  drop column provider_id,
  drop constraint deliveries_status_check,
  add constraint deliveries_status_check check (status in ('pending', 'sending', 'sent', 'retrying', 'dead'));
comment on column signalops.deliveries.status is
  'pending (has a job, or waits for active hours) -> sending -> sent; or -> retrying (waits, has no job) -> pending; or -> dead (has a '
  'dead letter).';

alter table signalops.delivery_attempts no force row level security;
update signalops.delivery_attempts set outcome = 'permanent' where outcome in ('gone', 'suppressed');
alter table signalops.delivery_attempts
  force row level security,
  drop column request_id,
  drop constraint delivery_attempts_outcome_check,
  add constraint delivery_attempts_outcome_check check (outcome in ('sent', 'temporary', 'permanent', 'throttled', 'broken'));
comment on column signalops.delivery_attempts.outcome is
  'sent; temporary, throttled (retried); permanent, broken = configuration or template (not retried).';

alter table signalops.channels no force row level security;
alter table signalops.rule_versions no force row level security;
alter table signalops.rules no force row level security;
delete from signalops.rules r using signalops.rule_versions v, signalops.channels c
where v.tenant_id = r.tenant_id and v.rule_id = r.id and c.tenant_id = v.tenant_id and c.id = v.channel_id
  and (c.kind not in ('email', 'webhook') or c.deleted_at is not null);
delete from signalops.channels where kind not in ('email', 'webhook') or deleted_at is not null;
alter table signalops.rules force row level security;
alter table signalops.rule_versions force row level security;
alter table signalops.channels force row level security;
drop index signalops.channels_by_name;
grant delete on signalops.channels to signalops_api;
alter table signalops.channels
  drop column deleted_at,
  drop column updated_at,
  drop column disabled_because,
  drop column retry_schedule,
  drop constraint channels_kind_check,
  add constraint channels_kind_check check (kind in ('email', 'webhook')),
  add unique (tenant_id, name);
comment on column signalops.channels.kind is 'email or webhook.';
comment on column signalops.channels.config is 'What is no secret: {to} of an email, {url} of a webhook.';
