-- Removes rules, channels and the record of what matched.

drop table signalops.matches;
drop table signalops.rule_versions;
drop table signalops.rules;
drop table signalops.rulesets;
drop function signalops.bump_ruleset();
drop table signalops.channels;
