"""The command line is noted as what it is, and shows what was noted."""

import getpass
import json

import psycopg

from tests.support.command import Run
from tests.support.tenants import Tenant
from tests.watch.audit_log.test_audit_log_operations import actions_after


def test_a_command_is_noted_with_the_login_and_its_words(signalops: Run, owner: psycopg.Connection) -> None:
    assert signalops("tenant", "create", "initech", "--soft", "10").code == 0
    assert signalops("key", "create", "--tenant", "initech", "--label", "one").code == 0
    assert signalops("key", "create", "--tenant", "nobody").code == 1
    assert signalops("key", "list", "--tenant", "initech").code == 0
    done = [one for one in actions_after(owner, None) if one["actor_kind"] == "command_line"]
    assert sorted((one["operation"], one["action"], one["target"]) for one in done) == [
        ("key create", "key.created", "one"),
        ("tenant create", "limit.created", "events"),
        ("tenant create", "tenant.created", "initech"),
    ]
    assert {(one["actor"], one["address"]) for one in done} == {(getpass.getuser(), None)}


def test_what_was_done_is_shown_narrowed(signalops: Run, acme: Tenant, globex: Tenant) -> None:
    assert signalops("key", "create", "--tenant", "acme", "--label", "one").code == 0
    shown = json.loads(signalops("audit-log", "list", "--tenant", "acme", "--action", "key.", "--json").out)
    assert [one["target"]["name"] for one in shown] == ["one", "test"]
    assert shown[0]["tenant"] == str(acme.id)
    everyone = json.loads(signalops("audit-log", "list", "--action", "tenant.created", "--json").out)
    assert {one["target"]["name"] for one in everyone} == {"acme", "globex"}
    assert signalops("audit-log", "list", "--since", "2999-01-01", "--json").out.strip() == "[]"
    line = signalops("audit-log", "list", "--tenant", "acme", "--action", "key.", "--limit", "1").out
    assert "key.created" in line
    assert "there is no tenant 'nobody'" in signalops("audit-log", "list", "--tenant", "nobody").err.lower()
