"""The commands that look at the past and run it again, beside a real worker."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from signalops import cli, config
from signalops.config import Settings
from tests.chaos.processes import worker
from tests.people import make_rule
from tests.station.rules.backtest.conftest import START, World

FROM = f"{START:%Y-%m-%dT%H:%M:%S}"


class Command:
    """Runs commands on the test's database, in a thread: they have an event loop of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    async def __call__(self, *arguments: str) -> tuple[object, str]:
        """Return the exit code, and what was printed."""
        self._monkeypatch.setattr(sys, "argv", ["signalops", *arguments])
        self._capfd.readouterr()
        code = await asyncio.to_thread(self._run)
        return code, self._capfd.readouterr().out

    def _run(self) -> object:
        try:
            cli.main()
        except SystemExit as ended:
            return ended.code or 0
        raise AssertionError("a command ends with an exit code")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, settings: Settings, capfd: pytest.CaptureFixture[str]) -> Command:
    assert settings.database_url
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    config.settings.cache_clear()
    return Command(monkeypatch, capfd)


async def test_a_draft_beside_the_stored_rule(
    world: World, settings: Settings, command: Command, tmp_path: Path
) -> None:
    world.store([{"plan": "pro"}, {"plan": "free"}])
    rule = make_rule(world.owner, world.tenant, {"payload": {"plan": ["pro"]}})
    file = tmp_path / "rule.json"
    file.write_text(
        json.dumps(world.draft({"payload": {"plan": ["free"]}}, template={"subject": "{{ payload.plan }}!"}))
    )
    async with worker(settings):
        arguments = ("rule", "backtest", "--tenant", "acme", "--rule", str(rule), "--from", FROM)
        code, out = await command(*arguments, "--file", str(file))
        assert (code, out.splitlines()[:3]) == (
            0,
            [
                "2 events, 1 matches, 1 notifications.",
                "  notified: 1",
                "Version 1 has 1 matches: 1 are new, 1 are gone.",
            ],
        )
        assert out.rstrip().endswith("event free!")
        code, out = await command(*arguments, "--json")
        assert (code, json.loads(out)["result"]["matched"]) == (0, 1)


async def test_a_backtest_of_nothing_is_refused(world: World, command: Command) -> None:
    code, _ = await command("rule", "backtest", "--tenant", "acme", "--from", FROM)
    assert code == "signalops: Name a stored rule (--rule), a draft (--file), or both to compare them."


async def test_a_replay(world: World, command: Command) -> None:
    events = world.store([{"plan": "pro"}, {"plan": "free"}])
    rule = make_rule(world.owner, world.tenant, {"payload": {"plan": ["pro"]}})
    arguments = ("replay", "--tenant", "acme", "--reason", "lost", "--from", FROM, "--to", "2100-01-01")
    code, out = await command(*arguments, "--dry-run", "--json")
    assert (code, json.loads(out)["events"]) == (0, 2)
    assert world.count("inbox") == 0
    code, out = await command(
        "replay", "--tenant", "acme", "--reason", "lost", "--event", events[0], "--rule", str(rule), "--json"
    )
    assert (code, json.loads(out)["events"], world.count("inbox")) == (0, 1, 1)
    code, out = await command(*arguments)
    assert (code, world.count("inbox")) == (0, 2)
    assert out.split()[:2] == ["events", "waiting"]
