"""Prometheus' alerts and Grafana's dashboard ask for metrics that there are, and their remedies can be carried out."""

import json
import re
from typing import Any, get_args

import pytest
import yaml
from typer.testing import CliRunner

from signalops.cli import app
from signalops.config import Settings
from signalops.send.message_models import OutcomeKind
from signalops.watch.metrics.definitions import METRICS
from tests.docs.promql import labels_of, selectors_of
from tests.support.paths import ROOT

WATCH = ROOT / "signalops" / "watch"
SCHEMA = (ROOT / "sql" / "schema.sql").read_text()
PROMETHEUS = yaml.safe_load((WATCH / "prometheus" / "prometheus.yml").read_text())
ALERTS = [
    alert
    for file in PROMETHEUS["rule_files"]
    for group in yaml.safe_load((WATCH / "prometheus" / file).read_text())["groups"]
    for alert in group["rules"]
]
DASHBOARD = json.loads((WATCH / "grafana" / "signalops.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [target for panel in PANELS for target in panel["targets"]]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_what_there_is_and_tells_what_to_do(alert: dict[str, Any]) -> None:
    labels = labels_of(alert["expr"])
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description"}
    assert set(re.findall(r"\$labels\.(\w+)", " ".join(annotations.values()))) <= labels
    assert alert["labels"]["severity"] in {"critical", "warning"}
    settings = {f"SIGNALOPS_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"SIGNALOPS_[A-Z_]+", annotations["description"])) <= settings
    for name in re.findall(r"\bops\.(\w+)", annotations["description"]):
        assert re.search(rf"CREATE (VIEW|FUNCTION) ops\.{name}\b", SCHEMA), f"there is no ops.{name}"


def test_every_command_of_a_remedy_exists() -> None:
    remedies = " ".join(alert["annotations"]["description"] for alert in ALERTS)
    commands = set(re.findall(r"`signalops ([a-z]+)(?: ([a-z]+))?", remedies))
    groups = {group.name for group in app.registered_groups}
    assert commands
    for command, word in commands:
        result = CliRunner().invoke(app, [command, *([word] if command in groups else []), "--help"])
        assert result.exit_code == 0, result.output


def test_alerts_differ_in_name_and_watch_jobs_that_are_scraped() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)
    scraped = {job["job_name"] for job in PROMETHEUS["scrape_configs"]}
    for pattern in re.findall(r'job=~?"([^"]+)"', " ".join(alert["expr"] for alert in ALERTS)):
        assert any(re.fullmatch(pattern, job) for job in scraped), pattern


def test_the_dashboard_shows_every_metric_and_every_alert() -> None:
    shown = [selector for target in TARGETS for selector in selectors_of(target["expr"])]
    assert {name for name, _ in shown} == METRICS.keys() | {"up", "ALERTS"}
    filters = [values["alertname"] for name, values in shown if name == "ALERTS"]
    assert filters
    assert all(re.fullmatch(name, alert["alert"]) for name in filters for alert in ALERTS)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"{panel['id']}-{panel['title']}")
def test_a_panel_asks_for_what_there_is_by_the_chosen_data_source(panel: dict[str, Any]) -> None:
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["title"]
    assert panel["description"].endswith(".")
    for target in panel["targets"]:
        labels = labels_of(target["expr"])
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels
        distinct = "{{" in target["legendFormat"] or target.get("format") == "table"
        assert distinct == bool(labels), f"each line of {panel['title']} needs a name of its own"


def test_what_is_asked_for_are_values_that_there_are() -> None:
    """The states and outcomes stand in a metric's help, or in terms; a wrong one would make an alert that never fires."""
    queues = re.search(r"FUNCTION ops\.queues.*?ARRAY\[(.*?)\];", SCHEMA, re.DOTALL)
    assert queues
    words = {*get_args(OutcomeKind), *re.findall(r"'(\w+)'", queues[1])}
    used = [selector for query in (*ALERTS, *TARGETS) for selector in selectors_of(query["expr"])]
    for name, values in used:
        known = words.union(re.findall(r"\w+", METRICS[name].help)) if name in METRICS else set[str]()
        expected = {v for label in {"state", "outcome", "queue"} & values.keys() for v in values[label].split("|")}
        assert expected <= known, f"{name} has never {expected - known}"


def test_panels_stand_beside_each_other() -> None:
    assert [v["name"] for v in DASHBOARD["templating"]["list"] if v["type"] == "datasource"] == ["datasource"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("signalops_evnts_total", "no metric"),
        ('signalops_jobs{status="failed"}', "no label status"),
        ("sum by (kind) (signalops_jobs)", "no label kind"),
        ("signalops_lag_seconds", "never exposed"),
        ("histogram_quantile(0.9, sum(rate(signalops_lag_seconds_bucket[5m])))", "no label le"),
        ("max by (queue) (signalops_jobs) > max by (state) (signalops_jobs)", "no pair"),
        ("signalops_jobs unless on (kind) signalops_deliveries", "no label kind"),
    ],
)
def test_the_check_of_queries_finds_faults(query: str, fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        labels_of(query)
