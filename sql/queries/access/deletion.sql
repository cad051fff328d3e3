-- Station access: the deletion of tenants.

-- begin-deletion: begins to delete a tenant that is closed, named by id or slug
select tenant, verdict from signalops.begin_deletion(%(slug_or_id)s, %(confirmed)s);

-- find-deletion: the newest deletion of what had an id or a slug
select id, slug, begun_at, removed, remaining, finished_at from signalops.tenant_deletions
where %(slug_or_id)s in (id::text, slug)
order by id::text = %(slug_or_id)s desc, begun_at desc limit 1;

-- delete-slice: removes a part of a tenant's rows
select signalops.delete_slice(%(tenant)s, %(at_most)s);

-- running-transactions: those of this database, except this one; one that only reads has no other number
select coalesce(array_agg(l.virtualtransaction), '{}') from pg_locks l
join pg_stat_activity a on a.pid = l.pid and a.datname = current_database() and a.usename is not null
where l.locktype = 'virtualxid' and l.granted and l.pid <> pg_backend_pid();

-- finish-deletion: removes a tenant of which nothing is left; how many rows were removed in all
select signalops.finish_deletion(%(tenant)s);

-- enqueue-deletions: gives a job to deletions that have none
select signalops.enqueue_deletions();
