"""Nobody but operators comes to what is theirs, nor the role they work in to what is tenants' own; each with a control."""

import re
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from signalops import clock
from signalops.config import Settings
from tests.support.api import Client, assert_problem
from tests.support.operators import Operator
from tests.support.rows import fill
from tests.support.tenants import EVERYTHING, Tenant, user_headers

CLOSED = ("events", "idempotency_keys", "inbox", "channels", "rules", "rule_versions", "deliveries", "usage_counters")


async def _operations(api: Client) -> list[tuple[str, str]]:
    """Return method and path of what is for operators, with acme in the place of the tenant."""
    paths = (await api.described())["paths"]
    named = [path for path in paths if re.match(r"/api/(tenants|plans|platform)(/|$)", path)]
    filled = {path: re.sub(r"/\{\w+\}", "/acme", path) for path in named}
    return [(method.upper(), filled[path]) for path in named for method in paths[path] if method != "parameters"]


async def test_keys_and_users_of_tenants_are_refused_by_every_operation(
    api: Client, settings: Settings, acme: Tenant, operator: Operator
) -> None:
    operations = await _operations(api)
    assert len(operations) > 25
    user = user_headers(settings, acme, *EVERYTHING, "tenants:*", "tenants:read")
    for method, path in operations:
        for headers, status in (({}, 401), (acme.headers, 403), (user, 403)):
            answer = await api.request(method, path, headers=headers)
            assert answer.status == status, (method, path, headers)
        if method == "GET":
            assert (await operator.get(path)).status in (200, 404), path


async def test_who_may_read_can_not_change(
    api: Client, as_operator: Callable[..., Operator], owner: psycopg.Connection, acme: Tenant
) -> None:
    reader = as_operator("tenants:read")
    for method, path in await _operations(api):
        if method == "GET":
            assert (await reader.get(path)).status in (200, 404), path
        else:
            assert_problem(await reader.send(method, path, {"reason": "x"}), 403, "forbidden")
    assert owner.execute("select status from signalops.tenants").fetchall() == [("active",)]


async def test_an_operator_acts_for_no_tenant(api: Client, operator: Operator) -> None:
    for path in ("/api/events", "/api/rules", "/api/keys", "/api/invoices", "/api/usage"):
        assert_problem(await operator.get(path), 403, "forbidden")


@pytest.mark.parametrize("table", CLOSED)
def test_the_role_reads_nothing_of_what_tenants_send_and_receive(owner: psycopg.Connection, table: str) -> None:
    acme = clock.new_id()
    fill(owner, acme)
    with owner.transaction(force_rollback=True):
        owner.execute("set local role signalops_platform")
        owner.execute("select signalops.set_tenant(%s)", [acme])
        assert owner.execute("select slug from signalops.tenants where id = %s", [acme]).rowcount == 1
        assert owner.execute("select id from signalops.api_keys").rowcount == 1, "the positive control"
        for secret in ("select hash from signalops.api_keys", "select digest from signalops.api_keys"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), owner.transaction():
                owner.execute(secret.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(sql.SQL("select from {}").format(sql.Identifier("signalops", table)))


def test_a_status_takes_the_ways_there_are_whoever_moves_it(owner: psycopg.Connection, acme: Tenant) -> None:
    move = "update signalops.tenants set status = %s, status_reason = 'r' where id = %s"
    ways = {"active": ("suspended", "closed"), "suspended": ("active", "closed"), "closed": ("deleting",), "deleting": ()}
    for status, onward in ways.items():
        for to in ways.keys() - {status}:
            with owner.transaction(force_rollback=True):
                owner.execute("set local session_replication_role = replica")
                owner.execute("update signalops.tenants set status = %s where id = %s", [status, acme.id])
                owner.execute("set local session_replication_role = origin")
                if to in onward:
                    assert owner.execute(move, [to, acme.id]).rowcount == 1
                else:
                    with pytest.raises(psycopg.errors.CheckViolation):
                        owner.execute(move, [to, acme.id])
