"""Releases side by side: the one before and this one share a database while it is upgraded, and know what they can't run on."""

import asyncio
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import aiohttp
import psycopg
import pytest

from signalops import db, migrate
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.send import SecretBox
from tests.prove.releases import after, before
from tests.support.invariants import unsettled, violations
from tests.support.paths import ROOT
from tests.support.processes import api, eventually, worker
from tests.support.producers import Load, producers
from tests.support.receivers import Receiver
from tests.support.tenants import Tenant, make_tenant

LEFT = """
  select (select count(*) from signalops.inbox)
    + (select count(*) from signalops.deliveries where status not in ('sent', 'dead'))"""


async def _set_up(socket: Path, tenants: Sequence[Tenant], url: str) -> None:
    """Have a webhook sent for every event."""
    async with aiohttp.ClientSession("http://signalops", connector=aiohttp.UnixConnector(str(socket))) as http:
        for tenant in tenants:
            for path, body in (
                ("/api/channels", {"kind": "webhook", "name": "hook", "config": {"url": url}}),
                ("/api/rules", {"name": "all", "pattern": {"type": ["order.paid"]}, "channel": "hook"}),
            ):
                async with http.post(path, json=body, headers=tenant.headers) as answer:
                    assert answer.status == 201, await answer.text()


async def test_the_release_before_and_this_one_share_the_work(
    empty: Settings, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = before(tmp_path / "before")
    for name, value in old.local_settings().items():
        monkeypatch.setenv(name, value)
    assert old.run(empty, "migrate").returncode == 0
    settings = empty.model_copy(update={"data": tmp_path})
    SecretBox(Settings(data=tmp_path))  # makes the key that all processes find in that folder
    with psycopg.connect(db.admin_url(empty), autocommit=True) as owner:
        mine = [make_tenant(owner, slug) for slug in ("acme", "globex")]
        theirs = [make_tenant(owner, slug) for slug in ("initech", "umbrella")]
        sockets = tmp_path / "old.sock", tmp_path / "new.sock"
        async with (
            asyncio.timeout(180),
            api(settings, sockets[0], old.tree),
            worker(settings, root=old.tree) as old_worker,
            producers(sockets[0], theirs) as at_old,
            producers(sockets[1], mine) as at_new,
        ):
            await at_old.ready()
            await _set_up(sockets[0], [*mine, *theirs], receiver.url)
            running = [asyncio.create_task(at_old.run())]
            await eventually(at_old.has(50))
            migrate.upgrade(empty, "pre")
            async with api(settings, sockets[1]):
                await at_new.ready()
                running.append(asyncio.create_task(at_new.run()))
                await _more(at_old, at_new)  # the old worker has it all
                async with worker(settings):
                    old_worker.send(signal.SIGTERM)
                    await _more(at_old, at_new)  # the new one has, and then all
                    assert await old_worker.ended() == 0
                    for load in (at_old, at_new):
                        load.stop()
                    await asyncio.gather(*running)
                    await _drained(owner)
        stored = [(tenant.id, event) for load in (at_old, at_new) for (tenant, _), event in load.acknowledged.items()]
        assert violations(owner, stored) == []
        assert unsettled(owner) == []
        assert owner.execute("select * from signalops.reconcile(null, null)").fetchall() == []
        assert len(receiver.received) >= len(stored)
    assert (at_old.refused, at_new.refused) == (set(), set())


async def _more(*loads: Load) -> None:
    """Return when each has had 50 events more stored."""
    waiting = [load.has(len(load.acknowledged) + 50) for load in loads]
    await eventually(lambda: all(has() for has in waiting))


async def _drained(owner: psycopg.Connection) -> None:
    """Return when nothing is left; TimeoutError when it does not get less for 15 seconds."""

    def left() -> int:
        row = owner.execute(LEFT).fetchone()
        assert row
        return int(row[0])

    def is_less(than: int) -> bool:
        return left() < than

    while before := left():
        await eventually(partial(is_less, before))


ADD = "-- Adds a table, which leaves this release running.\n-- Stage: pre\ncreate table signalops.novelties (id uuid);\n"
TAKE = "-- Takes away what this release needs.\n-- Stage: post\ndrop table if exists signalops.past;\n"


def test_a_release_to_come_goes_in_two_stages(settings: Settings, tmp_path: Path) -> None:
    """Additions leave this release running, removals do not; and the order of the stages is enforced."""
    both = after(tmp_path / "both", without="ops.locks", m9001_add_novelties=ADD, m9002_take_locks=TAKE)
    late = after(tmp_path / "late", m9002_take_locks=TAKE, m9003_add_novelties=ADD)
    refused = late.run(settings, "migrate", "--stage", "pre")
    assert refused.returncode == 1
    assert "9002.take-locks takes away" in refused.stderr
    refused = both.run(settings, "migrate", "--stage", "post")
    assert "9001.add-novelties is missing" in refused.stderr
    assert both.run(settings, "migrate", "--stage", "pre").stdout.startswith("applied 9001.add-novelties\n1 migrations, 1")
    migrate.require_current(settings, "api")
    with psycopg.connect(db.admin_url(settings)) as owner:
        is_granted = "select has_table_privilege('signalops_operator', 'ops.locks', 'select')"
        assert owner.execute(is_granted).fetchone() == (True,)
    assert both.run(settings, "migrate", "--stage", "pre").stdout.startswith("Nothing to do")
    done = both.run(settings, "migrate", "--stage", "post")
    assert done.stdout.startswith("applied 9002.take-locks\ndropped view ops.locks\n1 migrations, 1 statements"), done.stderr
    with pytest.raises(Unusable, match="newer than this code"):
        migrate.require_current(settings, "api")
    assert (ROOT / "sql").is_dir()
