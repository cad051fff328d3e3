-- Forgets what providers called back; the addresses that they named are written to again.

drop function signalops.hear_of_delivery(uuid, text, text, text);
drop policy owner_acts on signalops.channels;
drop function signalops.find_called_channel(uuid);
drop index signalops.channels_by_id;
drop table signalops.suppressions;
