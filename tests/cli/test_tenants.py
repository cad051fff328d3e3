"""signalops tenant: suspend and close tenants, set rate limits and plan versions on the command line."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.command import Run
from tests.support.tenants import Tenant

BECAUSE = ("--reason", "The invoice of October is not paid.")


def shown(signalops: Run) -> dict[str, Any]:
    done = signalops("tenant", "show", "acme")
    assert (done.code, done.err) == (0, "")
    printed: dict[str, Any] = json.loads(done.out)
    return printed


def test_a_tenant_is_suspended_resumed_and_closed(signalops: Run, acme: Tenant) -> None:
    assert (shown(signalops)["status"], shown(signalops)["statusReason"]) == ("active", None)
    done = signalops("tenant", "suspend", "acme", *BECAUSE)
    assert done.out == "acme is suspended. To let it in again: signalops tenant resume acme\n"
    assert (shown(signalops)["status"], shown(signalops)["statusReason"]) == ("suspended", BECAUSE[1])
    assert signalops("tenant", "suspend", "acme", *BECAUSE).code == 1
    assert signalops("tenant", "resume", "acme").out == "acme is active.\n"
    assert (shown(signalops)["status"], shown(signalops)["statusReason"]) == ("active", None)
    done = signalops("tenant", "close", str(acme.id), "--yes", "--reason", "The contract has ended.")
    assert (done.code, "is closed" in done.out) == (0, True)
    assert (shown(signalops)["status"], shown(signalops)["plan"]) == ("closed", "free")


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (("resume", "acme"), "The tenant is closed"),
        (("suspend", "acme", *BECAUSE), "The tenant is closed"),
        (("plan", "acme", "free"), "The tenant is closed permanently: make another tenant."),
    ],
)
def test_what_is_closed_stays_closed(signalops: Run, acme: Tenant, arguments: tuple[str, ...], printed: str) -> None:
    assert signalops("tenant", "close", "acme", "--yes", *BECAUSE).code == 0
    done = signalops("tenant", *arguments)
    assert (done.code, done.out) == (1, "")
    assert printed in done.err
    assert shown(signalops)["status"] == "closed"


def test_each_field_is_set_and_what_may_be_empty_cleared(signalops: Run, acme: Tenant) -> None:
    rate = ("--rate-limit", '{"eventsPerSecond": 2.5, "burst": 10}')
    done = signalops("tenant", "update", "acme", "--name", "Acme Inc.", *rate, "--retention-days", "90")
    assert (done.code, done.out, done.err) == (0, "Tenant acme is changed.\n", "")
    assert shown(signalops)["rateLimit"] == {"eventsPerSecond": 2.5, "burst": 10}
    assert (shown(signalops)["name"], shown(signalops)["retentionDays"]) == ("Acme Inc.", 90)
    for wrong in (
        *(("--rate-limit", "10"), ("--rate-limit", '{"burst": 10}')),
        *(("--name", ""), ("--retention-days", "0"), ("--retention-days", "x")),
    ):
        assert signalops("tenant", "update", "acme", *wrong).code == 1
    assert shown(signalops)["rateLimit"] == {"eventsPerSecond": 2.5, "burst": 10}
    changed = json.loads(signalops("tenant", "update", "acme", "--rate-limit", "null", "--json").out)
    assert (changed["rateLimit"], changed["retentionDays"], changed["name"]) == (None, 90, "Acme Inc.")
    assert signalops("tenant", "update", str(acme.id), "--retention-days", "null").code == 0
    assert shown(signalops)["retentionDays"] is None


def test_a_tenant_gets_another_version_than_the_newest(
    signalops: Run, owner: psycopg.Connection, acme: Tenant, tmp_path: Path
) -> None:
    file = tmp_path / "gold.json"
    for fee in ("31.00", "62.00"):
        file.write_text(json.dumps({"name": "Gold", "currency": "USD", "baseFee": fee}))
        assert signalops("plan", "create", "gold", "--file", str(file)).code == 0
    give = ("tenant", "plan", "acme", "gold", "--at-once", "--author", "ann")
    assert "there is no version 3 of a plan 'gold'" in signalops(*give, "--version", "3").err
    assert signalops(*give, "--version", "1").out.startswith("acme has version 1 of plan gold from ")
    assert shown(signalops)["plan"] == "gold"
    fees = "select version, terms ->> 'baseFee', author from signalops.subscriptions where plan = 'gold'"
    assert owner.execute(fees).fetchall() == [(1, "31.00", "ann")]
    assert signalops(*give).out.startswith("acme has version 2 of plan gold from ")


@pytest.mark.parametrize(
    "arguments", [("show",), ("suspend", *BECAUSE), ("resume",), ("close", "--yes", *BECAUSE), ("update", "--name", "n")]
)
def test_a_tenant_that_there_is_not_is_said(signalops: Run, acme: Tenant, arguments: tuple[str, ...]) -> None:
    command, *more = arguments
    done = signalops("tenant", command, "nobody", *more)
    assert (done.code, done.out) == (1, "")
    assert "There is no such tenant: check its id or slug." in done.err


def test_a_reason_is_not_empty(signalops: Run, acme: Tenant) -> None:
    for command in (("suspend",), ("close", "--yes")):
        assert signalops("tenant", *command, "acme", "--reason", "").code == 1
    assert shown(signalops)["status"] == "active"


def test_what_is_suspended_already_is_said(signalops: Run, acme: Tenant) -> None:
    assert signalops("tenant", "suspend", "acme", *BECAUSE).code == 0
    again = signalops("tenant", "suspend", "acme", *BECAUSE)
    assert (again.code, "The tenant is suspended already: a tenant becomes suspended from active." in again.err) == (1, True)
