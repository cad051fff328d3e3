-- Channels, the deliveries to them with every attempt, and dead letters.

drop table signalops.dead_letters;
drop table signalops.delivery_attempts;
drop table signalops.deliveries;
drop table signalops.suppressions;
drop table signalops.channel_schedules;
drop table signalops.send_targets;
drop table signalops.channels;
