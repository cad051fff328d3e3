"""Some thousand rows of many tenants, in this month's and the next month's partitions, for the planner to choose among."""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

from signalops import clock, db
from signalops.config import Settings
from tests.support.databases import Databases

FILL = """
  create temp table crowd as
  select t.n as tenant_no, signalops.new_id() as tenant, signalops.new_id() as channel, signalops.new_id() as rule
  from generate_series(1, 300) as t (n);
  update crowd set tenant = '{ours}' where tenant_no = 7;
  insert into signalops.tenants (id, slug, name) select tenant, 't-' || tenant_no, 'Tenant' from crowd;
  insert into signalops.limits (tenant_id, meter, origin, starts_on, soft)
  select tenant, 'events', 'tenant', '2000-01-01', 1000000 from crowd;
  insert into signalops.accepted_counters (tenant_id, period, accepted)
  select tenant, date_trunc('month', now() at time zone 'UTC'), 200 from crowd;
  insert into signalops.api_keys (tenant_id, id, prefix, hash, label, scopes)
  select tenant, signalops.new_id(), lpad(tenant_no || '_' || k, 16, 'x'), '$2b$04$', 'l', '{{}}'
  from crowd, generate_series(1, 15) as k;
  insert into signalops.channels (tenant_id, id, name, kind, config)
  select tenant, channel, 'c', 'webhook', '{{}}' from crowd;
  insert into signalops.rules (tenant_id, id, name, active_version)
  select tenant, rule, 'r', 1 from crowd;
  insert into signalops.rule_versions (tenant_id, rule_id, version, grammar, pattern, channel_id, template)
  select tenant, rule, 1, 2, '{{}}', channel, '{{}}' from crowd;

  set session_replication_role = replica; -- the versions are given: a trigger would count them up one by one
  insert into signalops.meters (tenant_id, key, first_version, end_version, name, aggregation, grammar, pattern, origin, ended_at)
  select tenant, 'm' || n, n, case when n > 3 then n + 1 end, 'M', 'count', 2, '{{"type": ["a"]}}', 'tenant',
    case when n > 3 then now() end
  from crowd, generate_series(1, 20) as n;
  reset session_replication_role;

  create temp table happened as
  select c.*, e.n,
    case when e.n % 2 = 0 then signalops.new_id()
      else signalops.uuid7_floor(now() + interval '1 month' + (c.tenant_no * 100 + e.n) * interval '1 s') end as event,
    case when e.n = 4 then 'rare.type' else 'frequent.type' end as type,
    signalops.uuid7_floor(greatest(now() - interval '1 hour', date_trunc('month', now(), 'UTC'))
      + (c.tenant_no / 4 * 8 + e.n / 4) * interval '1 ms') as batch
  from crowd c, generate_series(1, case when tenant_no = 7 then 5000 else 30 end) as e (n);
  insert into signalops.events (tenant_id, id, batch, type, occurred_at, received_at, payload)
  select tenant, event, batch, type, now(), now(), '{{"a": 1}}' from happened;
  insert into signalops.inbox (tenant_id, event_id, batch) select tenant, event, batch from happened;
  insert into signalops.idempotency_keys (tenant_id, key, event_id, body_hash)
  select tenant, n::text, event, 'h' from happened;
  insert into signalops.matches (tenant_id, event_id, rule_id, rule_version)
  select tenant, event, rule, 1 from happened;
  insert into signalops.batch_results (tenant_id, batch, counted_in, job_id, worker, ruleset_version, rules, events, billed)
  select tenant, batch, batch, 1, 'w', 1, 1, 1, 1 from happened on conflict do nothing;
  insert into signalops.deliveries
    (tenant_id, id, event_id, rule_id, rule_version, channel_id, status, next_attempt_at, updated_at)
  select tenant, signalops.new_id(), event, rule, 1, channel,
    case when n < 4 and tenant_no < 9 then 'retrying' when n < 8 and tenant_no < 9 then 'pending' else 'sent' end,
    case when n < 4 and tenant_no < 9 then now() + (n - 2) * interval '1 hour' end,
    case when n < 6 then now() - interval '1 hour' else now() end
  from happened where n <= 10;
  insert into signalops.delivery_attempts (tenant_id, delivery_id, attempt, started_at, duration_ms, outcome)
  select tenant_id, id, 1, now(), 1, 'sent' from signalops.deliveries;
  insert into signalops.dead_letters (tenant_id, id, kind, event_id, error)
  select tenant, event, 'event', event, 'e' from happened where n between 26 and 30;
  insert into signalops.rule_states (tenant_id, rule_id, state_version, group_key, labels, due_at, expires_at)
  select tenant, rule, 1, '[' || n || ']', '{{}}', case when n % 2 = 0 then now() + (n - 3) * interval '1 hour' end,
    now() + (n - 3) * interval '1 hour'
  from happened where n <= 20;
  insert into signalops.window_events (tenant_id, rule_id, state_version, group_key, at, event_id, value)
  select tenant, rule, 1, '[' || n % 20 || ']', now() - n * interval '1 s', event, 1 from happened;
  insert into signalops.digests (tenant_id, rule_id, rule_version, channel_id, due_at, matched, events, causation_depth)
  select tenant, signalops.new_id(), 1, channel, now() + (n - 3) * interval '1 hour', 1, array[event], 0
  from happened where n <= 20;
  insert into signalops.channel_schedules (tenant_id, channel_id, tokens, refilled_at, next_due_at)
  select tenant, channel, 1000, now(), case when tenant_no < 9 then now() - interval '1 hour' end from crowd;
  insert into signalops.channel_schedules (tenant_id, channel_id, tokens, refilled_at)
  select tenant, signalops.new_id(), 1000, now() from happened;
  insert into signalops.send_targets (tenant_id, id) select tenant, channel from crowd;
  insert into signalops.send_targets (tenant_id, id) select tenant, signalops.new_id() from happened;
  create temp table counted as
  select h.*, u.hour, date_trunc('month', u.hour)::date as period
  from happened h, lateral (select date_trunc('hour', now(), 'UTC') - h.n * interval '1 hour' as hour) as u;
  insert into signalops.usage_counters (tenant_id, meter, hour, group_key, period, aggregation, is_late, events, value)
  select tenant, 'events', hour, '[]', period, 'count', n % 10 = 0, 1, 1 from counted;
  insert into signalops.usage_entries (tenant_id, meter, period, id, batch, hour, group_key, is_late, events, value, event_ids)
  select tenant, 'events', period, signalops.new_id(), batch, hour, '[]', n % 10 = 0, 1, 1, array[event] from counted;
  insert into signalops.usage_distinct_values (tenant_id, meter, hour, group_key, period, distinct_value)
  select tenant, 'users', hour, '[]', period, n::text from counted;
  select signalops.enqueue('events', 'process_batch', 0, jsonb_build_object('batch', batch))
  from (select distinct batch from happened) as b;
  drop table crowd, happened, counted;
"""


class BulkRows(NamedTuple):
    """A database with many rows, analyzed, of which one tenant has the most."""

    settings: Settings
    owner: psycopg.Connection
    tenant: UUID


def store_bulk_rows(owner: psycopg.Connection, tenant: UUID) -> None:
    """Store the rows; most of them are the tenant's."""
    owner.execute(FILL.format(ours=tenant).encode())


@pytest.fixture(scope="session")
def bulk(databases: Databases) -> Iterator[BulkRows]:
    """The database of all tests that read plans, each of which leaves it as it is."""
    # A new clone: the dead rows of other tests make small tables large, and then their scans count.
    with databases.empty(databases.template) as settings, psycopg.connect(db.admin_url(settings), autocommit=True) as owner:
        tenant = clock.new_id()
        store_bulk_rows(owner, tenant)
        owner.execute("vacuum analyze")
        yield BulkRows(settings, owner, tenant)
