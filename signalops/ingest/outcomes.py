"""The outcome of each event of a flush, from the rows that signalops.accept returns."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from signalops import clock, telemetry
from signalops.errors import IdempotencyConflict, Problem, QuotaExceeded
from signalops.ingest.event_models import Incoming, Stored
from signalops.ingest.rate_limit_cache import RateLimitCache
from signalops.types import EventId, TenantId

Row = tuple[Any, ...]
_NOTICES = ("soft_limit", "hard_limit", "threshold")


class Flushed(NamedTuple):
    """What a statement did with which events, and those it left since their tenant's limited meters had changed."""

    outcomes: dict[EventId, Stored | Problem]
    stale: list[Incoming]

    def plus(self, more: "Flushed") -> "Flushed":
        return Flushed({**self.outcomes, **more.outcomes}, self.stale + more.stale)


def translated(events: Sequence[Incoming], rows: Iterable[Row], rates: RateLimitCache) -> Flushed:
    """Return the outcome of each event, and emit a telemetry event for each notice among the rows."""
    outcomes, others = _refused(events, rows, rates)
    stale_tenants: set[TenantId] = set()
    over: set[EventId] = set()
    place = ""
    for event, verdict, tenant, meter, _, _ in others:
        match verdict:
            case "placed":
                place = meter
            case "stale":
                stale_tenants.add(tenant)
            case "over_limit":
                over.add(event)
            case "soft_limit":
                telemetry.emit("usage.soft_limit_reached", tenant=tenant, event=event)
            case "hard_limit":
                telemetry.emit("usage.hard_limit_reached", tenant=tenant, event=event)
            case "threshold":
                telemetry.emit("usage.threshold_reached", tenant=tenant, event=event)
    left = [event for event in events if event.id not in outcomes]
    for event in left:
        if event.tenant not in stale_tenants:
            outcomes[event.id] = Stored(EventId(clock.placed(event.id, place)), "accepted", event.id in over)
    # What is sent again has paid.
    return Flushed(outcomes, [event._replace(buckets=()) for event in left if event.tenant in stale_tenants])


def _refused(
    events: Sequence[Incoming], rows: Iterable[Row], rates: RateLimitCache
) -> tuple[dict[EventId, Stored | Problem], list[Row]]:
    """Return the outcomes of duplicates and of what was refused, and the other rows; note what rate limits leave."""
    outcomes: dict[EventId, Stored | Problem] = {}
    limited, others = [], []
    for row in rows:
        event, verdict, first, meter, end, pace = row
        if verdict == "bucket":
            rates.update(first, meter, pace)
        elif verdict == "rate_limited":
            limited.append(row)
        elif verdict in ("duplicate", "conflict", "refused"):
            outcomes[event] = _outcome(verdict, first, meter, end)
        elif verdict in ("placed", "stale", "over_limit", *_NOTICES):
            others.append(row)
        else:  # of a newer release's SQL, say: nobody may take it for a refusal
            raise RuntimeError(f"signalops.accept returned the verdict {verdict!r}, which this process does not know.")
    if limited:  # after all levels are noted: a refusal states them
        paid = {event.id: event.buckets for event in events if event.buckets}
        outcomes |= {row[0]: rates.refusal(row[2], row[3], row[5]["wait"], paid[row[0]]) for row in limited}
    return outcomes, others


def _outcome(verdict: str, first: EventId, meter: str, end: datetime) -> Stored | Problem:
    if verdict == "duplicate":
        return Stored(first, "duplicate")
    if verdict == "conflict":
        return IdempotencyConflict(
            f"The idempotency key was first used for event {first} with another body: use a new key for a new event.",
            headers={"Location": f"/api/events/{first}"},
        )
    return QuotaExceeded(
        f"The month's hard limit of {meter} is reached: it starts again at {end:%Y-%m-%dT%H:%MZ}, or raise the limit.",
        headers={"Retry-After": str(int((end - clock.now()).total_seconds()) + 1)},
        meter=meter,
        periodEnd=end.isoformat(),
    )
