"""`signalops event`: what the command line sends is stored, counted and processed as any other event."""

import json

import psycopg

from tests.support.api import rows
from tests.support.command import Run
from tests.support.tenants import Tenant, set_limit

SIGNUP = ("event", "send", "--tenant", "acme", "user.signup", "--payload", '{"email":"user@example.com"}')


def test_an_event_is_sent_once_and_listed(signalops: Run, owner: psycopg.Connection, acme: Tenant) -> None:
    sent = json.loads(signalops(*SIGNUP, "--idempotency-key", "k", "--json").out)
    assert sent["status"] == "accepted"
    again = signalops(*SIGNUP, "--idempotency-key", "k")
    assert again.out.startswith(f"duplicate {sent['id']}")
    assert (rows(owner)["events"], rows(owner)["accepted"], rows(owner)["jobs"]) == (1, 1, 1)
    listed = json.loads(signalops("event", "list", "--tenant", "acme", "--json").out)
    assert [(event["id"], event["payload"]) for event in listed] == [(sent["id"], {"email": "user@example.com"})]
    assert sent["id"] in signalops("event", "list", "--tenant", "acme", "--type", "user.signup").out
    assert json.loads(signalops("event", "list", "--tenant", "acme", "--type", "other", "--json").out) == []


def test_what_the_api_refuses_is_refused(signalops: Run, owner: psycopg.Connection, acme: Tenant) -> None:
    set_limit(owner, acme.id, "events", hard=0)
    for arguments, message in (
        (SIGNUP, "hard limit"),
        ((*SIGNUP[:4], "user signup"), "dot-separated words"),
        ((*SIGNUP[:6], "[1]"), "object"),
        (("event", "send", "--tenant", "nobody", "a.b"), "There is no tenant 'nobody'"),
    ):
        refused = signalops(*arguments)
        assert refused.code == 1
        assert message in refused.err, refused.err
    owner.execute("update signalops.tenants set status = 'suspended' where slug = 'acme'")
    assert "suspended" in signalops(*SIGNUP).err
    assert owner.execute("select from signalops.events where causation_depth = 0").fetchall() == []
