"""When a delivery is tried again."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from signalops.send.backoff import JITTER, MAX_WAIT, next_attempt

SCHEDULE = (5.0, 30.0, 120.0)


@given(st.integers(1, 3), st.integers())
def test_each_wait_is_its_step_spread_by_a_fifth(attempts_made: int, seed: int) -> None:
    delay = next_attempt(SCHEDULE, attempts_made, None, Random(seed))
    step = SCHEDULE[attempts_made - 1]
    assert delay is not None
    assert step * (1 - JITTER) <= delay <= step * (1 + JITTER)


def test_waits_of_deliveries_that_failed_together_differ() -> None:
    rng = Random(1)
    assert len({next_attempt(SCHEDULE, 1, None, rng) for _ in range(100)}) == 100


def test_after_the_schedule_there_is_no_further_attempt() -> None:
    assert next_attempt(SCHEDULE, 3, None, Random(1)) is not None
    assert next_attempt(SCHEDULE, 4, 60.0, Random(1)) is None
    assert next_attempt((), 1, None, Random(1)) is None


@given(st.floats(0, 1e9), st.integers())
def test_retry_after_is_a_lower_bound_up_to_a_day(retry_after: float, seed: int) -> None:
    delay = next_attempt(SCHEDULE, 1, retry_after, Random(seed))
    assert delay is not None
    assert min(retry_after, MAX_WAIT) <= delay <= max(6.0, min(retry_after, MAX_WAIT) * (1 + JITTER))


def test_a_short_retry_after_does_not_shorten_the_step() -> None:
    delay = next_attempt(SCHEDULE, 3, 1.0, Random(1))
    assert delay is not None
    assert delay >= 120 * (1 - JITTER)
