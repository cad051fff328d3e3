-- Takes the ground away again; roles and schemas stay, for other databases of the cluster may use the roles.

drop function signalops.make_partitions(integer);
drop function signalops.new_id();
drop function signalops.time_of(uuid);
drop function signalops.id_at(timestamptz);
drop procedure signalops.admit_owner(regclass, text);
drop procedure signalops.protect(regclass, text);
drop function signalops.act_as(uuid);
drop function signalops.current_tenant();
alter default privileges in schema yoyo revoke select on tables from signalops_api, signalops_worker, signalops_operator;
revoke select on all tables in schema yoyo from signalops_api, signalops_worker, signalops_operator;
revoke usage on schema yoyo from signalops_api, signalops_worker, signalops_operator;
revoke usage on schema signalops from signalops_api, signalops_worker, signalops_operator;
