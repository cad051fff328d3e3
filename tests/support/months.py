"""Calendar months in UTC, as partitions and a tenant's billing periods without a time zone have them."""

from datetime import datetime, timedelta


def next_month(moment: datetime) -> datetime:
    """Return the start of the month after the month of a moment."""
    return (moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)
