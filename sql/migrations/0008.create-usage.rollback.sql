-- Removes usage and the record of what workers did.

drop table signalops.batches;
drop table signalops.usage_counters;
