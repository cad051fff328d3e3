"""The catalogue is walked: no object of the schema is without its protection and its comment."""

from typing import LiteralString

import psycopg
import pytest

from tests.sql.catalogue import ACROSS, RULES, TABLES, Rule
from tests.support.isolation.declared import OPERATORS

each_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.states for rule in RULES])


def culprits(connection: psycopg.Connection, rule: Rule) -> set[str]:
    return {name for (name,) in connection.execute(rule.culprits)}


@each_rule
def test_rule_holds_and_its_check_can_fail(owner: psycopg.Connection, rule: Rule) -> None:
    assert culprits(owner, rule) == set()
    with owner.transaction(force_rollback=True):
        owner.execute(rule.plant)
        assert culprits(owner, rule) == {rule.planted}


def test_the_walk_sees_the_tables_and_their_partitions(owner: psycopg.Connection) -> None:
    seen = {name: partition for _, name, partition, *_ in owner.execute(TABLES)}
    assert {"tenants", "events", "inbox", "usage_counters"} <= {name for name, partition in seen.items() if not partition}
    partitioned = {"audit_log", "events", "matches", "deliveries", "delivery_attempts", "batch_results", "usage_entries"}
    assert {name[: -len("_2026_01")] for name, partition in seen.items() if partition} == partitioned


@pytest.mark.parametrize(
    ("plant", "planted"),
    [
        ("grant delete on signalops.plans to signalops_platform", ("plans", {"select", "insert", "delete"})),
        ("grant update (document) on signalops.plans to signalops_platform", ("plans", {"select", "insert", "update"})),
        ("create policy wide on signalops.limits for select to signalops_platform using (true)", ("limits", None)),
        ("revoke select on signalops.audit_log from signalops_platform", ("audit_log", set())),
    ],
)
def test_operators_act_across_tenants_only_as_declared(
    owner: psycopg.Connection, plant: LiteralString, planted: tuple[str, set[str] | None]
) -> None:
    def found() -> dict[str, set[str]]:
        return {name: set(privileges) for name, privileges in owner.execute(ACROSS)}

    declared = {name: privileges for name, (privileges, _) in OPERATORS.items()}
    assert found() == declared
    table, privileges = planted
    with owner.transaction(force_rollback=True):
        owner.execute(plant)
        assert found().keys() == declared.keys() | {table}
        assert privileges is None or found()[table] == privileges
