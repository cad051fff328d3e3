"""One migrated template database for the session, a clone of it for each test; the failed test's clone stays, and is named."""

import hashlib
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from signalops import db, embedded, migrate
from signalops.config import ON_ONE_MACHINE, Settings
from signalops.send import Keyring
from tests.people import Tenant, make_tenant

JWT = {
    "SIGNALOPS_JWT_SECRET": "a secret of these tests, and of nothing else",
    "SIGNALOPS_JWT_ISSUER": "https://issuer.example",
    "SIGNALOPS_JWT_AUDIENCE": "signalops.example",
}
"""The issuer whose tokens the tests' installation takes."""
_MEMORY = Path("/dev/shm")
_ROOM = 4 * 2**30
FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def server() -> str:
    """The URL of a superuser's login: DATABASE_URL, or an embedded server whose data stays between runs."""
    if url := os.environ.get("DATABASE_URL"):
        return url
    return embedded.url(_data(), int(os.environ.get("SIGNALOPS_EMBEDDED_VERSION", "18")))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings come from the test alone; receivers are on loopback, and tokens of one issuer are taken."""
    for name in list(os.environ):
        if name == "DATABASE_URL" or name.startswith("SIGNALOPS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SIGNALOPS_DATA", str(tmp_path))
    for name, value in {**ON_ONE_MACHINE, **JWT}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def admin(server: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the server, for making and dropping databases."""
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def template(server: str, admin: psycopg.Connection) -> Iterator[str]:
    """The name of a migrated database without rows."""
    with _database(admin, "template") as name:
        migrate.upgrade(settings_for(server, name))
        yield name


@pytest.fixture
def database(admin: psycopg.Connection, template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a fresh clone of the template."""
    name = f"so_{uuid.uuid4().hex[:12]}"
    admin.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
    yield name
    if request.node.stash.get(FAILED, False):
        print(f"\nThe database of this test stays: {name}")
    else:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def empty(server: str, admin: psycopg.Connection) -> Iterator[Settings]:
    """Settings of an installation on an empty database."""
    name = f"so_empty_{uuid.uuid4().hex[:8]}"
    admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield settings_for(server, name)
    admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def settings(server: str, database: str, tmp_path: Path) -> Settings:
    """Settings of an installation on the test's own database."""
    Keyring(Settings(data=tmp_path))  # only an embedded installation makes a key; processes find it in the data folder
    return settings_for(server, database).model_copy(update={"data": tmp_path})


@pytest.fixture
def owner(settings: Settings) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the test's database: it sees every row, and may look at anything."""
    with psycopg.connect(db.admin_url(settings), autocommit=True) as connection:
        yield connection


@pytest.fixture
async def api_pool(settings: Settings) -> AsyncIterator[db.Pool]:
    """Connections as the API has them."""
    async with db.pool(settings, "api", 4) as pool:
        yield pool


@pytest.fixture
async def worker_pool(settings: Settings) -> AsyncIterator[db.Pool]:
    """Connections as a worker has them."""
    async with db.pool(settings, "worker", 4) as pool:
        yield pool


@pytest.fixture
def acme(owner: psycopg.Connection) -> Tenant:
    """A tenant with a key for everything."""
    return make_tenant(owner, "acme")


@pytest.fixture
def globex(owner: psycopg.Connection) -> Tenant:
    """Another tenant, who must never see anything of acme's."""
    return make_tenant(owner, "globex")


def settings_for(server: str, database: str) -> Settings:
    """Return the default settings with a database of the server."""
    return Settings(database_url=SecretStr(make_conninfo(server, dbname=database)))


def _data() -> Path:
    """Return the folder of the embedded server: in memory, where there is room, by the checkout's own name.

    A database is hundreds of files, and each test makes a copy: on disk 533 tests took 192 s, in memory 114 s.
    """
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        return _MEMORY / f"signalops-{hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:12]}"
    return Path(".data/test")


@contextmanager
def _database(admin: psycopg.Connection, word: str) -> Iterator[str]:
    name = f"so_{word}_{uuid.uuid4().hex[:8]}"
    admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield name
    admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether a test failed, for its database to stay."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
