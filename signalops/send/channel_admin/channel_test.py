"""Sends a test notification through a channel at once, and stores nothing."""

import asyncio
import time

from signalops import clock
from signalops.errors import Invalid
from signalops.send.channel_admin.channel_models import ChannelTestResult
from signalops.send.channel_admin.channel_service import OpenedChannel
from signalops.send.message_models import Envelope, Message, Notification, Outcome
from signalops.send.template import render
from signalops.send.transport import Transport
from signalops.types import DeliveryId, TenantId

_TEXT = "This is a test notification of SignalOps. The channel works."
_SLACK = 5.0
"""Seconds beyond the provider's time: for names, connections and the template."""


async def try_out(tenant: TenantId, opened: OpenedChannel, transport: Transport) -> ChannelTestResult:
    """Send a test notification and return the result, in bounded time; outside of a transaction."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(transport.settings.send_timeout + _SLACK):
            outcome = await opened.channel.send(await _envelope(tenant, opened), transport)
    except TimeoutError:
        outcome = Outcome("transient", error="The receiver did not answer in time.")
    except Invalid as refusal:
        outcome = Outcome("misconfigured", error=refusal.detail)
    return ChannelTestResult(
        outcome=outcome.kind,
        status_code=outcome.status_code,
        answer=outcome.answer,
        error=outcome.error,
        duration_ms=round((time.perf_counter() - began) * 1000),
    )


async def _envelope(tenant: TenantId, opened: OpenedChannel) -> Envelope:
    about = {"type": "signalops.test", "source": "signalops", "payload": {"text": _TEXT}}
    event = {"id": str(clock.new_id()), "occurredAt": clock.now().isoformat(), **about}
    rule = {"id": str(clock.new_id()), "name": "test of the channel", "version": 1, "severity": "info"}
    notification = Notification(event, rule)
    markup = opened.channel.body_markup
    body = '{"text": "{{ payload.text }}"}' if markup == "json" else "{{ payload.text }}"
    template = {"subject": "A test of SignalOps", "body": body}
    message: Message = await asyncio.to_thread(render, template, notification, markup)
    return Envelope(DeliveryId(clock.new_id()), notification, message, opened.secret, tenant)
