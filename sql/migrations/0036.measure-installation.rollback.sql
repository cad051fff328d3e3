-- The metrics of the processes remain, without those of the database.

revoke usage on schema ops from signalops_platform;
drop function ops.measurements();
