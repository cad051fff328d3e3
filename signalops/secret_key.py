"""The installation's secret keys (Fernet): SIGNALOPS_SECRET_KEY, or the file `secret.key` in the data folder."""

from cryptography.fernet import Fernet

from signalops.config import Settings
from signalops.errors import Unusable
from signalops.secret_file import ensure_secret_file


def secret_keys(settings: Settings) -> list[str]:
    """Return the keys, newest first; one is created in the data folder when there is none.

    Unusable without a key if the server is not the embedded one: each machine would create another.
    """
    text = settings.secret_key.get_secret_value() if settings.secret_key else _stored(settings)
    return [key.strip() for key in text.split(",")]


def ensure_key(settings: Settings) -> None:
    """Make the data folder's key unless one is given or there: for an installation whose processes share that folder."""
    if settings.secret_key is None:
        ensure_secret_file(settings.data / "secret.key", Fernet.generate_key)


def _stored(settings: Settings) -> str:
    file = settings.data / "secret.key"
    if not file.exists():
        if settings.database_url or settings.api_database_url or settings.worker_database_url:
            raise Unusable(
                "Set SIGNALOPS_SECRET_KEY, the same for every process: 32 random bytes in URL-safe base64, "
                "such as `openssl rand -base64 32 | tr +/ -_` prints."
            )
        ensure_secret_file(file, Fernet.generate_key)
    return file.read_text(encoding="ascii")
