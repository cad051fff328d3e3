"""Creates a backtest: resolves, validates and pins the rule versions, then enqueues the first slice."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from signalops import clock, db
from signalops.errors import Conflict, Invalid, NotFound
from signalops.rules.backtest import backtest_queries
from signalops.rules.backtest.backtest_models import BacktestRequest
from signalops.rules.rule_source import ResolvedRule, StoredRule, choose
from signalops.rules.validate import Templates
from signalops.types import JsonObject, TenantId

OVER = ("done", "failed", "cancelled")


class Limits(NamedTuple):
    """Unfinished backtests of a tenant; and what one may take: events looked through, and seconds of work."""

    unfinished: int
    events: int
    seconds: float


class BacktestCreator:
    """Takes backtests; in a transaction of the tenant."""

    def __init__(self, templates: Templates, limits: Limits) -> None:
        self._templates = templates
        self._limits = limits

    async def ask(self, connection: db.Connection, tenant: TenantId, request: BacktestRequest) -> UUID:
        """Store a backtest, enqueue it, and return its id; Invalid, NotFound, or Conflict when there are too many."""
        span = _span(request)
        pinned = await self._pinned(connection, tenant, request)
        silences = await backtest_queries.past_silences(connection, tenant, span)
        limits = {"events": self._limits.events, "seconds": self._limits.seconds}
        about = {"types": request.types, "examples": request.examples, "silences": silences, "limits": limits}
        if await backtest_queries.try_acquire_slot(connection, tenant) >= self._limits.unfinished:
            raise Conflict(
                f"{self._limits.unfinished} backtests are unfinished: wait for one, or cancel one (see GET /api/rules/backtests)."
            )
        backtest = await db.new_id(connection)
        await backtest_queries.add(connection, tenant, backtest, pinned | about, span)
        return backtest

    async def _pinned(self, connection: db.Connection, tenant: TenantId, request: BacktestRequest) -> JsonObject:
        """Return the rule to evaluate and the active version of the same rule, pinned against later changes."""
        candidate = await choose(connection, tenant, self._templates, request.rule)
        baseline = None
        if request.rule.id is not None:
            active = await choose(connection, tenant, self._templates, StoredRule(id=request.rule.id))
            if active.rule["version"] != candidate.rule["version"]:
                baseline = active
                candidate.rule["id"] = active.rule["id"]
        return {"candidate": _said(candidate), "baseline": baseline and _said(baseline)}


async def find(connection: db.Connection, tenant: TenantId, backtest: UUID) -> Mapping[str, Any]:
    """Return a backtest as it stands; NotFound."""
    row = await backtest_queries.find(connection, tenant, backtest)
    if row is None:
        raise NotFound("There is no such backtest: check the id; the newest 50 are kept.")
    return row


def shown(row: Mapping[str, Any]) -> JsonObject:
    """Return a backtest with the API's field names."""
    rule = {name: row["request"]["candidate"]["rule"][name] for name in ("id", "name", "version")}
    span = {"from": row["starts_at"], "to": row["ends_at"], "types": row["request"]["types"]}
    about = {"createdAt": row["created_at"], "updatedAt": row["updated_at"], "error": row["error"]}
    progress = {"scanned": row["scanned"], "total": _estimate(row), "until": row["scanned_until"]}
    state = {"id": row["id"], "status": row["status"], "rule": rule, "progress": progress, "result": row["result"]}
    return {**state, **span, **about}


def _estimate(row: Mapping[str, Any]) -> int | None:
    """Return how many events there probably are, from how many there were in the part of the time that is done."""
    starts_at: datetime = row["starts_at"]
    until: datetime | None = row["scanned_until"]
    if until is None or until <= starts_at:
        return None
    whole: timedelta = row["ends_at"] - starts_at
    return round(int(row["scanned"]) * (whole / (until - starts_at)))


def _span(request: BacktestRequest) -> dict[str, datetime]:
    now = clock.now()
    if request.from_ >= now:
        raise Invalid("from: lies in the future; name a time before now.")
    return {"starts_at": request.from_, "ends_at": min(request.to or now, now)}


def _said(chosen: ResolvedRule) -> JsonObject:
    draft = chosen.draft.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"draft": draft, "rule": chosen.rule, "channel": chosen.channel.kind, "timeZone": chosen.time_zone}
