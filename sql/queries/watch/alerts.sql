-- Station watch: alerts.

-- evaluate-alerts: tells what went out of bounds and what came back
select alert, subject, became from signalops.evaluate_alerts(%(platform)s);

-- record-maintenance-run: notes that a maintenance job has ended
select signalops.record_maintenance_run(%(job)s, %(error)s);

-- open-alerts: what was raised and is not over
select alert, subject, value, breached_at as "since", raised_at as "raisedAt" from ops.alerts order by raised_at, alert, subject;
