"""Starts a replay: selects events, refills the inbox, records the replay, enqueues; one transaction of the tenant."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from signalops import clock, db
from signalops.constants import BULK_BATCH_EVENTS, PRIORITY_BULK
from signalops.errors import Invalid
from signalops.ingest.replay import replay_queries
from signalops.ingest.replay.replay_models import ReplayDryRun, ReplayRequest, ReplayStarted, SkippedEvents
from signalops.types import BatchId, JsonObject, TenantId


async def start(connection: db.Connection, tenant: TenantId, request: ReplayRequest, most: int) -> ReplayStarted | ReplayDryRun:
    """Replay up to the maximum number of events, or count them; Invalid when there are more, or a rule is unknown."""
    events, skipped = await _choose(connection, tenant, request, most)
    if request.rules and (unknown := await replay_queries.unknown_rules(connection, tenant, request.rules)):
        raise Invalid(f"rules: there is no rule {unknown[0]}; name rules by their ids, see GET /api/rules.")
    if request.dry_run:
        return ReplayDryRun(events=len(events), skipped=skipped)
    replay = await db.new_id(connection)
    filled = await replay_queries.refill_inbox(connection, tenant, replay, _batches(events))
    about = {"id": replay, "reason": request.reason, "rules": request.rules}
    batches = {"events": len(filled), "batches": sorted(set(filled)), "priority": PRIORITY_BULK}
    await replay_queries.add_replay(connection, tenant, **about, **batches)
    # Another replay may have put some of them into the inbox since they were chosen.
    skipped.waiting += len(events) - len(filled)
    return ReplayStarted(id=replay, events=len(filled), skipped=skipped)


async def _choose(
    connection: db.Connection, tenant: TenantId, request: ReplayRequest, most: int
) -> tuple[list[UUID], SkippedEvents]:
    if request.to:
        (await db.settled(connection)).before(request.to)
    verdicts = await replay_queries.choose_events(connection, tenant, **_choice(request), limit=most + 1)
    if len(verdicts) > most:
        raise Invalid(f"More than {most} events are chosen: choose a shorter time or a type, and replay them in parts.")
    counts = Counter(verdict for _, verdict in verdicts)
    unknown = len(set(request.events)) - len(verdicts) if request.events else 0
    skipped = SkippedEvents(unknown=unknown, **{word: counts[word] for word in ("waiting", "operational", "dead")})
    return [event for event, verdict in verdicts if verdict == "chosen"], skipped


def _choice(request: ReplayRequest) -> JsonObject:
    """Translate what is asked for into bounds of the id, by which the partitions are found."""
    if request.events:
        ids = {"lower": min(request.events), "upper": UUID(int=min(max(request.events).int + 1, 2**128 - 1))}
        return {**ids, "ids": request.events, "type": None}
    assert request.from_ is not None
    assert request.to is not None
    span = {"lower": clock.uuid7_floor(request.from_), "upper": clock.uuid7_floor(request.to)}
    return {**span, "ids": None, "type": request.type}


def _batches(events: Sequence[UUID]) -> dict[UUID, BatchId]:
    """Divide events into batches: which is in which."""
    batches = [BatchId(clock.new_id()) for _ in range(0, len(events), BULK_BATCH_EVENTS)]
    return {event: batches[place // BULK_BATCH_EVENTS] for place, event in enumerate(events)}
