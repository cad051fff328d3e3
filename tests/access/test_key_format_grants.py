"""What the API may do with keys in the database: make, change and end those of the tenant it acts for, and no more."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from signalops import clock
from signalops.access.key_format import new_key
from tests.support.keys import add_key
from tests.support.tenants import Tenant

REFUSED = errors.InsufficientPrivilege
ADD: LiteralString = (
    "insert into signalops.api_keys (tenant_id, id, prefix, hash, label, scopes, expires_at, allowed_cidrs, replaces) "
    "values (%s, %s, 'so_live_00000000', '$2b$04$', 'l', '{}', null, '{}', null)"
)


@contextmanager
def acting(owner: psycopg.Connection, role: LiteralString, tenant: Tenant | None) -> Iterator[None]:
    """What follows is done in a role for a tenant, and undone."""
    with owner.transaction(force_rollback=True):
        owner.execute(b"set local role signalops_" + role.encode())
        if tenant:
            owner.execute("select signalops.set_tenant(%s)", [tenant.id])
        yield


def end(owner: psycopg.Connection, key: UUID) -> int:
    statement = "update signalops.api_keys set revoked_at = now(), expires_at = now() where id = %s"
    return owner.execute(statement, [key]).rowcount


def test_the_api_makes_and_ends_keys_of_its_tenant_alone(owner: psycopg.Connection, acme: Tenant, globex: Tenant) -> None:
    (_, ours), (_, theirs) = add_key(owner, acme, new_key()), add_key(owner, globex, new_key())
    with acting(owner, "api", acme):
        assert (end(owner, ours), end(owner, theirs)) == (1, 0)
        assert owner.execute(ADD, [acme.id, clock.new_id()]).rowcount == 1
        with pytest.raises(REFUSED, match="row-level security"):
            owner.execute(ADD, [globex.id, clock.new_id()])
    with acting(owner, "api", None):
        assert end(owner, ours) == 0
        with pytest.raises(REFUSED, match="row-level security"):
            owner.execute(ADD, [acme.id, clock.new_id()])


@pytest.mark.parametrize(
    "column", ["tenant_id", "id", "prefix", "hash", "scopes", "replaces", "made_by", "created_at", "last_used_at"]
)
def test_the_api_changes_nothing_else_of_a_key(owner: psycopg.Connection, acme: Tenant, column: str) -> None:
    with acting(owner, "api", acme), pytest.raises(REFUSED, match="permission denied"):
        owner.execute(f"update signalops.api_keys set {column} = {column}".encode())


@pytest.mark.parametrize("statement", ["delete from signalops.api_keys", "truncate signalops.api_keys"])
def test_the_api_removes_no_key(owner: psycopg.Connection, acme: Tenant, statement: LiteralString) -> None:
    with acting(owner, "api", acme), pytest.raises(REFUSED, match="permission denied"):
        owner.execute(statement)


def test_the_worker_reaches_no_key(owner: psycopg.Connection, acme: Tenant) -> None:
    note = "select signalops.record_key_uses('{}', '{}', '{}')"
    with acting(owner, "api", None):
        owner.execute(note)
    for statement in ("select from signalops.api_keys", note):
        with acting(owner, "worker", acme), pytest.raises(REFUSED, match="permission denied"):
            owner.execute(statement.encode())
