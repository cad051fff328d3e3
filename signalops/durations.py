"""Durations such as 90s, 10m, 1h30m or 7d."""

import re
from datetime import timedelta

_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?=\d)(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", re.ASCII)


def duration(text: str) -> timedelta:
    """Parse a duration such as 90s, 10m, 1h30m or 7d; ValueError."""
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise ValueError("must be a duration such as 90s, 10m, 1h30m or 7d")
    return timedelta(seconds=sum(int(n or 0) * unit for n, unit in zip(parts.groups(), _UNITS.values(), strict=True)))
