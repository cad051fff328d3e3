-- Rules with their versions, what matched, and what rules over time remember.

drop table signalops.backtests;
drop table signalops.digests;
drop table signalops.window_events;
drop table signalops.rule_groups;
drop table signalops.matches;
drop table signalops.silences;
drop table signalops.rulesets;
drop table signalops.rule_versions;
drop table signalops.rules;
