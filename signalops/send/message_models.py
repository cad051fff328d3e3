"""The models between rules and channels: the message to send, and the outcome of an attempt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from signalops.types import DeliveryId, TenantId

OutcomeKind = Literal["sent", "transient", "throttled", "permanent", "misconfigured", "gone", "suppressed"]
Verdict = Literal["done", "retry", "drop", "disable", "suppress"]
NotificationKind = Literal["event", "digest", "absence"]

# `misconfigured` is the tenant's configuration or template: like `permanent`, only a person can fix it. `gone`: the receiver
# answered 410. `suppressed`: nothing was sent, because the address bounced or complained before.
VERDICTS: Mapping[OutcomeKind, Verdict] = {
    "sent": "done",
    "transient": "retry",
    "throttled": "retry",
    "permanent": "drop",
    "misconfigured": "drop",
    "gone": "disable",
    "suppressed": "suppress",
}

_UNSTORABLE = "The receiver's answer can't be stored, so it is left out."
ANSWER_LIMIT = 2048
ERROR_LIMIT = 500
PROVIDER_ID_LIMIT = 500
REQUEST_ID_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one attempt.

    `status_code` and `answer` are the provider's; `error` is one sentence, absent only when sent; `retry_after`: seconds of the
    provider's Retry-After; `provider_id`: the provider's id of the message, which its callbacks use; `request_id`: the
    provider's id of the request, for its support.
    """

    kind: OutcomeKind
    status_code: int | None = None
    answer: str | None = None
    error: str | None = None
    retry_after: float | None = None
    provider_id: str | None = None
    request_id: str | None = None

    @property
    def verdict(self) -> Verdict:
        return VERDICTS[self.kind]

    @property
    def is_bare(self) -> bool:
        """Whether it contains nothing of the receiver's response."""
        return self == self.bare()

    def bare(self) -> "Outcome":
        """Return the outcome without the receiver's response: for a response that can't be stored."""
        return Outcome(self.kind, error=None if self.kind == "sent" else _UNSTORABLE)


@dataclass(frozen=True, slots=True)
class Notification:
    """The content of a notification, and its rule.

    `event` is {id, type, source, occurredAt, payload}, of a digest and an absence the operational event that says so;
    `rule` is {id, name, version, severity}. `window` is what a condition over time saw when it fired: {value, group,
    since, until}. `listed` are a digest's events, at most 100.
    """

    event: Mapping[str, Any]
    rule: Mapping[str, Any]
    kind: NotificationKind = "event"
    window: Mapping[str, Any] | None = None
    listed: Sequence[Mapping[str, Any]] = ()
    replay: bool = False
    time_zone: str = "UTC"
    """The tenant's."""

    @property
    def events(self) -> Sequence[Mapping[str, Any]]:
        """The events that it reports, as far as they are listed."""
        return self.listed if self.kind == "digest" else [self.event]

    @property
    def count(self) -> int:
        """How many events it reports, listed or not."""
        return int(self.event["payload"]["count"]) if self.kind == "digest" else 1


@dataclass(frozen=True, slots=True)
class Message:
    """What a person reads: rendered from the rule's template, or the default of what it lacks."""

    subject: str
    body: str
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """One notification on its way: the same in every attempt. `secret` is the channel's, plain."""

    delivery: DeliveryId
    notification: Notification
    message: Message
    secret: str | None
    tenant: TenantId | None = None


def storable(text: str | None, most: int) -> str | None:
    """Return what a text column takes: providers answer with anything, PostgreSQL refuses NUL and lone surrogates."""
    return text and text.replace("\0", "\ufffd").encode(errors="replace").decode()[:most]
