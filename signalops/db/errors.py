"""Classifies database errors, and redacts them for logs."""

import psycopg
from psycopg.errors import DeadlockDetected, LockNotAvailable, ProgramLimitExceeded, SerializationFailure, UniqueViolation
from psycopg_pool import PoolTimeout

from signalops.errors import Unusable

OUTAGE = (psycopg.OperationalError, PoolTimeout)
"""The database is away, or gave up on a lock, a deadlock or a timeout: the same may succeed later."""
OUTDATED = SerializationFailure
"""What was decided is outdated, and can't be recorded any more."""
BUSY = (LockNotAvailable, DeadlockDetected)
"""Another transaction was in the way, and nothing was done: the same succeeds once that one has ended."""
KNOWN = UniqueViolation
"""It is stored already."""
REFUSAL = psycopg.Error
"""Any error of the database."""
UNSTORABLE = (psycopg.DataError, ProgramLimitExceeded)
"""Errors caused by the data (SQLSTATE classes 22 and 54), which fail each time; all others are faults of the installation."""


def reason(error: psycopg.Error) -> str:
    """Return the server's own sentence about an error, without the statement and its values."""
    return error.diag.message_primary or type(error).__name__


_PLAIN = (AttributeError, ImportError, NameError, OSError, TypeError, Unusable)
"""Errors whose text describes code and installation; the text of others may quote tenants' values."""


def redact(error: BaseException) -> str:
    """Return the text of an error for logs, without values of tenants, which PostgreSQL quotes in messages and details."""
    name = type(error).__name__
    if isinstance(error, psycopg.Error) and error.sqlstate:
        quotes_values = error.sqlstate.startswith("22")
        return f"{name} ({error.sqlstate})" if quotes_values else f"{name} ({error.sqlstate}): {reason(error)}"
    return f"{name}: {error}" if isinstance(error, (*_PLAIN, *OUTAGE)) else name
