-- Removes deliveries, attempts and dead letters.

drop table signalops.dead_letters;
drop table signalops.delivery_attempts;
drop table signalops.deliveries;
