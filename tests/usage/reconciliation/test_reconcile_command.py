"""signalops audit: what it says and exits with; and months whose events have outlived their retention."""

from collections.abc import Awaitable, Callable

import pytest

from tests.support.command import Done, Run, beside
from tests.usage.reconciliation.conftest import UsageHistory

FORGED = "update signalops.usage_daily set quantity = quantity + 1 where meter = 'm_sum'"


Audit = Callable[..., Awaitable[Done]]


@pytest.fixture
def audit(command: Run, monkeypatch: pytest.MonkeyPatch) -> Audit:
    """Runs the command on the database of a history."""

    async def run(history: UsageHistory, *arguments: str) -> Done:
        assert history.settings.database_url
        monkeypatch.setenv("DATABASE_URL", history.settings.database_url.get_secret_value())
        return await beside(command, "usage", "reconcile", *arguments)

    return run


async def test_it_says_what_was_checked_and_that_all_is_proven(proven: UsageHistory, audit: Audit) -> None:
    done = await audit(proven)
    assert (done.code, done.err) == (0, "")
    assert "2 tenants" in done.out
    assert "Every figure is proven." in done.out
    of_one = (await audit(proven, "--tenant", "acme", "--json")).json
    assert of_one["differences"] == []
    assert of_one["checked"]["tenants"] == 1
    assert min(of_one["checked"].values()) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--tenant", "nobody"), "There is no tenant 'nobody'"), (("--period", "2026-13"), "is no billing period")],
)
async def test_what_there_is_not_is_refused(proven: UsageHistory, audit: Audit, arguments: tuple[str, str], message: str) -> None:
    done = await audit(proven, *arguments)
    assert done.code == 1
    assert message in done.err


async def test_a_difference_is_told_in_its_period_and_exits_with_one(history: UsageHistory, audit: Audit) -> None:
    await history.live()
    query = "update signalops.usage_counters set value = value + 1 where meter = 'm_sum' and period = "
    query += "(select max(period) from signalops.usage_counters) returning to_char(period, 'YYYY-MM')"
    raised = [period for (period,) in history.owner.execute(query.encode())]
    done = await audit(history)
    assert done.code == 1
    assert f"{len(raised)} differences" in done.out
    differences = (await audit(history, "--json")).json["differences"]
    assert {(d["tenant"], d["check"], d["period"]) for d in differences} == {("acme", "counter", raised[0])}
    assert (await audit(history, "--period", raised[0])).code == 1
    for other in (
        "2026-01",
        *{p for (p,) in history.owner.execute("select to_char(period, 'YYYY-MM') from signalops.usage_hash_chain")},
    ):
        assert (await audit(history, "--period", other)).code == 0


@pytest.mark.parametrize("tables", [("events",), ("events", "usage_entries", "batch_results")], ids=["events", "all"])
async def test_seals_prove_what_has_outlived_its_events(history: UsageHistory, audit: Audit, tables: tuple[str, ...]) -> None:
    await history.live()
    history.outlive(*tables)
    assert history.owner.execute("select from signalops.events").fetchall() == []
    done = await audit(history, "--json")
    assert (done.code, done.json["differences"]) == (0, [])
    with history.owner.transaction():
        history.owner.execute("set local session_replication_role = replica")
        history.owner.execute(FORGED)
    done = await audit(history, "--json")
    assert done.code == 1
    assert {d["check"] for d in done.json["differences"]} == {"sealed", "chain"}
