-- Removes the migrator's records, and what the roles may do; roles and schemas stay, for other databases of the cluster may use the roles.

drop table yoyo.definitions;
drop table yoyo.definition_statements;
drop table yoyo.definition_sets;
drop table yoyo.stages;
revoke all on schema signalops, ops, procrastinate, yoyo from signalops_api, signalops_worker, signalops_platform, signalops_operator;
revoke all on all tables in schema yoyo from signalops_api, signalops_worker;
