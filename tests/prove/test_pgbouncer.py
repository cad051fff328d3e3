"""Everything through PgBouncer in transaction mode, with one connection of the server's for each role."""

import asyncio
import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from signalops import migrate
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.watch.doctor import diagnose
from tests.prove.pgbouncer import pgbouncer
from tests.support.api import SIGNUP, running_process
from tests.support.cluster import cluster
from tests.support.invariants import violations
from tests.support.processes import eventually, worker
from tests.support.receivers import Receiver
from tests.support.tenants import Tenant, make_tenant

ROLES = ("api", "worker", "platform")
EVENTS = 40


@pytest.fixture(scope="module")
def pooled() -> Iterator[Settings]:
    """Settings of an installation whose processes have PgBouncer between them and PostgreSQL; DATABASE_URL leads past it."""
    passwords = {f"signalops_{role}": secrets.token_hex(8) for role in ROLES}
    with cluster(18) as server, pgbouncer(server, passwords) as port:
        urls = {
            f"{role}_database_url": SecretStr(
                f"postgresql://signalops_{role}:{passwords[f'signalops_{role}']}@127.0.0.1:{port}/signalops"
            )
            for role in ROLES
        }
        settings = Settings(database_url=SecretStr(server.url), pooler=True).model_copy(update=urls)
        migrate.upgrade(settings)
        yield settings


@pytest.fixture
def installed(pooled: Settings, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The same, with a secret key, and for processes too."""
    for role in ROLES:
        url = getattr(pooled, f"{role}_database_url")
        monkeypatch.setenv(f"SIGNALOPS_{role.upper()}_DATABASE_URL", url.get_secret_value())
    monkeypatch.setenv("SIGNALOPS_POOLER", "true")
    return pooled.model_copy(update={"data": settings.data})


@pytest.fixture
def owner(installed: Settings) -> Iterator[psycopg.Connection]:
    assert installed.database_url
    with psycopg.connect(installed.database_url.get_secret_value(), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("listens", [True, False])
async def test_events_of_two_tenants_through_one_connection(
    installed: Settings, owner: psycopg.Connection, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    if listens:
        monkeypatch.setenv("SIGNALOPS_LISTEN_DATABASE_URL", make_conninfo(owner.info.dsn))
    tenants = [make_tenant(owner, f"{slug}-{listens}".lower()) for slug in ("acme", "globex")]
    stored: list[tuple[Tenant, str]] = []
    async with running_process(installed) as api, worker(installed, "--concurrency", "4"):
        for tenant in tenants:
            hook = {"kind": "webhook", "name": "hook", "config": {"url": receiver.url}}
            assert (await api.post(hook, tenant, "/api/channels")).status == 201
            rule = {"name": "signups", "pattern": {"type": ["user.signup"]}, "channel": "hook"}
            assert (await api.post(rule, tenant, "/api/rules")).status == 201

        async def post(tenant: Tenant) -> None:
            for _ in range(EVENTS):
                answer = await api.post({**SIGNUP, "source": tenant.slug}, tenant)
                assert answer.status == 202
                stored.append((tenant, answer.json["id"]))

        await asyncio.gather(*(post(tenant) for tenant in tenants))
        await eventually(lambda: len(receiver.received) == len(tenants) * EVENTS, 30)
        for tenant in tenants:
            listed = (await api.get("/api/events", tenant, limit=100)).json["data"]
            assert [event["source"] for event in listed] == [tenant.slug] * EVENTS
        owner.execute("update signalops.api_keys set revoked_at = now() where tenant_id = %s", [tenants[0].id])
        async with asyncio.timeout(5):
            while (await api.get("/api/events", tenants[0])).status != 401:
                pass
        assert (await api.get("/api/events", tenants[1])).status == 200
    accepted = {(tenant, event) for tenant, event in owner.execute("select tenant_id, id from signalops.events").fetchall()}
    assert {(tenant.id, event) for tenant, event in stored} <= {(tenant, str(event)) for tenant, event in accepted}
    assert [each for each in violations(owner, accepted) if "processed" not in each and "inbox" not in each] == []


async def test_the_doctor_tells_who_does_not_listen(installed: Settings, owner: psycopg.Connection) -> None:
    direct = installed.model_copy(update={"listen_database_url": SecretStr(make_conninfo(owner.info.dsn))})
    in_vain = installed.model_copy(update={"listen_database_url": installed.api_database_url})
    found = {
        name: next(finding for finding in await diagnose(settings) if finding.check == "notifications")
        for name, settings in (("direct", direct), ("none", installed), ("in vain", in_vain))
    }
    assert found["direct"].ok
    assert (found["none"].ok, found["none"].is_warning) == (False, True)
    assert (found["in vain"].ok, found["in vain"].is_warning) == (False, False)
    assert "did not reach" in found["in vain"].detail


def test_a_process_that_does_not_know_of_the_pooler_refuses_to_start(installed: Settings) -> None:
    with pytest.raises(Unusable, match="set SIGNALOPS_POOLER"):
        migrate.require_current(installed.model_copy(update={"pooler": False}), "api")
    migrate.require_current(installed, "api")


def test_a_login_that_is_not_the_role_itself_is_refused(installed: Settings) -> None:
    wrong = installed.model_copy(update={"api_database_url": installed.worker_database_url})
    with pytest.raises(Unusable, match="acts as signalops_worker"):
        migrate.require_current(wrong, "api")
