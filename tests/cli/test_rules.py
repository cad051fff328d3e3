"""signalops rule and silence: what is written, tried, compared and ended on the command line."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from signalops import clock
from tests.support.command import Done, Run
from tests.support.rows import add_channel
from tests.support.rules import PATTERN, draft
from tests.support.tenants import Tenant

SIGNUP = {"type": "user.signup", "payload": {"email": "user@example.com"}}


@pytest.fixture
def rule(signalops: Run, owner: psycopg.Connection, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `signalops rule` for acme, which has the channel "ops"."""
    add_channel(owner, acme.id, name="ops")
    monkeypatch.setenv("SIGNALOPS_TENANT", acme.slug)
    return lambda *arguments: signalops("rule", *arguments)


def file(path: Path, value: object) -> str:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


def shown(rule: Run, name: str) -> dict[str, Any]:
    done = rule("show", name)
    assert done.code == 0, done
    whole: dict[str, Any] = json.loads(done.out)
    return whole


def test_a_rule_is_added_with_options(rule: Run) -> None:
    pattern = json.dumps(PATTERN)
    done = rule("create", "signups", "--channel", "ops", "--pattern", pattern, "--subject", "s", "--severity", "error")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Rule signups is added as version 1; its id is ")
    expected = {"pattern": PATTERN, "template": {"subject": "s"}, "severity": "error", "version": 1}
    assert {name: shown(rule, "signups")[name] for name in expected} == expected
    assert rule("create", "signups", "--channel", "ops", "--pattern", pattern) == Done(
        1, "", "signalops: There is a rule of this name already: choose another name."
    )
    assert "pattern: is required" in rule("create", "x", "--channel", "ops").err
    assert "channel: there is no channel 'nobody'" in rule("create", "x", "--channel", "nobody", "--pattern", pattern).err


def test_a_whole_rule_comes_from_a_file_and_options_go_before_it(rule: Run, tmp_path: Path) -> None:
    whole = draft(window={"count": 3, "within": "1m"}, template={"body": "b"})
    done = rule("create", "--file", file(tmp_path / "rule.json", whole), "--severity", "critical", "--json")
    added = json.loads(done.out)
    assert (added["name"], added["severity"], added["window"]["count"]) == ("signups", "critical", 3)
    assert added["warnings"] == []
    for text in ("{", "[]", '{"a": 1, "a": 2}', '{"name": "\\u0000"}'):
        done = rule("create", "--file", file(tmp_path / "bad.json", text))
        assert (done.code, len(done.err.splitlines())) == (1, 1)
        assert "bad.json" in done.err


def test_what_an_update_does_not_name_stays(rule: Run, tmp_path: Path) -> None:
    rule("create", "--file", file(tmp_path / "rule.json", draft(window={"count": 3, "within": "1m"})))
    assert rule("update", "signups", "--severity", "error", "--subject", "s").out == ("Version 2 of rule signups decides.\n")
    now = shown(rule, "signups")
    assert (now["severity"], now["window"]["count"], now["template"]) == ("error", 3, {"subject": "s"})
    rule("update", "signups", "--file", file(tmp_path / "whole.json", draft(name="renamed")))
    now = shown(rule, "renamed")
    assert (now["version"], now["severity"], "window" in now) == (3, "info", False)
    assert "There is no rule 'signups'" in rule("update", "signups", "--severity", "error").err
    assert rule("update", now["id"], "--name", "again").code == 0


def test_versions_are_listed_compared_and_rolled_back_to(rule: Run) -> None:
    rule("create", "signups", "--channel", "ops", "--pattern", json.dumps(PATTERN))
    rule("update", "signups", "--severity", "error")
    assert [one["version"] for one in json.loads(rule("versions", "signups", "--json").out)] == [2, 1]
    assert "error" in rule("versions", "signups").out
    changes = json.loads(rule("diff", "signups", "--json").out)["changes"]
    assert changes == [{"path": "/severity", "before": "info", "after": "error"}]
    assert "/severity" in rule("diff", "signups", "--from", "2", "--to", "1").out
    assert "no version 7" in rule("diff", "signups", "--to", "7").err
    done = rule("rollback", "signups", "--to", "1")
    assert done.out == "Version 3 of rule signups decides, and says what version 1 said.\n"
    assert shown(rule, "signups")["severity"] == "info"


def test_a_rule_is_disabled_enabled_and_deleted(rule: Run) -> None:
    rule("create", "signups", "--channel", "ops", "--pattern", json.dumps(PATTERN))
    for word, enabled in (("disable", False), ("enable", True)):
        assert rule(word, "signups").out == f"Rule signups is {word}d.\n"
        assert shown(rule, "signups")["enabled"] is enabled
    assert rule("delete", "signups", "--yes").code == 0
    assert json.loads(rule("list", "--json").out) == []
    assert rule("show", "signups").code == 1


def test_a_rule_is_validated_without_a_database(command: Run, tmp_path: Path) -> None:
    assert command("rule", "validate", file(tmp_path / "rule.json", draft())) == Done(0, "valid\n", "")
    bad = draft(pattern={"payload": {"a": [{"prefx": "x"}]}}, template={"body": "{{"})
    done = command("rule", "validate", file(tmp_path / "bad.json", bad))
    lines = done.err.splitlines()
    assert (done.code, done.out, len(lines)) == (2, "", 2)
    assert lines[0].startswith('signalops: pattern.payload.a.0: unknown operator "prefx"; perhaps you mean "prefix"')
    assert lines[1].startswith("signalops: template.body: ")
    invalid: list[object] = [{}, draft(window={"count": 0, "within": "soon"}), [], "{"]
    for value in invalid:
        done = command("rule", "validate", file(tmp_path / "bad.json", value))
        assert (done.code, done.out) == (2, "")
        assert done.err
        assert "Traceback" not in done.err


def test_a_rule_is_tried_on_an_event(rule: Run, tmp_path: Path) -> None:
    rule("create", "signups", "--channel", "ops", "--pattern", json.dumps(PATTERN), "--subject", "{{ payload.email }}")
    sample = file(tmp_path / "event.json", SIGNUP)
    done = rule("test", "--rule", "signups", "--sample", sample)
    assert done.code == 0
    assert done.out.startswith("match: Every condition holds.\n  + type ['user.signup']: user.signup\n")
    assert "\nuser@example.com\n" in done.out
    other = file(tmp_path / "rule.json", draft(pattern={"type": ["x"]}))
    done = rule("test", "--file", other, "--sample", sample, "--json")
    assert (done.code, json.loads(done.out)["matches"]) == (1, False)
    assert "Name one rule" in rule("test", "--sample", sample).err
    assert "There is no such event" in rule("test", "--rule", "signups", "--event", str(clock.new_id())).err


def test_a_silence_is_made_listed_and_ended(signalops: Run, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALOPS_TENANT", acme.slug)
    pattern = json.dumps(PATTERN)
    done = signalops("silence", "create", "--pattern", pattern, "--for", "2h", "--reason", "moving house", "--json")
    silence = json.loads(done.out)
    assert (silence["state"], silence["pattern"]) == ("active", PATTERN)
    listed = signalops("silence", "list").out
    assert silence["id"] in listed
    assert "moving house" in listed
    assert signalops("silence", "end", silence["id"]).code == 0
    assert [one["state"] for one in json.loads(signalops("silence", "list", "--json").out)] == ["ended"]
    assert "name either endsAt or duration" in signalops("silence", "create", "--pattern", pattern, "--reason", "r").err
    assert "There is no such silence" in signalops("silence", "end", str(clock.new_id())).err


def test_a_rule_as_it_is_shown_is_a_file_for_update(rule: Run, tmp_path: Path) -> None:
    rule("create", "signups", "--channel", "ops", "--pattern", json.dumps(PATTERN))
    shown = tmp_path / "rule.json"
    shown.write_text(rule("show", "signups").out)
    done = rule("update", "signups", "--file", str(shown), "--severity", "error", "--json")
    assert (done.code, done.json["version"], done.json["severity"]) == (0, 2, "error"), done


def test_a_template_that_fails_for_the_event_fails_the_test(rule: Run, tmp_path: Path) -> None:
    whole = draft(template={"subject": "Hello {{ payload.name }}"})
    sample = file(tmp_path / "event.json", {"type": "user.signup", "payload": {}})
    done = rule("test", "--file", file(tmp_path / "rule.json", whole), "--sample", sample)
    assert (done.code, done.err.startswith("error: ")) == (1, True), done


def test_a_filter_of_another_language_is_named_by_its_own_word(rule: Run, tmp_path: Path) -> None:
    whole = draft(template={"subject": "{{ payload.name | upper }}"})
    assert "did you mean 'upcase'?" in rule("validate", file(tmp_path / "rule.json", whole)).err
