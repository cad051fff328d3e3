"""The id of a request, in its answer and with its events."""

import pytest

from signalops.config import Settings
from tests.support.api import SIGNUP, Client, capture_log, running
from tests.support.tenants import Tenant

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def test_an_event_keeps_the_id_that_its_request_came_with(api: Client, acme: Tenant) -> None:
    named = await api.post(SIGNUP, acme, x_request_id="order-4711")
    traced = await api.post(SIGNUP, acme, traceparent=PARENT)
    neither = await api.post(SIGNUP, acme)
    assert named.headers["X-Request-Id"] == "order-4711"
    assert traced.headers["X-Request-Id"] == TRACE
    assert neither.headers["X-Request-Id"] == neither.json["id"]
    shown = [(await api.get(f"/api/events/{a.json['id']}", acme)).json for a in (named, traced, neither)]
    assert [event.get("requestId") for event in shown] == ["order-4711", TRACE, None]
    listed = (await api.get("/api/events", acme)).json["data"]
    assert [event.get("requestId") for event in listed] == [None, TRACE, "order-4711"]


async def test_a_batch_shares_its_requests_id_and_a_duplicate_keeps_the_first(api: Client, acme: Tenant) -> None:
    batch = [{**SIGNUP, "idempotencyKey": key} for key in "ab"]
    first = await api.post_batch(batch, acme, x_request_id="first")
    again = await api.post_batch(batch, acme, x_request_id="again")
    assert again.headers["X-Request-Id"] == "again"
    assert [r["status"] for r in again.json["results"]] == ["duplicate"] * 2
    shown = [(await api.get(f"/api/events/{r['id']}", acme)).json for r in first.json["results"]]
    assert [event["requestId"] for event in shown] == ["first"] * 2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/events", 401),
        ("GET", "/api/nothing", 404),
        ("DELETE", "/api/events", 405),
        ("GET", "/api/docs", 200),
        ("GET", "/healthz", 200),
    ],
)
async def test_every_answer_has_it(api: Client, method: str, path: str, status: int) -> None:
    with capture_log("request.answered") as emitted:
        answer = await api.request(method, path, headers={"X-Request-Id": "asked"})
    assert (answer.status, answer.headers["X-Request-Id"]) == (status, "asked")
    logged = [] if emitted.empty() else [emitted.get_nowait()["request_id"]]
    assert logged == ([] if path == "/api/docs" else ["asked"])


async def test_what_a_browser_may_send_and_read(settings: Settings, acme: Tenant) -> None:
    page = "https://app.example.com"
    async with running(settings.model_copy(update={"cors_origins": (page,)})) as api:
        asks = {"Origin": page, "Access-Control-Request-Method": "POST"}
        wants = {"Access-Control-Request-Headers": "x-api-key,x-request-id,traceparent"}
        assert (await api.request("OPTIONS", "/api/events", headers={**asks, **wants})).status == 200
        answer = await api.post(SIGNUP, acme, origin=page)
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
