"""The TLS context that verifies receivers and mail servers."""

import os
import ssl
from functools import cache


def verifying_context() -> ssl.SSLContext:
    """Return the context that verifies certificates by the system's authorities, or by SSL_CERT_FILE and SSL_CERT_DIR.

    Reading the authorities takes 25 ms, too long for each connection: it is done once in a process.
    """
    return _context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _context(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return ssl.create_default_context()
