"""What the READMEs say is true: the settings, the problems, the commands, the SQL."""

import re

import psycopg
import pytest
from typer.testing import CliRunner

from signalops import errors, telemetry
from signalops.cli import app
from signalops.config import Settings
from signalops.errors import Problem
from signalops.logs.lines import ALARMING, VARYING
from signalops.watch.metrics.definitions import METRICS
from tests.support.paths import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "signalops/web/README.md", "signalops/OPERATIONS.md", "tests/bench/README.md")),
    *(ROOT / "signalops").rglob("README.md"),
]
README = "\n".join(page.read_text() for page in PAGES)
SETTINGS = (ROOT / "signalops" / "SETTINGS.md").read_text()
WATCH = (ROOT / "signalops" / "watch" / "README.md").read_text()
SQL_README = (ROOT / "sql" / "README.md").read_text()


def settings_table() -> str:
    """The table of settings as its page must have it."""
    rows = ["| variable | default | |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"SIGNALOPS_{name.upper()}"
        default = "" if field.default in (None, ()) else f"`{_plain(field.default)}`"
        rows.append(f"| `{variable}` | {default} | {field.description} |")
    return "\n".join(rows)


def _plain(default: object) -> str:
    return ", ".join(str(part) for part in default) if isinstance(default, tuple) else str(default)


def metrics_table() -> str:
    """The table of metrics as the README of watch must have it."""
    rows = ["| metric | kind | labels | |", "| --- | --- | --- | --- |"]
    for metric in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(rows)


def lines_table() -> str:
    """The table of the logs' lines as the README of watch must have it."""
    rows = ["| message | level | fields |", "| --- | --- | --- |"]
    for name, fields in telemetry.EVENTS.items():
        level = "warning" if name in ALARMING else "varies" if name in VARYING else "info"
        rows.append(f"| `{name}` | {level} | {', '.join(f'`{field}`' for field in fields)} |")
    return "\n".join(rows)


def test_every_line_of_the_logs_stands_in_the_readme_as_it_is() -> None:
    assert lines_table() in WATCH, f"paste this into signalops/watch/README.md, under Logs:\n\n{lines_table()}"


def test_every_metric_stands_in_the_readme_as_it_is() -> None:
    assert metrics_table() in WATCH, f"paste this into signalops/watch/README.md, under Metrics:\n\n{metrics_table()}"


def test_every_setting_stands_in_the_readme_as_it_is() -> None:
    assert settings_table() in SETTINGS, f"paste this into signalops/SETTINGS.md:\n\n{settings_table()}"


def test_every_status_of_a_problem_is_explained() -> None:
    problems = [p for p in vars(errors).values() if isinstance(p, type) and issubclass(p, Problem) and p is not Problem]
    statuses = set(re.findall(r"\b[45]\d\d\b", README))
    untold = {p.kind for p in problems if str(int(p.status)) not in statuses} - {"not-found", "method-not-allowed"}
    assert not untold
    assert len({p.kind for p in problems}) == len(problems)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^signalops ((?:[a-z]+ ?)+)", README, re.MULTILINE))))
def test_every_command_of_the_readme_exists(command: str) -> None:
    words = command.split()
    groups = {group.name for group in app.registered_groups}
    result = CliRunner().invoke(app, [*words[: 2 if words[0] in groups else 1], "--help"])
    assert result.exit_code == 0, result.output


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert named <= targets
    assert {"run", "test", "prove", "check"} <= named


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", SQL_README, re.DOTALL))
def test_every_query_of_the_cookbook_runs(query: str, owner: psycopg.Connection) -> None:
    owner.execute("set search_path = signalops, procrastinate")
    owner.execute(query.encode())


def test_every_fact_is_emitted_somewhere() -> None:
    code = "".join(path.read_text() for path in (ROOT / "signalops").rglob("*.py") if path.name != "telemetry.py")
    emitted = set(re.findall(r'emit\(\s*"([a-z_.]+)"', code))
    assert emitted == set(telemetry.EVENTS)
