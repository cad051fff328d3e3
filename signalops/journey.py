"""The journey of an event, on one page.

    access   who sends it?                       KeyRing.identify
    ingest   stored once, counted, in the inbox  Flusher -> signalops.accept, one transaction per flush
    queue    one job per flush                   process_batch(batch)
    rules    which of the tenant's rules match?  RuleBook, RuleSet.match
    send     a delivery and its job per match    signalops.record_batch -> send_delivery(tenant, delivery)
    usage    counted                             signalops.record_batch, the same transaction

The bodies of the jobs stand here, as the stations follow one another.
"""

import os
import platform
import time
from collections import Counter
from typing import Any

from signalops import clock, db, facts
from signalops.queue import store
from signalops.queue.store import Part
from signalops.rules.book import RuleBook
from signalops.send import Sender
from signalops.terms import BatchId, DeliveryId, TenantId

AT_MOST = 1000
"""What one sweep enqueues; the next is a second away."""
_WORKER = f"{platform.node()}:{os.getpid()}"


class Journey:
    """The bodies of the jobs, with what they need."""

    def __init__(self, connections: db.Pool, sender: Sender) -> None:
        self._connections = connections
        self._sender = sender
        self._book = RuleBook()

    async def process_batch(self, batch: BatchId, job: int) -> None:
        """Process a batch exactly once: what takes it out of the inbox, decides and counts is one transaction."""
        began = time.perf_counter()
        try:
            results = await self._process(batch, job)
        except db.OUTAGE:
            raise  # nothing happened; the job is run again
        except Exception as error:
            facts.emit("batch.bisected", batch=batch, job=job, error=repr(error))
            results = await self._process_bisecting(batch, job)
        _tell(batch, job, results, time.perf_counter() - began)

    async def send_delivery(self, tenant: TenantId, delivery: DeliveryId) -> None:
        """Make one attempt at a delivery."""
        await self._sender.deliver(tenant, delivery)

    async def enqueue_due(self) -> None:
        """Give a job to the deliveries whose time has come; they wait without one."""
        async with self._connections.connection() as connection:
            while await store.enqueue_due(connection, AT_MOST) == AT_MOST:
                pass

    async def enqueue_lost(self) -> None:
        """Give a new job to what lost it: accepted means processed, whatever becomes of a job."""
        async with self._connections.connection() as connection:
            batches, deliveries = await store.enqueue_lost(connection, AT_MOST)
        if batches or deliveries:
            facts.emit("jobs.replaced", batches=batches, deliveries=deliveries)

    async def make_partitions(self) -> None:
        """Make partitions ahead of time."""
        async with self._connections.connection() as connection:
            if made := await store.make_partitions(connection):
                facts.emit("partitions.made", partitions=", ".join(made))

    async def _process(self, batch: BatchId, job: int) -> list[dict[str, Any]]:
        async with self._connections.connection() as connection, connection.transaction():
            results = [await self._decide(connection, part) for part in await store.read_batch(connection, batch)]
            if results:
                await store.record_batch(connection, batch, job, _WORKER, results)
            return results

    async def _process_bisecting(self, batch: BatchId, job: int) -> list[dict[str, Any]]:
        """Process what can be; an event that fails alone becomes a dead letter and stops none of its neighbours."""
        done: list[dict[str, Any]] = []
        async with self._connections.connection() as connection, connection.transaction():
            waiting = await store.read_batch(connection, batch)
            while waiting:
                part = waiting.pop(0)
                try:
                    async with connection.transaction():
                        result = await self._decide(connection, part)
                        await store.record_batch(connection, batch, job, _WORKER, [result])
                except db.OUTAGE:
                    raise
                except Exception as error:
                    if len(part.events) > 1:
                        middle = len(part.events) // 2
                        halves = (part.events[:middle], part.events[middle:])
                        waiting[:0] = [part._replace(events=half) for half in halves]
                        continue
                    result = _bury(part, error)
                    await store.record_batch(connection, batch, job, _WORKER, [result])
                done.append(result)
        return done

    async def _decide(self, connection: db.Connection, part: Part) -> dict[str, Any]:
        """Hold one tenant's events against its rules; return what record_batch is to record."""
        compiled = await self._book.rules_of(connection, part.tenant, part.ruleset)
        matches: list[dict[str, Any]] = []
        for event in part.events:
            seen = event if event["attributes"] is None else event["attributes"] | event
            for ref in compiled.rules.match(seen):
                match = {"event": event["id"], "rule": ref.rule, "version": ref.version, "channel": ref.channel}
                matches.append(match | {"delivery": clock.new_id()})
        return {
            "tenant": part.tenant,
            "ruleset": compiled.version,
            "rules": compiled.size,
            "events": len(part.events),
            # Operational events (depth above 0) are processed and never billed.
            "usage": Counter(event["day"] for event in part.events if event["depth"] == 0),
            "matches": matches,
            "dead": [],
        }


def _bury(part: Part, error: Exception) -> dict[str, Any]:
    """What record_batch is to record of an event that can't be processed: a dead letter, and no usage."""
    event = part.events[0]["id"]
    facts.emit("event.died", tenant=part.tenant, event=event, error=repr(error))
    nothing: dict[str, Any] = {"rules": 0, "events": 0, "usage": {}, "matches": []}
    return {"tenant": part.tenant, "ruleset": part.ruleset, "dead": [{"event": event, "error": repr(error)}], **nothing}


def _tell(batch: BatchId, job: int, results: list[dict[str, Any]], seconds: float) -> None:
    events, matches = sum(r["events"] for r in results), sum(len(r["matches"]) for r in results)
    facts.emit("batch.processed", batch=batch, job=job, events=events, matches=matches, milliseconds=seconds * 1000)
