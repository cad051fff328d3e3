"""A naive model of credits: burns one unit at a time."""

from dataclasses import dataclass
from datetime import datetime


@dataclass
class NaiveGrant:
    """A grant with its coins; `expires_at` None: never."""

    name: int
    currency: str
    coins: int
    priority: int
    expires_at: datetime | None


class Purse:
    """All grants of a tenant, and which invoice took which coins."""

    def __init__(self) -> None:
        self.grants: list[NaiveGrant] = []
        self.taken: list[tuple[int, NaiveGrant]] = []

    def burn(self, invoice: int, currency: str, at_most: int, now: datetime) -> int:
        """Take coins, each from the grant that is next, until there is enough or there are none."""
        burned = 0
        while burned < at_most and (usable := self._usable(currency, now)):
            first = min(usable, key=lambda g: (g.priority, g.expires_at is None, g.expires_at or now, g.name))
            first.coins -= 1
            self.taken.append((invoice, first))
            burned += 1
        return burned

    def uncount_duplicates(self, invoice: int) -> int:
        """Put each coin that an invoice took back where it came from."""
        back = [grant for taker, grant in self.taken if taker == invoice]
        self.taken = [(taker, grant) for taker, grant in self.taken if taker != invoice]
        for grant in back:
            grant.coins += 1
        return len(back)

    def expire(self, now: datetime) -> int:
        """Throw away the coins of grants that have expired; return of how many."""
        over = [g for g in self.grants if g.coins and g.expires_at and g.expires_at <= now]
        for grant in over:
            grant.coins = 0
        return len(over)

    def _usable(self, currency: str, now: datetime) -> list[NaiveGrant]:
        return [g for g in self.grants if g.currency == currency and g.coins and (g.expires_at is None or g.expires_at > now)]
