-- Station watch: nobody is told of anything.

drop function signalops.watch(text);
drop function signalops.tell_alert(uuid, text, jsonb);
drop function signalops.conditions(uuid);
drop function signalops.note_run(text, text);
drop view ops.alerts;
drop table signalops.alerts;
drop table signalops.maintenance;
