"""The conditions of a rule besides its pattern: window, absence, schedule, cooldown, digest. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Self

from signalops.durations import duration
from signalops.patterns import Grouping, Measured
from signalops.rules.rule_models import Absence, Conditions, Digest, Window
from signalops.rules.schedule import Hours, digest_due

Kind = Literal["each", "count", "sum", "distinct", "absent"]
COLUMNS = {"window": "time_window", "absent": "absent", "cooldown": "cooldown", "digest": "digest", "activeHours": "active_hours"}
"""Where the table rule_versions keeps the members of Conditions."""
_ZERO = timedelta(0)


class Measure(NamedTuple):
    """What an event adds to a window: a value, and for distinct values which one."""

    value: Decimal
    distinct_value: str | None


_ONE = Measure(Decimal(1), None)


@dataclass(frozen=True, slots=True)
class RuleConditions:
    """The conditions over time and the noise control of one version of a rule.

    kind: each match fires; or the count, sum or number of distinct values within `span` reaches `threshold`; or nothing
    matched for `span`. `state_version` names the state that is counted on.
    """

    state_version: int
    kind: Kind
    threshold: Decimal
    span: timedelta
    lateness: timedelta
    grouping: Grouping
    measured: Measured | None
    cooldown: timedelta | None
    digest: Digest | None
    hours: Hours | None

    @classmethod
    def of(cls, conditions: Conditions, state_version: int) -> Self | None:
        """Return the conditions of a rule; None if each match notifies at once."""
        if not (conditions.window or conditions.absent or conditions.cooldown or conditions.digest or conditions.active_hours):
            return None
        condition = _Condition.of(conditions.window, conditions.absent)
        grouped = conditions.window or conditions.absent or conditions.cooldown
        return cls(
            state_version,
            *condition,
            Grouping(grouped.group_by if grouped else ()),
            _measured(conditions.window),
            duration(conditions.cooldown.for_) if conditions.cooldown else None,
            conditions.digest,
            Hours.of(conditions.active_hours) if conditions.active_hours else None,
        )

    @classmethod
    def stored(cls, row: Mapping[str, Any]) -> Self | None:
        """Return the plan of a version as the database keeps it."""
        members = {name: row[column] for name, column in COLUMNS.items()}
        return cls.of(Conditions.model_validate(members), row["state_version"])

    @property
    def has_state(self) -> bool:
        """Whether its matches depend on earlier events: if so, the database evaluates them, group by group."""
        return self.kind != "each" or self.cooldown is not None or self.digest is not None

    def measure(self, event: Mapping[str, object]) -> Measure | None:
        """Return what an event adds to the window; None when its field is missing or no number."""
        if self.measured is None:
            return _ONE
        if self.kind == "distinct":
            distinct_value = self.measured.item(event)
            return None if distinct_value is None else Measure(Decimal(1), distinct_value)
        number = self.measured.number(event)
        return None if number is None else Measure(number, None)

    def digest_due(self, opened: datetime) -> datetime | None:
        """Return when a digest opened at a moment is sent; None without a digest."""
        return digest_due(self.digest, self.hours, opened) if self.digest else None


class _Condition(NamedTuple):
    kind: Kind
    threshold: Decimal
    span: timedelta
    lateness: timedelta

    @classmethod
    def of(cls, window: Window | None, absent: Absence | None) -> Self:
        if absent:
            return cls("absent", Decimal(0), duration(absent.after), duration(absent.allowed_lateness))
        if window is None:
            return cls("each", Decimal(0), _ZERO, _ZERO)
        within = duration(window.within), duration(window.allowed_lateness)
        if window.count is not None:
            return cls("count", Decimal(window.count), *within)
        if window.sum:
            return cls("sum", window.sum.at_least, *within)
        assert window.distinct is not None
        return cls("distinct", window.distinct.at_least, *within)


def _measured(window: Window | None) -> Measured | None:
    threshold = window and (window.sum or window.distinct)
    return Measured(threshold.field) if threshold else None
