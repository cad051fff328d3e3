"""The retry schedule of deliveries. Pure."""

from collections.abc import Sequence
from random import Random

# A receiver's Retry-After is honoured up to this.
MAX_WAIT = 24 * 3600.0
JITTER = 0.2


def next_attempt(schedule: Sequence[float], attempts_made: int, retry_after: float | None, rng: Random) -> float | None:
    """Return the seconds until the next attempt, or None when the last one has been made.

    Each step of the schedule is spread by a fifth to both sides: what failed together must not come back together.
    A provider's Retry-After (seconds) is a lower bound, kept for up to a day, and spread upwards only.
    """
    if attempts_made > len(schedule):
        return None
    step = schedule[attempts_made - 1] * rng.uniform(1 - JITTER, 1 + JITTER)
    requested_wait = min(retry_after or 0.0, MAX_WAIT) * rng.uniform(1, 1 + JITTER)
    return max(step, requested_wait)
