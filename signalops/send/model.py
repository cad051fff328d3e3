"""What passes through the station: the envelope that a channel sends, and the outcome that it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from signalops.terms import ChannelKind, DeliveryId

OutcomeKind = Literal["sent", "temporary", "throttled", "permanent", "broken"]
Verdict = Literal["done", "retry", "drop"]

# `broken` is the tenant's configuration or template: like `permanent`, only a person can mend it.
VERDICTS: Mapping[OutcomeKind, Verdict] = {
    "sent": "done",
    "temporary": "retry",
    "throttled": "retry",
    "permanent": "drop",
    "broken": "drop",
}

ANSWER_LIMIT = 2048
ERROR_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt.

    `status_code` and `answer` are the provider's; `error` is one sentence, absent only when sent; `retry_after` are the
    seconds that the provider asks to be left alone.
    """

    kind: OutcomeKind
    status_code: int | None = None
    answer: str | None = None
    error: str | None = None
    retry_after: float | None = None

    @property
    def verdict(self) -> Verdict:
        return VERDICTS[self.kind]


@dataclass(frozen=True, slots=True)
class Message:
    """What a person reads: rendered from the rule's template, or the default of what it lacks."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """One notification on its way: the same in every attempt.

    `event` is {id, type, source, occurredAt, payload}, `rule` is {id, name, version}; `secret` is the channel's, plain.
    """

    delivery: DeliveryId
    event: Mapping[str, Any]
    rule: Mapping[str, Any]
    message: Message
    secret: str | None


@dataclass(frozen=True, slots=True)
class NewChannel:
    """A channel to be added. `secret` is in plain; without it one is made where the kind needs one."""

    name: str
    kind: ChannelKind
    config: Mapping[str, Any]
    secret: str | None = None
