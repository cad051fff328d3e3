"""signalops usage, adjust and tenant update: what was counted, corrections of it, and the time zone it is counted in."""

import json

import psycopg
import pytest

from signalops import clock
from tests.support.command import Run
from tests.support.counters import Counters
from tests.support.tenants import Tenant

ADJUST = ("usage", "adjust", "--tenant", "acme", "--reason", "sent twice", "--author", "ann")


@pytest.fixture
def counters(owner: psycopg.Connection, acme: Tenant) -> Counters:
    counters = Counters(owner, acme)
    counters.count(clock.now(), 10)
    return counters


def test_usage_is_printed_for_people_and_for_scripts(signalops: Run, counters: Counters) -> None:
    done = signalops("usage", "show", "--tenant", "acme")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split() for line in lines[:3]] == [["meter:", "events"], ["name:", "Events"], ["aggregation:", "count"]]
    assert lines[-1].split()[4:] == ["10", "10"]
    period = f"{clock.now():%Y-%m}"
    used = json.loads(signalops("usage", "show", "--tenant", "acme", "--period", period, "--window", "none", "--json").out)
    assert (used["period"], used["processed"], len(used["windows"])) == (period, 10, 1)
    assert "period: must be a month, such as 2026-11" in signalops("usage", "show", "--tenant", "acme", "--period", "May").err
    assert "There is no meter 'x'" in signalops("usage", "show", "--tenant", "acme", "--meter", "x").err


def test_usage_is_printed_by_group(signalops: Run, counters: Counters) -> None:
    meter = counters.make_meter("traffic", "sum", ["payload.region"])
    for region in ("eu", "us"):
        counters.count(clock.now(), meter=meter, aggregation="sum", group_key=f'["{region}"]', value="0.5")
    arguments = ("usage", "show", "--tenant", "acme", "--meter", meter)
    assert signalops(*arguments, "--by-group").out.count('{"payload.region":') == 2
    used = json.loads(signalops(*arguments, "--group", '{"payload.region": "eu"}', "--json").out)
    assert used["quantity"] == "0.5"


def test_usage_is_adjusted_once(signalops: Run, counters: Counters) -> None:
    once = (*ADJUST, "--quantity", "-3", "--idempotency-key", "k")
    done = signalops(*once)
    assert done.out.startswith("events of acme is adjusted by -3; ")
    assert signalops(*once).out.startswith("events of acme was adjusted before by -3; ")
    assert json.loads(signalops("usage", "show", "--tenant", "acme", "--json").out)["quantity"] == "7"
    made = json.loads(signalops(*ADJUST, "--quantity", "2", "--json").out)
    assert (made["isNew"], made["quantity"], made["author"]) == (True, "2", "ann")
    assert "at: is more than 35 days ago" in signalops(*ADJUST, "--quantity", "2", "--at", "2020-01-01T00:00:00Z").err


def test_a_tenant_gets_its_time_zone_before_anything_is_counted(signalops: Run, owner: psycopg.Connection) -> None:
    assert signalops("tenant", "create", "berlin", "--time-zone", "Europe/Berlin").code == 0
    assert json.loads(signalops("usage", "show", "--tenant", "berlin", "--json").out)["timeZone"] == "Europe/Berlin"
    assert signalops("tenant", "update", "berlin", "--time-zone", "Asia/Kolkata").code == 0
    assert "Asia/Kolkata" in signalops("tenant", "list").out
    signalops("usage", "adjust", "--tenant", "berlin", "--reason", "r", "--author", "a", "--quantity", "1")
    done = signalops("tenant", "update", "berlin", "--time-zone", "UTC")
    assert (done.code, done.err) == (
        1,
        "signalops: The time zone can't be set: the tenant berlin has usage in the time zone Asia/Kolkata, which is fixed by "
        "that: make another tenant.",
    )
    for zone in ("Europe/Atlantis", "CET"):
        refused = f"there is no time zone '{zone}': write a name such as Europe/Berlin or UTC."
        assert refused in signalops("tenant", "update", "berlin", "--time-zone", zone).err
        assert refused in signalops("tenant", "create", "other", "--time-zone", zone).err


def test_adjusting_usage_is_a_scope_that_keys_get_on_request(signalops: Run, acme: Tenant) -> None:
    made = json.loads(signalops("key", "create", "--tenant", "acme", "--json").out)
    assert "usage:read" in made["scopes"]
    assert "usage:adjust" not in made["scopes"]
    made = json.loads(signalops("key", "create", "--tenant", "acme", "--scope", "usage:adjust", "--json").out)
    assert made["scopes"] == ["usage:adjust"]
