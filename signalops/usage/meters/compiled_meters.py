"""A tenant's meters, compiled together."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

from signalops.patterns import MAX_VALUES, Fields, Grouping, Measured, Pattern, RuleSet, compile_pattern, upgrade
from signalops.usage.meters.aggregate import ALL_GROUPS, Meter, Reading

Row = Mapping[str, Any]


class CompiledMeters(NamedTuple):
    """A tenant's meters; `version` is that of its meters, `size` about how many bytes they take.

    limited: the months, by their first days, in which it has more groups and distinct values than are kept.
    counts_values: whether one of them counts distinct values, of which an event may have thousands.
    """

    version: int
    matching: RuleSet[Meter]
    fields: Fields
    size: int = 0
    limited: frozenset[date] = frozenset()
    counts_values: bool = False

    def read(self, seen: Mapping[str, Any], period: date | None = None) -> Iterator[tuple[Meter, Reading, str]]:
        """Yield each meter that counts an event, with what it reads off it and the key of the group.

        In a period that is limited all is one group, and no distinct values are read: sums and counts stay exact.

        A quarter of a megabyte can be one array: fifty meters look at it once, and those that ask the same share the answer.
        """
        if not (matching := self.matching.match(seen)):
            return
        fields = self.fields.of(seen)
        readings: dict[object, Reading | None] = {}
        groups: dict[tuple[str, ...], str] = {}
        for meter in matching:
            measure = (meter.aggregation, meter.measured, meter.allows_negative)
            if measure not in readings:
                readings[measure] = meter.read(fields)
            if (reading := readings[measure]) is None:
                continue
            if period in self.limited:
                yield meter, reading._replace(items=()), ALL_GROUPS
                continue
            paths = meter.grouping.paths
            if paths not in groups:
                groups[paths] = meter.grouping.of(fields).key
            yield meter, reading, groups[paths]


NO_METERS = CompiledMeters(0, RuleSet[Meter]({}), Fields((), 0))


def compile_meters(
    version: int, rows: Iterable[Row], report: Callable[[str, str], None], limited: Iterable[date] = ()
) -> CompiledMeters:
    """Compile stored meters, with the months that are limited; report the key of one that can't be, with the reason.

    Meters are checked before they are stored; one that was written by hand must not stop the others.
    """
    patterns: dict[Meter, Pattern] = {}
    measures: dict[str, Measured] = {}
    for row in rows:
        try:
            pattern = compile_pattern(upgrade(row["grammar"], row["pattern"]))
        except ValueError as error:
            report(row["key"], str(error))
            continue
        measured = measures.setdefault(row["field"], Measured(row["field"])) if row["field"] else None
        patterns[Meter(row["key"], row["aggregation"], measured, Grouping(row["group_by"]), row["allows_negative"])] = pattern
    matching = RuleSet(patterns)
    fields = Fields([*measures, *(path for meter in patterns for path in meter.grouping.paths)], MAX_VALUES)
    counts_values = any(meter.aggregation == "unique_count" for meter in patterns)
    return CompiledMeters(version, matching, fields, matching.size, frozenset(limited), counts_values)
