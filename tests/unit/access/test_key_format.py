"""How API keys look, and which of them are worth a look-up."""

import string

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalops.access.keys import PREFIX, hash_key, is_plausible, new_key

DOCUMENTED = "test_api_key_8077c438f557"
DOCUMENTED_HASH = b"$2a$12$6/BEeH39Jw5EpbWPIFiNxOq2/LONKgWDev/dUicvliI47gBP4q/we"


def test_the_documented_key_verifies_against_its_hash() -> None:
    assert is_plausible(DOCUMENTED)
    assert DOCUMENTED[:PREFIX] == "test_api_key_807"
    assert bcrypt.checkpw(DOCUMENTED.encode(), DOCUMENTED_HASH)
    assert not bcrypt.checkpw(DOCUMENTED[:-1].encode() + b"8", DOCUMENTED_HASH)


@pytest.mark.parametrize(("live", "name"), [(True, "so_live_"), (False, "so_test_")])
def test_a_new_key_names_the_product_and_has_its_checksum(live: bool, name: str) -> None:
    key = new_key(live)
    assert key.startswith(name)
    assert (len(key), is_plausible(key)) == (38, True)
    assert set(key[8:]) <= set(string.ascii_letters + string.digits)


def test_keys_differ() -> None:
    assert len({new_key() for _ in range(100)}) == 100


@given(st.integers(8, 37), st.sampled_from(string.ascii_letters + string.digits))
def test_one_wrong_character_is_seen_by_the_checksum(place: int, letter: str) -> None:
    key = new_key()
    changed = key[:place] + letter + key[place + 1 :]
    assert is_plausible(changed) == (changed == key)


@pytest.mark.parametrize(
    "garbage", ["", "short", "x" * 73, "k\u00e4" * 10, "a\x00" * 10, "a\n" * 10, "so_live_" + "a" * 30]
)
def test_garbage_is_not_worth_a_look_up(garbage: str) -> None:
    assert not is_plausible(garbage)


def test_a_hash_is_bcrypt_s_at_cost_12() -> None:
    key = new_key()
    hashed = hash_key(key)
    assert hashed.startswith("$2b$12$")
    assert bcrypt.checkpw(key.encode(), hashed.encode())
