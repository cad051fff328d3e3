"""What every answer says to browsers, and that pages of other origins get nothing unless an operator lists them."""

import re
from base64 import b64encode
from hashlib import sha256

import aiohttp
import psycopg
import pytest

from signalops.config import Settings
from tests.support.api import SIGNUP, Answer, Client, running
from tests.support.tenants import Tenant

SECURE = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
ORIGIN = "https://app.example.com"


async def test_every_answer_is_secure_and_says_no_more_than_it_must(api: Client, acme: Tenant, owner: psycopg.Connection) -> None:
    answers = [
        await api.get("/healthz"),
        await api.get("/nowhere"),
        await api.request("PUT", "/healthz"),
        await api.get("/api/events"),
        await api.post(SIGNUP, acme),
        await api.post(b"{", acme),
        await api.get("/api/events", acme),
        await api.get("/api/openapi.json"),
    ]
    owner.execute("alter table signalops.silences rename to silences_away")
    async with aiohttp.request("GET", f"{api.url}/api/silences", headers=acme.headers) as bug:  # an answer of no document
        answers.append(Answer(bug.status, bug.headers, await bug.read()))
    assert [answer.status for answer in answers] == [200, 404, 405, 401, 202, 400, 200, 200, 500]
    for answer in answers:
        assert {name: answer.headers[name] for name in SECURE} == SECURE
        assert not {"server", "strict-transport-security"} & {name.lower() for name in answer.headers}
        assert [name.lower() for name in answer.headers].count("date") <= 1


async def test_what_came_by_tls_shall_go_on_so(api: Client) -> None:
    by_tls = await api.request("GET", "/healthz", headers={"x-forwarded-proto": "https"})
    assert by_tls.headers["strict-transport-security"] == "max-age=31536000"


async def test_the_page_may_run_its_own_script_alone(api: Client) -> None:
    page = await api.get("/api/docs")
    policy = page.headers["content-security-policy"]
    scripts = re.findall(r"<script>(.*?)</script>", page.body.decode())
    assert [f"'sha256-{b64encode(sha256(s.encode()).digest()).decode()}'" in policy for s in scripts] == [True]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]
    script = await api.get("/api/swagger-ui/swagger-ui-bundle.js")
    assert "cache-control" not in script.headers
    assert script.headers["x-content-type-options"] == "nosniff"


def _shared(headers: object) -> list[str]:
    return [name for name in dict(headers) if name.lower().startswith("access-control")]  # type: ignore[call-overload]


async def test_by_default_pages_of_other_origins_get_nothing(api: Client, acme: Tenant) -> None:
    preflight = {"origin": ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    preflight_answer = await api.request("OPTIONS", "/api/events", headers=preflight)
    assert (preflight_answer.status, _shared(preflight_answer.headers)) == (405, [])
    read = await api.request("GET", "/api/events", acme, headers={"origin": ORIGIN})
    assert (read.status, _shared(read.headers)) == (200, [])


@pytest.mark.parametrize(("origin", "is_allowed"), [(ORIGIN, True), (f"{ORIGIN}.evil.example", False), ("null", False)])
async def test_listed_origins_may_call_without_cookies(settings: Settings, acme: Tenant, origin: str, is_allowed: bool) -> None:
    listed = settings.model_copy(update={"cors_origins": (ORIGIN,)})
    preflight = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    async with running(listed) as api:
        preflight_answer = await api.request("OPTIONS", "/api/events", headers=preflight)
        read = await api.request("GET", "/api/events", acme, headers={"origin": origin})
    assert preflight_answer.status == (200 if is_allowed else 400)
    for answer in (preflight_answer, read):
        assert answer.headers.get("access-control-allow-origin") == (ORIGIN if is_allowed else None)
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["*", "https://*.example.com", "app.example.com", "https://app.example.com/", "null"])
def test_an_origin_is_exact(origin: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        Settings(cors_origins=(origin,))
