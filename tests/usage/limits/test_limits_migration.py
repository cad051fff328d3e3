"""Limits of tenants from before there were limits of meters go on where they were, there and back."""

from collections.abc import Iterator

import psycopg
import pytest

from signalops import clock, db, migrate
from signalops.config import Settings
from tests.support.databases import Databases

LIMITS = "0020"


@pytest.fixture
def before(databases: Databases) -> Iterator[Settings]:
    """An installation as it was before the migration that makes limits."""
    with databases.before(LIMITS) as settings:
        yield settings


def test_limits_and_what_was_told_of_stay(before: Settings) -> None:
    free, limited = clock.new_id(), clock.new_id()
    with psycopg.connect(db.admin_url(before), autocommit=True) as owner:
        owner.execute(
            "insert into signalops.tenants (id, slug, name, soft_limit, hard_limit, created_at) values "
            "(%s, 'free', 'F', null, null, '2025-01-02'), (%s, 'limited', 'L', 5, 9, '2025-01-02')",
            [free, limited],
        )
        owner.execute(
            "insert into signalops.quotas (tenant_id, period, accepted, soft_reached_at) values "
            "(%s, '2026-01-01', 3, null), (%s, '2026-01-01', 7, now())",
            [free, limited],
        )
        migrate.upgrade(before)
        limits = owner.execute("select tenant_id, meter, origin, starts_on::text, soft, hard from signalops.limits")
        assert limits.fetchall() == [(limited, "events", "tenant", "2025-01-02", 5, 9)]
        quotas = owner.execute(
            "select tenant_id, meter, accepted, told, calm_until from signalops.quotas order by accepted"
        )
        assert quotas.fetchall() == [(free, "events", 3, {}, 0), (limited, "events", 7, {"soft": 5}, 0)]
        with migrate._backend(before) as backend:
            backend.rollback_migrations(backend.to_rollback(migrate._known().filter(lambda m: m.id >= LIMITS)))
        tenants = owner.execute("select slug, soft_limit, hard_limit from signalops.tenants order by slug")
        assert tenants.fetchall() == [("free", None, None), ("limited", 5, 9)]
        quotas = owner.execute("select accepted, soft_reached_at is not null from signalops.quotas order by accepted")
        assert quotas.fetchall() == [(3, False), (7, True)]
