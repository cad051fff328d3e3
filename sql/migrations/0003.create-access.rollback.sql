-- Removes tenants and keys, and with them all that anyone could come in with.

drop function signalops.find_keys(text);
drop table signalops.api_keys;
drop table signalops.tenants;
drop function signalops.announce_key_change();
