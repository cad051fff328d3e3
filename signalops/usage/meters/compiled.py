"""A tenant's meters as they count: compiled together."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from signalops.patterns import Grouping, Measured, Pattern, RuleSet, compile_pattern, upgrade
from signalops.usage.meters.scales import Meter

Row = Mapping[str, Any]


class CompiledMeters(NamedTuple):
    """A tenant's meters; `version` is that of its metering, `size` about how many bytes they take."""

    version: int
    matching: RuleSet[Meter]
    size: int = 0


NO_METERS = CompiledMeters(0, RuleSet[Meter]({}))


def compile_meters(version: int, rows: Iterable[Row], report: Callable[[str, str], None]) -> CompiledMeters:
    """Compile stored meters; report the key of one that can't be, with the reason.

    Meters are checked before they are stored; one that was written by hand must not stop the others.
    """
    patterns: dict[Meter, Pattern] = {}
    for row in rows:
        try:
            pattern = compile_pattern(upgrade(row["grammar"], row["pattern"]))
        except ValueError as error:
            report(row["key"], str(error))
            continue
        measured = Measured(row["field"]) if row["field"] else None
        patterns[Meter(row["key"], row["aggregation"], measured, Grouping(row["group_by"]))] = pattern
    matching = RuleSet(patterns)
    return CompiledMeters(version, matching, matching.size)
