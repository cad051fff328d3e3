"""The format of API keys: generate, hash, and reject malformed keys without a database query.

Format: `so_live_` or `so_test_`, 43 random base-62 digits (256 bits), and the CRC-32 of what stands before as 6 base-62 digits,
so that scanners can recognise a leaked key (as in "Behind GitHub's new authentication token formats"). The first keys had 24
random digits. The first 16 characters are the prefix by which the hash is found. Live and test are for people: both work alike.
"""

import re
import secrets
import string
import zlib
from typing import Literal

import bcrypt

PREFIX = 16
SCANNED = r"\bso_(?:live|test)_(?:[0-9A-Za-z]{49}|[0-9A-Za-z]{30})\b"
"""The regular expression for secret scanners; what it finds is a key if its checksum is right (`is_plausible`)."""
COST = 12
"""bcrypt's cost: a quarter of a second of work for each hash and each check."""
_DIGITS = string.digits + string.ascii_letters
_RANDOM_DIGITS = 43
_OURS = "so_live_", "so_test_"
_MAX_BYTES = 72  # bcrypt raises beyond; others cut off, and then all keys with one beginning are one

KeyKind = Literal["live", "test"]


def new_key(kind: KeyKind = "live") -> str:
    """Make a new key."""
    body = f"so_{kind}_" + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM_DIGITS))
    return body + _checksum(body)


def hash_key(key: str) -> str:
    """Return the bcrypt hash of a key."""
    return bcrypt.hashpw(key.encode(), bcrypt.gensalt(COST)).decode()


def is_ours(key: str) -> bool:
    """Return whether a key has our format, and so has 256 random bits."""
    return key.startswith(_OURS)


def is_plausible(key: str) -> bool:
    """Return whether a text can be a key; a key of our format must have the right checksum."""
    if not PREFIX <= len(key) <= _MAX_BYTES or not key.isascii() or not key.isprintable():
        return False
    if not is_ours(key):
        return True
    return re.fullmatch(SCANNED, key) is not None and key[-6:] == _checksum(key[:-6])


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits
