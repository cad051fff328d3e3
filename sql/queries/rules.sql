-- Station rules: what the tenant's rules say.

-- active-rules: every enabled rule of a tenant in its active version, with the version of the whole set
select s.version as ruleset, r.id, v.version, v.grammar, v.pattern, v.channel_id
from signalops.rulesets s
left join signalops.rules r on r.tenant_id = s.tenant_id and r.enabled
left join signalops.rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version
where s.tenant_id = %(tenant)s
order by r.id;

-- add-rule: makes a rule with its first version
with rule as (
  insert into signalops.rules (tenant_id, id, name, active_version) values (%(tenant)s, %(id)s, %(name)s, 1)
  returning tenant_id, id
)
insert into signalops.rule_versions (tenant_id, rule_id, version, grammar, pattern, channel_id, template)
select tenant_id, id, 1, %(grammar)s, %(pattern)s, %(channel)s, %(template)s from rule;

-- list-rules: a tenant's rules as they stand, by name
select r.id, r.name, r.enabled, v.version, v.grammar, v.pattern, v.template, c.name as channel, c.kind as channel_kind
from signalops.rules r
join signalops.rule_versions v on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.active_version
join signalops.channels c on c.tenant_id = v.tenant_id and c.id = v.channel_id
where r.tenant_id = %(tenant)s
order by r.name;
