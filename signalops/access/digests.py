"""Verifies keys of our format in microseconds: an HMAC of the whole key, stored beside its bcrypt hash.

bcrypt slows down guessing, which only helps passwords that people choose: 256 random bits can't be guessed. The HMAC uses the
installation's secret, so a digest is useless to someone who has read only the database.
"""

import hashlib
import hmac
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from signalops.access.key_format import is_ours
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.secret_key import secret_keys

_PURPOSE = b"signalops api keys"
_NAME = 4
"""Length of the prefix that identifies the HMAC secret: a digest made with another secret can't be compared."""


class Digests:
    """Makes and compares digests by the installation's secrets, the newest first; without any, bcrypt alone decides."""

    def __init__(self, secrets: Sequence[str]) -> None:
        keys = [hmac.digest(secret.encode(), _PURPOSE, "sha256") for secret in secrets]
        self._keys = {hashlib.sha256(key).digest()[:_NAME]: key for key in keys}

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those of an installation; where its secret is not known, such as a command line's, there are none."""
        with suppress(Unusable):
            return cls(secret_keys(settings))
        return cls(())

    def make(self, key: str) -> bytes | None:
        """Return the digest to keep of a key: 36 bytes; None of another format, which may be short enough to be guessed."""
        newest = next(iter(self._keys.items()), None)
        if newest is None or not is_ours(key):
            return None
        name, secret = newest
        return name + hmac.digest(secret, key.encode(), "sha256")

    def compare(self, key: str, digest: bytes | None) -> bool | None:
        """Return whether a key has this digest; None if the digest can't decide that."""
        secret = self._keys.get(digest[:_NAME]) if digest else None
        if digest is None or secret is None:
            return None
        return hmac.compare_digest(digest[_NAME:], hmac.digest(secret, key.encode(), "sha256"))
