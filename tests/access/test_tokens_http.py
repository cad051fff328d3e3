"""Bearer tokens over HTTP: which are accepted, which are refused, and the answers."""

import asyncio
from uuid import UUID

import aiohttp
import psycopg
from multidict import CIMultiDict

from signalops.access.jwt_config import mint, trust_of
from signalops.config import Settings
from tests.support.api import Answer, Client, assert_problem
from tests.support.tenants import Tenant, operator_headers, user_headers


async def test_a_user_is_let_in_for_the_scopes_of_the_token(api: Client, settings: Settings, acme: Tenant) -> None:
    reader = user_headers(settings, acme, "events:read", "tenants:*")
    assert (await api.request("GET", "/api/events", headers=reader)).status == 200
    answer = await api.request("GET", "/api/keys", headers=reader)
    assert_problem(answer, 403, "forbidden")
    challenge = 'Bearer realm="signalops", error="insufficient_scope", scope="keys:*"'
    assert answer.headers["www-authenticate"] == challenge


async def test_an_operator_acts_for_no_tenant(api: Client, settings: Settings) -> None:
    operator = operator_headers(settings, "tenants:*", "events:read")
    problem = assert_problem(await api.request("GET", "/api/events", headers=operator), 403, "forbidden")
    assert "acts for no tenant" in problem["detail"]


async def test_a_user_comes_by_the_slug_or_the_id_of_the_tenant(api: Client, settings: Settings, acme: Tenant) -> None:
    for name in (acme.slug, str(acme.id)):
        assert (await api.request("GET", "/api/events", headers=_of(settings, name))).status == 200
    for name in ("nobody", str(UUID(int=7)), acme.id.hex, "", "Acme", "acme'--"):
        answer = await api.request("GET", "/api/events", headers=_of(settings, name))
        assert_problem(answer, 401, "unauthenticated")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_suspension_holds_for_tokens_within_a_second(
    api: Client, settings: Settings, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    headers, others = user_headers(settings, acme, "events:read"), user_headers(settings, globex, "events:read")
    assert (await api.request("GET", "/api/events", headers=headers)).status == 200
    suspend = "update signalops.tenants set status = 'suspended', status_reason = 'unpaid' where id = %s"
    owner.execute(suspend, [acme.id])
    refused = await _becomes(403, api, headers)
    assert assert_problem(refused, 403, "forbidden")["detail"] == "The tenant is suspended: unpaid."
    assert (await api.request("GET", "/api/events", headers=others)).status == 200
    owner.execute("update signalops.tenants set status = 'active' where id = %s", [acme.id])
    await _becomes(200, api, headers)


async def test_one_credential_is_sent_and_once(api: Client, settings: Settings, acme: Tenant) -> None:
    token = user_headers(settings, acme, "events:read")
    answer = await api.request("GET", "/api/events", acme, headers=token)
    assert "send one" in assert_problem(answer, 401, "unauthenticated")["detail"]
    twice = [("authorization", token["authorization"])] * 2
    async with aiohttp.request("GET", f"{api.url}/api/events", headers=CIMultiDict(twice)) as response:
        assert response.status == 401
    for authorization in ("Basic YTpi", "Bearer", "Bearer ", "Token x", token["authorization"] + "."):
        answer = await api.request("GET", "/api/events", headers={"authorization": authorization})
        assert_problem(answer, 401, "unauthenticated")
    challenge = (await api.get("/api/events")).headers["www-authenticate"]
    assert (challenge.startswith("ApiKey "), challenge.endswith('Bearer realm="signalops"')) == (True, True)
    lower = {"authorization": token["authorization"].replace("Bearer", "bearer")}
    assert (await api.request("GET", "/api/events", headers=lower)).status == 200


async def test_platform_operations_are_for_operators_with_the_scope(
    api: Client, settings: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    assert (await api.request("GET", "/api/tenants", headers=operator_headers(settings, "tenants:*"))).status == 200
    assert (await api.request("GET", "/api/tenants", headers=operator_headers(settings, "tenants:read"))).status == 200
    none = await api.request("GET", "/api/tenants", headers=operator_headers(settings, "events:read"))
    assert 'error="insufficient_scope", scope="tenants:read"' in none.headers["www-authenticate"]
    user = await api.request("GET", "/api/tenants", headers=user_headers(settings, acme, "tenants:*"))
    owner.execute("update signalops.api_keys set scopes = scopes || '{tenants:*,tenants:read}'")
    key = await api.get("/api/tenants", acme)
    for answer in (none, user, key):
        assert_problem(answer, 403, "forbidden")


async def test_each_operation_says_what_it_takes(api: Client) -> None:
    paths = (await api.described())["paths"]
    assert paths["/api/tenants"]["get"]["security"] == [{"token": []}]
    assert paths["/api/events"]["get"]["security"] == [{"key": []}, {"token": []}]


def _of(settings: Settings, tenant: str) -> dict[str, str]:
    trust = trust_of(settings)
    assert trust
    return {"authorization": f"Bearer {mint(trust, 'ursula', tenant, ['events:read'], 600)}"}


async def _becomes(status: int, api: Client, headers: dict[str, str]) -> Answer:
    """Ask until the answer has a status; fail when it takes longer than a change may take to be known."""
    async with asyncio.timeout(1):
        while (answer := await api.request("GET", "/api/events", headers=headers)).status != status:
            pass
    return answer
