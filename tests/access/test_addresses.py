"""Which addresses lie in the networks of a key, and which networks can be named."""

from ipaddress import ip_network

import pytest
from pydantic import TypeAdapter, ValidationError

from signalops.access.addresses import Cidr, are_within, is_within

NETWORKS = [ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("address", "is_inside"),
    [
        *(("203.0.113.0", True), ("203.0.113.255", True), ("203.0.114.0", False), ("203.0.112.255", False)),
        *(("2001:db8::1", True), ("2001:db9::", False), ("::1", False), ("127.0.0.1", False)),
        *(("::ffff:203.0.113.7", True), ("::ffff:203.0.114.7", False)),
        *((None, False), ("", False), ("unknown", False), ("203.0.113.7:80", False), ("203.0.113.07", False)),
    ],
)
def test_addresses(address: str | None, is_inside: bool) -> None:
    assert is_within(address, NETWORKS) == is_inside


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.7", "203.0.113.7/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_networks_are_written_in_one_way(text: str, network: str) -> None:
    assert TypeAdapter(Cidr).validate_python(text) == network


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("203.0.113.7/24", "no bits set behind its prefix"),
        ("203.0.113.0/33", "must be a network such as"),
        ("example.com", "must be a network such as"),
        ("", "must be a network such as"),
        ("fe80::1%eth0", "leave out what begins with %"),
        ("::ffff:203.0.113.0/120", "write it as IPv4"),
    ],
)
def test_what_is_no_network_is_refused_with_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValidationError, match=remedy):
        TypeAdapter(Cidr).validate_python(text)


@pytest.mark.parametrize(
    ("networks", "bounds", "are_inside"),
    [
        (["10.1.0.0/16"], ["10.0.0.0/8"], True),
        (["10.0.0.0/8"], ["10.0.0.0/8"], True),
        (["10.1.0.0/16", "2001:db8::/48"], ["10.0.0.0/8", "2001:db8::/32"], True),
        (["10.1.0.0/16", "11.0.0.0/8"], ["10.0.0.0/8"], False),
        (["0.0.0.0/0"], ["10.0.0.0/8"], False),
        (["2001:db8::/48"], ["0.0.0.0/0"], False),
        ([], ["10.0.0.0/8"], False),
    ],
)
def test_networks_within_networks(networks: list[str], bounds: list[str], are_inside: bool) -> None:
    assert are_within(networks, bounds) == are_inside
