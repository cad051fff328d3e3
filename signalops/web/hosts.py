"""Rejects requests that are meant for another host, and warns of proxies that are not trusted.

DNS rebinding: a page in a developer's browser makes its own name resolve to 127.0.0.1 and sends requests as the same origin. The
browser puts that name into Host. See OWASP, "DNS Rebinding".
"""

from starlette.requests import Request

from signalops import telemetry
from signalops.config import is_this_machine
from signalops.errors import Misdirected
from signalops.http import is_own_host

_FORWARDED = {b"forwarded", b"x-forwarded-for"}
_ASKED = {b"host", *_FORWARDED}
_MAX_WARNINGS = 100


class HostCheck:
    """Rejects requests for other hosts, and warns of untrusted proxies; reads a request's headers once."""

    def __init__(self, is_for_trying_out: bool) -> None:
        self._is_for_trying_out = is_for_trying_out
        self._warned: set[str] = set()

    def check(self, request: Request) -> None:
        """Refuse what a program of this machine asks of another host, as a page does by rebinding its name; Misdirected.

        Only in an installation for trying out: its keys are public, and it stands behind no proxy.
        """
        headers = {name: value for name, value in request.scope["headers"] if name in _ASKED}
        if forwarded := headers.get(b"x-forwarded-for"):
            self._watch(request, forwarded.decode("latin-1"))
        if not self._is_for_trying_out or request.client is None or not _FORWARDED.isdisjoint(headers):
            return
        if is_this_machine(request.client.host) and not is_own_host(headers.get(b"host", b"").decode("latin-1")):
            raise Misdirected("This installation for trying out answers to localhost: ask http://localhost and its port.")

    def _watch(self, request: Request, forwarded: str) -> None:
        """Warn, once for each address, of a proxy that is not believed: its clients share one address, and one limit."""
        if request.client is None or len(self._warned) >= _MAX_WARNINGS:
            return
        # The ASGI server has taken the client's address from the header if it believes it.
        address = request.client.host
        if address not in self._warned and address not in (one.strip() for one in forwarded.split(",")):
            self._warned.add(address)
            telemetry.emit("proxy.untrusted", address=address)
