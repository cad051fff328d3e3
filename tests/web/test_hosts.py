"""Whom requests were meant for, and who passed them on: DNS rebinding, and proxies that nobody trusts."""

import pytest
from starlette.requests import Request

from signalops.errors import Misdirected
from signalops.web.hosts import HostCheck
from tests.support.api import capture_log

TRYING_OUT = HostCheck(is_for_trying_out=True)


def request(host: str | None, client: str = "127.0.0.1", **headers: str) -> Request:
    named = {**({} if host is None else {"host": host}), **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    return Request({"type": "http", "headers": raw, "client": (client, 1234)})


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:3100", "localhost.evil.example", "[::1", "10.0.0.1", "", None]
)
def test_a_program_of_this_machine_asks_for_this_machine(host: str | None) -> None:
    for client in ("127.0.0.1", "::1"):
        with pytest.raises(Misdirected):
            TRYING_OUT.check(request(host, client))
    TRYING_OUT.check(request(host, "192.0.2.1"))  # by whatever name others know it
    TRYING_OUT.check(request(host, x_forwarded_for="192.0.2.1"))  # by a proxy that asks for others


@pytest.mark.parametrize("host", ["localhost", "localhost:3100", "LOCALHOST", "127.0.0.1:3100", "127.1.2.3", "[::1]:3100"])
def test_this_machine_has_several_names(host: str) -> None:
    TRYING_OUT.check(request(host))


def test_a_proxy_that_is_not_trusted_is_told_of_once() -> None:
    proxies = HostCheck(is_for_trying_out=False)
    with capture_log("proxy.untrusted") as emitted:
        proxies.check(request("api.example", "10.0.0.7"))
        # The ASGI server has put the client in the proxy's place where it is trusted.
        proxies.check(request("api.example", "192.0.2.1", x_forwarded_for="192.0.2.1, 10.0.0.8"))
        for _ in range(3):
            proxies.check(request("api.example", "10.0.0.7", x_forwarded_for="192.0.2.1"))
        proxies.check(request("api.example", "10.0.0.9", x_forwarded_for="nonsense"))
    assert [emitted.get_nowait()["address"] for _ in range(emitted.qsize())] == ["10.0.0.7", "10.0.0.9"]
