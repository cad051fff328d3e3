"""Maps each constraint of the database to the problem that its violation means for the caller."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psycopg

from signalops.db.errors import reason
from signalops.errors import Conflict, Invalid, Problem

_PROBLEMS: Mapping[str, Callable[[str], Problem]] = {
    "api_keys_by_replaced": lambda _: Conflict(
        "The key was rotated already: rotate the key that replaces it, or create a new one."
    ),
    "channels_by_name": lambda _: Conflict("There is a channel of this name already: choose another name."),
    "channels_secret_destination": lambda _: Invalid.at("secret", "would be sent elsewhere than it was given for; give it again"),
    "meters_one_meaning": lambda why: Conflict(f"The plan can't be given ({why})."),
    "plans_pkey": lambda _: Conflict(
        "Somebody else created that version of the plan at the same time: look at it and try again."
    ),
    "rules_by_name": lambda _: Conflict("There is a rule of this name already: choose another name."),
    "subscriptions_currency": lambda why: Conflict(f"The plan can't be given ({why})."),
    "subscriptions_tenant_id_starts_on_key": lambda _: Conflict(
        "Somebody else gave the tenant a plan at the same time: look at it and try again."
    ),
    "tenants_fixed_time_zone": lambda why: Conflict(f"The time zone can't be set: {why}."),
    "tenants_slug_key": lambda _: Conflict("There is a tenant of this slug already: choose another slug."),
}
"""The problem for each constraint, or for the name that a trigger raises; the server's message where it is more precise."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise a Problem in place of a refusal by a constraint that people can run into."""
    try:
        yield
    except psycopg.IntegrityError as error:
        problem = _PROBLEMS.get(error.diag.constraint_name or "")
        if problem is None:
            raise
        raise problem(reason(error)) from error
