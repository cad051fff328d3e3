"""The metric instruments of this process, from the table of definitions; several API processes share theirs."""

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from signalops.watch.metrics.definitions import COUNTED, METRICS, Part

Measurement = tuple[str, dict[str, str], float]
"""What one series of a gauge is now: name, labels, value."""

disable_created_metrics()  # a series more for each, which nobody reads
REGISTRY = CollectorRegistry()
"""What this process counts itself."""
ProcessCollector(registry=REGISTRY)


@cache
def counter(name: str, *labels: str) -> Counter:
    """Return the counter of a name and labels; labels have few values, since each series is kept."""
    return _counter(name).labels(*labels) if labels else _counter(name)


@cache
def histogram(name: str, *labels: str) -> Histogram:
    """Return the histogram of a name for some labels."""
    return _histogram(name).labels(*labels) if labels else _histogram(name)


@cache
def gauge(name: str, *labels: str) -> Gauge:
    """Return the gauge of a name for some labels; of several processes the values of those that live are added up."""
    return _gauge(name).labels(*labels) if labels else _gauge(name)


@cache
def _counter(name: str) -> Counter:
    return Counter(name, METRICS[name].help, METRICS[name].labels, registry=REGISTRY)


@cache
def _histogram(name: str) -> Histogram:
    metric = METRICS[name]
    return Histogram(name, metric.help, metric.labels, registry=REGISTRY, buckets=metric.bounds)


@cache
def _gauge(name: str) -> Gauge:
    return Gauge(name, METRICS[name].help, METRICS[name].labels, registry=REGISTRY, multiprocess_mode="livesum")


class _Measured(Collector):
    def __init__(self, measured: Iterable[Measurement]) -> None:
        self._measured = list(measured)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, labels, value in self._measured:
            metric = METRICS[name]
            family = families.setdefault(name, GaugeMetricFamily(name, metric.help, labels=metric.labels))
            family.add_metric([labels[label] for label in metric.labels], value)
        return families.values()


def exposition(measured: Iterable[Measurement]) -> bytes:
    """Return all metrics in Prometheus' text format 0.0.4: what processes counted, and what was measured just now."""
    gauges = CollectorRegistry(auto_describe=False)
    gauges.register(_Measured(measured))
    return generate_latest(_counted()) + generate_latest(gauges)


def _counted() -> CollectorRegistry:
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return REGISTRY
    _remove_files_of_dead(Path(folder))
    counted = CollectorRegistry(auto_describe=False)
    counted.register(_Shared(Path(folder)))
    return counted


class _Shared(Collector):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        # The library's own collector fails at a file that a process has opened and not filled yet, or was killed in between.
        filled = [str(file) for file in self._folder.glob("*.db") if _is_filled(file)]
        counted: Iterable[Metric] = MultiProcessCollector.merge(filled, accumulate=True)
        return counted


def _is_filled(file: Path) -> bool:
    with suppress(FileNotFoundError):  # dropped by another process
        return file.stat().st_size > 0
    return False


def _remove_files_of_dead(folder: Path) -> None:
    """Drop the gauges of processes that have ended, however they did; what they counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another process was faster
                mark_process_dead(process, str(folder))


def begin(part: Part) -> None:
    """Create the instruments without labels: a missing series can't be alerted on.

    Not those that another process counts, whose 0 here would be wrong.
    """
    makers = {"counter": counter, "histogram": histogram, "gauge": gauge}
    for metric in COUNTED:
        if not metric.labels and metric.part in (None, part):
            makers[metric.kind](metric.name)
