"""A tenant's meters as they count: compiled together."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from signalops.patterns import Fields, Grouping, Measured, Pattern, RuleSet, compile_pattern, upgrade
from signalops.usage.meters.model import MOST_VALUES
from signalops.usage.meters.scales import Meter, Reading

Row = Mapping[str, Any]


class CompiledMeters(NamedTuple):
    """A tenant's meters; `version` is that of its metering, `size` about how many bytes they take."""

    version: int
    matching: RuleSet[Meter]
    fields: Fields
    size: int = 0

    def read(self, seen: Mapping[str, Any]) -> Iterator[tuple[Meter, Reading, str]]:
        """Yield each meter that counts an event, with what it reads off it and the key of the group.

        A quarter of a megabyte can be one array: fifty meters look at it once, and those that ask the same share the answer.
        """
        if not (matching := self.matching.match(seen)):
            return
        fields = self.fields.of(seen)
        readings: dict[object, Reading | None] = {}
        groups: dict[tuple[str, ...], str] = {}
        for meter in matching:
            asked = (meter.aggregation, meter.measured)
            if asked not in readings:
                readings[asked] = meter.read(fields)
            if (reading := readings[asked]) is None:
                continue
            paths = meter.grouping.paths
            if paths not in groups:
                groups[paths] = meter.grouping.of(fields).key
            yield meter, reading, groups[paths]


NO_METERS = CompiledMeters(0, RuleSet[Meter]({}), Fields((), 0))


def compile_meters(version: int, rows: Iterable[Row], report: Callable[[str, str], None]) -> CompiledMeters:
    """Compile stored meters; report the key of one that can't be, with the reason.

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
        patterns[Meter(row["key"], row["aggregation"], measured, Grouping(row["group_by"]))] = pattern
    matching = RuleSet(patterns)
    fields = Fields([*measures, *(path for meter in patterns for path in meter.grouping.paths)], MOST_VALUES)
    return CompiledMeters(version, matching, fields, matching.size)
