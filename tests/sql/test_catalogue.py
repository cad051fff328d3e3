"""The catalogue is walked: no object of the schema is without its protection and its comment."""

import psycopg
import pytest

from tests.sql.catalogue import RULES, TABLES, Rule

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
    assert {"tenants", "events", "inbox", "usage_counters"} <= {
        name for name, partition in seen.items() if not partition
    }
    partitioned = {"events", "matches", "deliveries", "delivery_attempts", "batches", "usage_entries"}
    assert {name[: -len("_2026_01")] for name, partition in seen.items() if partition} == partitioned
