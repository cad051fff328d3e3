-- Rules with their versions, what matched, and what rules over time remember.

drop table signalops.backtests;
drop table signalops.digests;
drop table signalops.window_events;
drop table signalops.rule_states;
drop table signalops.matches;
drop table signalops.silences;
drop table signalops.ruleset_versions;
drop table signalops.rule_versions;
drop table signalops.rules;
