-- Removes every event, and what was known of them.

drop table signalops.inbox;
drop table signalops.quotas;
drop table signalops.idempotency_keys;
drop table signalops.events;
