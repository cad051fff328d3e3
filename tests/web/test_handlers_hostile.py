"""Hostile requests to every operation that takes a body: never an error of ours, a problem document, and nothing left of it."""

import re
from io import BytesIO
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from signalops.config import Settings
from tests.support.api import JSON, Answer, Client, without_request_limit
from tests.support.full_tenant import belongings, meter_of, settle
from tests.support.tenants import Tenant
from tests.web.hostile import HEADERS, STRINGS, TEXTS, replaced, strings_of, written
from tests.web.probes import PROBES, Probe, Unnamed
from tests.web.test_handlers_isolation import Operation, about, operations


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings by which no request is refused for coming too soon: what is sent twice must be answered alike."""
    return without_request_limit(settings)


ODD: dict[str, object] = {
    **STRINGS,
    "null": None,
    "true": True,
    "a number": 1e300,
    "a long integer": 2**63,
    "minus zero": -0.0,
    "an object": {"__proto__": {}},
    "an array": [[]],
    "a crowd": ["a"] * 5000,
}
BODIES: dict[str, Any] = {
    "addSilence": {"pattern": {"type": ["a.b"]}, "duration": "1h", "reason": "r", "startsAt": "2026-01-01T00:00:00Z"},
    "createKey": {"label": "l", "scopes": ["events:read"], "kind": "test", "allowedCidrs": ["10.0.0.0/8"]},
    "addRule": {
        "name": "n",
        "channel": "c-{id}",
        "pattern": {"type": [{"prefix": "a"}], "payload": {"b": [{"wildcard": "*c"}]}},
        "template": {"subject": "{{ event.type }}", "body": "b"},
        "activeHours": {"timeZone": "UTC", "from": "08:00", "to": "09:00"},
        "window": {"within": "1m", "sum": {"field": "payload.n", "atLeast": "1"}, "groupBy": ["payload.g"]},
        "cooldown": {"for": "1h"},
        "severity": "info",
    },
    "storeEvent": {
        "type": "a.b",
        "source": "s",
        "occurredAt": "2026-11-23T00:00:00Z",
        "payload": {"k": "v"},
        "idempotencyKey": "k",
    },
    "storeEvents": [
        {"type": "a.b", "source": "s", "occurredAt": "2026-11-23T00:00:00Z", "payload": {"k": "v"}, "idempotencyKey": "k"}
    ],
}
"""Fuller bodies than the probes', and those of operations that name nothing."""


async def takers(api: Client) -> list[tuple[Operation, Probe]]:
    """Return every operation for tenants that takes a body, with one that it takes."""
    taking = []
    for operation in await operations(api):
        if "requestBody" in operation.shown and not operation.is_for_operators:
            declared = PROBES.get(operation.name, Unnamed("not declared"))
            probe = Probe() if isinstance(declared, Unnamed) else declared[0]
            taking.append((operation, Probe(probe.path, probe.query, BODIES.get(operation.name, probe.body or {}))))
    return taking


class Sender:
    """Sends a tenant's bodies to one operation, and holds every answer against what an answer may be."""

    def __init__(self, api: Client, operation: Operation, probe: Probe, tenant: Tenant) -> None:
        self._api = api
        self.operation = operation
        self.tenant = tenant
        self._path = operation.path
        for name, value in ({"id": "{id}"} | probe.path).items():
            filled = value.replace("{id}", str(tenant.id)).replace("{meter}", meter_of(tenant.id))
            self._path = self._path.replace(f"{{{name}}}", filled)

    async def send(self, body: bytes, **headers: str) -> Answer:
        """Send a body; an answer that says no is a problem document, and never says that we are at fault."""
        answer = await self._api.request(
            self.operation.method, self._path, self.tenant, data=BytesIO(body), headers=JSON | headers
        )
        assert answer.status < 500, (self.operation.name, body[:200], answer)
        if answer.status >= 400:
            assert answer.media_type == "application/problem+json", (self.operation.name, body[:200], answer)
        return answer


async def refused(sender: Sender, bodies: list[bytes], owner: psycopg.Connection) -> list[bytes]:
    """Return the bodies that are refused, and prove that these leave no row."""
    answers = [await sender.send(body) for body in bodies]
    refusable = [body for body, answer in zip(bodies, answers, strict=True) if answer.status >= 400]
    before = belongings(owner, sender.tenant)
    for body in refusable:
        assert (await sender.send(body)).status >= 400, (sender.operation.name, body[:200])
    after = belongings(owner, sender.tenant)
    left = {table for table in before.keys() | after.keys() if before.get(table) != after.get(table)}
    assert not left, f"what {sender.operation.name} refused left rows"
    return refusable


async def test_bodies_that_are_no_plain_json_are_refused(api: Client, owner: psycopg.Connection) -> None:
    tenant = settle(owner)
    for operation, probe in await takers(api):
        sender = Sender(api, operation, probe, tenant)
        assert len(await refused(sender, list(TEXTS.values()), owner)) > len(TEXTS) / 2, operation.name


@pytest.mark.prove
async def test_an_odd_value_in_any_string_of_a_body_is_no_error_of_ours(api: Client, owner: psycopg.Connection) -> None:
    tenant = settle(owner)
    for operation, probe in await takers(api):
        sender, whole = Sender(api, operation, probe, tenant), about(probe.body, tenant.id)
        bodies = [written(replaced(whole, where, odd)) for where in strings_of(whole) for odd in ODD.values()]
        found = await refused(sender, bodies, owner)
        # Of a batch each item is refused by itself.
        assert found or not bodies or operation.name == "storeEvents", f"{operation.name}: the positive control"


async def test_bodies_that_are_not_what_their_headers_say_are_refused(api: Client, owner: psycopg.Connection) -> None:
    tenant = settle(owner)
    for operation, probe in await takers(api):
        sender = Sender(api, operation, probe, tenant)
        for name, (headers, body) in HEADERS.items():
            answer = await sender.send(body, **headers)
            if "bomb" in name:
                assert answer.status >= 400, (operation.name, name)


async def test_odd_ids_keys_and_queries_are_no_error_of_ours(api: Client, owner: psycopg.Connection) -> None:
    tenant = settle(owner)
    before = belongings(owner, tenant)
    for operation in await operations(api):
        if operation.is_for_operators or operation.method != "GET":
            continue
        parameters = [p for p in operation.shown.get("parameters", []) if p["in"] in ("path", "query")]
        for parameter in parameters:
            for text in STRINGS.values():
                value = quote(text.encode("utf-8", "surrogatepass"))[:2000]
                filled = operation.path.replace(f"{{{parameter['name']}}}", value)
                path = re.sub(r"{\w+}", "1", filled)
                query = f"?{parameter['name']}={value}" if parameter["in"] == "query" else ""
                answer = await api.request("GET", path + query, tenant)
                assert answer.status < 500, (operation.name, parameter["name"], text[:50])
    assert belongings(owner, tenant) == before
