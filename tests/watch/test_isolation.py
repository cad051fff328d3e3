"""`signalops isolation-check`: the walk over the catalogue finds each kind of hole that it can see, and nothing else."""

import json

import psycopg
import pytest

from signalops import db
from signalops.config import Settings
from signalops.watch.isolation import FUNCTIONS, INDEXES, OPERATORS, check
from tests.support.command import Run
from tests.support.isolation.seeded_leaks import HOLES

SEEN = {
    "a table without a policy": "not enabled and forced",
    "a table without protection that nobody was granted": "not enabled and forced",
    "a table whose owner passes row security": "not enabled and forced",
    "a policy that uses true": "the policy wide",
    "a policy that checks nothing": "the policy writes",
    "a policy that lets rows be given away": "the policy changes",
    "rows that can be deleted": "the policy deletes",
    "rows that can be deleted unseen": "the policy deletes",
    "a table of somebody else's": "belongs to a role",
    "truncate": "is granted truncate",
    "a table of the operator's that is granted": "nothing separates tenants",
    "a partition that is granted": "is granted select",
    "a view with its owner's rights": "by the rights of its owner",
    "a view that hides whose a row is": "nothing separates tenants",
    "a materialized view": "is granted select",
    "a function that acts for a tenant given as an argument": "declare it with the reason",
    "a function that tells that something exists by refusing it": "the search path of its caller",
    "a unique index across tenants, of what tenants choose": "because of another's",
    "a unique index across tenants, of ids": "because of another's",
    "a foreign key across tenants": "the foreign key reaching",
    "a sequence that numbers the rows of all": "counts the rows of all tenants",
    "a sequence that may be looked at": "counts the rows of all tenants",
}
"""Seeded leak -> the finding it must cause. Leaks that only an attempt can find are in test_isolation_tries.py."""


async def faults(settings: Settings) -> dict[str, list[str]]:
    async with db.as_owner(settings) as connection:
        answers: dict[str, list[str]] = {}
        for fault in (await check(connection)).faults:
            answers.setdefault(fault.object, []).append(fault.fault)
    return answers


async def test_a_database_as_it_is_has_no_fault(settings: Settings) -> None:
    assert await faults(settings) == {}


@pytest.mark.parametrize("hole", SEEN)
async def test_a_hole_is_found_by_name(owner: psycopg.Connection, settings: Settings, hole: str) -> None:
    owner.execute("set role signalops_owner")
    owner.execute(HOLES[hole].plant)
    answers = await faults(settings)
    assert any(SEEN[hole] in line for line in answers.get(HOLES[hole].object, [])), answers


def test_what_is_declared_exists(owner: psycopg.Connection) -> None:
    names = "select relname from pg_class union all select proname from pg_proc"
    assert {*FUNCTIONS, *OPERATORS, *INDEXES} <= {name for (name,) in owner.execute(names)}


def test_the_command_fails_for_a_hole(signalops: Run, owner: psycopg.Connection) -> None:
    done = signalops("isolation-check")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("Tenants are isolated.\n")
    owner.execute(HOLES["a policy that uses true"].plant)
    done = signalops("isolation-check", "--json")
    assert done.code == 1
    assert [(one["object"], one["role"]) for one in json.loads(done.out)["faults"]] == [("inbox", "signalops_worker")]
