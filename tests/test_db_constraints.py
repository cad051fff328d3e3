"""Constraint violations: those that users can cause become problems in plain words, all others stay database errors."""

import re

import psycopg
import pytest

from signalops import clock, db
from signalops.db.constraints import _PROBLEMS
from signalops.errors import Conflict
from tests.support.paths import ROOT
from tests.support.tenants import Tenant


@pytest.mark.parametrize("name", _PROBLEMS)
def test_each_constraint_of_the_table_exists(name: str) -> None:
    schema = (ROOT / "sql/schema.sql").read_text()
    declared = rf"CONSTRAINT {name} |UNIQUE INDEX {name} |constraint = '{name}'"
    assert re.search(declared, schema), "an index, a constraint, or what a trigger names as one"


async def test_a_refusal_is_a_problem_by_its_constraint(api_pool: db.Pool, acme: Tenant) -> None:
    query = "insert into signalops.rules (tenant_id, id, name, enabled, active_version) values (%s, %s, 'one', true, 1)"
    with pytest.raises(Conflict, match="a rule of this name"):
        async with db.as_tenant(api_pool, acme.id) as connection:
            await connection.cursor().executemany(query, [(acme.id, clock.new_id()) for _ in range(2)])


async def test_another_refusal_stays_what_it_is(api_pool: db.Pool, acme: Tenant) -> None:
    """The control: a fault of the product is no conflict of the caller's."""
    with pytest.raises(psycopg.errors.NotNullViolation):
        async with db.as_tenant(api_pool, acme.id) as connection:
            await connection.execute("insert into signalops.rules (tenant_id, name) values (%s, 'x')", [acme.id])
