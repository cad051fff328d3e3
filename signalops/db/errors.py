"""What errors of the database mean, and what may be said of them in logs."""

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
"""What is the data's own fault (SQLSTATE classes 22 and 54), and fails each time; all else is the installation's to mend."""


def reason(error: psycopg.Error) -> str:
    """Return the server's own sentence about an error, without the statement and its values."""
    return error.diag.message_primary or type(error).__name__


_PLAIN = (AttributeError, ImportError, NameError, OSError, TypeError, Unusable)
"""Errors whose text tells of code and installation; that of others may quote what was being worked on."""


def told(error: BaseException) -> str:
    """Return what an error is, for the logs: never a value of a tenant's, which details and texts of errors quote."""
    name = type(error).__name__
    if isinstance(error, psycopg.Error) and error.sqlstate:
        quotes_values = error.sqlstate.startswith("22")
        return f"{name} ({error.sqlstate})" if quotes_values else f"{name} ({error.sqlstate}): {reason(error)}"
    return f"{name}: {error}" if isinstance(error, (*_PLAIN, *OUTAGE)) else name
