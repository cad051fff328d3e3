"""Tenants from before there were plans get one, and keep its name when plans are taken away again."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from signalops import clock, db, migrate
from signalops.config import Settings
from tests.support.databases import Databases

PLANS = "0021"


@pytest.fixture
def before(databases: Databases) -> Iterator[Settings]:
    """An installation as it was before the migration that makes plans."""
    with databases.before(PLANS) as settings:
        yield settings


def test_tenants_of_before_have_the_free_plan_since_they_were_made(before: Settings) -> None:
    old = clock.new_id()
    with psycopg.connect(db.admin_url(before), autocommit=True) as owner:
        owner.execute(
            "insert into signalops.tenants (id, slug, name, plan, created_at) values (%s, 'old', 'Old', 'gold', %s)",
            [old, "2025-03-01T00:30:00Z"],
        )
        migrate.upgrade(before)
        held = "select plan, version, starts_on::text, author from signalops.subscriptions"
        assert owner.execute(held).fetchall() == [("free", 1, "2025-02-01", "signalops")]
        owner.execute(
            "insert into signalops.plans (plan, version, grammar, document) "
            "select 'pro', 1, 2, document || %s from signalops.plans",
            [Jsonb({"limits": [{"meter": "events", "hard": "9", "thresholds": [], "overage": "refuse"}]})],
        )
        owner.execute(
            "select signalops.subscribe(t.id, 'pro', true, 'ann') "
            "from signalops.tenants t, signalops.act_as(t.id) where t.id = %s",
            [old],
        )
        assert owner.execute("select origin from signalops.limits").fetchall() == [("plan",)]
        with migrate._backend(before) as backend:
            backend.rollback_migrations(backend.to_rollback(migrate._known().filter(lambda m: m.id >= PLANS)))
        assert owner.execute("select plan from signalops.tenants").fetchall() == [("pro",)]
        assert owner.execute("select from signalops.limits").rowcount == 0
