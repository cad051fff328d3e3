-- Station send: channels as people manage them. Run in a transaction of the tenant.

-- add-channel: stores a channel
insert into signalops.channels
  (tenant_id, id, name, kind, config, secret, enabled, retry_schedule, max_per_minute, send_target_id)
values (%(tenant)s, %(id)s, %(name)s, %(kind)s, %(config)s, %(secret)s, %(enabled)s, %(retry_schedule)s, %(max_per_minute)s,
  %(send_target_id)s);

-- list-channels: a tenant's channels without their secrets, one of them or those between two ids; they are few enough to be sorted
select id, name, kind, config, secret is not null as "hasSecret", enabled, disabled_because as "disabledBecause",
  retry_schedule as "retrySchedule", max_per_minute as "maxPerMinute", created_at as "createdAt", updated_at as "updatedAt",
  case when h.circuit_open_until > now() then h.circuit_open_until end as "pausedUntil",
  json_build_object('state', case when h.circuit_open_until > now() then 'paused' when h.failing_since is not null then 'failing' else 'healthy' end,
    'since', h.failing_since, 'until', case when h.circuit_open_until > now() then h.circuit_open_until end,
    'lastError', case when h.failing_since is not null then h.last_error end) as health
from signalops.channels c
left join lateral (
  select o.circuit_open_until, o.failing_since, o.last_error from signalops.send_targets o
  where o.tenant_id = c.tenant_id and o.id = coalesce(c.send_target_id, c.id) limit 1
) h on true
where tenant_id = %(tenant)s and deleted_at is null and id > %(lower)s and id < %(upper)s
  and (%(id)s::uuid is null or id = %(id)s) and (%(kind)s::text is null or kind = %(kind)s)
  and (%(enabled)s::boolean is null or enabled = %(enabled)s)
  and (%(name)s::text is null or strpos(lower(name), lower(%(name)s)) > 0)
order by case when %(upwards)s then id end, id desc
limit %(limit)s;

-- lock-channel: a channel with its encrypted secret, locked until the transaction ends
-- For update, not less: a rule that is being added locks the key, so to delete a channel waits for it.
select kind, name, config, secret, enabled, disabled_because, retry_schedule, max_per_minute, send_target_id, updated_at
from signalops.channels
where tenant_id = %(tenant)s and id = %(id)s and deleted_at is null
for update;

-- change-channel: changes a channel
update signalops.channels
set name = %(name)s, config = %(config)s, secret = %(secret)s, enabled = %(enabled)s, disabled_because = %(disabled_because)s,
  retry_schedule = %(retry_schedule)s, max_per_minute = %(max_per_minute)s, send_target_id = %(send_target_id)s, updated_at = clock_timestamp()
where tenant_id = %(tenant)s and id = %(id)s;

-- close-circuit: lets a channel send at once, whatever pause its receiver asked for
select signalops.close_circuits(%(tenant)s, array[%(id)s::uuid]);

-- delete-channel: deletes a channel and its secret; the row stays for the versions of rules that name it
update signalops.channels set deleted_at = now(), enabled = false, secret = null, updated_at = clock_timestamp()
where tenant_id = %(tenant)s and id = %(id)s;

-- log-channel-test: notes in the audit log that a channel is tried out, which changes nothing of it
select signalops.log_tenant_action(%(tenant)s, 'channel.tested', %(id)s::uuid::text, %(name)s);

-- rules-of-channel: the names of the enabled rules that notify through a channel now
select r.name from signalops.rules r
join signalops.rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version
where r.tenant_id = %(tenant)s and r.enabled and v.channel_id = %(id)s
order by r.name;
