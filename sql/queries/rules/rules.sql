-- Station rules: what the tenant's rules say.

-- active-rules: every enabled rule of a tenant in its active version, with the version of the whole set
select s.version as ruleset_version, r.id, v.version, v.grammar, v.pattern, v.channel_id, v.state_version,
  v.time_window, v.absent, v.cooldown, v.digest, v.active_hours
from signalops.ruleset_versions s
left join signalops.rules r on r.tenant_id = s.tenant_id and r.enabled
left join signalops.rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version
where s.tenant_id = %(tenant)s
order by r.id;

-- active-silences: a tenant's silences that are not over
select grammar, pattern, starts_at, ends_at, reason from signalops.silences where tenant_id = %(tenant)s and ends_at > now();

-- add-rule: makes a rule, whose first version follows
insert into signalops.rules (tenant_id, id, name, enabled, active_version)
values (%(tenant)s, %(id)s, %(name)s, %(enabled)s, 1);

-- add-version: stores a new version of a rule
insert into signalops.rule_versions (tenant_id, rule_id, version, state_version, grammar, pattern, conditions, channel_id, template, severity,
  time_window, absent, cooldown, digest, active_hours)
values (%(tenant)s, %(rule)s, %(version)s, %(state_version)s, %(grammar)s, %(pattern)s, %(conditions)s, %(channel)s, %(template)s, %(severity)s,
  %(window)s, %(absent)s, %(cooldown)s, %(digest)s, %(activeHours)s);

-- count-rules: how many rules a tenant has, and how many conditions those that decide have together
select count(*) as rules, coalesce(sum(v.conditions) filter (where r.enabled), 0) as conditions
from signalops.rules r
join signalops.rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version
where r.tenant_id = %(tenant)s and r.deleted_at is null;

-- count-versions: how many versions of rules a tenant has made in the last 30 days; they are never deleted
select count(*) from signalops.rule_versions where tenant_id = %(tenant)s and created_at > now() - interval '30 days';

-- lock-rule: a rule as it stands, locked until the transaction ends
-- Alone, not joined with its version: who had to wait for the lock would join the new row with the version of before.
select name, enabled, active_version from signalops.rules
where tenant_id = %(tenant)s and id = %(id)s and deleted_at is null
for update;

-- change-rule: renames, enables or disables a rule, or makes another of its versions decide
update signalops.rules
set name = %(name)s, enabled = %(enabled)s, active_version = %(active_version)s, updated_at = now(),
  enabled_at = case when enabled then enabled_at else now() end
where tenant_id = %(tenant)s and id = %(id)s;

-- delete-rule: deletes a rule; the row and its versions stay for the matches that name them
update signalops.rules set deleted_at = now(), enabled = false, updated_at = now()
where tenant_id = %(tenant)s and id = %(id)s;

-- list-rules: a tenant's rules in their active versions, one of them or those between two ids; they are few enough to be sorted
select r.id, r.name, r.enabled, v.version, v.grammar, v.pattern, v.template, v.severity, v.time_window as "window", v.absent,
  v.cooldown, v.digest, v.active_hours as "activeHours", r.created_at as "createdAt", r.updated_at as "updatedAt",
  json_build_object('id', c.id, 'name', c.name, 'kind', c.kind) as channel
from signalops.rules r
join signalops.rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version
join signalops.channels c on c.tenant_id = v.tenant_id and c.id = v.channel_id
where r.tenant_id = %(tenant)s and r.deleted_at is null and r.id > %(lower)s and r.id < %(upper)s
  and (%(id)s::uuid is null or r.id = %(id)s)
  and (%(enabled)s::boolean is null or r.enabled = %(enabled)s)
  and (%(channel)s::text is null or %(channel)s in (c.id::text, c.name))
  and (%(severity)s::text is null or v.severity = %(severity)s)
  and (%(name)s::text is null or strpos(lower(r.name), lower(%(name)s)) > 0)
order by case when %(upwards)s then r.id end, r.id desc
limit %(limit)s;

-- list-versions: the versions of a rule below a number, newest first
select v.version, v.grammar, v.pattern, v.template, v.severity, v.time_window as "window", v.absent, v.cooldown, v.digest,
  v.active_hours as "activeHours", v.created_at as "createdAt", v.state_version,
  json_build_object('id', c.id, 'name', c.name, 'kind', c.kind) as channel
from signalops.rules r
join signalops.rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id
join signalops.channels c on c.tenant_id = v.tenant_id and c.id = v.channel_id
where r.tenant_id = %(tenant)s and r.deleted_at is null and r.id = %(id)s and v.version < %(before)s
order by v.version desc
limit %(limit)s;

-- find-channel: a channel by its id or its name; an id goes first
select id, name, kind from signalops.channels
where tenant_id = %(tenant)s and deleted_at is null and %(channel)s in (id::text, name)
order by id::text = %(channel)s desc
limit 1;

-- list-silences: a tenant's silences between two ids, one of them or those in a state, or all
select id, grammar, pattern, starts_at as "startsAt", ends_at as "endsAt", reason, created_at as "createdAt",
  case when ends_at <= now() then 'ended' when starts_at <= now() then 'active' else 'scheduled' end as state
from signalops.silences
where tenant_id = %(tenant)s and id > %(lower)s and id < %(upper)s
  and (%(id)s::uuid is null or id = %(id)s)
  and (%(state)s::text is null
    or %(state)s = case when ends_at <= now() then 'ended' when starts_at <= now() then 'active' else 'scheduled' end)
order by case when %(upwards)s then id end, id desc
limit %(limit)s;

-- add-silence: stores a silence
insert into signalops.silences (tenant_id, id, grammar, pattern, starts_at, ends_at, reason)
values (%(tenant)s, %(id)s, %(grammar)s, %(pattern)s, %(starts_at)s, %(ends_at)s, %(reason)s);

-- end-silence: ends a silence now; one that has not begun yet is moved before now, since it may not end before it begins
update signalops.silences set ends_at = now(), starts_at = least(starts_at, now() - interval '1 microsecond')
where tenant_id = %(tenant)s and id = %(id)s and ends_at > now();

-- known-fields: the fields that events of some types had, and whether there are further ones
select type, fields_cut, array(select jsonb_object_keys(fields)) as paths from signalops.event_types
where tenant_id = %(tenant)s and type = any(%(types)s);

-- type-examples: a recent event of each of some types, as templates see it
select example from signalops.event_types where tenant_id = %(tenant)s and type = any(%(types)s) and example is not null;

-- find-event: an event as patterns and templates see it
select json_build_object('id', id, 'type', type, 'source', source, 'occurredAt', occurred_at, 'payload', payload) as event,
  attributes
from signalops.events where tenant_id = %(tenant)s and id = %(id)s;

-- time-zone: the time zone of a tenant
select time_zone from signalops.tenants where id = %(tenant)s;
