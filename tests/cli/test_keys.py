"""signalops key: keys are made, listed, rotated and revoked on the command line."""

import json
from typing import Any

import psycopg
import pytest

from signalops.access.key_format import is_plausible
from tests.support.command import Run
from tests.support.tenants import Tenant

PRODUCER = ["--label", "producer", "--scope", "events:write"]


@pytest.fixture
def so(signalops: Run, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command for acme."""
    monkeypatch.setenv("SIGNALOPS_TENANT", acme.slug)
    return signalops


def listed(so: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(so("key", "list", "--json").out)
    return rows


def test_a_key_is_made_with_networks_and_an_end_rotated_and_revoked(so: Run) -> None:
    bounds = ["--expires", "2099-01-01T00:00:00Z", "--cidr", "203.0.113.0/24", "--cidr", "2001:db8::/32"]
    made = json.loads(so("key", "create", *PRODUCER, *bounds, "--test", "--json").out)
    assert is_plausible(made["key"])
    expected = {"kind": "test", "label": "producer", "scopes": ["events:write"], "expiresAt": "2099-01-01T00:00:00Z"}
    expected |= {"allowedCidrs": ["203.0.113.0/24", "2001:db8::/32"]}
    assert {name: made[name] for name in expected} == expected
    newest, _ = listed(so)
    assert "key" not in newest
    assert (newest["id"], newest["allowedCidrs"]) == (made["id"], expected["allowedCidrs"])

    new = json.loads(so("key", "rotate", made["id"], "--overlap", "1m", "--json").out)
    assert (new["replaces"], new["kind"], new["label"]) == (made["id"], "test", "producer")
    assert new["key"] != made["key"]
    _, old, _ = listed(so)
    assert old["expiresAt"] < "2099"
    assert so("key", "revoke", made["id"], "--yes").out == f"The key {made['id']} is revoked.\n"
    assert listed(so)[1]["revokedAt"] is not None
    assert listed(so)[0]["revokedAt"] is None


def test_a_key_is_shown_to_people_once(so: Run) -> None:
    key, _, sentence = so("key", "create", *PRODUCER).out.splitlines()
    assert is_plausible(key)
    made, _ = listed(so)
    assert sentence == f"This is the only time the key is shown. Its id is {made['id']}."
    out = so("key", "list").out
    assert key[:16] in out
    assert key not in out
    rotated, *_ = so("key", "rotate", made["id"]).out.splitlines()
    assert is_plausible(rotated)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cidr", "10.0.0.1/8"], "allowedCidrs.0: must be a network such as"),
        (["--expires", "2020-01-01T00:00:00Z"], "expiresAt: must be in the future"),
        (["--label", ""], "label: must have at least 1 character"),
        (["--scope", "all"], "There is no scope 'all'"),
    ],
)
def test_what_can_not_be_made_is_said_with_the_remedy(so: Run, owner: psycopg.Connection, options: list[str], words: str) -> None:
    done = so("key", "create", *options)
    assert (done.code, words in done.err) == (1, True), done
    assert owner.execute("select from signalops.api_keys").rowcount == 1
    assert so("key", "create").code == 0


def test_a_key_is_changed_by_its_label(so: Run) -> None:
    so("key", "create", "--label", "producer")
    networks = ("--allowed-cidrs", "10.0.0.0/8,192.0.2.0/24", "--expires-at", "90d")
    changed = so("key", "update", "producer", *networks, "--json").json
    assert (changed["allowedCidrs"], changed["expiresAt"] is None) == (["10.0.0.0/8", "192.0.2.0/24"], False)
    assert so("key", "update", "producer", "--expires-at", "null", "--json").json["expiresAt"] is None
    so("key", "create", "--label", "producer")
    assert "There are several keys 'producer'" in so("key", "show", "producer").err
    assert so("key", "show", changed["prefix"]).json["id"] == changed["id"]


def test_a_time_that_is_none_is_refused_with_the_forms_that_there_are(so: Run) -> None:
    done = so("key", "create", "--expires", "tomorrow")
    assert (done.code, "'tomorrow' is no time: write an RFC 3339 time such as" in done.err) == (2, True)


def test_what_is_over_or_another_s_is_neither_rotated_nor_revoked(so: Run, globex: Tenant) -> None:
    theirs = json.loads(so("key", "list", "--tenant", globex.slug, "--json").out)[0]["id"]
    assert "There is no such key" in so("key", "rotate", theirs).err
    assert "There is no such key" in so("key", "revoke", theirs, "--yes").err
    own = listed(so)[0]["id"]
    assert so("key", "revoke", own, "--yes").code == 0
    assert "revoked or has expired: create a new one" in so("key", "rotate", own).err
    assert so("key", "revoke", own, "--yes").code == 0, "as the API: what is revoked stays so"
