-- Tokens of tenants' users are taken no more.

drop function signalops.find_tenant(uuid, text);
