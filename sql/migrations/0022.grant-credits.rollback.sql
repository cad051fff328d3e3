-- Takes credits away, with what was granted and burned.

drop function signalops.expire_credits(integer);
drop function signalops.return_credits(uuid, uuid);
drop function signalops.burn_credits(uuid, uuid, text, numeric);
drop function signalops.require_tenant(uuid);
drop function signalops.grant_credit(uuid, numeric, text, text, text, smallint, timestamptz);
drop table signalops.credit_entries;
drop table signalops.credit_grants;
drop function signalops.move_credit();
