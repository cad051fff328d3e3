-- Station rules: how many versions a tenant makes in a month has a limit, since each is kept for ever.

drop index signalops.rule_versions_recent;
