"""No way into the network: the real client, on real connections, with names that lead wherever an attacker wants."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from signalops.config import ON_ONE_MACHINE, Settings
from signalops.send.message_models import Outcome
from signalops.send.ssrf_guard import Blocked, Guard
from signalops.send.transport import Request, Transport
from tests.support.receivers import Receiver

NAME = "receiver.example.com"

# Those of Svix's own test (is_allowed_test of its webhook_http_client.rs), the metadata of clouds, and further tunnels.
IPV4 = [
    *("10.254.0.0", "192.168.10.65", "172.16.10.65", "0.1.2.3", "0.0.0.0", "127.0.0.1", "127.0.0.254"),
    *("127.254.254.254", "169.254.45.1", "255.255.255.255", "224.1.2.3", "224.0.0.1", "233.252.0.16"),
    *("192.0.0.0", "192.0.0.255", "192.0.2.255", "198.51.100.65", "203.0.113.6", "100.100.0.0"),
    *("192.88.99.3", "192.88.99.1", "198.18.0.0", "240.240.240.240", "169.254.169.254", "169.254.170.2"),
    *("100.100.100.200", "168.63.129.16"),
]
IPV6 = [
    *("::0", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.1", "2001:db8::1", "3fff::dead:beef"),
    *("fe80::dead:beef", "febf:ffff::dead:beef", "fdee:3a45:9057::1", "fd7a:115c:a1e0::1"),
    *("2002:c000:204::dead:beef", "2002:c0a8:1::dead:beef", "2002:7f00:1::", "64:ff9b::c0a8:0"),
    *("64:ff9b::808:808", "64:ff9b::7f00:1", "64:ff9b:1::dead:beef", "5f00::dead:beef", "100::1:2:3:4"),
    *("fec0::1", "::127.0.0.1", "fd00:ec2::254", "ff02::1", "2001::1", "::ffff:169.254.169.254"),
    *("::ffff:0:127.0.0.1",),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "168.63.129.17", "172.15.255.255"),
    *("172.32.0.0", "100.128.0.0"),
]


class Names(AbstractResolver):
    """The DNS of an attacker: each look-up of a name gets the next answer, the last one again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.lookups: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        self.lookups.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def transport(settings: Settings, resolver: AbstractResolver | None = None) -> AsyncIterator[Transport]:
    transport = Transport(settings, resolver)
    yield transport
    await transport.close()


@asynccontextmanager
async def listening(host: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start(host, tls)
    yield receiver
    await receiver.stop()


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ON_ONE_MACHINE:
        monkeypatch.delenv(name)
    return Settings()


@pytest.fixture
def only_one(production: Settings) -> Settings:
    """127.0.0.1 stands for the public internet; 127.0.0.2, the same machine, for what lies inside."""
    public = {"send_allowed_networks": (ip_network("127.0.0.1/32"),), "send_ports": (), "send_plain_http": True}
    return production.model_copy(update={**public, "send_timeout": 5.0})


async def post(transport: Transport, url: str) -> Outcome:
    return await transport.call(Request(url, b"{}", {}))


@pytest.mark.parametrize("address", [*IPV4, *IPV6])
async def test_no_address_inside_is_connected_to(production: Settings, address: str) -> None:
    """Neither as a literal, nor behind a name, nor as a connection that came about in any other way."""
    literal = f"[{address}]" if ":" in address else address
    names = Names([address])
    async with transport(production, names) as ours:
        for url in (f"https://{literal}/", f"https://{NAME}/"):
            outcome = await post(ours, url)
            assert (outcome.kind, outcome.error) == (
                "misconfigured",
                "The receiver is not on the public internet: choose one that is.",
            )
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with pytest.raises(Blocked):
            ours.guard.new_socket((family, socket.SOCK_STREAM, 0, "", (address, 443)))
        with pytest.raises(Blocked):
            await ours.guard.connected(NAME, 25)
    assert names.lookups == [NAME, NAME]


@pytest.mark.parametrize("address", PUBLIC)
async def test_public_addresses_may_be_connected_to(production: Settings, address: str) -> None:
    guard = Guard(production, Names([address]))
    guard.check_url(URL.build(scheme="https", host=address, path="/"))
    assert [found["host"] for found in await guard.resolve(NAME, 443)] == [address]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    guard.new_socket((family, socket.SOCK_STREAM, 0, "", (address, 443))).close()


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "127.0.0.01", "localhost"])
async def test_other_spellings_of_loopback_lead_nowhere(production: Settings, receiver: Receiver, host: str) -> None:
    opened = production.model_copy(update={"send_ports": (), "send_plain_http": True})
    async with transport(opened) as ours:
        outcome = await post(ours, f"http://{host}:{receiver.port}/")
    assert outcome.kind == "misconfigured"
    assert receiver.received == []


async def test_one_address_inside_refuses_a_name_with_others_outside(only_one: Settings) -> None:
    async with listening("127.0.0.1") as outside, transport(only_one, Names(["127.0.0.1", "127.0.0.2"])) as ours:
        assert (await post(ours, f"http://{NAME}:{outside.port}/")).kind == "misconfigured"
        assert outside.received == []


async def test_a_name_that_is_rebound_is_connected_to_as_it_was_checked(only_one: Settings) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with listening("127.0.0.1") as outside, listening("127.0.0.2") as inside, transport(only_one, names) as ours:
        url = f"http://{NAME}:{outside.port}/"
        outside.answers.append(web.Response(headers={"Connection": "close"}))
        assert (await post(ours, url)).kind == "sent"
        assert (await post(ours, url)).kind == "sent"  # a new connection, to the address that was checked
        assert (len(outside.received), names.lookups) == (2, [NAME])
        assert (await post(ours, f"http://{NAME}:{inside.port}/")).kind == "misconfigured"
        assert (inside.received, names.lookups) == ([], [NAME, NAME])


async def test_a_redirect_inside_is_not_followed(only_one: Settings) -> None:
    async with listening("127.0.0.1") as outside, listening("127.0.0.2") as inside, transport(only_one) as ours:
        outside.answers.append(web.Response(status=302, headers={"Location": inside.url}))
        assert (await post(ours, outside.url)).kind == "permanent"
        outside.answers.append(web.Response(status=302, headers={"Location": inside.url}))
        with pytest.raises(Blocked):  # not even by a caller who would
            await ours.http().post(outside.url)
        assert (len(outside.received), inside.received) == (2, [])


async def test_a_mail_server_is_connected_to_where_it_was_checked(only_one: Settings, receiver: Receiver) -> None:
    guard = Guard(only_one, Names(["127.0.0.1"], ["127.0.0.2"]))
    with await guard.connected(NAME, receiver.port) as connection:
        assert connection.getpeername() == ("127.0.0.1", receiver.port)
    with pytest.raises(Blocked):
        await guard.connected(NAME, receiver.port)


async def test_a_name_of_the_machine_is_resolved(settings: Settings) -> None:
    async with listening("localhost") as receiver, transport(settings) as ours:
        assert (await post(ours, receiver.url)).kind == "sent"


async def test_a_name_that_does_not_exist_is_tried_again(settings: Settings) -> None:
    async with transport(settings) as ours:
        outcome = await post(ours, "http://nobody.invalid/")
    assert (outcome.kind, outcome.error) == ("transient", "The receiver's name can't be resolved.")


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that the transport trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


def serving(authority: trustme.CA, name: str) -> tuple[ssl.SSLContext, list[str | None]]:
    """Return the TLS of a receiver, and where the names are noted that it is asked for."""
    context, lookups = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), list[str | None]()
    authority.issue_cert(name).configure_cert(context)
    context.sni_callback = lambda _, name, __: lookups.append(name)
    return context, lookups


async def test_the_receiver_is_called_by_its_name(settings: Settings, authority: trustme.CA) -> None:
    tls, lookups = serving(authority, NAME)
    async with listening("127.0.0.1", tls) as receiver, transport(settings, Names(["127.0.0.1"])) as ours:
        assert (await post(ours, f"https://{NAME}:{receiver.port}/")).kind == "sent"
        assert lookups == [NAME]
        assert [request.headers["Host"] for request in receiver.received] == [f"{NAME}:{receiver.port}"]


@pytest.mark.parametrize("name", ["other.example.com", None])
async def test_a_wrong_certificate_ends_it(settings: Settings, authority: trustme.CA, name: str | None) -> None:
    """Of another name, or of an authority that nobody trusts."""
    tls, _ = serving(authority, name) if name else serving(trustme.CA(), NAME)
    async with listening("127.0.0.1", tls) as receiver, transport(settings, Names(["127.0.0.1"])) as ours:
        outcome = await post(ours, f"https://{NAME}:{receiver.port}/")
        assert (outcome.kind, outcome.error) == ("transient", "The receiver's certificate can't be verified.")
        assert receiver.received == []


async def test_a_receiver_that_speaks_no_tls_is_tried_again(settings: Settings, receiver: Receiver) -> None:
    async with transport(settings) as ours:
        outcome = await post(ours, f"https://127.0.0.1:{receiver.port}/")
    assert (outcome.kind, outcome.error) == ("transient", "The receiver can't be reached: TLS failed.")


Speech = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def speaking(*parts: bytes, endless: bytes = b"") -> AsyncIterator[str]:
    """A server that sends an answer to any connection, and then closes it or never ends."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.writelines(parts)
        try:
            while endless:
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0.005)  # drop by drop
        except ConnectionError:
            pass
        writer.transport.abort() if not parts else writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("raw_answer", "error"),
    [
        (b"", "The receiver broke off the connection."),
        (b"HTTP/1.1 200 O", "The receiver broke off the connection."),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "The receiver broke off the connection."),
        (b"\x00\xff\r\n\r\n", "The receiver's answer can't be read: it is not HTTP."),
        (b"220 smtp.example.com ESMTP\r\n", "The receiver's answer can't be read: it is not HTTP."),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "it is not HTTP."),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, "it is not HTTP."),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000, "it is not HTTP."),
    ],
)
async def test_what_is_no_answer_is_tried_again(settings: Settings, raw_answer: bytes, error: str) -> None:
    async with speaking(raw_answer) as url, transport(settings) as ours:
        outcome = await post(ours, url)
    assert (outcome.kind, outcome.status_code) == ("transient", None)
    assert (outcome.error or "").endswith(error)


@pytest.mark.parametrize("endless", [b"HTTP/1.1 100 Continue\r\n\r\n", b"X"])
async def test_an_answer_that_drips_is_not_waited_for(settings: Settings, endless: bytes) -> None:
    start = b"HTTP/1.1 200 OK\r\nX-Long: " if endless == b"X" else b""
    hurried = settings.model_copy(update={"send_timeout": 0.3})
    async with speaking(start, endless=endless) as url, transport(hurried) as ours, asyncio.timeout(3):
        outcome = await post(ours, url)
    # As many interim answers as are taken may come before the time is over.
    assert outcome.error in ("The receiver did not answer in time.", "The receiver's answer is too long.")
    assert outcome.kind == "transient"


async def test_a_body_that_drips_does_not_hold_up_a_success(settings: Settings) -> None:
    hurried = settings.model_copy(update={"send_timeout": 0.3})
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    async with speaking(start, endless=b"y") as url, transport(hurried) as ours, asyncio.timeout(3):
        outcome = await post(ours, url)
    assert (outcome.kind, set(outcome.answer or "")) == ("sent", {"y"})


async def test_connections_are_kept(settings: Settings, receiver: Receiver) -> None:
    peers: list[object] = []

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(text="thanks")

    receiver.answers += [note] * 3
    async with transport(settings) as ours:
        for _ in range(3):
            assert (await post(ours, receiver.url)).answer == "thanks"
    assert len(set(peers)) == 1
