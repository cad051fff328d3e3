-- Station watch: what people did, from the audit log.

-- list-actions: a page of actions between two ids, of one tenant or in the whole installation, narrowed in any way
-- A page of the newest, so the plan is made for the values that are given: see the settings of a session.
select id, tenant_id as tenant, actor_kind, actor, address, operation, action, target_id, target, change
from signalops.audit_log
where id > %(lower)s and id < %(upper)s
  and (%(tenant)s::uuid is null or tenant_id = %(tenant)s)
  and (%(id)s::uuid is null or id = %(id)s)
  and (%(actor)s::text is null or actor = %(actor)s)
  and (%(action)s::text is null or starts_with(action, %(action)s))
  and (%(target)s::text is null or target_id = %(target)s)
order by case when %(upwards)s then id end, id desc
limit %(limit)s;
