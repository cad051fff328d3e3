"""Over HTTP no tenant can tell another's objects from those that nobody has: every operation of the OpenAPI document is tried."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args
from uuid import UUID

import psycopg
import pytest

from signalops import clock
from signalops.config import Settings
from signalops.types import Scope
from tests.support.api import Answer, Client, without_request_limit
from tests.support.full_tenant import belongings, meter_of, settle
from tests.support.tenants import Tenant, user_headers
from tests.web.probes import PROBES, Probe, Unnamed


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings by which no request is refused for coming too soon: what is sent twice must be answered alike."""
    return without_request_limit(settings)


_MADE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)|so_live_\w+|whsec_[\w+/=]+|\b\d{20}\b"
)
"""What is new in every answer: ids, moments (a channel's ETag is one), keys, secrets."""


class Operation(NamedTuple):
    """An operation as the document has it."""

    name: str
    method: str
    path: str
    shown: dict[str, Any]

    @property
    def is_for_operators(self) -> bool:
        """Whether no tenant may ask for it at all."""
        return "scope `tenants:" in self.shown["description"]

    @property
    def names(self) -> bool:
        """Whether it can name anything: by a parameter of the path or the query, or a body."""
        return bool({"path", "query"} & {p["in"] for p in self.shown.get("parameters", [])} or "requestBody" in self.shown)

    def queries(self, name: str) -> bool:
        """Whether it has a parameter of a query."""
        return any(p["name"] == name for p in self.shown.get("parameters", []) if p["in"] == "query")


async def operations(api: Client) -> list[Operation]:
    """Return what the API itself says it can do."""
    paths = (await api.described())["paths"]
    return [
        Operation(shown["operationId"], method.upper(), path, shown)
        for path, methods in paths.items()
        for method, shown in methods.items()
    ]


def about(value: Any, thing: UUID) -> Any:
    """Put an object's names where a probe has their places."""
    written = json.dumps(value).replace("{id}", str(thing)).replace("{meter}", meter_of(thing))
    return json.loads(written)


async def ask(api: Client, operation: Operation, probe: Probe, tenant: Tenant, thing: UUID) -> Answer:
    """Ask as a tenant about an object."""
    path = operation.path
    for name, value in about({"id": "{id}"} | probe.path, thing).items():
        path = path.replace(f"{{{name}}}", value)
    body = {} if probe.body is None else {"json": about(probe.body, thing)}
    return await api.request(operation.method, path, tenant, params=about(probe.query, thing), **body)


def visible_parts(answer: Answer, thing: UUID) -> tuple[object, ...]:
    """The parts of an answer that could reveal something: without the requested ids and what differs in every answer."""
    headers_kept = {
        name.lower(): value
        for name, value in answer.headers.items()
        if name.lower() not in ("date", "content-length", "x-request-id")
    }
    headers = json.dumps(headers_kept, sort_keys=True)
    return answer.status, *(_blind(text, thing) for text in (headers, answer.body.decode()))


def _blind(text: str, thing: UUID) -> str:
    return _MADE.sub("?", text.replace(meter_of(thing), "?").replace(str(thing), "?"))


async def tried(api: Client) -> AsyncIterator[tuple[Operation, Probe]]:
    for operation in await operations(api):
        declared = PROBES.get(operation.name, Unnamed("for operators alone"))
        for probe in () if isinstance(declared, Unnamed) else declared:
            yield operation, probe


async def test_every_operation_that_can_name_an_object_is_declared(api: Client) -> None:
    known = await operations(api)
    undeclared = {o.name for o in known if o.names and not o.is_for_operators} - PROBES.keys()
    assert not undeclared, "say in tests/web/probes.py how a request to them can name an object"
    assert not PROBES.keys() - {o.name for o in known}, "no such operation is left"
    unnamed = {o.name for o in known if isinstance(PROBES.get(o.name), Unnamed) and "{" in o.path}
    assert not unnamed, "a parameter of the path names an object"


@dataclass(frozen=True)
class User(Tenant):
    """A tenant's user, who comes with a token instead of a key."""

    bearer: Mapping[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.bearer)


@pytest.mark.parametrize("credentials", ["a key", "a token"])
async def test_another_tenants_objects_are_answered_as_nobodys(
    api: Client, owner: psycopg.Connection, settings: Settings, credentials: str
) -> None:
    def arriving() -> Tenant:
        tenant = settle(owner)
        bearer = user_headers(settings, tenant, *get_args(Scope))
        return tenant if credentials == "a key" else User(tenant.id, tenant.slug, "", bearer)

    other = settle(owner)
    before = belongings(owner, other)
    async for operation, probe in tried(api):
        ours, nobody = arriving(), clock.new_id()
        probed = f"{operation.name} {probe}"
        theirs = await ask(api, operation, probe, ours, other.id)
        nobodys = await ask(api, operation, probe, arriving() if probe.body else ours, nobody)
        assert theirs.status != 401, "the positive control: the credentials are right"
        assert visible_parts(theirs, other.id) == visible_parts(nobodys, nobody), probed
        assert belongings(owner, other) == before, f"{probed} changed what the other has"


async def test_ones_own_objects_are_answered_otherwise(api: Client, owner: psycopg.Connection) -> None:
    """The positive control: a probe that answers about one's own as about nobody's proves nothing."""
    async for operation, probe in tried(api):
        if probe.is_alike:
            continue
        ours, twin, nobody = settle(owner), settle(owner), clock.new_id()
        nobodys = await ask(api, operation, probe, twin, nobody)
        own = await ask(api, operation, probe, ours, ours.id)
        assert visible_parts(own, ours.id) != visible_parts(nobodys, nobody), f"{operation.name} {probe}"
        assert own.status < 500 or operation.name == "testChannel", f"{operation.name} {probe}"


async def test_lists_and_figures_are_the_tenants_own(api: Client, owner: psycopg.Connection) -> None:
    ours, other = settle(owner), settle(owner)
    shown = set()
    for operation in await operations(api):
        if operation.method != "GET" or "{" in operation.path or operation.is_for_operators:
            continue
        answer = await api.get(operation.path, ours)
        assert str(other.id) not in answer.body.decode(), operation.name
        if str(ours.id) in answer.body.decode():
            shown.add(operation.name)
    assert len(shown) > 10, f"the positive control: {sorted(shown)}"


@pytest.mark.parametrize("cursor", ["startingAfter", "endingBefore"])
async def test_another_tenants_id_as_a_cursor_is_a_mere_bound(api: Client, owner: psycopg.Connection, cursor: str) -> None:
    first, ours, last = settle(owner), settle(owner), settle(owner)
    other = last if cursor == "startingAfter" else first
    nobody = UUID(int=other.id.int ^ 1)
    lists = [o for o in await operations(api) if o.method == "GET" and o.queries(cursor) and not o.is_for_operators]
    for operation in lists:
        if operation.name in ("listEventTypes", "listMeters"):
            bounds = (f"of.{other.id}", f"of.{nobody}") if "Types" in operation.name else (meter_of(other.id), meter_of(nobody))
        else:
            bounds = (str(other.id), str(nobody))
        theirs, nobodys = [await api.get(operation.path, ours, **{cursor: bound}) for bound in bounds]
        assert (theirs.status, theirs.body) == (nobodys.status, nobodys.body), operation.name
        assert str(other.id) not in theirs.body.decode(), operation.name
    assert len(lists) > 8


async def test_an_idempotency_key_of_another_tenant_is_free(api: Client, owner: psycopg.Connection) -> None:
    ours, other = settle(owner), settle(owner)
    correction = {"meter": "events", "quantity": "1", "reason": "r", "author": "a"}
    for path, body, made in (("/api/events", {"type": "a.b"}, 202), ("/api/usage/adjustments", correction, 201)):
        first = await api.post(body, other, path, idempotency_key="k-1")
        again = await api.post(body, other, path, idempotency_key="k-1")
        mine = await api.post(body, ours, path, idempotency_key="k-1")
        changed = await api.post(
            body | {"reason": "s"} if "reason" in body else {"type": "c.d"}, other, path, idempotency_key="k-1"
        )
        assert [first.status, again.status, mine.status] == [made, 200, made]
        assert changed.status == 422, "the control: the key is bound to what was sent with it"
        assert again.json["id"] == first.json["id"] != mine.json["id"]


async def test_wrong_credentials_open_nothing(api: Client, owner: psycopg.Connection) -> None:
    """Without credentials each operation refuses before it looks at the object: the same for all ids."""
    other = settle(owner)
    before = belongings(owner, other)
    stranger = Tenant(other.id, other.slug, "so_live_" + "0" * 40)
    async for operation, probe in tried(api):
        if "security" in operation.shown:
            for tenant in (None, stranger):
                answers = [
                    await ask(api, operation, probe, tenant or Tenant(other.id, "", ""), thing)
                    for thing in (other.id, clock.new_id())
                ]
                assert {answer.status for answer in answers} <= {401, 429}, operation.name
    assert belongings(owner, other) == before
