"""Parses message statuses of WhatsApp, and verifies Meta's signature. Pure.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/payload-examples#message-status-updates
"""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from signalops import strict_json
from signalops.errors import Malformed
from signalops.send.callbacks.callback_models import ProviderStatus
from signalops.send.channels.whatsapp import error_text
from signalops.types import JsonObject

MAX_BYTES = 3 * 1024 * 1024
"""The largest callback that Meta sends."""


class Status(BaseModel):
    """The status of one message."""

    id: str = Field(max_length=500)
    status: str
    biz_opaque_callback_data: str | None = None
    errors: list[JsonObject] = []


class Value(BaseModel):
    """What is new of one number; other news than statuses are passed over."""

    statuses: list[Status] = []


class Change(BaseModel):
    """One piece of news."""

    value: Value = Value()


class Entry(BaseModel):
    """The news of one account."""

    changes: list[Change] = []


class StatusCallback(BaseModel):
    """What Meta posts."""

    entry: list[Entry] = []


def is_signed(body: bytes, signature: str, app_secret: str) -> bool:
    """Return whether a raw body has this X-Hub-Signature-256: `sha256=` and the HMAC in hexadecimal digits."""
    expected = "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


def statuses(body: bytes) -> list[ProviderStatus]:
    """Parse a callback; the statuses are in the order of locking, so that two callbacks can't deadlock. Malformed."""
    try:
        callback = StatusCallback.model_validate(strict_json.parse(body))
    except ValidationError as error:
        raise Malformed("This is no callback of WhatsApp's: send it as Meta does.") from error
    return sorted(_heard(callback), key=lambda one: (str(one.delivery), one.provider_id))


def _heard(callback: StatusCallback) -> Iterator[ProviderStatus]:
    for status in (s for entry in callback.entry for change in entry.changes for s in change.value.statuses):
        delivery = _delivery(status)
        match status.status:
            case "delivered" | "read" as now:
                yield ProviderStatus(status.id, now, delivery)
            case "failed":
                reason = error_text(status.errors[0] if status.errors else {})
                yield ProviderStatus(status.id, "dead", delivery, f"WhatsApp could not deliver it: {reason}.")


def _delivery(status: Status) -> UUID | None:
    with suppress(ValueError):
        return UUID(status.biz_opaque_callback_data or "")
    return None
