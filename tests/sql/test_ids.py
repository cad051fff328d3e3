"""Ids made in SQL: of the millisecond that has begun, as those made in Python, so that no id is later than an event after it."""

from datetime import UTC, datetime

import psycopg

from signalops import clock


def test_the_id_of_a_moment_is_of_its_millisecond_in_sql_as_in_python(owner: psycopg.Connection) -> None:
    for microsecond in (0, 499, 500, 864_499, 864_500, 864_999, 999_999):
        moment = datetime(2026, 11, 30, 23, 59, 59, microsecond, UTC)
        row = owner.execute("select signalops.uuid7_floor(%s)", [moment]).fetchone()
        assert row == (clock.uuid7_floor(moment),), microsecond


def test_no_new_id_is_of_a_millisecond_to_come(owner: psycopg.Connection) -> None:
    early = "select count(*) filter (where signalops.uuid7_time(signalops.new_id()) > clock_timestamp()), count(*)"
    assert owner.execute(f"{early} from generate_series(1, 2000)".encode()).fetchone() == (0, 2000)
