"""Webhook: an HTTP POST, signed according to Standard Webhooks 1.0 (https://www.standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from typing import ClassVar

from signalops import clock
from signalops.errors import Invalid
from signalops.send.channels.endpoint import Endpoint
from signalops.send.markup import Markup
from signalops.send.message_models import Envelope, Outcome
from signalops.send.transport import Request, Transport
from signalops.types import JsonObject

SECRET_PREFIX = "whsec_"  # noqa: S105  the public prefix of every secret


class Webhook(Endpoint):
    """A signed POST to the tenant's own endpoint.

    During a rotation the old secret follows the new one, with a blank between: each signs.
    """

    markup: ClassVar[Markup] = "text"

    def normalize_secret(self, secret: str | None) -> str:
        if secret is None:
            return make_secret()
        if not all(24 <= len(key) <= 64 for key in _keys(secret)):
            raise Invalid("The secret must contain 24 to 64 bytes: leave it out to have one made.")
        return secret

    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        if envelope.secret is None:
            return Outcome("misconfigured", error="The webhook channel has no signing secret: give it one.")
        body = _body(envelope)
        signature = signed(envelope.secret, f"msg_{envelope.delivery.hex}", body)
        headers = {**self.headers, "Content-Type": "application/json", **signature}
        return await transport.call(Request(str(self.url), body, headers))


def make_secret() -> str:
    """Return a new signing secret of 256 random bits."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed(secret: str, message_id: str, body: bytes, timestamp: int | None = None) -> dict[str, str]:
    """Return the three headers of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`; Unix time in seconds.

    Of several secrets, separated by blanks, each makes a signature of its own.
    """
    timestamp = clock.unix() if timestamp is None else timestamp
    content = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, content, hashlib.sha256) for key in _keys(secret))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


def _keys(secret: str) -> list[bytes]:
    """Return the keys of secrets that are separated by blanks; Invalid if there is none, or one is not base64."""
    try:
        keys = [base64.b64decode(one.removeprefix(SECRET_PREFIX), validate=True) for one in secret.split()]
    except (binascii.Error, ValueError) as error:
        raise Invalid(f"The secret must be {SECRET_PREFIX} and base64: leave it out to have one made.") from error
    if not keys:
        raise Invalid("The secret is empty: leave it out to have one made.")
    return keys


def _body(envelope: Envelope) -> bytes:
    notification, message = envelope.notification, envelope.message
    event = notification.event
    data: JsonObject = {"event": event, "rule": notification.rule, "subject": message.subject, "body": message.body}
    if notification.window is not None:
        data["window"] = notification.window
    if notification.kind == "digest":
        data |= {"events": notification.events, "count": notification.count}
    if notification.replay:
        data["replay"] = True
    document = {"type": event["type"], "timestamp": event["occurredAt"], "data": data}
    # Not orjson, which refuses integers beyond 64 bits; a payload may contain them.
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
