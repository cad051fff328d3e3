"""The fixtures that tests share. tests/README.md says which to use when, and what each costs."""

import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import psycopg
import pytest

from signalops import db
from signalops.access import key_format
from signalops.config import ON_ONE_MACHINE, Settings
from signalops.job_handlers import JobHandlers
from signalops.send import SecretBox, Sender
from tests.support.api import Client, Process, blocked_backend, running
from tests.support.bulk_rows import bulk
from tests.support.command import command, signalops
from tests.support.databases import Databases, drop_leftovers, memory, server_url, settings_for
from tests.support.operators import as_operator, operator
from tests.support.paths import ROOT
from tests.support.receivers import mailbox, receiver
from tests.support.stacks import print_tasks
from tests.support.tenants import Tenant, make_tenant
from tests.support.worlds.backtesting import backtesting
from tests.support.worlds.billing import billing
from tests.support.worlds.metering import metering
from tests.support.worlds.orders import orders
from tests.support.worlds.outbox import acmes, outbox, patient_senders
from tests.support.worlds.pipeline import pipeline
from tests.support.worlds.replaying import replaying
from tests.support.worlds.traffic import traffic

__all__ = [
    "acmes",
    "as_operator",
    "backtesting",
    "billing",
    "blocked_backend",
    "bulk",
    "command",
    "mailbox",
    "metering",
    "operator",
    "orders",
    "outbox",
    "patient_senders",
    "pipeline",
    "receiver",
    "replaying",
    "signalops",
    "traffic",
]

JWT = {
    "SIGNALOPS_JWT_SECRET": "a secret of these tests, and of nothing else",
    "SIGNALOPS_JWT_ISSUER": "https://issuer.example",
    "SIGNALOPS_JWT_AUDIENCE": "signalops.example",
}
"""The issuer whose tokens the tests' installation takes."""
PROVE_SECONDS = 120
"""The time limit of a test that is run by `make prove`; that of others is in pyproject.toml."""
_PROVE = ROOT / "tests" / "prove"
_REAL_COST = key_format.COST
FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files in memory, where each secret that is written is not waited for; and start the server.

    It starts before the test processes: the first start as root makes a system user, which two can't do at once.
    """
    if folder := memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))
    if not hasattr(config, "workerinput") and config.getoption("numprocesses", 0):
        url = server_url()
        if "DATABASE_URL" not in os.environ:  # on another server they may be somebody else's
            drop_leftovers(url)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lies in tests/prove, and give everything so marked more time, unless --timeout says how much."""
    has_limit = config.getoption("timeout") is not None
    for item in items:
        if _PROVE in item.path.parents:
            item.add_marker("prove")
        if item.get_closest_marker("prove") and not item.get_closest_marker("timeout") and not has_limit:
            item.add_marker(pytest.mark.timeout(PROVE_SECONDS))


@pytest.fixture(scope="session")
def server() -> str:
    """The URL of a superuser's login: DATABASE_URL, or an embedded server whose data stays between runs."""
    return server_url()


@pytest.fixture(scope="session")
def databases(server: str) -> Iterator[Databases]:
    """The databases of this process."""
    databases = Databases(server)
    yield databases
    databases.close()


@pytest.fixture(scope="session")
def admin(databases: Databases) -> psycopg.Connection:
    """A superuser's connection to the server."""
    return databases.admin


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings come from the test alone: receivers are on loopback, tokens of one issuer are taken, bcrypt has its least cost."""
    for name in list(os.environ):
        if name == "DATABASE_URL" or name.startswith("SIGNALOPS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SIGNALOPS_DATA", str(tmp_path))
    for name, value in {**ON_ONE_MACHINE, **JWT}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(key_format, "COST", 4)


@pytest.fixture
def real_bcrypt_cost(no_settings_from_outside: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are hashed as in production."""
    monkeypatch.setattr(key_format, "COST", _REAL_COST)


@pytest.fixture
def database(databases: Databases, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a migrated database of the test's own, without rows. That of a failed test stays on the server."""
    name = databases.acquire()
    yield name
    if request.node.stash.get(FAILED, False):
        databases.keep(name)
        print(f"\nThe database of this test stays: {name}")
    else:
        databases.release(name)


@pytest.fixture
def empty(databases: Databases) -> Iterator[Settings]:
    """Settings of an installation on an empty database."""
    with databases.empty() as settings:
        yield settings


@pytest.fixture
def settings(server: str, database: str, tmp_path: Path) -> Settings:
    """Settings of an installation on the test's own database."""
    settings = settings_for(server, database).model_copy(update={"data": tmp_path})
    SecretBox(settings.model_copy(update={"database_url": None}))  # an embedded installation makes a key, in that folder
    return settings


@pytest.fixture
def owner(databases: Databases, database: str) -> psycopg.Connection:
    """A superuser's connection to the test's database: it sees every row, and may look at anything."""
    return databases.owner(database)


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


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Client]:
    """One running API; others on the same database are made with `running(settings)`."""
    async with running(settings) as client:
        yield client


@pytest.fixture
async def handlers(worker_pool: db.Pool, settings: Settings) -> AsyncIterator[JobHandlers]:
    """The bodies of the jobs, as a worker has them."""
    sender = Sender(worker_pool, settings)
    yield JobHandlers(worker_pool, sender)
    await sender.close()


@pytest.fixture
def process(handlers: JobHandlers, owner: psycopg.Connection) -> Process:
    """Processes all that waits in the inbox, and writes the catalogue."""

    async def process() -> None:
        for (batch,) in owner.execute("select distinct batch from signalops.inbox order by batch").fetchall():
            await handlers.process_batch(batch, 1)
        await handlers.catalogue.flush()

    return process


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether a test failed, for its database to stay; say where asyncio stood when it took too long."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    if call.excinfo and str(call.excinfo.value).startswith("Timeout (>"):
        print_tasks()
    return report
