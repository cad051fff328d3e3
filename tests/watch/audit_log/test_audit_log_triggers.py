"""The log itself: which tables feed it, what it says of those who act by SQL, what it conceals, and that nobody changes it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from signalops import clock, db
from signalops.types import Actor
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.watch.audit_log.declared import NOT_LOGGED
from tests.watch.audit_log.test_audit_log_operations import actions_after

ROLES = ("owner", "api", "worker", "platform", "operator")
ACTION = db.Action(Actor("user", "ursula"), "203.0.113.7", "addSilence")
SILENCE = (
    "insert into signalops.silences (tenant_id, id, grammar, pattern, starts_at, ends_at, reason)"
    " select %s, signalops.new_id(), 2, '{}', now(), now() + interval '1 hour', 'r' || n from generate_series(1, %s) n"
)


@pytest.fixture
def acting() -> Iterator[None]:
    """What follows is done by a tenant's user."""
    token = db.acting.set(ACTION)
    yield
    db.acting.reset(token)


def noted(owner: psycopg.Connection, tenant: Tenant, begins: str = "") -> list[dict[str, Any]]:
    """Return what was done to a tenant's things, oldest first."""
    every = actions_after(owner, None)
    return [one for one in every if one["tenant_id"] == tenant.id and one["action"].startswith(begins)]


def test_every_table_is_logged_or_declared(owner: psycopg.Connection) -> None:
    tables = (
        "select relname, exists (select from pg_trigger where tgrelid = c.oid and tgname = 'log_row_change') from pg_class c"
        " where relnamespace = 'signalops'::regnamespace and relkind in ('r', 'p') and not relispartition"
    )
    logged: dict[str, bool] = dict(owner.execute(tables).fetchall())
    assert {name for name, is_logged in logged.items() if not is_logged} == NOT_LOGGED.keys() & logged.keys()


def test_a_dba_is_noted_by_login_row_by_row(owner: psycopg.Connection, acme: Tenant) -> None:
    owner.execute(SILENCE, [acme.id, 3])
    owner.execute("update signalops.silences set reason = 'new' where reason <> 'r1'")
    owner.execute("update signalops.silences set reason = reason, created_at = now()")
    owner.execute("delete from signalops.silences where reason = 'r1'")
    done = noted(owner, acme, "silence.")
    assert sorted(one["action"] for one in done) == [*(["silence.changed"] * 2 + ["silence.created"] * 3 + ["silence.deleted"])]
    login = owner.execute("select session_user").fetchone()
    assert {(one["actor_kind"], one["actor"], one["address"], one["operation"]) for one in done} == {
        ("sql", (login or [""])[0], None, None)
    }
    changed = [one["change"] for one in done if one["action"] == "silence.changed"]
    assert sorted(change["before"]["reason"] for change in changed) == ["r2", "r3"]
    assert [change["after"] for change in changed] == [{"reason": "new"}] * 2


async def test_what_is_rolled_back_was_not_done(api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant, acting: None) -> None:
    async with db.as_tenant(api_pool, acme.id) as connection:
        await connection.execute(SILENCE, [acme.id, 1])

    async def fail() -> None:
        async with db.as_tenant(api_pool, acme.id) as connection:
            await connection.execute(SILENCE, [acme.id, 1])
            await connection.execute("select 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await fail()
    [done] = noted(owner, acme, "silence.")
    actor_fields = [done[name] for name in ("actor_kind", "actor", "address", "operation")]
    assert actor_fields == ["user", "ursula", "203.0.113.7", "addSilence"]


async def test_who_acts_at_once_is_told_apart(api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant) -> None:
    async def act(number: int) -> None:
        db.acting.set(db.Action(Actor("user", f"user {number}"), None, f"operation {number}"))
        async with db.as_tenant(api_pool, acme.id) as connection:
            await connection.execute(SILENCE.replace("'r' || n", "%s").encode(), [acme.id, f"by {number}", 1])

    await asyncio.gather(*(asyncio.create_task(act(number)) for number in range(20)))
    entries = {(one["actor"], one["operation"], one["target"]) for one in noted(owner, acme, "silence.")}
    assert entries == {(f"user {n}", f"operation {n}", f"by {n}") for n in range(20)}
    async with api_pool.connection() as connection:
        row = await (await connection.execute("select current_setting('signalops.action', true)")).fetchone()
    assert row in (("",), (None,)), "a connection that is given back forgets who acted"


async def test_what_processes_do_by_themselves_is_theirs_or_nothing(
    worker_pool: db.Pool, owner: psycopg.Connection, acme: Tenant
) -> None:
    make_rule(owner, acme, {"type": ["a"]})
    before = len(noted(owner, acme))
    async with db.as_tenant(worker_pool, acme.id) as connection:
        await connection.execute("update signalops.channels set enabled = false, disabled_because = 'It answered 410.'")
    owner.execute("update signalops.tenants set meters_version = meters_version + 1, closed_until = now()")
    owner.execute("update signalops.api_keys set last_used_at = now()")
    [done] = noted(owner, acme)[before:]
    assert (done["actor_kind"], done["actor"], done["action"]) == ("system", "signalops_worker", "channel.disabled")
    assert done["change"]["after"]["disabled_because"] == "It answered 410."


def test_a_rule_is_one_record_with_what_it_says(owner: psycopg.Connection, acme: Tenant) -> None:
    make_rule(owner, acme, {"type": ["a"]})
    [done] = noted(owner, acme, "rule.")
    assert done["action"] == "rule.created"
    assert done["change"]["after"]["pattern"] == {"type": ["a"]}


SECRET = "hush-hush-4711"
CONFIGS: dict[str, dict[str, Any]] = {
    "webhook": {"url": f"https://u:{SECRET}@example.com/{SECRET}?token={SECRET}", "headers": {"X-Key": SECRET}},
    "http": {"url": f"https://example.com/?q={SECRET}", "headers": {"Authorization": SECRET}, "method": "POST"},
    "slack": {"url": f"https://hooks.slack.com/services/{SECRET}"},
    "telegram": {"chat_id": 1, "url": f"https://api.telegram.org/bot{SECRET}/sendMessage", "token": SECRET},
    "whatsapp": {"to": "1", "credentials": {"accessToken": SECRET, "appSecret": SECRET}},
    "email": {"to": "a@example.com", "server": {"host": "h", "username": "u", "password": SECRET}},
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_secret_of_a_channel_or_key_is_noted(owner: psycopg.Connection, acme: Tenant, kind: str) -> None:
    channel = clock.new_id()
    owner.execute(
        "insert into signalops.channels (tenant_id, id, name, kind, config, secret) values (%s, %s, 'c', %s, %s, %s)",
        [acme.id, channel, kind, Jsonb(CONFIGS[kind]), SECRET.encode()],
    )
    owner.execute("update signalops.channels set secret = secret || '\\x00', config = config || '{\"to\": \"new\"}'")
    owner.execute("update signalops.channels set secret = null, enabled = false, deleted_at = now()")
    owner.execute("update signalops.api_keys set hash = %s", [f"$2b$04${SECRET}"])
    done = noted(owner, acme)
    assert [one["action"] for one in done if one["action"].startswith("channel.")] == [
        *("channel.created", "channel.changed", "channel.deleted")
    ]
    log = "".join(text for (text,) in owner.execute("select l::text from signalops.audit_log l"))
    assert SECRET not in log
    assert SECRET.encode().hex() not in log
    assert "$2b$" not in log
    assert acme.key not in log
    changed = next(one["change"] for one in done if one["action"] == "channel.changed")
    assert changed["after"]["secret"] == changed["before"]["secret"] == "***"
    assert changed["after"]["config"]["to"] == "new"


def test_what_is_long_is_cut_and_marked(owner: psycopg.Connection, acme: Tenant) -> None:
    make_rule(owner, acme, {"type": ["x" * 9000]})
    entries = noted(owner, acme, "rule.")[0]["change"]["after"]["pattern"]
    assert (len(entries["cut"]), entries["characters"]) == (8192, 9000 + len('{"type": [""]}'))


def test_a_tenant_is_noted_to_itself_and_its_end_to_the_installation(owner: psycopg.Connection, acme: Tenant) -> None:
    [made] = noted(owner, acme, "tenant.")
    assert (made["action"], made["target"], made["change"]["after"]["slug"]) == ("tenant.created", "acme", "acme")
    owner.execute("update signalops.tenants set name = 'New'")
    assert noted(owner, acme, "tenant.")[1]["change"] == {"before": {"name": "Acme"}, "after": {"name": "New"}}
    for table in ("subscriptions", "api_keys"):
        owner.execute(sql.SQL("delete from signalops.{}").format(sql.Identifier(table)))
    owner.execute("delete from signalops.tenants")
    gone = [one for one in actions_after(owner, None) if one["action"] == "tenant.deleted"]
    assert [(one["tenant_id"].int, one["target"]) for one in gone] == [(0, "acme")]


CHANGES = (
    "update signalops.{} set actor = 'nobody'",
    "delete from signalops.{}",
    "truncate signalops.{}",
    "insert into signalops.{} (tenant_id, id, actor_kind, actor, action, change)"
    " values (%(tenant)s, signalops.new_id(), 'sql', 'forged', 'x.y', '{{}}')",
)


@pytest.mark.parametrize("role", [None, *ROLES])
def test_nobody_changes_or_removes_what_is_noted(owner: psycopg.Connection, acme: Tenant, role: str | None) -> None:
    before = actions_after(owner, None)
    month = f"audit_log_{clock.now():%Y_%m}"
    assert owner.execute("select count(*) from signalops.audit_log").fetchone() == (len(before),)
    for table in ("audit_log", month):
        for change in CHANGES[:3] if role in (None, "owner") else CHANGES:
            with owner.transaction(force_rollback=True):
                owner.execute("select signalops.set_tenant(%s)", [acme.id])
                if role:
                    owner.execute(sql.SQL("set local role {}").format(sql.Identifier(f"signalops_{role}")))
                statement = sql.SQL(change).format(sql.Identifier(table))
                try:
                    touched = owner.execute(statement, {"tenant": acme.id}).rowcount
                except (psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation):
                    continue
                assert (touched, role, table) == (0, "owner", month), "row-level security shows the owner no row of a part"
    assert actions_after(owner, None) == before
    owner.execute(SILENCE, [acme.id, 1])
    assert len(actions_after(owner, None)) == len(before) + 1, "the positive control"


def test_a_month_can_be_dropped(owner: psycopg.Connection, acme: Tenant) -> None:
    assert noted(owner, acme)
    owner.execute("set role signalops_owner")
    owner.execute(sql.SQL("drop table signalops.{}").format(sql.Identifier(f"audit_log_{clock.now():%Y_%m}")))
    owner.execute("reset role")
    assert noted(owner, acme) == []


async def test_an_act_without_a_row_is_noted_for_the_own_tenant_alone(
    api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant, globex: Tenant
) -> None:
    note = "select signalops.log_tenant_action(%s, 'channel.tested', null, null)"
    async with db.as_tenant(api_pool, acme.id) as connection:
        await connection.execute(note, [acme.id])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with db.as_tenant(api_pool, acme.id) as connection:
            await connection.execute(note, [globex.id])
    assert [one["tenant_id"] for one in actions_after(owner, None) if one["action"] == "channel.tested"] == [acme.id]


def test_operators_read_all_and_the_api_without_a_tenant_nothing(owner: psycopg.Connection, acme: Tenant, globex: Tenant) -> None:
    for role, expected in (("platform", 2), ("owner", 2), ("api", 0)):
        with owner.transaction(force_rollback=True):
            owner.execute(sql.SQL("set local role {}").format(sql.Identifier(f"signalops_{role}")))
            query = "select count(distinct tenant_id) from signalops.audit_log where tenant_id = any (%s)"
            assert owner.execute(query, [[acme.id, globex.id]]).fetchone() == (expected,), role
