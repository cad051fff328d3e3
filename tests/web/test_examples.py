"""The examples of the API documentation: each is sent as it stands, and accepted by a new installation."""

import json
from typing import Any

import psycopg

from signalops.cli import seed
from signalops.config import Settings
from signalops.web.examples import EXAMPLES, FROM_PROVIDERS
from tests.support.api import JSON, Answer, Client
from tests.support.tenants import Tenant, operator_headers
from tests.watch.audit_log import operator_requests, tenant_requests
from tests.watch.audit_log.tenant_requests import HOOK, Step, make_traveller

EVENTS = {"storeEvent": "/api/events", "storeEvents": "/api/events/batch", "testRule": "/api/rules/test"}


async def send(api: Client, headers: dict[str, str], step: Step, names: dict[str, str], body: Any) -> Answer:
    """Send a body to the operation of a step."""
    return await api.request(step.method, step.path.format_map(names), headers=headers, data=json.dumps(body))


async def send_all(api: Client, headers: dict[str, str], steps: list[Step], names: dict[str, str]) -> set[str]:
    """Send the examples of some operations in their order; return the operations that accepted theirs."""
    accepted = set()
    for step in steps:
        for media, body in EXAMPLES.get(step.operation, {}).items():
            answer = await send(api, headers | {"Content-Type": media}, step, names, body)
            assert answer.status in (200, 201, 202, 204), (step.operation, media, answer.body)
            accepted.add(step.operation)
            if step.keeps and "id" in answer.json:
                names[step.keeps] = answer.json["id"]
        if step.operation == "resumeTenant":
            await send(api, headers | JSON, step, names, {})
    return accepted


async def test_each_body_has_an_example_but_those_of_providers(api: Client) -> None:
    paths = (await api.described())["paths"]
    bodies = {
        operation["operationId"]: {
            media: content.get("example") for media, content in operation["requestBody"]["content"].items()
        }
        for methods in paths.values()
        for operation in methods.values()
        if "requestBody" in operation
    }
    assert bodies.keys() - FROM_PROVIDERS == EXAMPLES.keys()
    assert {name: body for name, body in bodies.items() if name in EXAMPLES} == EXAMPLES


async def test_a_tenant_can_send_each_example_as_it_stands(api: Client, owner: psycopg.Connection) -> None:
    tenant = make_traveller(owner)
    names = tenant_requests.prepare(owner, tenant.id) | {"meter": "api_calls"}
    team = {"name": seed.WELCOME.channel, "kind": "email", "config": {"to": "team@acme.example"}}
    assert (await api.post(team, tenant, "/api/channels")).status == 201
    before = [Step(name, "POST", path, "", None) for name, path in EVENTS.items()]
    accepted = await send_all(api, tenant.headers, before, names)
    steps = [step for step in tenant_requests.STEPS if step.operation != "rotateSecret"]
    accepted |= await send_all(api, tenant.headers, steps, names)
    assert await rotated(api, tenant)
    assert accepted | {"rotateSecret"} == {name for name in EXAMPLES if name not in operators()}


async def rotated(api: Client, tenant: Tenant) -> bool:
    """Send the example of rotateSecret, which needs a channel that has a signing secret."""
    channel = (await api.post(HOOK, tenant, "/api/channels")).json["id"]
    body = EXAMPLES["rotateSecret"]["application/json"]
    return (await api.post(body, tenant, f"/api/channels/{channel}/rotate-secret")).status == 200


async def test_an_operator_can_send_each_example_as_it_stands(api: Client, owner: psycopg.Connection, settings: Settings) -> None:
    headers = operator_headers(settings, "tenants:*")
    [create, *steps] = operator_requests.STEPS
    names = {"plan": "pro", "meter": "events"}
    accepted = await send_all(api, headers, [create], names)
    [(tenant,)] = owner.execute("select id from signalops.tenants where slug = 'initech'").fetchall()
    names |= {"tenant": "initech", "invoice": operator_requests.bill(owner, tenant)}
    accepted |= await send_all(api, headers, steps, names)
    assert accepted == operators()


def operators() -> set[str]:
    """Return the operators' operations that have an example."""
    return {step.operation for step in operator_requests.STEPS} & EXAMPLES.keys()
