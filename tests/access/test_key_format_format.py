"""How API keys look, and which of them are worth a look-up."""

import re
import string

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalops.access.key_format import PREFIX, SCANNED, KeyKind, hash_key, is_plausible, new_key

DOCUMENTED = "test_api_key_8077c438f557"
DOCUMENTED_HASH = b"$2a$12$6/BEeH39Jw5EpbWPIFiNxOq2/LONKgWDev/dUicvliI47gBP4q/we"
OF_FIRST_RELEASES = ["so_live_J5ddPxaAShcUjbuPWUEeNXjt11HmDV", "so_test_hNaLpkHDluwMpaY8FfQi1Sk43icqIe"]
OF_TODAY = "so_live_CCEE3i4TZwv9Ns7v2vhAPYCevzg4JjM9rLoiCqM6FMd2ScClz"
DIGITS = string.ascii_letters + string.digits


def test_the_documented_key_verifies_against_its_hash() -> None:
    assert is_plausible(DOCUMENTED)
    assert DOCUMENTED[:PREFIX] == "test_api_key_807"
    assert bcrypt.checkpw(DOCUMENTED.encode(), DOCUMENTED_HASH)
    assert not bcrypt.checkpw(DOCUMENTED[:-1].encode() + b"8", DOCUMENTED_HASH)


@pytest.mark.parametrize("kind", ["live", "test"])
def test_a_new_key_names_the_product_and_has_its_checksum(kind: KeyKind) -> None:
    key = new_key(kind)
    assert key.startswith(f"so_{kind}_")
    assert (len(key), is_plausible(key)) == (57, True)
    assert set(key[8:]) <= set(DIGITS)


@pytest.mark.parametrize("key", [*OF_FIRST_RELEASES, OF_TODAY])
def test_keys_that_were_made_are_keys_still(key: str) -> None:
    assert is_plausible(key)
    assert not is_plausible(key[:-1] + ("a" if key[-1] != "a" else "b"))


def test_keys_differ() -> None:
    assert len({new_key() for _ in range(100)}) == 100


def test_bcrypt_sees_every_character_of_a_key() -> None:
    """It takes 72 bytes: were a key longer, all with one beginning would be one."""
    key = new_key()
    assert len(key.encode()) <= 72
    hashed = bcrypt.hashpw(key.encode(), bcrypt.gensalt(4))
    assert bcrypt.checkpw(key.encode(), hashed)
    assert not bcrypt.checkpw((key[:-1] + ("a" if key[-1] != "a" else "b")).encode(), hashed)


@given(st.integers(8, 56), st.sampled_from(DIGITS))
def test_one_wrong_character_is_seen_by_the_checksum(place: int, character: str) -> None:
    key = new_key()
    changed = key[:place] + character + key[place + 1 :]
    assert is_plausible(changed) == (changed == key)


@pytest.mark.parametrize(
    "garbage",
    [
        *("", "short", "x" * 73, "k\u00e4" * 10, "a\x00" * 10, "a\n" * 10),
        *("so_live_" + "a" * 30, "so_live_" + "a" * 49, "so_test_", "so_live_" + "a-" * 15),
        *(OF_TODAY + "\n", OF_TODAY[:-1], OF_TODAY + "a"),
    ],
)
def test_garbage_is_not_worth_a_look_up(garbage: str) -> None:
    assert not is_plausible(garbage)


@pytest.mark.parametrize("around", ["{}", "KEY={}", '"{}",', "x-api-key: {}\n", "https://example.com/?key={}&a=b"])
def test_scanners_find_keys_in_text(around: str) -> None:
    for key in (new_key(), new_key("test"), *OF_FIRST_RELEASES):
        assert re.findall(SCANNED, around.format(key)) == [key]


@pytest.mark.parametrize("text", ["so_live_short", "so_demo_" + "a" * 49, "also_live_" + "a" * 49, OF_TODAY + "a"])
def test_scanners_leave_other_text_alone(text: str) -> None:
    assert re.findall(SCANNED, text) == []


@pytest.mark.usefixtures("real_bcrypt_cost")
def test_a_hash_is_bcrypt_s_at_cost_12() -> None:
    key = new_key()
    hashed = hash_key(key)
    assert hashed.startswith("$2b$12$")
    assert bcrypt.checkpw(key.encode(), hashed.encode())
