"""Each operation that manages something leaves one record of it; what is refused leaves none."""

from io import BytesIO
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import dict_row

from signalops import clock
from signalops.config import Settings
from tests.support.api import JSON, Client
from tests.support.tenants import Tenant, operator_headers
from tests.watch.audit_log import operator_requests, tenant_requests
from tests.watch.audit_log.declared import NO_MANAGEMENT
from tests.watch.audit_log.tenant_requests import Step, make_traveller

CHANGING = ("post", "put", "patch", "delete")
NONSENSE = {"nonsense": 1}


def actions_after(owner: psycopg.Connection, last: str | None) -> list[dict[str, Any]]:
    """Return the records after one, oldest first."""
    with owner.cursor(row_factory=dict_row) as cursor:
        query = "select * from signalops.audit_log where %(last)s::uuid is null or id > %(last)s::uuid order by id"
        return cursor.execute(query, {"last": last}).fetchall()


async def test_every_operation_that_changes_something_is_tried_or_declared(api: Client) -> None:
    paths = (await api.described())["paths"]
    changing = [
        operation["operationId"] for methods in paths.values() for method, operation in methods.items() if method in CHANGING
    ]
    assert sorted(changing) == sorted(
        [*(step.operation for step in (*tenant_requests.STEPS, *operator_requests.STEPS)), *NO_MANAGEMENT]
    )


class Traveller:
    """Takes one step after the other, and holds what each leaves in the log."""

    def __init__(self, api: Client, owner: psycopg.Connection, headers: dict[str, str], actor: tuple[str, str]) -> None:
        self._api = api
        self._owner = owner
        self._headers = headers
        self._actor = actor
        self._last = max((one["id"] for one in actions_after(owner, None)), default=None)
        self.names: dict[str, str] = {}

    async def take(self, step: Step, tenant: UUID | None = None) -> None:
        """Send what must be refused, which leaves nothing, then the request, which leaves one record of the tenant."""
        if not step.is_idempotent:
            await self._send(step, is_wrong=True)
        assert actions_after(self._owner, self._last) == [], f"a refused {step.operation}"
        answered = await self._send(step, is_wrong=False)
        if step.keeps:
            self.names[step.keeps] = answered["id"]
        noted = sorted(actions_after(self._owner, self._last), key=lambda one: str(one["action"]) == step.action)
        self._last = max(one["id"] for one in noted)
        assert [one["action"] for one in noted] == [*step.besides, step.action], step.operation
        whose = UUID(self.names["tenant"]) if tenant is None else tenant
        for one in noted:
            entry = tuple(one[name] for name in ("tenant_id", "actor_kind", "actor", "address", "operation"))
            assert entry == (whose, *self._actor, "127.0.0.1", step.operation)
        self._check(step, noted[-1])

    def _check(self, step: Step, done: dict[str, Any]) -> None:
        if step.target != "*":
            assert done["target_id"] == (self.names[step.target] if step.target else None), step.operation
        for side, expected in (("before", step.before), ("after", step.after)):
            seen = done["change"][side] or {}
            assert {name: seen.get(name) for name in expected} == expected, (step.operation, side)

    async def _send(self, step: Step, is_wrong: bool) -> Any:
        names = {**self.names, **({step.keeps: "x"} if step.keeps not in self.names and step.keeps else {})}
        unknown = dict.fromkeys(names, str(clock.new_id()))
        path = step.path.format_map(unknown if is_wrong and step.body in (None, {}) else names)
        request_body = orjson.dumps(NONSENSE if is_wrong and step.body else step.body).decode()
        for name, value in names.items():
            request_body = request_body.replace(f"{{{name}}}", value)
        body: dict[str, Any] = {} if step.body is None else {"data": BytesIO(request_body.encode())}
        headers = self._headers | (JSON if body else {})
        answer = await self._api.request(step.method, path, headers=headers, **body)
        assert (answer.status >= 400) == is_wrong, (step.operation, answer)
        return answer.json


async def test_each_operation_of_a_tenant_leaves_one_record(api: Client, owner: psycopg.Connection) -> None:
    tenant = tenant_requests.make_traveller(owner)
    key = owner.execute("select id::text from signalops.api_keys").fetchone()
    assert key is not None
    names = tenant_requests.prepare(owner, tenant.id)
    traveller = Traveller(api, owner, tenant.headers, ("key", key[0]))
    traveller.names |= names
    for step in tenant_requests.STEPS:
        await traveller.take(step, tenant.id)


async def test_each_operation_of_an_operator_leaves_one_record(
    api: Client, owner: psycopg.Connection, settings: Settings
) -> None:
    headers = operator_headers(settings, "tenants:*")
    traveller = Traveller(api, owner, headers, ("operator", "olga"))
    traveller.names |= {"meter": "events", "plan": "pro"}
    for step in operator_requests.STEPS:
        if step.operation == "voidInvoice":
            traveller.names["invoice"] = operator_requests.bill(owner, UUID(traveller.names["tenant"]))
        await traveller.take(step, UUID(int=0) if step.operation in operator_requests.OF_THE_INSTALLATION else None)


async def test_the_page_shows_them_narrowed_and_to_nobody_else(api: Client, owner: psycopg.Connection, globex: Tenant) -> None:
    tenant = make_traveller(owner)
    other = Tenant(globex.id, globex.slug, globex.key)
    owner.execute("update signalops.api_keys set scopes = scopes || '{audit:read}' where tenant_id = %s", [globex.id])
    for name in ("a", "b"):
        body = {"pattern": {"type": [name]}, "duration": "1h", "reason": name}
        assert (await api.post(body, tenant, "/api/silences")).status == 201
    page = (await api.get("/api/audit-log", tenant, action="silence.", limit=1)).json
    assert (page["hasMore"], [one["target"]["name"] for one in page["data"]]) == (True, ["b"])
    newest = page["data"][0]
    assert newest["actor"]["kind"] == "key"
    assert newest["change"]["after"]["pattern"] == {"type": ["b"]}
    older = (await api.get("/api/audit-log", tenant, action="silence.", startingAfter=newest["id"])).json["data"]
    assert [one["target"]["name"] for one in older] == ["a"]
    for narrowed in ({"target": newest["target"]["id"]}, {"actor": newest["actor"]["name"], "from": newest["at"]}):
        assert newest in (await api.get("/api/audit-log", tenant, **narrowed)).json["data"]
    assert (await api.get("/api/audit-log", tenant, actor="nobody")).json["data"] == []
    assert (await api.get("/api/audit-log", tenant, to="2026-01-01T00:00:00Z")).json["data"] == []
    assert (await api.get(f"/api/audit-log/{newest['id']}", tenant)).json == newest

    theirs = (await api.get("/api/audit-log", other, limit=100)).json["data"]
    assert theirs, "the positive control: one's own"
    assert {one["action"] for one in theirs} == {"tenant.created", "key.created", "key.changed"}
    assert (await api.get(f"/api/audit-log/{newest['id']}", other)).status == 404
    assert (await api.get("/api/audit-log/x", tenant)).status == 404


async def test_it_needs_its_scope(api: Client, acme: Tenant) -> None:
    assert (await api.get("/api/audit-log", acme)).status == 403
