"""The keys that seal channels' secrets."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from signalops.config import Settings
from signalops.errors import Unusable
from signalops.send.secrets import SecretBox


def keyring(*keys: bytes) -> SecretBox:
    return SecretBox(Settings.model_validate({"secret_key": ", ".join(key.decode() for key in keys)}))


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    sealed = keyring(old).seal("whsec_x")
    assert b"whsec_x" not in sealed
    assert keyring(new, old).open(sealed) == "whsec_x"
    assert keyring(new).open(keyring(new, old).seal("whsec_y")) == "whsec_y"


def test_a_secret_of_another_key_says_how_to_open_it() -> None:
    sealed = keyring(Fernet.generate_key()).seal("x")
    with pytest.raises(Unusable, match="add that key to SIGNALOPS_SECRET_KEY"):
        keyring(Fernet.generate_key()).open(sealed)


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(Unusable, match="SIGNALOPS_SECRET_KEY"):
        keyring(b"letmein")


def test_a_missing_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "new")
    sealed = SecretBox(settings).seal("x")
    assert SecretBox(settings).open(sealed) == "x"
    assert [(file.name, file.stat().st_mode & 0o777) for file in settings.data.iterdir()] == [("secret.key", 0o600)]


@pytest.mark.parametrize("login", ["database_url", "api_database_url", "worker_database_url"])
def test_with_a_server_of_one_s_own_no_key_is_made_but_one_that_is_there_is_used(tmp_path: Path, login: str) -> None:
    served = Settings.model_validate({login: "postgresql://db.example/signalops", "data": tmp_path})
    with pytest.raises(Unusable, match="Set SIGNALOPS_SECRET_KEY, the same for every process"):
        SecretBox(served)
    assert not list(tmp_path.iterdir())
    sealed = SecretBox(Settings(data=tmp_path)).seal("x")
    assert SecretBox(served).open(sealed) == "x"


def _sealed(data: Path) -> bytes:
    return SecretBox(Settings(data=data)).seal("x")


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        sealed = list(processes.map(_sealed, [tmp_path] * 8))
    assert [SecretBox(Settings(data=tmp_path)).open(one) for one in sealed] == ["x"] * 8
