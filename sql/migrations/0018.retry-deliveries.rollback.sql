-- Removes the ways to try deliveries and dead events again; what was retried goes on.

drop function signalops.retry_dead_letters(uuid, uuid[]);
drop function signalops.retry_deliveries(uuid, uuid[]);
