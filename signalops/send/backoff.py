"""The retry schedule of deliveries. Pure."""

from collections.abc import Sequence
from random import Random

# A receiver's Retry-After is honoured up to this.
MAX_WAIT = 24 * 3600.0
JITTER = 0.2


def next_attempt(schedule: Sequence[float], attempts_made: int, retry_after: float | None, rng: Random) -> float | None:
    """Return the seconds until the next attempt, or None after the last one.

    Each delay of the schedule varies by a fifth, so that deliveries that failed together are not retried together. A provider's
    Retry-After (seconds) is a lower bound, of up to a day, with upward jitter only.
    """
    if attempts_made > len(schedule):
        return None
    step = schedule[attempts_made - 1] * rng.uniform(1 - JITTER, 1 + JITTER)
    requested_wait = min(retry_after or 0.0, MAX_WAIT) * rng.uniform(1, 1 + JITTER)
    return max(step, requested_wait)
