-- Meters, the usage they count, limits and corrections.

drop table signalops.usage_adjustments;
drop table signalops.accepted_counters;
drop table signalops.limits;
drop table signalops.usage_row_counts;
drop table signalops.usage_distinct_values;
drop table signalops.usage_entries;
drop table signalops.usage_counters;
drop table signalops.meters;
