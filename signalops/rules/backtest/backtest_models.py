"""The request and response models of backtests."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Discriminator, Field, Tag, model_validator

from signalops.clock import Moment
from signalops.models import ApiModel, PageOf, RequestModel
from signalops.rules.backtest.simulate import Outcome
from signalops.rules.rule_service import RuleChange
from signalops.rules.rule_source import StoredRule
from signalops.types import JsonObject

BacktestStatus = Literal["queued", "running", "done", "failed", "cancelled"]
MAX_BUCKETS = 100


class RuleDraftOf(RuleChange):
    """A draft; with an id the one that shall replace that rule, whose active version it is compared with."""

    id: UUID | None = None


def _which(value: object) -> str:
    stored = isinstance(value, StoredRule) or (isinstance(value, Mapping) and "id" in value and "pattern" not in value)
    return "(stored)" if stored else "(draft)"


class BacktestRequest(RequestModel):
    """A rule, and the past events to evaluate it on."""

    rule: Annotated[
        Annotated[StoredRule, Tag("(stored)")] | Annotated[RuleDraftOf, Tag("(draft)")],
        Discriminator(_which),
        Field(description="A draft (with the id of the rule that it shall replace, if any), or a stored rule."),
    ]
    from_: Moment = Field(alias="from", description="Events that came in at or after this time (RFC 3339).")
    to: Moment | None = Field(None, description="Events that came in before this time; default, and at most: now.")
    types: list[str] | None = Field(None, min_length=1, max_length=20, description="Only events of these types.")
    examples: int = Field(5, ge=0, le=20, description="How many of the first and of the last are shown.")
    wait: float = Field(5, ge=0, le=10, description="Seconds to wait for the result before 202 is answered.")

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.to is not None and self.to <= self.from_:
            raise ValueError("to must be later than from")
        return self


class Example(ApiModel):
    """An event that the rule matches, and what would have followed."""

    event: UUID
    type: str
    occurred_at: datetime
    received_at: datetime
    outcome: Outcome


class NotificationPreview(ApiModel):
    """A notification that would have been sent."""

    kind: Literal["event", "digest", "absence"]
    at: datetime = Field(description="When, by the clock of the events.")
    events: list[UUID] = Field(description="The event that it reports, or the first 100 of a digest.")
    message: dict[str, str] | None = Field(description="{subject, body, html}; null: the template fails.")
    fault: str | None = Field(description="Why the template fails.")


class Bucket(ApiModel):
    """A part of the time that was looked through."""

    from_: Annotated[datetime, Field(alias="from")]
    matched: int
    fired: int


class Difference(ApiModel):
    """Events on which two versions disagree."""

    count: int
    events: list[UUID] = Field(description="The first of them.")


class Comparison(ApiModel):
    """The result of the rule's active version on the same events."""

    version: int
    matched: int
    fired: int
    newly_matched: Difference = Field(description="Matched by the backtested rule alone.")
    no_longer_matched: Difference = Field(description="Matched by the active version alone.")


class Truncation(ApiModel):
    """Why not everything was looked through, and up to when it was."""

    reason: Literal["events", "time", "memory"] = Field(
        description="Most events or seconds of one backtest, or most groups and window events in memory at once."
    )
    until: datetime


class BacktestResult(ApiModel):
    """What the rule would have done. While running: with the events looked through so far, without messages."""

    scanned: int = Field(description="Events looked through.")
    matched: int = Field(description="Events that the rule matches.")
    fired: int = Field(description="Notifications that it would have sent.")
    outcomes: dict[Outcome, int] = Field(description="What would have become of the matches.")
    examples: list[Example] = Field(description="The first and the last matches.")
    messages: list[NotificationPreview] = Field(description="The first and the last notifications.")
    histogram: list[Bucket] = Field(description=f"At most {MAX_BUCKETS} parts of equal length, by the time of receipt.")
    comparison: Comparison | None = Field(
        description="With the rule's active version; null when it is that one, or there is none."
    )
    truncated: Truncation | None = Field(description="null: everything was looked through.")


class Progress(ApiModel):
    """How far a backtest is."""

    scanned: int
    total: int | None = Field(description="Estimated from the part of the time that is done.")
    until: datetime | None = Field(description="Everything before this is done.")


class Backtest(ApiModel):
    """A backtest: it sends nothing and counts nothing."""

    id: UUID
    status: BacktestStatus
    rule: JsonObject = Field(description="id, name and version; a draft has no version.")
    from_: Annotated[datetime, Field(alias="from")]
    to: datetime
    types: list[str] | None
    created_at: datetime
    updated_at: datetime
    progress: Progress
    result: BacktestResult | None = Field(description="So far, until the status is done.")
    error: str | None = Field(description="Why it failed.")


class BacktestList(PageOf[Backtest]):
    """A page of backtests, newest first, without their results."""
