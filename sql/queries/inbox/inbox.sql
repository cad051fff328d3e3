-- Station inbox: what the jobs do with batches, and the sweeps.

-- read-batch: takes a batch, and others that wait, out of the inbox and returns the events, a row per tenant
select tenant, ruleset_version, events, meters_version, time_zone, nullif(closed_until, '-infinity')
from signalops.read_batch(%(batch)s, %(job)s, %(at_most)s);

-- record-batch: records what was decided about a batch
select signalops.record_batch(%(job)s, %(worker)s, %(results)s::text::jsonb);

-- wait-briefly: has this transaction give up on a lock soon
select set_config('lock_timeout', '100ms', true);

-- requeue-events: leaves events of a batch in the inbox for a job of their own; acts for their tenant
select signalops.set_tenant(%(tenant)s), signalops.requeue_events(%(tenant)s, %(events)s::text::jsonb,
  make_interval(secs => %(seconds)s), %(priority)s);

-- park-events: takes what is due of suspended tenants out of the sweeps' way
select signalops.park_events(%(at_most)s);

-- resume: lets a part of what is parked of a resumed tenant go on
select signalops.resume_tenants(%(at_most)s);

-- enqueue-due: gives a job to deliveries whose next attempt is due
select signalops.enqueue_due_deliveries(%(at_most)s);

-- enqueue-lost: gives a new job to what has none any more
select signalops.enqueue_lost_batches('10 seconds', %(at_most)s), signalops.enqueue_lost_deliveries('5 minutes', %(at_most)s);

-- fire-due: closes the digests that are due, and emits absences
select signalops.flush_digests(%(at_most)s), signalops.fire_absences(%(at_most)s);

-- tidy: removes what rules remember in vain, and finds channels whose deliveries wait unnoticed
select signalops.expire_rule_states(%(at_most)s), signalops.repair_schedules();

-- limit-cardinality: has tenants keep no more groups and distinct values of a month when they have too many
select tenant, of_period from signalops.limit_cardinality();

-- make-partitions: makes the partitions of this month and the next three
select signalops.make_partitions();
