"""Secrets of channels, encrypted at rest (Fernet: AES-128-CBC with HMAC-SHA256, https://github.com/fernet/spec)."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from signalops import clock
from signalops.config import Settings, keep
from signalops.errors import Unusable

_UNTIL = "\x1f"
"""Between secrets and the Unix time at which only the first of them is left; no secret holds a control character."""
_OLD = 2
"""Old secrets that stay at most: each costs the request a signature."""


class Keyring:
    """The installation's keys: the newest seals, each of them opens.

    They are SIGNALOPS_SECRET_KEY, or else the one in the data folder's file `secret.key`. That is made when missing, but
    Unusable is raised with a server of one's own: each machine would make another.
    """

    def __init__(self, settings: Settings) -> None:
        keys = settings.secret_key.get_secret_value() if settings.secret_key else _kept_key(settings)
        try:
            self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
        except ValueError as error:
            raise Unusable(
                "SIGNALOPS_SECRET_KEY (or secret.key in the data folder) holds no Fernet keys: "
                "a key is 32 bytes in URL-safe base64, several are separated by commas."
            ) from error

    def seal(self, secret: str) -> bytes:
        """Return the secret encrypted, as `channels.secret` keeps it."""
        return self._fernet.encrypt(secret.encode())

    def rotate(self, secret: str, old: str | None, overlap: int) -> bytes:
        """Seal a secret with those that it replaces, as `open` returned them; for so many seconds `open` returns all of them."""
        if not old or not overlap:
            return self.seal(secret)
        return self.seal(" ".join([secret, *old.split()[:_OLD]]) + f"{_UNTIL}{clock.unix() + overlap}")

    def open(self, sealed: bytes) -> str:
        """Return a sealed secret in plain, after a rotation those that hold, the newest first, with blanks between.

        Unusable if none of the keys is the one that sealed it.
        """
        try:
            secrets, _, until = self._fernet.decrypt(sealed).decode().partition(_UNTIL)
        except InvalidToken as error:
            raise Unusable(
                "A channel's secret was sealed with another key: add that key to SIGNALOPS_SECRET_KEY."
            ) from error
        return secrets.split()[0] if until and int(until) <= clock.unix() else secrets


def keep_key(settings: Settings) -> None:
    """Make the data folder's key unless one is given or there: for an installation whose processes share that folder."""
    if settings.secret_key is None:
        keep(settings.data / "secret.key", Fernet.generate_key)


def _kept_key(settings: Settings) -> str:
    file = settings.data / "secret.key"
    if not file.exists():
        if settings.database_url or settings.api_database_url or settings.worker_database_url:
            raise Unusable(
                "Set SIGNALOPS_SECRET_KEY, the same for every process: 32 random bytes in URL-safe base64, "
                "such as `openssl rand -base64 32 | tr +/ -_` prints."
            )
        keep(file, Fernet.generate_key)
    return file.read_text(encoding="ascii")
