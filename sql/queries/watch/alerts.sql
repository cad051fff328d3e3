-- Station watch: alerts.

-- evaluate-alerts: raises and resolves alerts
select alert, subject, became from signalops.evaluate_alerts(%(platform)s);

-- record-maintenance-run: records the end of a maintenance job
select signalops.record_maintenance_run(%(job)s, %(error)s);

-- open-alerts: what was raised and is not over
select alert, subject, value, breached_at as "since", raised_at as "raisedAt", recovering_since as "recoveringSince"
from ops.alerts order by raised_at, alert, subject;
