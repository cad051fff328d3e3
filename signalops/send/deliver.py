"""One attempt at a delivery: take it in hand, send, record what came of it and what follows."""

import asyncio
import logging
import time
from random import Random, SystemRandom
from typing import Any

from signalops import clock
from signalops.config import Settings
from signalops.db import Pool, as_tenant
from signalops.errors import Invalid, Unusable
from signalops.facts import emit
from signalops.send import backoff, store, template
from signalops.send.channels import configured
from signalops.send.channels.base import Channel
from signalops.send.model import Envelope, Notification, Outcome
from signalops.send.secrets import Keyring
from signalops.send.transport import Transport
from signalops.terms import DeliveryId, DeliveryStatus, TenantId

log = logging.getLogger(__name__)

_GONE = "The event, the rule or the channel was deleted: there is nothing left to send."


class Sender:
    """Sends deliveries for one worker process: holds its outgoing connections and its keys. Close it at the end."""

    def __init__(self, pool: Pool, settings: Settings, rng: Random | None = None) -> None:
        self._pool = pool
        self._schedule = settings.retry_schedule
        self._patience = settings.channel_patience_days * 86_400.0
        self._keyring = Keyring(settings)
        self._transport = Transport(settings)
        self._rng = rng or SystemRandom()

    async def close(self) -> None:
        """Close the outgoing connections."""
        await self._transport.close()

    async def deliver(self, tenant: TenantId, delivery: DeliveryId) -> None:
        """Make one attempt at a delivery and record it; nothing if the delivery has ended or waits for its time.

        No transaction is open while the provider answers. If the record fails, the error is raised and the delivery
        stays `sending`: the job's next run sends again with the same id, so the receiver is told at least once.
        """
        async with self._pool.connection() as connection:
            claim = await store.claim(connection, tenant, delivery)
        if claim is None:
            return
        listed = await self._listed(tenant, claim)
        started_at, began = clock.now(), time.perf_counter()
        outcome = await self._send(delivery, claim, listed)
        milliseconds = (time.perf_counter() - began) * 1000
        status, delay = self._next(outcome, claim)
        attempt = store.Attempt(delivery, claim.attempt, started_at, round(milliseconds), outcome, status, delay)
        async with self._pool.connection() as connection:
            died = await store.settle(connection, tenant, attempt, self._patience)
        emit(
            "delivery.attempted",
            tenant=tenant,
            delivery=delivery,
            attempt=claim.attempt,
            outcome=outcome.kind,
            milliseconds=milliseconds,
        )
        if died:
            emit("delivery.died", tenant=tenant, delivery=delivery, error=outcome.error)

    async def _send(self, delivery: DeliveryId, claim: store.Claim, listed: list[dict[str, Any]]) -> Outcome:
        try:
            channel, secret = self._opened(claim)
            notification, source = _told(claim, listed)
            # In a thread: what one tenant's template may take of the processor must not hold up all others.
            message = await asyncio.to_thread(template.render, source, notification, channel.markup)
            return await channel.send(Envelope(delivery, notification, message, secret), self._transport)
        except Invalid as refusal:
            return Outcome("broken", error=refusal.detail)
        except Unusable as error:  # the operator's to mend, so the tenant's notification waits for it
            return Outcome("temporary", error=str(error))
        except Exception as error:
            # A bug of ours must end on record and in the backoff like any failure, not in a job that is retried unseen.
            log.exception("Delivery %s failed unexpectedly.", delivery)
            return Outcome("temporary", error=f"Unexpected {type(error).__name__}: {error}")

    def _opened(self, claim: store.Claim) -> tuple[Channel, str | None]:
        if claim.kind is None or claim.config is None:
            raise Invalid(_GONE)
        if not claim.enabled:
            raise Invalid("The channel is disabled: enable it.")
        channel = configured(claim.kind, claim.config)
        return channel, self._keyring.open(claim.secret) if claim.secret is not None else None

    async def _listed(self, tenant: TenantId, claim: store.Claim) -> list[dict[str, Any]]:
        if claim.about != "digest" or claim.event is None:
            return []
        async with as_tenant(self._pool, tenant) as connection:
            return await store.listed_events(connection, tenant, claim.event["payload"]["events"])

    def _next(self, outcome: Outcome, claim: store.Claim) -> tuple[DeliveryStatus, float | None]:
        if outcome.verdict == "done":
            return "sent", None
        if outcome.verdict == "suppress":
            return "suppressed", None
        if outcome.verdict == "retry":
            schedule, made = claim.retry_schedule or self._schedule, claim.attempt - claim.attempts_before
            delay = backoff.next_attempt(schedule, made, outcome.retry_after, self._rng)
            return ("retrying", delay) if delay is not None else ("dead", None)
        return "dead", None


def _told(claim: store.Claim, listed: list[dict[str, Any]]) -> tuple[Notification, dict[str, str]]:
    if claim.event is None or claim.rule is None or claim.template is None:
        raise Invalid(_GONE)
    notification = Notification(claim.event, claim.rule, claim.about, claim.context, listed, claim.replay)
    return notification, claim.template
