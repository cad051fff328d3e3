-- Station watch: alerts.

-- watch: tells what went out of bounds and what came back
select alert, subject, became from signalops.watch(%(platform)s);

-- note-run: notes that a maintenance job has ended
select signalops.note_run(%(job)s, %(error)s);

-- open-alerts: what was raised and is not over
select alert, subject, value, over_since as "since", raised_at as "raisedAt" from ops.alerts order by raised_at, alert, subject;
