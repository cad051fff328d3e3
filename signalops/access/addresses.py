"""Networks that a key may be used from, and whether an address lies in them.

The address is the one that the ASGI server gives. Behind a proxy that is the proxy's own, unless uvicorn trusts its
X-Forwarded-For: `--forwarded-allow-ips`, or FORWARDED_ALLOW_IPS in the environment (default: 127.0.0.1).
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

Network = IPv4Network | IPv6Network
MAX_NETWORKS = 50


def is_within(address: str | None, networks: Iterable[Network]) -> bool:
    """Return whether an address is in one of some networks; False for text that is no IP address."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    # A server that listens on IPv6 sees who comes by IPv4 as ::ffff:203.0.113.7.
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in network for network in networks)


def are_within(networks: Iterable[str], bounds: Iterable[str]) -> bool:
    """Return whether networks (empty: everywhere) are all inside the allowed networks."""
    outer = [ip_network(bound) for bound in bounds]
    inner = [ip_network(network) for network in networks]
    return bool(inner) and all(any(_lies_in(network, bound) for bound in outer) for network in inner)


def _lies_in(network: Network, bound: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(bound, IPv4Network) and network.subnet_of(bound)
    return isinstance(bound, IPv6Network) and network.subnet_of(bound)


def _network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(
            "must be a network such as 203.0.113.0/24 or 2001:db8::/32, with no bits set behind its prefix"
        ) from None
    if "%" in text:
        raise ValueError("a network has no zone; leave out what begins with %")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("is IPv4 in the form of IPv6; write it as IPv4, such as 203.0.113.0/24")
    return str(network)


Cidr = Annotated[str, Field(max_length=50, examples=["203.0.113.0/24"]), AfterValidator(_network)]
"""A network in CIDR notation; an address alone is a network of one."""
