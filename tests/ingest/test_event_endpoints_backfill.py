"""What happened too long ago to be counted is refused, in every form of an event; what is later comes in."""

import json
from datetime import datetime, timedelta

import psycopg

from signalops import clock
from signalops.config import Settings
from tests.support.api import NOTHING, Client, assert_problem, rows, running, stored
from tests.support.tenants import Tenant

CLOUD = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.paid"}
STRUCTURED = {"content_type": "application/cloudevents+json"}


def ago(**time: float) -> str:
    return (clock.now() - timedelta(**time)).isoformat()


TOO_OLD = {"days": 35, "minutes": 1}
OLD = {"days": 34, "hours": 23}


async def test_an_event_of_long_ago_is_refused_with_the_remedy(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    problem = assert_problem(await api.post({"type": "a", "occurredAt": ago(**TOO_OLD)}, acme), 422, "invalid")
    assert problem["errors"][0]["path"] == "occurredAt"
    assert problem["detail"] == (
        "occurredAt: is more than 35 days ago, when usage is settled; leave it out to count the event now."
    )
    long_ago = await api.post({"type": "a", "occurredAt": "0001-01-01T00:00:00Z"}, acme)
    assert_problem(long_ago, 422, "invalid")
    assert rows(owner) == NOTHING
    for times in (OLD, {"days": -400}):
        sent = ago(**times)
        answer = await api.post({"type": "a", "occurredAt": sent}, acme)
        assert answer.status == 202
        assert stored(owner, answer.json["id"])["occurred_at"] == datetime.fromisoformat(sent)


async def test_a_cloud_event_is_refused_by_its_own_name_of_the_time(api: Client, acme: Tenant) -> None:
    binary = {f"ce_{name}": value for name, value in CLOUD.items()}
    sent = [
        await api.post({**CLOUD, "time": ago(**TOO_OLD)}, acme, **STRUCTURED),
        await api.post({}, acme, **binary, ce_time=ago(**TOO_OLD)),
    ]
    for answer in sent:
        assert assert_problem(answer, 422, "invalid")["errors"][0]["path"] == "time"
    assert (await api.post({**CLOUD, "time": ago(**OLD)}, acme, **STRUCTURED)).status == 202


async def test_of_a_batch_only_the_old_items_are_refused(api: Client, acme: Tenant) -> None:
    items = [{"type": "a", "occurredAt": ago(**time)} for time in (OLD, TOO_OLD, {})]
    lines = "\n".join(map(json.dumps, items)).encode()
    for body, media in ((items, "application/json"), (lines, "application/x-ndjson")):
        results = (await api.post_batch(body, acme, content_type=media)).json["results"]
        assert [result["status"] for result in results] == ["accepted", "rejected", "accepted"]
        assert results[1]["problem"]["errors"][0]["path"] == "occurredAt"
    clouds = [{**CLOUD, "time": ago(**TOO_OLD)}]
    answer = await api.post_batch(clouds, acme, content_type="application/cloudevents-batch+json")
    assert answer.json["results"][0]["problem"]["errors"][0]["path"] == "time"


async def test_how_long_ago_is_a_setting(settings: Settings, acme: Tenant) -> None:
    async with running(settings.model_copy(update={"backfill_days": 2})) as api:
        refused = await api.post({"type": "a", "occurredAt": ago(days=2, minutes=1)}, acme)
        assert "more than 2 days ago" in assert_problem(refused, 422, "invalid")["detail"]
        assert (await api.post({"type": "a", "occurredAt": ago(days=1, hours=23)}, acme)).status == 202
