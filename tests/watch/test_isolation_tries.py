"""Every object is tried across two tenants: nothing leaks; each kind of hole is found by name; and nothing is left behind."""

from collections import defaultdict

import psycopg
import pytest

from signalops import db
from signalops.config import Settings
from tests.sql.catalogue import TABLES
from tests.support.databases import Databases
from tests.support.isolation.declared import OPERATORS
from tests.support.isolation.model import Finding
from tests.support.isolation.seeded_leaks import ALSO, HOLES
from tests.support.isolation.tries import check
from tests.support.rules import make_rule
from tests.support.tenants import Tenant


@pytest.fixture(scope="module")
async def findings(databases: Databases) -> list[Finding]:
    """What the check finds in a database as it is."""
    with databases.acquired() as settings:
        async with db.as_owner(settings) as connection:
            return await check(connection)


def blamed(findings: list[Finding]) -> dict[str, list[str]]:
    """Return the findings of each object at fault."""
    answers = defaultdict(list)
    for finding in findings:
        if not finding.ok:
            answers[finding.object].append(f"{finding.tried}: {finding.result}")
    return answers


@pytest.mark.prove
def test_nothing_leaks_and_every_object_was_tried(owner: psycopg.Connection, findings: list[Finding]) -> None:
    assert blamed(findings) == {}
    objects = "select relname from pg_class where relnamespace = 'signalops'::regnamespace and not relispartition"
    walked = {finding.object for finding in findings}
    assert {name for (name,) in owner.execute(f"{objects} and relkind <> 'I'")} <= walked
    assert {name for (name,) in owner.execute(f"select relname from ({TABLES}) as t")} <= walked
    functions = "select proname from pg_proc where pronamespace = 'signalops'::regnamespace"
    assert {name for (name,) in owner.execute(functions)} == {
        finding.object.split("(")[0] for finding in findings if finding.kind == "function"
    }


@pytest.mark.prove
def test_what_is_granted_works_on_the_own_rows(owner: psycopg.Connection, findings: list[Finding]) -> None:
    readable = f"select relname from ({TABLES}) as t where key is not null and has_any_column_privilege(%s, oid, 'select')"
    for role, across, least in (("api", set(), 20), ("worker", set(), 20), ("platform", OPERATORS.keys(), 8)):
        readers = owner.execute(f"{readable} and not relispartition", [f"signalops_{role}"])
        granted = {name for (name,) in readers} - across
        reached = {f.object for f in findings if f.role == role and f.tried == "read the own" and f.kind == "table"}
        assert granted == reached
        assert len(granted) >= least


@pytest.mark.timeout(90)  # tries every table and function: 12 s on a quiet machine, 30 s on a slow one
async def test_each_hole_is_found_by_name_and_nothing_else_is_blamed(owner: psycopg.Connection, settings: Settings) -> None:
    owner.execute("set role signalops_owner")
    for hole in HOLES.values():
        owner.execute(hole.plant)
    async with db.as_owner(settings) as connection:
        answers = blamed(await check(connection))
    missed = {
        name: answers.get(hole.object)
        for name, hole in HOLES.items()
        if not any(hole.says in line for line in answers.get(hole.object, []))
    }
    assert missed == {}
    assert answers.keys() - {hole.object for hole in HOLES.values()} == ALSO


@pytest.mark.prove
async def test_it_leaves_nothing_behind(owner: psycopg.Connection, settings: Settings, acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        make_rule(owner, tenant, {"type": ["a.b"]})
    names = [name for (name,) in owner.execute(f"select relname from ({TABLES}) as t where not relispartition")]
    rows = " union all ".join(f"select '{name}', t::text from signalops.{name} t" for name in names)
    everything = f"{rows} union all select 'jobs', j::text from procrastinate.procrastinate_jobs j"
    before = sorted(owner.execute(everything.encode()).fetchall())
    async with db.as_owner(settings) as connection:
        assert blamed(await check(connection)) == {}
        await connection.commit()
    assert sorted(owner.execute(everything.encode()).fetchall()) == before
