"""Webhook: an HTTP POST, signed as Standard Webhooks 1.0 says (https://www.standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import io
import json
import secrets
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

import aiohttp
from pydantic import HttpUrl, field_validator

from signalops import clock
from signalops.errors import Invalid
from signalops.send.channels.base import Channel
from signalops.send.markup import Markup
from signalops.send.model import ANSWER_LIMIT, Envelope, Outcome, OutcomeKind
from signalops.send.transport import Transport

SECRET_PREFIX = "whsec_"  # noqa: S105  the public prefix of every secret


class Webhook(Channel):
    """A POST to the tenant's own endpoint."""

    markup: ClassVar[Markup] = "text"
    url: HttpUrl

    @field_validator("url")
    @classmethod
    def _no_credentials(cls, url: HttpUrl) -> HttpUrl:
        if url.username or url.password:
            raise ValueError("must hold no user and no password: the signature tells the receiver who calls")
        return url

    @classmethod
    def keep_secret(cls, given: str | None) -> str:
        if given is None:
            return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        if not 24 <= len(_key(given)) <= 64:
            raise Invalid("The secret must hold 24 to 64 bytes: leave it out to have one made.")
        return given

    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        if envelope.secret is None:
            return Outcome("broken", error="The webhook channel has no signing secret: give it one.")
        body = _body(envelope)
        headers = {"Content-Type": "application/json", **signed(envelope.secret, f"msg_{envelope.delivery.hex}", body)}
        try:
            async with transport.http().post(
                str(self.url), data=io.BytesIO(body), headers=headers, allow_redirects=False
            ) as response:
                return _judged(response, await _start_of(response))
        except TimeoutError:
            return Outcome("temporary", error="The receiver did not answer in time.")
        except aiohttp.InvalidURL:
            return Outcome("broken", error="The channel's url can't be called: correct it.")
        except aiohttp.ClientError as error:
            return Outcome("temporary", error=f"The receiver can't be reached: {error or type(error).__name__}.")


def signed(secret: str, message_id: str, body: bytes, timestamp: int | None = None) -> dict[str, str]:
    """Return the three headers of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`; Unix time in seconds."""
    timestamp = clock.unix() if timestamp is None else timestamp
    digest = hmac.digest(_key(secret), f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"The secret must be {SECRET_PREFIX} and base64: leave it out to have one made.") from error


def _body(envelope: Envelope) -> bytes:
    notification, message = envelope.notification, envelope.message
    event = notification.event
    data: dict[str, Any] = {"event": event, "rule": notification.rule, "subject": message.subject, "body": message.body}
    if notification.window is not None:
        data["window"] = notification.window
    if notification.kind == "digest":
        data |= {"events": notification.events, "count": notification.count}
    if notification.replay:
        data["replay"] = True
    document = {"type": event["type"], "timestamp": event["occurredAt"], "data": data}
    # Not orjson, which refuses integers beyond 64 bits; a payload may hold them.
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


async def _start_of(response: aiohttp.ClientResponse) -> str:
    read = bytearray()
    # The status has decided already: an answer that breaks off must not make a success a failure.
    with suppress(aiohttp.ClientError, TimeoutError):
        while len(read) < ANSWER_LIMIT and (part := await response.content.read(ANSWER_LIMIT - len(read))):
            read += part
    return read.decode(errors="replace")


def _judged(response: aiohttp.ClientResponse, answer: str) -> Outcome:
    status = response.status
    wait = _retry_after(response.headers.get("Retry-After"))
    if 200 <= status < 300:
        return Outcome("sent", status, answer)
    if 300 <= status < 400:
        return Outcome(
            "permanent", status, answer, f"The receiver answered {status}; redirects are not followed: correct the url."
        )
    return Outcome(_kind(status, wait), status, answer, f"The receiver answered {status}.", wait)


def _kind(status: int, wait: float | None) -> OutcomeKind:
    if status == 429 or (status == 503 and wait is not None):
        return "throttled"
    return "temporary" if status >= 500 or status in (408, 425) else "permanent"


def _retry_after(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date); None if it can't be read."""
    if header is None:
        return None
    if header.isascii() and header.isdecimal():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - clock.now()).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return None
