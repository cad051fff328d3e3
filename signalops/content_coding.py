"""Content codings of requests (RFC 9110, section 8.4.1): decompresses bodies within bounds.

gzip is RFC 1952, including several members in a row; deflate is RFC 1950 (zlib). A body may become as large as the endpoint
allows, and at most RATIO times its compressed size; one MiB is always allowed.
"""

import zlib

from signalops.errors import Malformed, TooLarge, UnsupportedMedia

RATIO = 100
_SMALL = 2**20
_MAX_MEMBERS = 100
"""Each copies what is behind it: 8 MiB of empty ones would be copied 400,000 times."""
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
ACCEPTED = "gzip, deflate, identity"


def coding_of(header: str) -> str | None:
    """Return the coding that a Content-Encoding names, None for identity; UnsupportedMedia with those that are taken."""
    codings = [coding for name in header.split(",") if (coding := name.strip().lower()) not in ("", "identity")]
    if not codings:
        return None
    if len(codings) == 1 and codings[0] in _WINDOWS:
        return codings[0]
    raise UnsupportedMedia(
        f"Content-Encoding {', '.join(codings)[:100]} is not supported: send gzip, deflate, or no coding.",
        headers={"Accept-Encoding": ACCEPTED},
    )


def decoded(body: bytes, coding: str, most: int) -> bytes:
    """Decompress a body of at most `most` bytes; TooLarge, or Malformed."""
    limit = min(most, max(_SMALL, RATIO * len(body)))
    whole, rest, members = bytearray(), body, 0
    try:
        while rest:
            if (members := members + 1) > _MAX_MEMBERS:
                raise TooLarge(f"The {coding} body has more than {_MAX_MEMBERS} members: send one.")
            member = zlib.decompressobj(_WINDOWS[coding])
            whole += member.decompress(rest, limit + 1 - len(whole))
            if len(whole) > limit:
                raise TooLarge(f"Decompressed, the body is larger than {limit} bytes: send less at once.")
            if not member.eof:
                raise Malformed(f"The {coding} body breaks off: send all of it.")
            rest = member.unused_data
    except zlib.error:
        raise Malformed(
            f"The body is not {coding}, as its Content-Encoding says: compress it, or leave the header out."
        ) from None
    return bytes(whole)
