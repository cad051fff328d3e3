"""Runs one attempt of a delivery: claim, send, record the outcome and schedule what follows."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from random import Random, SystemRandom

from signalops import clock, correlation
from signalops.config import Settings
from signalops.correlation import Correlation
from signalops.db import Pool, as_tenant
from signalops.errors import Invalid, Unusable
from signalops.send import attempt_queries, backoff, template
from signalops.send.attempt_writer import AttemptWriter
from signalops.send.channels import configured
from signalops.send.channels.base import Channel
from signalops.send.message_models import Envelope, Notification, Outcome
from signalops.send.secrets import SecretBox
from signalops.send.transport import Transport
from signalops.telemetry import emit
from signalops.types import ChannelId, DeliveryId, DeliveryStatus, JsonObject, TenantId

log = logging.getLogger(__name__)

LINGER = 0.5
"""Seconds that a job waits for a receiver: one that hangs would else keep its place from others until it times out."""
MAX_IN_FLIGHT = 1000
"""Maximum concurrent attempts of one process; those of one channel are at most about a tenth."""
MAX_PER_CHANNEL = 100
_SUPPRESSED = "The address bounced or complained before: lift it in /api/suppressions."
_GONE = "The event, the rule or the channel was deleted: there is nothing left to send."


class Sender:
    """Sends deliveries for one worker process: owns its outgoing connections and its keys. Close it at the end."""

    def __init__(self, pool: Pool, settings: Settings, rng: Random | None = None) -> None:
        self._pool = pool
        self._schedule = settings.retry_schedule
        self._patience = settings.channel_disable_after_days * 86_400.0
        self._keyring = SecretBox(settings)
        self._transport = Transport(settings)
        self._rng = rng or SystemRandom()
        self._recorder = AttemptWriter(pool)
        self._on_their_way: set[asyncio.Task[None]] = set()
        self._in_hand: Counter[ChannelId] = Counter()

    async def close(self) -> None:
        """Wait for attempts in flight, then close the outgoing connections."""
        await asyncio.gather(*self._on_their_way, return_exceptions=True)
        await self._recorder.close()
        await self._transport.close()

    async def deliver(self, tenant: TenantId, delivery: DeliveryId) -> None:
        """Make one attempt at a delivery, as deliver_all does."""
        await self.deliver_all([(tenant, delivery)])

    async def deliver_all(self, deliveries: Sequence[attempt_queries.DeliveryToSend]) -> None:
        """Make one attempt at each of some deliveries and record it; nothing where one has ended or waits for its time.

        No transaction is open while a provider answers. If the record fails, the error is raised and the delivery
        stays `sending`: the job's next run sends again with the same id, so the receiver is notified at least once.

        An attempt that takes longer than LINGER seconds continues without its job, whose slot in the worker is free for others;
        should the worker die then, `enqueue_lost_deliveries` has it sent again.
        """
        busy = [channel for channel, count in self._in_hand.items() if count >= MAX_PER_CHANNEL]
        async with self._pool.connection() as connection:
            claims = await attempt_queries.claim(connection, deliveries, busy)
        attempts = [self._begin(claim) for claim in claims]
        if not attempts:
            return
        try:
            is_full = len(self._on_their_way) > MAX_IN_FLIGHT
            done, _ = await asyncio.wait(attempts, timeout=None if is_full else LINGER)
        except asyncio.CancelledError:  # the worker shuts down: the job is run again, by another one
            for attempt in attempts:
                attempt.cancel()
            raise
        for attempt in done:
            attempt.result()

    def _begin(self, claim: attempt_queries.Claim) -> asyncio.Task[None]:
        attempt = asyncio.create_task(self._attempt(claim), name=f"send {claim.delivery}")
        self._on_their_way.add(attempt)
        self._in_hand[claim.channel] += 1

        def end(attempt: asyncio.Task[None]) -> None:
            self._on_their_way.discard(attempt)
            self._in_hand[claim.channel] -= 1
            if not self._in_hand[claim.channel]:
                del self._in_hand[claim.channel]
            if not attempt.cancelled() and (error := attempt.exception()):
                log.error("What came of delivery %s is not on record.", claim.delivery, exc_info=error)

        attempt.add_done_callback(end)
        return attempt

    async def _attempt(self, claim: attempt_queries.Claim) -> None:
        correlation.current.set(correlated := _correlated(claim))  # in this attempt's own task
        listed = await self._listed(claim)
        started_at, began = clock.now(), time.perf_counter()
        outcome = await self._send(claim, listed)
        milliseconds = (time.perf_counter() - began) * 1000
        status, delay = self._next(outcome, claim)
        of_whom = (claim.tenant, claim.delivery, claim.send_target, claim.channel, claim.attempt)
        died = await self._recorder.record(
            attempt_queries.Attempt(*of_whom, started_at, round(milliseconds), outcome, status, delay, self._patience)
        )
        event = claim.event and claim.event["id"]
        fields = {"tenant": claim.tenant, "event": event, "delivery": claim.delivery, "request_id": correlated.id}
        emit(
            "delivery.attempted", **fields, kind=claim.kind, attempt=claim.attempt, outcome=outcome.kind, duration_ms=milliseconds
        )
        if died:  # without the error: it may quote the payload or the receiver, and is in the dead letter
            emit("delivery.dead_lettered", **fields, outcome=outcome.kind)

    async def _send(self, claim: attempt_queries.Claim, listed: list[JsonObject]) -> Outcome:
        if claim.suppressed:
            return Outcome("suppressed", error=_SUPPRESSED)
        try:
            channel, secret = self._opened(claim)
            notification, source = _notification_of(claim, listed)
            message = await template.rendered(claim.tenant, source, notification, channel.body_markup)
            return await channel.send(Envelope(claim.delivery, notification, message, secret, claim.tenant), self._transport)
        except Invalid as refusal:
            return Outcome("misconfigured", error=refusal.detail)
        except Unusable as error:  # the operator's to mend, so the tenant's notification waits for it
            return Outcome("transient", error=str(error))
        except Exception as error:
            # A bug of ours must end on record and in the backoff like any failure, not in a job that is retried unseen.
            log.exception("Delivery %s failed unexpectedly.", claim.delivery)
            return Outcome("transient", error=f"Unexpected {type(error).__name__}: {error}")

    def _opened(self, claim: attempt_queries.Claim) -> tuple[Channel, str | None]:
        if claim.kind is None or claim.config is None:
            raise Invalid(_GONE)
        if not claim.enabled:
            raise Invalid("The channel is disabled: enable it.")
        channel = configured(claim.kind, claim.config)
        return channel, self._keyring.open(claim.secret) if claim.secret is not None else None

    async def _listed(self, claim: attempt_queries.Claim) -> list[JsonObject]:
        if claim.about != "digest" or claim.event is None:
            return []
        async with as_tenant(self._pool, claim.tenant) as connection:
            return await attempt_queries.listed_events(connection, claim.tenant, claim.event["payload"]["events"])

    def _next(self, outcome: Outcome, claim: attempt_queries.Claim) -> tuple[DeliveryStatus, float | None]:
        if outcome.verdict == "done":
            return "sent", None
        if outcome.verdict == "suppress":
            return "suppressed", None
        if outcome.verdict == "retry":
            schedule, made = claim.retry_schedule or self._schedule, claim.attempt - claim.attempts_at_reset
            delay = backoff.next_attempt(schedule, made, outcome.retry_after, self._rng)
            return ("retrying", delay) if delay is not None else ("dead", None)
        return "dead", None


def _correlated(claim: attempt_queries.Claim) -> Correlation:
    """Return what an attempt is found again by: what its event came with, or else the event's id."""
    event = claim.event or {}
    found = event.get("correlation") or event.get("id") or str(claim.delivery)
    return Correlation(found, trace=event.get("trace"), span=correlation.span())


def _notification_of(claim: attempt_queries.Claim, listed: list[JsonObject]) -> tuple[Notification, dict[str, str]]:
    if claim.event is None or claim.rule is None or claim.template is None:
        raise Invalid(_GONE)
    if not claim.rule["enabled"]:
        raise Invalid("The rule is disabled: enable it.")
    event = {name: claim.event[name] for name in ("id", "type", "source", "occurredAt", "payload")}
    rule = {name: claim.rule[name] for name in ("id", "name", "version", "severity")}
    zone = claim.rule["timeZone"]
    notification = Notification(event, rule, claim.about, claim.window_context, listed, claim.replay, zone)
    return notification, claim.template
