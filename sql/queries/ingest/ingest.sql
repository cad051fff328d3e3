-- Station ingest: what the API asks of the events' tables.

-- accept: stores a flush of events of many tenants and enqueues one job; returns what was not plainly accepted
select event_id, verdict, first_id, of_meter, period_end, pace
from signalops.accept(convert_from(%(flush)s, 'UTF8')::jsonb, convert_from(%(demand)s, 'UTF8')::jsonb, %(batch)s, %(priority)s,
  convert_from(%(buckets)s, 'UTF8')::jsonb);

-- await-changed-limits: waits, for a moment, until no limit is being changed
select signalops.await_changed_limits();

-- list-events: a page of a tenant's events between two ids, newest first
select id, type, source, occurred_at, received_at, status, payload, attributes, over_limit, correlation
from signalops.event_status
where tenant_id = %(tenant)s and id > %(lower)s and id < %(upper)s
  and (%(type)s::text is null or type = %(type)s) and (%(status)s::text is null or status = %(status)s)
order by id desc limit %(limit)s;

-- list-events-upwards: the same page seen from its older end, oldest first
select id, type, source, occurred_at, received_at, status, payload, attributes, over_limit, correlation
from signalops.event_status
where tenant_id = %(tenant)s and id > %(lower)s and id < %(upper)s
  and (%(type)s::text is null or type = %(type)s) and (%(status)s::text is null or status = %(status)s)
order by id limit %(limit)s;
