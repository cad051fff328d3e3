"""Secrets of channels, encrypted at rest (Fernet: AES-128-CBC with HMAC-SHA256, https://github.com/fernet/spec)."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from signalops import clock
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.secret_key import secret_keys

_UNTIL = "\x1f"
"""Separates secrets from the Unix time after which only the first is valid; no secret contains a control character."""
_OLD = 2
"""Old secrets that stay at most: each costs the request a signature."""


class SecretBox:
    """The installation's keys: the newest seals, each of them opens. Unusable if there are none."""

    def __init__(self, settings: Settings) -> None:
        keys = secret_keys(settings)
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise Unusable(
                "SIGNALOPS_SECRET_KEY (or secret.key in the data folder) contains no Fernet keys: "
                "a key is 32 bytes in URL-safe base64, several are separated by commas."
            ) from error

    def seal(self, secret: str) -> bytes:
        """Return the secret encrypted, as `channels.secret` keeps it."""
        return self._fernet.encrypt(secret.encode())

    def rotate(self, secret: str, old: str | None, overlap: int) -> bytes:
        """Encrypt a secret together with those that it replaces, as `open` returned them; for the overlap in seconds `open`
        returns all of them."""
        if not old or not overlap:
            return self.seal(secret)
        return self.seal(" ".join([secret, *old.split()[:_OLD]]) + f"{_UNTIL}{clock.unix() + overlap}")

    def open(self, sealed: bytes) -> str:
        """Decrypt a secret; after a rotation the valid ones, newest first, with blanks between.

        Unusable if none of the keys encrypted it.
        """
        try:
            secrets, _, until = self._fernet.decrypt(sealed).decode().partition(_UNTIL)
        except InvalidToken as error:
            raise Unusable("A channel's secret was sealed with another key: add that key to SIGNALOPS_SECRET_KEY.") from error
        return secrets.split()[0] if until and int(until) <= clock.unix() else secrets
