-- Meters, the usage they count, limits and corrections.

drop table signalops.usage_adjustments;
drop table signalops.quotas;
drop table signalops.limits;
drop table signalops.usage_sizes;
drop table signalops.usage_items;
drop table signalops.usage_entries;
drop table signalops.usage_counters;
drop table signalops.meters;
