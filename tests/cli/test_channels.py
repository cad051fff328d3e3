"""signalops channel, delivery and dead-letter: create, test, retry and discard on the command line."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import psycopg
import pytest

from signalops import clock
from tests.support.command import Run
from tests.support.deliveries import die
from tests.support.rules import make_rule
from tests.support.tenants import Tenant


@pytest.fixture
def so(signalops: Run, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command for acme."""
    monkeypatch.setenv("SIGNALOPS_TENANT", acme.slug)
    return signalops


@pytest.fixture
def dead(owner: psycopg.Connection, acme: Tenant) -> list[UUID]:
    """Three deliveries that have died, by two rules and channels."""
    made = []
    for count in (2, 1):
        rule = make_rule(owner, acme, {"type": ["a"]})
        for _ in range(count):
            made.append(clock.new_id())
            owner.execute(
                "insert into signalops.deliveries (tenant_id, id, event_id, rule_id, rule_version, channel_id)"
                " select tenant_id, %s, %s, rule_id, 1, channel_id from signalops.rule_versions where rule_id = %s",
                [made[-1], clock.new_id(), rule],
            )
            die(owner, acme.id, made[-1])
    return made


@pytest.fixture
def hook() -> Iterator[str]:
    """The url of a receiver that accepts whatever is posted."""

    class Accepting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Accepting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def rows(so: Run, *arguments: str) -> list[dict[str, Any]]:
    done = so(*arguments, "--json")
    assert done.code == 0, done
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def states(so: Run) -> list[str]:
    return [row["status"] for row in rows(so, "delivery", "list")]


def test_a_channel_of_any_kind_is_added_and_no_secret_shown(so: Run) -> None:
    token = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawx"
    done = so("channel", "create", "bot", "--kind", "telegram", "--config", '{"chatId": 42}', "--secret", token)
    assert (done.code, done.out) == (0, "Channel bot is added.\n")
    done = so("channel", "create", "hook", "--webhook", "https://example.com/")
    assert "shown this once: whsec_" in done.out
    assert [row["name"] for row in rows(so, "channel", "list")] == ["hook", "bot"]
    shown = so("channel", "show", "bot").out
    assert json.loads(shown)["config"] == {"chatId": 42}
    assert token not in shown + so("channel", "list").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either --email, --webhook, or --kind"),
        (["--email", "a@example.com", "--webhook", "https://example.com/"], "either --email, --webhook, or --kind"),
        (["--email", "a@example.com, b@example.com"], "to: must be one address"),
        (["--kind", "slack", "--config", "[]"], "must be a JSON object"),
        (["--kind", "telegram", "--config", '{"chatId": 42}'], "bot's token"),
    ],
)
def test_a_channel_that_can_t_be_is_refused(so: Run, arguments: list[str], words: str) -> None:
    done = so("channel", "create", "x", *arguments)
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert words in done.err
    assert rows(so, "channel", "list") == []


def test_a_channel_is_tried_switched_rotated_and_deleted(so: Run, hook: str) -> None:
    so("channel", "create", "hook", "--webhook", hook)
    done = so("channel", "test", "hook")
    assert (done.code, done.out.startswith("sent in "), "answered 204" in done.out) == (0, True, True)
    so("channel", "create", "nobody", "--webhook", "http://127.0.0.1:9/")
    done = so("channel", "test", "nobody", "--json")
    assert (done.code, json.loads(done.out)["outcome"]) == (1, "transient")
    for word, enabled in (("disable", False), ("enable", True)):
        assert so("channel", word, "hook").out.startswith(f"Channel hook is {word}d.")
        assert json.loads(so("channel", "show", "hook").out)["enabled"] is enabled
    changed = so("channel", "update", "hook", "--max-per-minute", "30", "--retry-schedule", "10, 60", "--json").json
    assert (changed["maxPerMinute"], changed["retrySchedule"], changed["name"]) == (30, [10, 60], "hook")
    assert so("channel", "update", "hook", "--max-per-minute", "null").out == "Channel hook is changed.\n"
    assert so("channel", "show", "hook").json["maxPerMinute"] is None
    done = so("channel", "rotate", "hook", "--overlap", "60")
    assert "signs as well until" in done.out
    assert "shown this once: whsec_" in done.out
    assert so("channel", "delete", "hook", "--yes").out == "Channel hook is deleted.\n"
    assert "There is no channel 'hook'" in so("channel", "test", "hook").err


def test_a_channel_in_use_is_not_deleted(so: Run, owner: psycopg.Connection, acme: Tenant) -> None:
    make_rule(owner, acme, {"type": ["a"]})
    (channel,) = rows(so, "channel", "list")
    done = so("channel", "delete", channel["name"], "--yes")
    assert (done.code, "Enabled rules notify through it ('rule " in done.err) == (1, True)


def test_deliveries_are_listed_shown_retried_and_cancelled(so: Run, dead: list[UUID]) -> None:
    first, second, third = map(str, dead)
    listed = rows(so, "delivery", "list", "--status", "dead")
    assert [row["id"] for row in listed] == [third, second, first]
    assert [row["id"] for row in rows(so, "delivery", "list", "--channel", listed[0]["channel"]["name"])] == [third]
    assert [row["id"] for row in rows(so, "delivery", "list", "--rule", listed[2]["rule"]["id"], "--limit", "1")] == [second]
    assert first in so("delivery", "list").out
    assert json.loads(so("delivery", "show", first).out)["error"] == "The receiver answered 500."
    assert "is tried again now" in so("delivery", "retry", first).out
    assert so("delivery", "cancel", first).out == f"Delivery {first} is cancelled.\n"
    done = so("delivery", "retry", first)
    assert (done.code, "A delivery that is cancelled can't be retried" in done.err) == (1, True)
    assert "There is no such delivery" in so("delivery", "show", str(clock.new_id())).err


def test_dead_letters_are_counted_before_they_are_retried(so: Run, dead: list[UUID], monkeypatch: pytest.MonkeyPatch) -> None:
    listed = rows(so, "dead-letter", "list", "--error", "ANSWERED")
    assert [row["id"] for row in listed] == [str(one) for one in reversed(dead)]
    channel = listed[2]["channel"]["name"]
    answers = iter([False, True])
    prompts: list[str] = []

    def confirm(text: str, abort: bool) -> None:
        prompts.append(text)
        if not next(answers):
            raise SystemExit(1)

    monkeypatch.setattr("typer.confirm", confirm)
    assert so("dead-letter", "retry", "--channel", channel).code == 1
    assert states(so) == ["dead"] * 3
    assert so("dead-letter", "retry", "--channel", channel).out == "Retry: 2 dead letters, 0 remain.\n"
    assert prompts == ["Retry 2 dead letters?"] * 2
    assert states(so) == ["dead", "retrying", "retrying"]


def test_dead_letters_are_discarded_with_a_reason(so: Run, owner: psycopg.Connection, dead: list[UUID]) -> None:
    done = so("dead-letter", "discard", str(dead[0]), "--reason", "gone", "--yes")
    assert done.out == "Discard: 1 dead letters, 0 remain.\n"
    assert so("dead-letter", "discard", "--all", "--reason", "all", "--yes").out == "Discard: 2 dead letters, 0 remain.\n"
    assert rows(so, "dead-letter", "list") == []
    reasons = owner.execute("select reason from signalops.dead_letters order by id").fetchall()
    assert reasons == [("gone",), ("all",), ("all",)]


@pytest.mark.parametrize("arguments", [[], ["--all", "--kind", "event"], [str(clock.new_id()), "--all"]])
def test_nothing_is_chosen_by_mistake(so: Run, dead: list[UUID], arguments: list[str]) -> None:
    done = so("dead-letter", "retry", *arguments, "--yes")
    assert (done.code, "Name the dead letters" in done.err) == (1, True)
    assert states(so) == ["dead"] * 3
