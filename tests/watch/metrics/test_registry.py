"""What a process exports: what it counts itself, from its start, and nothing of another part."""

import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from signalops.watch.metrics.definitions import COUNTED

PROGRAM = "from signalops.watch.metrics.registry import begin, exposition; begin({part!r}); print(exposition([]).decode())"


def exported(part: str) -> set[str]:
    """Return the names of what a process of a part exports before anything has happened."""
    program = [sys.executable, "-c", PROGRAM.format(part=part)]
    text = subprocess.run(program, capture_output=True, check=True, timeout=20, text=True).stdout
    return {family.name for family in text_string_to_metric_families(text) if family.name.startswith("signalops_")}


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_part_exports_what_it_counts_and_nothing_of_the_other(part: str) -> None:
    names = exported(part)
    own = {metric.name for metric in COUNTED if metric.part in (None, part) and not metric.labels}
    assert names == {name.removesuffix("_total") for name in own}


def test_the_parts_count_different_things() -> None:
    api, worker = exported("api"), exported("worker")
    assert api & worker == {"signalops_clock_correction_seconds"}
    assert {"signalops_processed_events", "signalops_batches", "signalops_lag_seconds"} <= worker - api
    assert {"signalops_flush_events", "signalops_flush_seconds"} <= api - worker
