"""The SSRF guard: tenants may send to the public internet and to the networks that the operator allows, never inside."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import aiohappyeyeballs
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import AsyncResolver
from yarl import URL

from signalops.config import Settings

MAIL_PORTS = frozenset((25, 465, 587, 2525))

# IANA's special-purpose registries (https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-...), with
# multicast and what clouds keep for themselves. `ipaddress.is_global` lets many of them pass.
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, though a public address
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # Teredo, ORCHID and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: the IPv4 address within may be any
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
# All that is assigned of IPv6 to hosts in public: NAT64, unique local, link-local and multicast lie outside.
_PUBLIC_IPV6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")

# RFC 6761, 6762, 7686, 8375 and 9476; ICANN's `internal`, under which clouds keep their metadata; and habits.
_LOCAL_NAMES = frozenset(("localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa", "alt"))
_LOCAL_NAMES |= {"onion", "test", "invalid", "example"}

Address = IPv4Address | IPv6Address


class Blocked(Exception):
    """Sending there is not allowed; the message is a sentence for the tenant, which names no address."""


class Guard(AbstractResolver):
    """Checks urls, names and addresses. As aiohttp's resolver and maker of sockets it has every connection pass here.

    Names are resolved by `resolver`, by default c-ares: a name whose DNS server hangs must not block a thread each.
    """

    def __init__(self, settings: Settings, resolver: AbstractResolver | None = None) -> None:
        self._networks = settings.send_allowed_networks
        self._ports = frozenset(settings.send_ports)
        self._schemes = ("https", "http") if settings.send_plain_http else ("https",)
        self._resolver = resolver

    def check_url(self, url: URL) -> None:
        """Raise Blocked for a URL that may not be called, as far as that is known without DNS."""
        if url.scheme not in self._schemes:
            raise Blocked("The url must begin with https://: plain HTTP is not allowed here.")
        if url.raw_user is not None or url.raw_password is not None:
            raise Blocked("The url must contain no user and no password: remove them.")
        self._check_port(url.port, self._ports)
        self._check_host(url.raw_host or "")

    def check_server(self, host: str, port: int) -> None:
        """Raise Blocked for a mail server that may not be connected to, as far as that is known without DNS."""
        self._check_port(port, self._ports and self._ports | MAIL_PORTS)
        self._check_host(host)

    def check_address(self, address: str) -> None:
        """Raise Blocked for an address that is neither public nor in a network of the operator's list."""
        if not all(map(self._may_be_reached, _faces(ip_address(address)))):
            raise Blocked("The receiver is not on the public internet: choose one that is.")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the addresses of a name; Blocked if a single one of them may not be reached."""
        if self._resolver is None:
            self._resolver = AsyncResolver()
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            self.check_address(result["host"])
        return found

    def new_socket(self, address: aiohappyeyeballs.AddrInfoType) -> socket.socket:
        """Return a socket for one address; Blocked as above.

        It is asked before each connection, with what is connected to: also for literal addresses, which aiohttp does
        not have resolved.
        """
        family, kind, protocol, _, where = address
        self.check_address(str(where[0]))
        return socket.socket(family, kind, protocol)

    async def connected(self, host: str, port: int) -> socket.socket:
        """Return a socket that is connected to a mail server; Blocked if it may not be, OSError if it can't be."""
        self.check_server(host, port)
        where = [
            (found["family"], socket.SOCK_STREAM, found["proto"], "", (found["host"], found["port"]))
            for found in await self.resolve(host, port)
        ]
        return await aiohappyeyeballs.start_connection(where, happy_eyeballs_delay=0.25, socket_factory=self.new_socket)

    async def close(self) -> None:
        if self._resolver is not None:
            await self._resolver.close()
            self._resolver = None

    def _check_port(self, port: int | None, allowed: frozenset[int]) -> None:
        if allowed and port not in allowed:
            raise Blocked(f"Port {port} is not allowed: use {' or '.join(map(str, sorted(allowed)))}.")

    def _check_host(self, host: str) -> None:
        try:
            ip_address(host)
        except ValueError:
            # With networks of the operator's own a local name may lead there: its addresses decide.
            if not self._networks and _is_local(host):
                raise Blocked("The receiver's name is a local one: use a name on the public internet.") from None
        else:
            self.check_address(host)

    def _may_be_reached(self, address: Address) -> bool:
        return any(address in network for network in self._networks) or _is_public(address)


def _faces(address: Address) -> Iterator[Address]:
    """Yield all that a packet to an address may reach: the IPv4 address within IPv6, too."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    if address in _NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _PUBLIC_IPV6:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def _is_local(name: str) -> bool:
    name = name.rstrip(".").lower()
    return "." not in name or any(name.endswith(f".{local}") for local in _LOCAL_NAMES)
