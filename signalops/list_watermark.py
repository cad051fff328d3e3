"""The watermark of lists: up to which time a list is complete while others insert."""

from datetime import datetime
from typing import NamedTuple

from signalops.errors import Unavailable


class Settled(NamedTuple):
    """Before `until` all rows of lists are committed or never will be; later than `now` none was asked for."""

    now: datetime
    until: datetime

    def before(self, until: datetime | None = None) -> datetime:
        """Return the end of what can be shown of all before a time; Unavailable if that would leave a gap."""
        if until and self.until < until <= self.now:
            raise Unavailable("Rows of that time are being stored at this moment: ask again.", headers={"Retry-After": "1"})
        return min(until or self.until, self.until)
