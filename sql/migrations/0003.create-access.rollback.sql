-- Tenants, API keys, and the rate limits of both.

drop table signalops.tenant_deletions;
drop table signalops.rate_buckets;
drop table signalops.api_keys;
drop table signalops.tenants;
