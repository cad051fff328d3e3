"""Silences over HTTP: made, listed, shown and ended."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from signalops import clock
from signalops.rules.silences import silence_service
from tests.support.api import Client, assert_problem
from tests.support.rules import PATTERN
from tests.support.tenants import Tenant

SILENCES = "/api/silences"


def silence(**members: Any) -> dict[str, Any]:
    whole = {"pattern": PATTERN, "duration": "2h", "reason": "moving house", **members}
    return {name: value for name, value in whole.items() if value is not None}


def at(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def test_a_silence_holds_from_now_for_a_time(api: Client, acme: Tenant) -> None:
    answer = await api.post(silence(), acme, SILENCES)
    assert (answer.status, answer.headers["location"]) == (201, f"{SILENCES}/{answer.json['id']}")
    shown = answer.json
    assert (await api.get(answer.headers["location"], acme)).json == shown
    expected = {"pattern": PATTERN, "grammar": 2, "reason": "moving house", "state": "active"}
    assert {name: shown[name] for name in expected} == expected
    begins, ends = datetime.fromisoformat(shown["startsAt"]), datetime.fromisoformat(shown["endsAt"])
    assert ends - begins == timedelta(hours=2)
    assert abs(begins - datetime.now(UTC)) < timedelta(minutes=1)


async def test_silences_are_listed_by_state_and_page(api: Client, acme: Tenant) -> None:
    active, scheduled, ended = [
        (await api.post(silence(**times), acme, SILENCES)).json["id"]
        for times in ({}, {"startsAt": at(1), "endsAt": at(2), "duration": None}, {"startsAt": at(-1)})
    ]
    await api.request("DELETE", f"{SILENCES}/{ended}", acme)

    async def ids(**filters: object) -> list[str]:
        return [one["id"] for one in (await api.get(SILENCES, acme, **filters)).json["data"]]

    assert await ids() == [ended, scheduled, active]
    for state, one in (("active", active), ("scheduled", scheduled), ("ended", ended)):
        assert await ids(state=state) == [one]
    assert await ids(limit=1, startingAfter=ended) == [scheduled]
    assert await ids(limit=1, endingBefore=active) == [scheduled]
    assert (await api.get(SILENCES, acme, limit=2)).json["hasMore"] is True
    for name, value in (("state", "loud"), ("since", "x"), ("limit", 0)):
        problem = assert_problem(await api.get(SILENCES, acme, **{name: value}), 422, "invalid")
        assert [fault["path"] for fault in problem["errors"]] == [name]


async def test_to_end_a_silence_keeps_it_on_record(api: Client, acme: Tenant) -> None:
    for times in ({}, {"startsAt": at(1)}, {"startsAt": at(-1)}):
        path = (await api.post(silence(**times), acme, SILENCES)).headers["location"]
        ended = await api.request("DELETE", path, acme)
        assert (ended.status, ended.json["state"]) == (200, "ended")
        assert abs(datetime.fromisoformat(ended.json["endsAt"]) - datetime.now(UTC)) < timedelta(minutes=1)
        again = await api.request("DELETE", path, acme)
        assert again.json == ended.json == (await api.get(path, acme)).json


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"duration": None}, "", "either endsAt or duration"),
    ({"endsAt": "2999-01-01T00:00:00Z"}, "", "either endsAt or duration"),
    ({"duration": None, "endsAt": "2020-01-01T00:00:00Z"}, "", "must end after it starts"),
    ({"startsAt": "2020-01-01T00:00:00Z"}, "", "must end after it starts"),
    ({"startsAt": "9999-12-31T23:59:59Z"}, "", "calendar"),
    ({"startsAt": "tomorrow"}, "startsAt", "RFC 3339"),
    ({"duration": "0s"}, "duration", "1s"),
    ({"duration": "400d"}, "duration", "366d"),
    ({"reason": ""}, "reason", "at least 1 character"),
    ({"reason": None}, "reason", "is required"),
    ({"pattern": {"type": []}}, "pattern.type", "an empty list"),
    ({"grammar": 9}, "pattern", "grammar 9 is unknown"),
    ({"rule": "x"}, "rule", "unknown field"),
]


async def test_what_can_t_be_is_refused_by_path(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    for members, path, words in REFUSED:
        problem = assert_problem(await api.post(silence(**members), acme, SILENCES), 422, "invalid")
        assert problem["errors"][0]["path"] == path, members
        assert words in problem["errors"][0]["message"], members
    assert owner.execute("select count(*) from signalops.silences").fetchone() == (0,)


async def test_a_silence_counts_as_a_change_of_the_rules(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    path = (await api.post(silence(), acme, SILENCES)).headers["location"]
    assert owner.execute("select version from signalops.ruleset_versions").fetchone() == (1,)
    await api.request("DELETE", path, acme)
    assert owner.execute("select version from signalops.ruleset_versions").fetchone() == (2,)


async def test_another_tenant_s_silence_answers_like_an_unknown_one(api: Client, acme: Tenant, globex: Tenant) -> None:
    ours = (await api.post(silence(), acme, SILENCES)).json["id"]
    for method in ("GET", "DELETE"):
        for one in (ours, str(clock.new_id())):
            assert_problem(await api.request(method, f"{SILENCES}/{one}", globex), 404, "not-found")
    assert (await api.get(SILENCES, globex)).json["data"] == []
    assert (await api.get(f"{SILENCES}/{ours}", acme)).json["state"] == "active"


async def test_there_are_at_most_so_many(api: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence_service, "MAX_SILENCES", 2)
    first, second, refused = [await api.post(silence(), acme, SILENCES) for _ in range(3)]
    assert (first.status, second.status) == (201, 201)
    assert_problem(refused, 409, "conflict")
    await api.request("DELETE", first.headers["location"], acme)
    assert (await api.post(silence(), acme, SILENCES)).status == 201
