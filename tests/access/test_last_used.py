"""When keys were last used: written at most once a minute, only for accepted keys, and without notifications."""

from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from signalops import clock, db
from signalops.access import access_queries
from signalops.access.api_key_auth import ApiKeyAuthenticator
from signalops.access.auth_throttle import AuthThrottle
from signalops.access.digests import Digests
from signalops.access.key_format import new_key
from signalops.access.last_used import LastUsed
from signalops.config import Settings
from signalops.errors import Forbidden, Unauthenticated
from signalops.types import KeyId
from tests.sql.wire import statements
from tests.support.api import capture_log, running
from tests.support.keys import add_key, status
from tests.support.tenants import Tenant


def used(owner: psycopg.Connection, key: UUID) -> datetime | None:
    row = owner.execute("select last_used_at from signalops.api_keys where id = %s", [key]).fetchone()
    assert row
    moment: datetime | None = row[0]
    return moment


async def test_a_key_that_was_let_in_shows_when_once_the_process_has_written_it(
    settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    bearer, key = add_key(owner, acme, new_key())
    _, idle = add_key(owner, acme, new_key())
    before = clock.now()
    async with running(settings) as api:
        assert await status(api, bearer) == 200
        assert used(owner, key) is None, "not on the path of the request"
    moment = used(owner, key)
    assert moment
    assert before <= moment <= clock.now()
    assert used(owner, idle) is None
    async with running(settings) as api:
        shown = (await api.get(f"/api/keys/{key}", acme)).json["lastUsedAt"]
    assert datetime.fromisoformat(shown) == moment


async def test_a_key_that_was_refused_was_not_used(api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant) -> None:
    ring = ApiKeyAuthenticator(api_pool, AuthThrottle(), Digests(["s"]))
    right, key = add_key(owner, acme, "test_api_key_8077c438f557", cidrs=["10.0.0.0/8"])
    with pytest.raises(Unauthenticated):
        await ring.identify("test_api_key_8077c438f558", "10.0.0.1")
    with pytest.raises(Forbidden):
        await ring.identify(right.key, "11.0.0.1")
    owner.execute("update signalops.tenants set status = 'suspended'")
    ring.cache.invalidate_all()
    with pytest.raises(Forbidden):
        await ring.identify(right.key, "10.0.0.1")
    await ring.uses.flush()
    assert used(owner, key) is None
    owner.execute("update signalops.tenants set status = 'active'")
    ring.cache.invalidate_all()
    await ring.identify(right.key, "10.0.0.1")
    await ring.uses.flush()
    assert used(owner, key) is not None


@pytest.mark.parametrize(("seconds", "is_written"), [(-3600, False), (0, False), (59.9, False), (60, True), (3600, True)])
async def test_a_use_is_written_at_most_once_a_minute(
    api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant, seconds: float, is_written: bool
) -> None:
    _, key = add_key(owner, acme, new_key())
    first = clock.now()
    later = first + timedelta(seconds=seconds)
    async with api_pool.connection() as connection:
        for moment in (first, later):
            await access_queries.record_uses(connection, {(acme.id, KeyId(key)): moment})
    assert used(owner, key) == (later if is_written else first)


async def test_the_uses_of_all_keys_are_one_statement(
    settings: Settings, owner: psycopg.Connection, acme: Tenant, globex: Tenant, tmp_path: Path
) -> None:
    keys = [(tenant, add_key(owner, tenant, new_key())[1]) for tenant in (acme, globex, acme)]
    async with db.pool(settings, "api", 1) as lone:
        uses = LastUsed(lone)
        for tenant, key in keys * 100:
            uses.record(tenant.id, KeyId(key))
        async with statements(lone, tmp_path / "trace") as sent:
            await uses.flush()
            await uses.flush()
    assert len(sent) == 1, sent
    assert all(used(owner, key) for _, key in keys)


async def test_what_could_not_be_written_is_written_later(api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant) -> None:
    _, key = add_key(owner, acme, new_key())
    uses = LastUsed(api_pool)
    uses.record(acme.id, KeyId(key))
    owner.execute("alter function signalops.record_key_uses rename to away")
    with capture_log("last_used.flush_failed") as unwritten:
        await uses.flush()
        assert unwritten.get_nowait()["keys"] == 1
    assert used(owner, key) is None
    owner.execute("alter function signalops.away rename to record_key_uses")
    await uses.flush()
    assert used(owner, key) is not None


async def test_a_key_that_another_process_writes_or_ends_is_not_waited_for(
    settings: Settings, api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant
) -> None:
    (_, locked), (_, free) = add_key(owner, acme, new_key()), add_key(owner, acme, new_key())
    noted = {(acme.id, KeyId(key)): clock.now() for key in (locked, free)}
    async with api_pool.connection() as connection:
        await connection.execute("set lock_timeout = '5s'")
        with psycopg.connect(db.admin_url(settings)) as other:
            other.execute("update signalops.api_keys set revoked_at = now() where id = %s", [locked])
            await access_queries.record_uses(connection, noted)
            other.rollback()
        await connection.execute("reset lock_timeout")
    assert (used(owner, locked), used(owner, free) is None) == (None, False)


async def test_a_use_is_announced_to_nobody(
    settings: Settings, api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant
) -> None:
    """Else each process would look every key up again, every few seconds."""
    _, key = add_key(owner, acme, new_key())
    with psycopg.connect(db.admin_url(settings), autocommit=True) as listening:
        listening.execute("listen signalops_access")
        async with api_pool.connection() as connection:
            await access_queries.record_uses(connection, {(acme.id, KeyId(key)): clock.now()})
        for column in ("revoked_at", "expires_at"):
            owner.execute("select pg_notify('signalops_access', %s)", [f"before {column}"])
            owner.execute(sql.SQL("update signalops.api_keys set {} = now() where id = %s").format(sql.Identifier(column)), [key])
        # To revoke what is revoked changes nothing, and may be asked for a hundred times a second.
        async with db.as_tenant(api_pool, acme.id) as connection:
            await access_queries.revoke_key(connection, acme.id, key)
        owner.execute("select pg_notify('signalops_access', 'end')")
        payloads = [n.payload for n in listening.notifies(timeout=5, stop_after=5)]
    assert payloads == ["before revoked_at", str(key), "before expires_at", str(key), "end"]
