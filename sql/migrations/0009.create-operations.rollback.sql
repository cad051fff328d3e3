-- What runs the installation: the audit log, alerts, retention, queues that are paused.

drop table ops.paused_queues;
drop table signalops.sweeps;
drop table signalops.expiries;
drop table signalops.maintenance;
drop table signalops.alerts;
drop table signalops.audit_log;
