"""signalops limit: limits are set, listed and removed on the command line."""

import json

import psycopg
import pytest

from tests.support.command import Run
from tests.support.tenants import Tenant


@pytest.fixture
def so(signalops: Run, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command for acme."""
    monkeypatch.setenv("SIGNALOPS_TENANT", acme.slug)
    return signalops


def test_a_limit_is_set_listed_and_removed(so: Run) -> None:
    assert so("limit", "set", "--soft", "100", "--hard", "120.5", "--thresholds", "80,50").code == 0
    (limit,) = json.loads(so("limit", "list", "--json").out)
    expected = {"meter": "events", "origin": "tenant", "soft": "100", "hard": "120.5", "thresholds": [50, 80]}
    assert {name: limit[name] for name in expected} == expected
    assert so("limit", "set", "--hard", "5", "--overage", "accept", "--json").code == 0
    (limit,) = json.loads(so("limit", "list", "--json").out)
    assert (limit["soft"], limit["hard"], limit["overage"]) == (None, "5", "accept")
    assert "accept" in so("limit", "list").out
    assert so("limit", "delete").code == 0
    assert json.loads(so("limit", "list", "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["set", "--soft", "2", "--hard", "1"], "hard must not be less than soft"),
        (["set"], "name soft, hard or both"),
        (["set", "--hard", "many"], "hard"),
        (["set", "--hard", "1", "--thresholds", "50,most"], "thresholds: write whole percentages"),
        (["set", "--hard", "1", "--meter", "unknown"], "there is no meter 'unknown' that counts or sums"),
        (["delete"], "no limit of its own on events"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(so: Run, arguments: list[str], expected: str) -> None:
    done = so("limit", *arguments)
    assert (done.code, done.out) == (1, "")
    assert expected in done.err


def test_a_tenant_is_made_with_limits(signalops: Run, owner: psycopg.Connection) -> None:
    assert signalops("tenant", "create", "small", "--soft", "3", "--hard", "4").code == 0
    (limit,) = json.loads(signalops("tenant", "show", "small").out)["limits"]
    assert (limit["soft"], limit["hard"]) == ("3", "4")
    assert owner.execute("select meter, origin, soft, hard from signalops.limits").fetchall() == [("events", "tenant", 3, 4)]
