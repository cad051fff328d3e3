"""Runs a backtest in slices: reads events, evaluates the rule, saves, and enqueues the next slice.

The result of a slice is saved in the transaction that enqueues the next slice. If a worker dies before, nothing is saved, and the
slice runs again from the same position with the same result.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from signalops import clock, db, telemetry
from signalops.errors import Invalid
from signalops.patterns import Budget, RuleSet, TooCostly, flattened
from signalops.rules.backtest import backtest_queries
from signalops.rules.backtest.backtest_report import Report
from signalops.rules.backtest.simulate import Event, Notification, Simulation, moment_of, since_epoch
from signalops.rules.compiled import Silence
from signalops.rules.conditions import RuleConditions
from signalops.rules.evaluate import NOTICE
from signalops.rules.rule_models import Conditions
from signalops.rules.validate import Message, RenderContext, compiled
from signalops.types import ChannelKind, JsonObject, TenantId

Render = Callable[[TenantId, ChannelKind, Mapping[str, str], RenderContext], Awaitable[Message]]
SLICE = 1.0
"""Seconds of work between two saves."""
BREATH = 0.02
"""Seconds after which a slice lets the worker's other jobs have their turn."""
PAGE = 2000
MAX_WINDOW_EVENTS = 50_000
"""Maximum groups and window events of a backtest in memory: its whole state is saved after each iteration."""
MAX_TEXT = 10_000
"""Maximum characters stored of each part of a message."""


class Backtester:
    """Does the slices, one for each job."""

    def __init__(self, connections: db.Pool, render: Render) -> None:
        self._connections = connections
        self._render = render

    async def run(self, tenant: TenantId, backtest: UUID) -> None:
        """Run the next slice, unless the backtest has ended or its tenant is suspended; resuming the tenant enqueues it again."""
        async with db.as_tenant(self._connections, tenant) as connection:
            if await backtest_queries.is_parked(connection, tenant):
                return
            row = await backtest_queries.find(connection, tenant, backtest)
        if row is None or row["status"] not in ("queued", "running"):
            return
        try:
            # In threads, beside which others go on: a large state takes a while to read and to write.
            work = await asyncio.to_thread(_Work, tenant, row)
            await self._slice(tenant, work)
            found = await asyncio.to_thread(work.found) | ({"result": await self._result(tenant, work)} if work.is_done else {})
        except db.REFUSAL:
            raise  # an outage, or the operator's to mend: the job is run again
        except Exception as error:
            found = {name: row[name] for name in ("scanned", "scanned_until", "result")}
            found |= {"status": "failed", "state": None, "error": repr(error)[:500]}
        await self._save(tenant, row, found)

    async def _slice(self, tenant: TenantId, work: "_Work") -> None:
        began = time.perf_counter()
        is_over = False
        while not is_over:  # a page at least: each slice gets on
            async with db.as_tenant(self._connections, tenant) as connection:
                page = await backtest_queries.read_past(connection, tenant, work.types, work.window())
            await work.take(page)
            is_over = work.is_done or time.perf_counter() - began >= SLICE
        work.rest(time.perf_counter() - began)

    async def _result(self, tenant: TenantId, work: "_Work") -> JsonObject:
        """Return the result with its examples and messages."""
        examples, notifications = work.report.examples(), work.report.notifications()
        async with db.as_tenant(self._connections, tenant) as connection:
            shown_ids = [event for event, _ in examples] + [n.events[0] for n in notifications if n.kind == "event"]
            events = await backtest_queries.read_events(connection, tenant, shown_ids)
            listed = [await self._listed(connection, tenant, notification) for notification in notifications]
        messages = [await self._message(work, n, events, of) for n, of in zip(notifications, listed, strict=True)]
        shown = [_example(events[event], outcome) for event, outcome in examples if event in events]
        return work.result() | {"examples": shown, "messages": messages}

    async def _listed(self, connection: db.Connection, tenant: TenantId, notification: Notification) -> list[Event]:
        if notification.kind != "digest":
            return []
        events = await backtest_queries.read_events(connection, tenant, notification.events)
        return [events[event] for event in notification.events if event in events]

    async def _message(
        self, work: "_Work", notification: Notification, events: Mapping[str, Event], listed: Sequence[Event]
    ) -> JsonObject:
        """Render a notification as it would have been sent."""
        shown: JsonObject = {"kind": notification.kind, "at": moment_of(notification.at), "events": notification.events}
        event = events.get(notification.events[0]) if notification.kind == "event" else _notice(notification)
        if event is None:
            return shown | {"message": None, "fault": "The event is too large to be read here, or gone."}
        window = notification.context if notification.kind == "event" else None
        request = work.candidate
        what = RenderContext(event, request["rule"], notification.kind, window, listed, request.get("timeZone", "UTC"))
        try:
            message = await self._render(work.tenant, request["channel"], request["draft"]["template"], what)
        except Invalid as error:
            return shown | {"message": None, "fault": error.detail}
        parts = {"subject": message.subject, "body": message.body, "html": message.html}
        return shown | {"message": {name: text[:MAX_TEXT] for name, text in parts.items() if text}, "fault": None}

    async def _save(self, tenant: TenantId, row: Mapping[str, Any], found: JsonObject) -> None:
        backtest, is_over = row["id"], found["status"] != "running"
        async with db.as_tenant(self._connections, tenant) as connection:
            if not await backtest_queries.save(connection, tenant, backtest, row["iterations"], found):
                return  # cancelled, or another worker was first
            if not is_over:
                await backtest_queries.enqueue(connection, tenant, backtest)
        if is_over:
            fields = {name: found[name] for name in ("status", "scanned", "error")}
            telemetry.emit("backtest.ended", tenant=tenant, backtest=backtest, **fields)


class _Work:
    """A backtest between two saves: the rule and the version that it is compared with, both at work."""

    def __init__(self, tenant: TenantId, row: Mapping[str, Any]) -> None:
        self.tenant = tenant
        request, state = row["request"], row["state"] or {}
        self.candidate, self._baseline = request["candidate"], request["baseline"]
        self.types: list[str] | None = request["types"]
        self._ends_at: datetime = row["ends_at"]
        self._most_events: int = request["limits"]["events"]
        self._most_seconds: float = request["limits"]["seconds"]
        self.spent: float = state.get("spent", 0.0)
        self._after = UUID(state["after"]) if state else UUID(int=clock.uuid7_floor(row["starts_at"]).int - 1)
        self._reason: str | None = None
        self._is_through = False
        self.report = Report(row["starts_at"], self._ends_at, request["examples"], state.get("report"))
        silences = [_silence(silence) for silence in request["silences"]]

        def is_silenced(event: Event, now: datetime) -> bool:
            return any(s.starts_at <= now < s.ends_at and s.pattern.matches(event) for s in silences)

        sinks = {"candidate": self.report.add_notification, "baseline": self.report.add_baseline_notification}
        chosen = {name: request[name] for name in sinks if request[name]}
        self._rules = RuleSet({name: compiled(c["draft"]["grammar"], c["draft"]["pattern"]) for name, c in chosen.items()})
        self._simulations = {name: _simulation(c, is_silenced, sinks[name]) for name, c in chosen.items()}
        for name, simulation in self._simulations.items():
            if state:
                simulation.restore(state[name])
            else:
                simulation.begin(since_epoch(row["starts_at"]))

    @property
    def is_done(self) -> bool:
        """Whether the end is reached, or a limit."""
        return self._is_through or self._reason is not None

    @property
    def _until(self) -> datetime:
        return self._ends_at if self._is_through else clock.uuid7_time(self._after)

    def window(self) -> JsonObject:
        """Return which events come next."""
        limit = min(PAGE, self._most_events - self.report.scanned)
        return {"after": self._after, "before": clock.uuid7_floor(self._ends_at), "limit": limit}

    async def take(self, page: Sequence[Event]) -> None:
        """Evaluate a page of events, yielding to other tasks in between."""
        breath = time.perf_counter()
        for event in page:
            self._take(event)
            if time.perf_counter() - breath > BREATH:
                await asyncio.sleep(0)
                breath = time.perf_counter()
        self._turn(page)

    def _turn(self, page: Sequence[Event]) -> None:
        """Note how far it is after a page; none is left when it is empty."""
        if page:
            self._after = UUID(page[-1]["id"])
            self._reason = "events" if self.report.scanned >= self._most_events else None
            return
        self._is_through = True
        for simulation in self._simulations.values():
            simulation.finish(since_epoch(self._ends_at))

    def rest(self, seconds: float) -> None:
        """End a slice after some seconds: drop expired state, and check the limits of time and memory."""
        self.spent += seconds
        for simulation in self._simulations.values():
            simulation.forget(since_epoch(self._until))
        if not self.is_done and sum(map(len, self._simulations.values())) > MAX_WINDOW_EVENTS:
            self._reason = "memory"
        elif not self.is_done and self.spent >= self._most_seconds:
            self._reason = "time"

    def _take(self, event: Event) -> None:
        self.report.scan()
        seen = flattened(event, event["attributes"])
        try:
            names = self._rules.match(seen, Budget())
        except TooCostly:  # it became a dead letter, or would
            return
        if not names:
            return
        now = since_epoch(clock.uuid7_time(UUID(event["id"])))
        outcomes = {name: self._simulations[name].take(event, seen, now) for name in names}
        if outcome := outcomes.get("candidate"):
            self.report.match(event["id"], outcome, now)
        if self._baseline:
            self.report.compare(event["id"], bool(outcomes.get("candidate")), bool(outcomes.get("baseline")))

    def result(self) -> JsonObject:
        """Return what was found so far."""
        truncated = {"reason": self._reason, "until": self._until} if self._reason else None
        version = self._baseline["rule"]["version"] if self._baseline else None
        return self.report.result(version, truncated)

    def found(self) -> JsonObject:
        """Return what is saved: the result, and, unless this was the end, from where to go on."""
        found = {"scanned": self.report.scanned, "scanned_until": self._until, "result": self.result(), "error": None}
        if self.is_done:
            return found | {"status": "done", "state": None}
        state: JsonObject = {name: simulation.state() for name, simulation in self._simulations.items()}
        state |= {"after": self._after, "spent": self.spent, "report": self.report.state()}
        return found | {"status": "running", "state": state}


def _simulation(
    chosen: Mapping[str, Any], is_silenced: Callable[[Event, datetime], bool], notify: Callable[[Notification], None]
) -> Simulation:
    conditions = Conditions.model_validate({name: chosen["draft"].get(name) for name in Conditions.json_names()})
    after = conditions.absent.after if conditions.absent else None
    return Simulation(chosen["rule"], RuleConditions.of(conditions, 0), is_silenced, notify, after)


def _silence(row: Mapping[str, Any]) -> Silence:
    times = (datetime.fromisoformat(row[name]) for name in ("starts_at", "ends_at"))
    return Silence(compiled(row["grammar"], row["pattern"]), *times)


def _example(event: Event, outcome: str) -> JsonObject:
    shown = {"event": event["id"], "type": event["type"], "occurredAt": event["occurredAt"], "outcome": outcome}
    return shown | {"receivedAt": clock.uuid7_time(UUID(event["id"]))}


def _notice(notification: Notification) -> Event:
    """Return the operational event that a digest or an absence would have brought about."""
    kind = NOTICE if notification.kind == "absence" else "signalops.rule.digest"
    source = {"id": None, "source": "signalops", "occurredAt": moment_of(notification.at).isoformat()}
    return source | {"type": kind, "payload": notification.context}
