-- Ops: errors are shown without what they quote, since operators see no payload.
-- Stage: pre

create or replace view ops.dead_letters AS
 SELECT t.slug AS tenant,
    l.tenant_id,
    l.id AS letter_id,
    l.kind,
    l.died_at,
    regexp_replace(l.error, '([(:"]|\s'').*', '') AS error,
    r.name AS rule,
    c.name AS channel,
    l.event_id,
    l.delivery_id
   FROM (((signalops.dead_letters l
     JOIN signalops.tenants t ON ((t.id = l.tenant_id)))
     LEFT JOIN signalops.rules r ON (((r.tenant_id = l.tenant_id) AND (r.id = l.rule_id))))
     LEFT JOIN signalops.channels c ON (((c.tenant_id = l.tenant_id) AND (c.id = l.channel_id))))
  WHERE (l.ended_at IS NULL);

comment on column ops.dead_letters.error is 'Why, without what the error quotes: that may be of a payload, and is in the tenant''s own.';

create or replace view ops.backtests AS
 SELECT t.slug AS tenant,
    b.tenant_id,
    b.id AS backtest_id,
    b.status,
    b.scanned AS events,
    b.created_at AS asked_at,
    b.updated_at AS saved_at,
    (b.updated_at - b.created_at) AS took,
    round(((b.scanned)::numeric / NULLIF(EXTRACT(epoch FROM (b.updated_at - b.created_at)), (0)::numeric))) AS events_per_second,
    regexp_replace(b.error, '([(:"]|\s'').*', '') AS error
   FROM (signalops.backtests b
     JOIN signalops.tenants t ON ((t.id = b.tenant_id)));

comment on column ops.backtests.error is 'Why it failed, without what the error quotes: that may be of a payload, and is in the tenant''s own.';
