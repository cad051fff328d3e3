-- Station watch: retention.

-- expired-partitions: the partitions that can be dropped, in that order
select part, ended_at from signalops.expired_partitions(%(retention_days)s, %(audit_log_days)s);

-- detach-partition: detaches the first of them
select signalops.detach_partition(%(retention_days)s, %(audit_log_days)s);

-- drop-detached: drops one that was detached
select signalops.drop_detached();

-- expire: removes a slice of what expires before its partition does
select relation, rows from signalops.expire(%(retention_days)s, %(at_most)s);

-- prune-jobs: removes jobs that ended long ago
select signalops.prune_jobs(%(history_days)s, %(at_most)s);
