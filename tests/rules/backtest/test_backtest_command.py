"""The commands that look at the past and run it again, beside a real worker."""

import json
from pathlib import Path

from signalops.config import Settings
from tests.support.command import Run, beside
from tests.support.processes import worker
from tests.support.rules import make_rule
from tests.support.worlds.backtesting import START, Backtesting

FROM = f"{START:%Y-%m-%dT%H:%M:%S}"


async def test_a_draft_beside_the_stored_rule(
    backtesting: Backtesting, settings: Settings, signalops: Run, tmp_path: Path
) -> None:
    backtesting.store([{"plan": "pro"}, {"plan": "free"}])
    rule = make_rule(backtesting.owner, backtesting.tenant, {"payload": {"plan": ["pro"]}})
    file = tmp_path / "rule.json"
    file.write_text(json.dumps(backtesting.draft({"payload": {"plan": ["free"]}}, template={"subject": "{{ payload.plan }}!"})))
    async with worker(settings):
        arguments = ("rule", "backtest", "--tenant", "acme", "--rule", str(rule), "--from", FROM)
        code, out, _ = await beside(signalops, *arguments, "--file", str(file))
        assert (code, out.splitlines()[:3]) == (
            0,
            ["2 events, 1 matches, 1 notifications.", "  notified: 1", "Version 1 has 1 matches: 1 are new, 1 are gone."],
        )
        assert out.rstrip().endswith("event free!")
        code, out, _ = await beside(signalops, *arguments, "--json")
        assert (code, json.loads(out)["result"]["matched"]) == (0, 1)


async def test_a_backtest_of_nothing_is_refused(backtesting: Backtesting, signalops: Run) -> None:
    code, _, err = await beside(signalops, "rule", "backtest", "--tenant", "acme", "--from", FROM)
    assert code == 1
    assert err == "signalops: Name a stored rule (--rule), a draft (--file), or both to compare them."


async def test_a_replay(backtesting: Backtesting, signalops: Run) -> None:
    events = backtesting.store([{"plan": "pro"}, {"plan": "free"}])
    rule = make_rule(backtesting.owner, backtesting.tenant, {"payload": {"plan": ["pro"]}})
    arguments = ("replay", "--tenant", "acme", "--reason", "lost", "--from", FROM, "--to", "2100-01-01")
    code, out, _ = await beside(signalops, *arguments, "--dry-run", "--json")
    assert (code, json.loads(out)["events"]) == (0, 2)
    assert backtesting.number_of("select from signalops.inbox") == 0
    code, out, _ = await beside(
        signalops, "replay", "--tenant", "acme", "--reason", "lost", "--event", events[0], "--rule", str(rule), "--json"
    )
    assert (code, json.loads(out)["events"], backtesting.number_of("select from signalops.inbox")) == (0, 1, 1)
    code, out, _ = await beside(signalops, *arguments)
    assert (code, backtesting.number_of("select from signalops.inbox")) == (0, 2)
    assert out.split()[:2] == ["events", "waiting"]
