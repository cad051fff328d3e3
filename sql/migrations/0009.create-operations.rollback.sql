-- What runs the installation: the audit log, alerts, retention, queues that are paused.

drop table ops.paused_queues;
drop table signalops.sweep_cursors;
drop table signalops.retention_watermarks;
drop table signalops.maintenance_runs;
drop table signalops.alerts;
drop table signalops.audit_log;
