"""The constants that Python shares with SQL: `sql/functions/constants.sql` has each of them, with what it means."""

import re
from functools import cache

from signalops import db

_DEFINITION = re.compile(r"function signalops\.(\w+)\(\) returns \w+ .* return (?:interval )?'?([^';]+)'?;")
_SECONDS = {"second": 1.0, "seconds": 1.0, "minute": 60.0, "minutes": 60.0}


@cache
def _all() -> dict[str, str]:
    text = (db.sql_folder() / "functions" / "constants.sql").read_text(encoding="utf-8")
    return dict(_DEFINITION.findall(text))


def number(name: str) -> int:
    """Return a constant that is a number."""
    return int(_all()[name])


def seconds(name: str) -> float:
    """Return a constant that is a span of time, in seconds."""
    amount, unit = _all()[name].split()
    return float(amount) * _SECONDS[unit]


WORKER_SILENCE = seconds("worker_timeout")
DIGEST_EVENTS = number("digest_events")
BULK_BATCH_EVENTS = number("bulk_batch_events")
PRIORITY_EVENT = number("priority_event")
PRIORITY_BULK = number("priority_bulk")
