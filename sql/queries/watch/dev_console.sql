-- Station watch: what `signalops up` looks up for a line that it prints. As the owner.

-- request: the tenant's slug, and the event that a request stored
select t.slug, e.id as event, e.type
from signalops.tenants t
left join signalops.events e on e.tenant_id = t.id and e.id = %(event)s::uuid
where t.id = %(tenant)s::uuid;

-- delivery: an attempt's answer, and where it went to
select c.name as channel, coalesce(c.config ->> 'to', c.config ->> 'url', c.config ->> 'chatId') as target, a.status_code, a.error
from signalops.deliveries d
left join signalops.channels c on c.tenant_id = d.tenant_id and c.id = d.channel_id
left join signalops.delivery_attempts a on a.tenant_id = d.tenant_id and a.delivery_id = d.id and a.attempt = %(attempt)s
where d.tenant_id = %(tenant)s::uuid and d.id = %(delivery)s::uuid;

-- has-worker: whether a worker has sent a heartbeat just now
select exists (select from procrastinate.procrastinate_workers where last_heartbeat > now() - interval '2 seconds');
