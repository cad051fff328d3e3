-- Events, stored once, and what of them waits to be processed.

drop table signalops.replays;
drop table signalops.event_schemas;
drop table signalops.event_types;
drop table signalops.batch_results;
drop table signalops.inbox;
drop table signalops.idempotency_keys;
drop table signalops.events;
