"""Errors as one sentence for the command line."""

from pydantic import ValidationError
from pydantic_settings import SettingsError

from signalops import db
from signalops.config import Settings
from signalops.errors import Invalid, Problem, Unusable


def sentence_of(error: Exception) -> str | None:
    """Return the sentence that says what is wrong and what to do; None for a defect of SignalOps, which needs its traceback."""
    if isinstance(error, Unusable | Problem):
        return str(error)
    if isinstance(error, ValidationError):
        return _invalid(error)
    if isinstance(error, SettingsError):
        return f"{error}: write a list as JSON, such as [5, 30, 120]."
    if isinstance(error, db.OUTAGE):
        return f"PostgreSQL can't be reached ({str(error).strip()}): check DATABASE_URL, or start it."
    if isinstance(error, db.REFUSAL):
        return _refused(error)
    return None


def _invalid(error: ValidationError) -> str:
    invalid = Invalid.of(error)
    if error.title != Settings.__name__:
        return invalid.detail
    first = invalid.members["errors"][0]
    field, _, _ = first["path"].partition(".")
    variable = f"SIGNALOPS_{field.upper()}" if field in Settings.model_fields else field
    return f"{variable} can't be used: {first['message']}."


def _refused(error: db.REFUSAL) -> str:
    # Without an SQLSTATE it is the client that refuses; it quotes the URL, and with that the password.
    if error.sqlstate is None:
        return "DATABASE_URL is not a PostgreSQL URL: write postgresql://user:password@host/database."
    return f"PostgreSQL refuses this ({db.reason(error)}): change the value that it names."
