-- Schema ops: what runs out next. Its file comes after those of the views that it reads.

create or replace view ops.outlook as
select o.what, o.subject, round(o.used, 3) as used, o.detail, o.remedy
from (
  select 'hard limit' as what, u.tenant || ' ' || u.meter as subject, u.percent / 100 as used,
    u.accepted || ' of ' || u.hard || ' in ' || to_char(u.period, 'YYYY-MM') as detail,
    'Raise the limit: signalops limit set' as remedy
  from ops.tenant_usage u where u.hard > 0
  union all
  select 'partitions', p.parent, greatest(0, 1 - min(p.months_ahead) / 3.0), min(p.months_ahead) || ' months ahead',
    'See that a worker takes the queue maintenance: signalops doctor'
  from ops.partitions p group by p.parent
  union all
  select 'transaction ids', t.schema || '.' || t."table", t.xid_age / 2147483648.0, t.xid_age || ' transactions old',
    'Vacuum the table; end what holds back its horizon: ops.sessions'
  from ops.tables t
  union all
  select 'dead rows', t.schema || '.' || t."table", t.dead_rows::numeric / nullif(t.vacuum_due_at, 0),
    t.dead_rows || ' dead rows, autovacuum comes at ' || t.vacuum_due_at, 'See that autovacuum is on and not behind'
  from ops.tables t where t.vacuum_due_at > 0
  union all
  select 'connections', null, sum(c.sessions)::numeric / max(c.max_connections), sum(c.sessions) || ' of ' || max(c.max_connections),
    'Raise max_connections, or put PgBouncer before the server'
  from ops.connections c
) o
where o.used is not null
order by o.used desc;
comment on view ops.outlook is 'What runs out next, the fullest first: limits, partitions, transaction ids, connections, and tables that await vacuum.';
comment on column ops.outlook.what is 'hard limit, partitions, transaction ids, dead rows or connections.';
comment on column ops.outlook.subject is 'The tenant and meter, or the table; NULL: the whole server.';
comment on column ops.outlook.used is 'How much of it is used up: at 1 it breaks, or for dead rows autovacuum comes.';
comment on column ops.outlook.detail is 'The figures.';
comment on column ops.outlook.remedy is 'What to do.';
