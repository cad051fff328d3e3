"""What a fuzzer makes of the OpenAPI document: no error of ours, documented answers alone, and no row but those accepted.

FUZZ_EXAMPLES says how many requests of each operation are made, and FUZZ_SEED which: see `make fuzz`.
"""

import asyncio
import os

import psycopg
import pytest
from schemathesis.core.transport import Response

from signalops.config import Settings
from tests.prove.fuzz.fuzz import Fuzz
from tests.support.api import Client
from tests.support.full_tenant import belongings, settle
from tests.support.tenants import operator_headers, user_headers

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
SEED = int(os.environ.get("FUZZ_SEED", "6"))


# The API, whose loop runs beside the strategies in this process, uses `random` for its jitter; the strategies do not.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


def events(owner: psycopg.Connection) -> int:
    """How many events there are that a producer sent."""
    row = owner.execute("select count(*) from signalops.events where type not like 'signalops.%'").fetchone()
    assert row
    count: int = row[0]
    return count


async def test_as_a_tenant(api: Client, owner: psycopg.Connection) -> None:
    tenant, other = settle(owner), settle(owner)
    before, others, accepted = events(owner), belongings(owner, other), 0

    def hear(answer: Response) -> None:
        nonlocal accepted
        if answer.status_code == 202 and answer.request.path_url.startswith("/api/events"):
            body = answer.json()
            accepted += body["accepted"] if "results" in body else 1

    fuzz = Fuzz(api.url, tenant.headers, EXAMPLES, SEED, str(tenant.id), hear=hear)
    await asyncio.to_thread(fuzz.run, await api.described())
    assert events(owner) - before == accepted
    assert belongings(owner, other) == others
    assert {200, 202, 404, 422} <= fuzz.statuses.keys(), f"the positive control: {fuzz.statuses}"


async def test_as_nobody(api: Client, owner: psycopg.Connection) -> None:
    tenant = settle(owner)
    before = belongings(owner, tenant)
    described = await api.described()
    guarded = {o["operationId"] for m in described["paths"].values() for o in m.values() if "security" in o}
    for headers in ({"x-api-key": "so_live_" + "0" * 40}, {"authorization": "Bearer e30.e30.e30"}):
        fuzz = Fuzz(api.url, headers, 1 + EXAMPLES // 10, SEED, str(tenant.id))
        await asyncio.to_thread(fuzz.run, described, guarded.__contains__)
        assert fuzz.statuses.keys() <= {401, 429}
    assert belongings(owner, tenant) == before


async def test_as_a_user(api: Client, owner: psycopg.Connection, settings: Settings) -> None:
    tenant = settle(owner)
    fuzz = Fuzz(api.url, user_headers(settings, tenant, "events:read", "rules:*"), 1 + EXAMPLES // 5, SEED, str(tenant.id))
    await asyncio.to_thread(fuzz.run, await api.described())
    assert {200, 403} <= fuzz.statuses.keys(), f"the positive control: {fuzz.statuses}"


async def test_as_an_operator(api: Client, owner: psycopg.Connection, settings: Settings) -> None:
    tenant = settle(owner)
    described = await api.described()
    for_operators = {
        o["operationId"] for m in described["paths"].values() for o in m.values() if "scope `tenants:" in o["description"]
    }
    fuzz = Fuzz(api.url, operator_headers(settings, "tenants:*"), EXAMPLES, SEED, str(tenant.id))
    await asyncio.to_thread(fuzz.run, described, for_operators.__contains__)
    assert {200, 422} <= fuzz.statuses.keys(), f"the positive control: {fuzz.statuses}"
