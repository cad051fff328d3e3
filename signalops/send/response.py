"""Classifies HTTP responses of receivers, where the channel defines nothing else. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from signalops import clock
from signalops.send.backoff import MAX_WAIT
from signalops.send.message_models import ANSWER_LIMIT, Outcome, OutcomeKind

_TWO_DIGITS = re.compile(r"[A-Za-z]+, *\d\d-[A-Za-z]{3}-\d\d ")
_MAX_DIGITS = 12
"""Maximum digits of a Retry-After; a longer one is ignored."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: the beginning of its body, its Retry-After in seconds, and the receiver's own id of the request."""

    status: int
    body: bytes
    retry_after: float | None = None
    request_id: str | None = None

    @property
    def text(self) -> str:
        """The stored part of the body."""
        return self.body[:ANSWER_LIMIT].decode(errors="replace")

    def outcome(self, kind: OutcomeKind, error: str | None = None) -> Outcome:
        """Return the outcome of an attempt that was answered so."""
        return Outcome(kind, self.status, self.text, error, self.retry_after, request_id=self.request_id)


def classify(answer: Answer) -> Outcome:
    """Return the outcome by the status alone, as Standard Webhooks 1.0 has it: only 2xx is a success, 410 ends it all."""
    status = answer.status
    if 200 <= status < 300:
        return answer.outcome("sent")
    if 300 <= status < 400:
        return answer.outcome("permanent", f"The receiver answered {status}; redirects are not followed: correct the url.")
    if status == 410:
        return answer.outcome("gone", "The receiver answered 410: it wants no more messages.")
    return answer.outcome(_failure(answer), f"The receiver answered {status}.")


def _failure(answer: Answer) -> OutcomeKind:
    if answer.status == 429 or (answer.status in (502, 503, 504) and answer.retry_after is not None):
        return "throttled"
    return "transient" if answer.status >= 500 or answer.status in (408, 425) else "permanent"


def retry_after(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date); None if it can't be read."""
    if header is None:
        return None
    if header.isascii() and header.isdecimal():
        return patience(int(header)) if len(header) <= _MAX_DIGITS else None
    try:
        return patience((_http_date(header) - clock.now()).total_seconds())
    except (ValueError, OverflowError):
        return None


def _http_date(header: str) -> datetime:
    """Read a date in any of the three forms of RFC 9110, section 5.6.7; ValueError."""
    moment = parsedate_to_datetime(header.replace(":60 ", ":59 "))  # a leap second
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # asctime's form names no zone
    if _TWO_DIGITS.match(header):
        # More than 50 years ahead it is of the century before; and the library takes 69 to 99 for that in any case.
        century = (clock.now().year + 50 - moment.year) // 100
        moment = moment.replace(year=moment.year + 100 * century)
    return moment


def patience(seconds: float) -> float:
    """Return the pause in seconds for a Retry-After: a day at most."""
    return min(max(0.0, seconds), MAX_WAIT)
