"""The retry schedule of jobs that failed."""

import random
from datetime import UTC, datetime, timedelta

from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from signalops import clock

AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)
"""When what needs no waiting runs again: a moment that is past by any clock."""

_JITTER = random.SystemRandom()


class RetryAlways(BaseRetryStrategy):
    """Retry without end, with a backoff of up to a minute, and jitter.

    Jobs write dead letters themselves; an exception that escapes them is an outage (database, shutdown of the worker), which
    must never lose an accepted event. A strategy that did not retry CancelledError would end the jobs that a shutdown cancels
    as `aborted`.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """Return when to run again: at once after a shutdown, else after 0.5 s doubling to 60 s, less up to half."""
        if not isinstance(exception, Exception):
            return RetryDecision(retry_at=AT_ONCE)
        ceiling = min(60_000, 500 * 2 ** min(job.attempts, 10))
        wait = timedelta(milliseconds=_JITTER.randint(ceiling // 2, ceiling))
        return RetryDecision(retry_at=clock.now() + wait)


class RetryCutOff(BaseRetryStrategy):
    """Retry what a shutdown cut off, and nothing else: what a maintenance job failed to do, the next tick does."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return to run again at once after a shutdown; None, and the job ends as failed, after an error."""
        return None if isinstance(exception, Exception) else RetryDecision(retry_at=AT_ONCE)
