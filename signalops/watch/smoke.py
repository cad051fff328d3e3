"""The smoke test: sends one event through a running system over HTTP, and reports the time of each step."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import NamedTuple

from signalops import clock
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.send.api_client import ApiClient, api_client
from signalops.types import JsonObject

EVENT = {"type": "user.signup", "source": "signalops smoke", "payload": {"email": "user@example.com"}}
"""The event of the documentation: the seeded rules match it."""
BOUND = 15.0
"""Timeout of each step in seconds."""
_POLL = 0.02


class Station(NamedTuple):
    """A completed step of the event's path, in milliseconds since the POST began.

    For times that others noted (received, processed, delivered) these are by their clocks: on one machine the same.
    """

    name: str
    milliseconds: float
    detail: str

    def line(self) -> str:
        """Return it as one line of output."""
        return f"{self.milliseconds:9.1f} ms  {self.name:10} {self.detail}"


async def walk(base_url: str, key: str, settings: Settings) -> AsyncIterator[Station]:
    """Post one event and yield each step when it completes: received, answered, processed, delivered, counted.

    The key needs the scopes events:write, events:read and usage:read. Unusable, with the remedy, when a request is refused or
    a station is not reached within BOUND seconds.
    """
    async with api_client(base_url, key, settings) as api:
        async for station in _stations(api):
            yield station


async def _until(
    api: ApiClient, path: str, is_there: Callable[[JsonObject], bool], failure: Callable[[JsonObject], str]
) -> JsonObject:
    """Ask again and again until the answer is the one waited for."""
    deadline = time.perf_counter() + BOUND
    while not is_there(answer := await api.get(path)):
        if time.perf_counter() > deadline:
            raise Unusable(f"After {BOUND:.0f} s {failure(answer)}")
        await asyncio.sleep(_POLL)
    return answer


async def _stations(api: ApiClient) -> AsyncIterator[Station]:
    # Asked before, it also has the key verified: the slow check of its hash is no part of an event's way.
    usage = await api.get("/api/usage")
    posted_at, began = clock.now(), time.perf_counter()
    answer = await api.post("/api/events", EVENT)
    answered = _milliseconds(began)
    path = f"/api/events/{answer['id']}"
    event = await api.get(path)
    yield Station("received", _since(posted_at, event["receivedAt"]), f"{event['type']} {event['id']}")
    yield Station("answered", answered, f"stored and {answer['status']}")
    event = await _until(api, path, lambda event: event["status"] != "pending", _not_processed)
    yield _processed(posted_at, event)
    event = await _until(api, path, _is_settled, _not_delivered)
    for delivery in event["deliveries"]:
        yield _delivered(posted_at, delivery)
    counted = await _until(api, "/api/usage", lambda now: now["processed"] > usage["processed"], _not_counted)
    yield Station("counted", _milliseconds(began), f"{counted['processed']} events processed in {counted['period']}")


def _processed(posted_at: datetime, event: JsonObject) -> Station:
    done = event["processing"]
    if event["status"] == "dead":
        raise Unusable(f"The event could not be processed ({done['error']}): see the worker's log.")
    detail = f"{done['rulesEvaluated']} rules, {len(event['matches'])} matched"
    return Station("processed", _since(posted_at, done["processedAt"]), detail)


def _delivered(posted_at: datetime, delivery: JsonObject) -> Station:
    channel = delivery["channel"]
    if delivery["status"] == "dead":
        raise Unusable(f"The delivery through {channel['name']} was given up ({delivery['error']}): correct the channel.")
    last = delivery["attemptLog"][-1]
    detail = f"by {channel['kind']} through {channel['name']}, attempt {last['attempt']} took {last['durationMs']} ms"
    return Station("delivered", _since(posted_at, last["startedAt"]) + last["durationMs"], detail)


def _is_settled(event: JsonObject) -> bool:
    return all(delivery["status"] in ("sent", "dead") for delivery in event["deliveries"])


def _not_processed(_: JsonObject) -> str:
    return "the event still waits to be processed: start a worker with `signalops work`, and see `signalops doctor`."


def _not_delivered(event: JsonObject) -> str:
    errors = {attempt["error"] for delivery in event["deliveries"] for attempt in delivery["attemptLog"] if attempt["error"]}
    reasons = f" ({' '.join(sorted(errors))})" if errors else ""
    return f"a delivery is not made{reasons}: check its channel, and that a worker takes the queue deliveries."


def _not_counted(_: JsonObject) -> str:
    return "the usage has not risen: see `signalops doctor`."


def _milliseconds(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _since(posted_at: datetime, moment: str) -> float:
    return (datetime.fromisoformat(moment) - posted_at).total_seconds() * 1000
