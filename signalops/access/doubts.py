"""What was remembered until when: one change makes one key or tenant be looked up again, a gap in hearing of changes all."""

import asyncio
from uuid import UUID

_REMEMBERED = 300.0
"""Seconds for which anything is remembered at most: older doubts concern nothing any more."""
_MOST = 10_000


class Doubts:
    """The changes that this process has heard of lately."""

    def __init__(self) -> None:
        self._all = 0.0
        self._ones: dict[UUID, float] = {}

    def all(self) -> None:
        """Doubt whatever was looked up so far."""
        self._all = _seconds()
        self._ones.clear()

    def one(self, subject: UUID) -> None:
        """Doubt what was looked up so far of one subject."""
        now = _seconds()
        if len(self._ones) >= _MOST:
            self._ones = {one: at for one, at in self._ones.items() if at > now - _REMEMBERED}
        if len(self._ones) >= _MOST:
            self.all()
        else:
            self._ones[subject] = now

    def concern(self, since: float, *subjects: UUID) -> bool:
        """Tell whether what was looked up at a moment, about subjects, may have changed since."""
        return since <= self._all or any(since <= self._ones.get(subject, 0.0) for subject in subjects)


def _seconds() -> float:
    return asyncio.get_running_loop().time()
