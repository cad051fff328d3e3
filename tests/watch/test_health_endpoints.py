"""Whether the process lives, whether it can serve, and what it answers while the database is away."""

import asyncio

import psycopg
import pytest
from psycopg import sql

from tests.support.api import SIGNUP, Blocked, Client, assert_problem
from tests.support.tenants import Tenant


async def test_a_process_with_its_database_is_well(api: Client) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await api.get(path)).json == {"status": "ok"}


async def test_a_reading_whose_connection_dies_is_refused_and_the_next_one_works(
    api: Client, owner: psycopg.Connection, acme: Tenant, blocked_backend: Blocked
) -> None:
    event = (await api.post(SIGNUP, acme)).headers["location"]
    for path in ("/api/events", event, "/api/usage"):
        with owner.transaction():
            owner.execute("lock table signalops.events, signalops.accepted_counters in access exclusive mode")
            reading = asyncio.create_task(api.get(path, acme))
            owner.execute("select pg_terminate_backend(%s)", [await blocked_backend()])
            answer = await reading
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert (await api.get(path, acme)).status == 200


@pytest.mark.prove
async def test_without_its_database_a_process_lives_and_refuses_until_it_is_back(
    api: Client, admin: psycopg.Connection, database: str, acme: Tenant, globex: Tenant
) -> None:
    assert (await api.post(SIGNUP, acme)).status == 202
    allow = sql.SQL("alter database {} allow_connections {}")
    admin.execute(allow.format(sql.Identifier(database), sql.Literal(False)))
    admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database])
    ready, *refused = await asyncio.gather(
        api.get("/readyz"),
        api.post(SIGNUP, acme),
        api.post_batch([SIGNUP], acme),
        api.get("/api/events", acme),
        api.get("/api/events/00000000-0000-7000-8000-000000000000", acme),
        api.get("/api/usage", acme),
        api.get("/api/events", globex),
    )
    for answer in (ready, *refused):
        assert_problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
    assert (await api.get("/healthz")).status == 200
    admin.execute(allow.format(sql.Identifier(database), sql.Literal(True)))
    async with asyncio.timeout(30):
        while (await api.get("/readyz")).status != 200:
            pass
    assert (await api.post(SIGNUP, acme)).status == 202
