"""Constants: one definition, in SQL; what Python, the alerts of Prometheus and the documentation say of them is the same."""

import re
from pathlib import Path

import psycopg
import pytest
import yaml

from signalops import constants
from tests.support.paths import ROOT

ALERTS = ROOT / "signalops" / "watch" / "prometheus" / "alerts.yml"
DEFINED = """
  select p.proname from pg_proc p where p.pronamespace = 'signalops'::regnamespace and p.pronargs = 0
    and pg_get_functiondef(p.oid) ~ 'IMMUTABLE' and p.prorettype in ('integer'::regtype, 'interval'::regtype)"""
CONSTANTS_IN_TEXT = {
    "signalops/send/README.md": (
        r"the (?P<circuit_failures>fifth) failure in a row",
        r"opens a send target's circuit for (?P<circuit_pause>\d+ s)",
        r"up to (?P<circuit_max_pause>\d+ minutes)",
    ),
    "signalops/web/README.md": (r"After (?P<circuit_failures>five) failures in a row",),
    "signalops/rules/README.md": (r"the first (?P<digest_events>\d+) events",),
    "signalops/watch/README.md": (
        r"events wait for longer than (?P<events_wait_alert>\d+ seconds)",
        r"deliveries are due for longer than (?P<deliveries_wait_alert>\d+ seconds)",
        r"no partitions for the next (?P<partitions_ahead_alert>two) months",
    ),
}
WORDS = {"two": 2, "five": 5, "fifth": 5}
BOUNDS = {
    "SignalOpsEventsWait": (r"signalops_inbox_oldest_seconds\) > (\d+)", "events_wait_alert"),
    "SignalOpsPartitionsMissing": (r"signalops_partition_months_ahead\) < (\d+)", "partitions_ahead_alert"),
}


def value(owner: psycopg.Connection, name: str) -> float:
    """Return a constant as PostgreSQL has it; a span of time in seconds."""
    row = owner.execute(f"select to_jsonb(signalops.{name}())".encode()).fetchone()
    assert row
    if isinstance(row[0], str):
        row = owner.execute(f"select extract(epoch from signalops.{name}())::float8".encode()).fetchone()
        assert row
    return float(row[0])


def test_python_reads_what_sql_defines(owner: psycopg.Connection) -> None:
    names = [name for (name,) in owner.execute(DEFINED.encode())]
    assert len(names) > 20
    read = constants._all()
    assert sorted(names) == sorted(read)
    for name, text in read.items():
        of_python = constants.seconds(name) if " " in text else constants.number(name)
        assert of_python == value(owner, name)


@pytest.mark.parametrize(("file", "pattern"), [(f, pattern) for f, patterns in CONSTANTS_IN_TEXT.items() for pattern in patterns])
def test_the_documentation_says_the_same(owner: psycopg.Connection, file: str, pattern: str) -> None:
    found = re.search(pattern, Path(ROOT / file).read_text(encoding="utf-8"))
    assert found, "the sentence is gone"
    ((name, quoted),) = found.groupdict().items()
    amount, _, unit = quoted.partition(" ")
    number = WORDS.get(amount) or int(amount)
    assert number * (60 if unit == "minutes" else 1) == value(owner, name)


@pytest.mark.parametrize("alert", BOUNDS)
def test_prometheus_alerts_at_the_same_bounds(owner: psycopg.Connection, alert: str) -> None:
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    (expression,) = [rule["expr"] for rule in rules if rule["alert"] == alert]
    pattern, name = BOUNDS[alert]
    found = re.search(pattern, expression)
    assert found
    assert float(found[1]) == value(owner, name)
