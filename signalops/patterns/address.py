"""IP addresses as the pattern language reads them: text to a family and an integer."""

import re
from ipaddress import IPv6Address
from typing import NamedTuple

# Four decimal parts (leading zeros are decimal, not octal) or hexadecimal groups with colons; a dotted tail
# inside IPv6 is no address to the reference, so it isn't here.
_V4 = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)")
_V6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_MAX_V4_TEXT = 15
_MAX_V6_TEXT = 39


class Address(NamedTuple):
    """bits: 32 or 128; value: the address as an unsigned integer."""

    bits: int
    value: int


def read_address(text: str) -> Address | None:
    """Parse an address literal; None when the text is none. An IPv4 address mapped into IPv6 counts as IPv4."""
    if len(text) > _MAX_V6_TEXT:
        return None
    if parts := _V4.fullmatch(text):
        return _read_v4(text, [int(part) for part in parts.groups()])
    return _read_v6(text) if _V6.fullmatch(text) else None


def _read_v4(text: str, parts: list[int]) -> Address | None:
    if len(text) > _MAX_V4_TEXT or max(parts) > 255:
        return None
    return Address(32, int.from_bytes(bytes(parts), "big"))


def _read_v6(text: str) -> Address | None:
    try:
        address = IPv6Address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped
    return Address(128, int(address)) if mapped is None else Address(32, int(mapped))
