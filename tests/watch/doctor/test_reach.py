"""What lies between processes and servers: certificates that end, logins and settings of their own, time zones that differ."""

import asyncio
import shutil
import ssl
import zoneinfo
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import trustme
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from signalops.config import Settings
from signalops.watch.doctor import diagnose
from tests.support.providers import MailServer
from tests.support.tenants import Tenant
from tests.watch.doctor.test_diagnose import faults, only_fault

LASTS = {-1: ("expired", True), 10: ("lasts till", True), 30: ("lasts till", False)}
"""Days until a certificate expires -> the finding's text, and whether it is a warning."""


def tls(days: int) -> ssl.SSLContext:
    """Return what a server speaks TLS with, by a certificate that ends in so many days."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ends = datetime.now(UTC) + timedelta(days=days)
    trustme.CA().issue_cert("127.0.0.1", not_before=ends - timedelta(days=90), not_after=ends).configure_cert(context)
    return context


@asynccontextmanager
async def encrypting(server: str, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Stand before a PostgreSQL and speak TLS for it; yield the port."""
    parameters = conninfo_to_dict(server)
    folder, port = parameters.get("host"), parameters.get("port", 5432)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readexactly(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
            writer.write(b"S")
            await writer.start_tls(context)
            is_local = str(folder).startswith("/")
            behind = asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}") if is_local else None
            inner = await (behind or asyncio.open_connection(str(folder), int(str(port))))
            try:
                await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer))
            finally:
                inner[1].close()
        except (OSError, EOFError):
            pass  # who asks only for the certificate hangs up
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as front:
        yield front.sockets[0].getsockname()[1]


@pytest.mark.parametrize("days", LASTS)
async def test_how_long_the_database_s_certificate_lasts_is_told(healthy: Settings, days: int) -> None:
    detail, is_told = LASTS[days]
    assert healthy.api_database_url
    own = healthy.api_database_url.get_secret_value()
    async with encrypting(own, tls(days)) as port:
        url = SecretStr(make_conninfo(own, host="127.0.0.1", port=port, sslmode="require"))
        findings = await diagnose(healthy.model_copy(update={"api_database_url": url}))
    (found,) = (finding for finding in findings if finding.check == "database certificate")
    assert (found.ok, found.is_warning) == (not is_told, True)
    assert found.detail.startswith(detail)
    assert "database certificate" not in {finding.check for finding in await diagnose(healthy)}  # there is no TLS


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("days", LASTS)
async def test_how_long_the_mail_server_s_certificate_lasts_is_told(healthy: Settings, days: int, security: str) -> None:
    detail, is_told = LASTS[days]
    server = MailServer(tls=tls(days), implicit=security == "tls")
    await server.start()
    try:
        settings = healthy.model_copy(update={"smtp_port": server.port, "smtp_security": security})
        findings = {finding.check: finding for finding in await diagnose(settings)}
    finally:
        await server.stop()
    assert findings["mail server"].ok
    assert findings["mail certificate"].ok is not is_told
    assert findings["mail certificate"].detail.startswith(detail)


async def test_a_mail_server_without_the_tls_that_is_asked_of_it_is_found(healthy: Settings) -> None:
    found = await only_fault(healthy.model_copy(update={"smtp_security": "starttls"}))
    assert (found.check, found.is_warning) == ("mail certificate", True)


@pytest.fixture
def old_zones(tmp_path: Path) -> Iterator[None]:
    """Time zone data in which New York keeps the time of Tokyo."""
    (tmp_path / "America").mkdir()
    tokyo = next(file for path in zoneinfo.TZPATH if (file := Path(path, "Asia/Tokyo")).exists())
    shutil.copy(tokyo, tmp_path / "America" / "New_York")
    zoneinfo.reset_tzpath([tmp_path])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("old_zones")
async def test_time_zones_that_differ_from_the_servers_are_found(
    healthy: Settings, owner: psycopg.Connection, acme: Tenant
) -> None:
    assert set(faults(await diagnose(healthy))) == {"workers"}  # acme lives in UTC
    owner.execute("update signalops.tenants set time_zone = 'America/New_York' where id = %s", [acme.id])
    found = await only_fault(healthy)
    assert (found.check, found.is_warning) == ("time zones", True)
    assert found.detail.startswith("America/New_York differs at 2")


async def test_a_process_whose_login_passes_row_level_security_is_told(healthy: Settings) -> None:
    found = await only_fault(healthy.model_copy(update={"worker_database_url": None}))  # it is the administrator's then
    assert (found.check, found.is_warning) == ("bounded logins", True)
    assert "signalops_worker" in found.detail


async def test_a_login_whose_statements_would_be_compiled_is_found(healthy: Settings, owner: psycopg.Connection) -> None:
    """Only through a pooler: else each connection says that they are not."""
    pooled = healthy.model_copy(update={"pooler": True})
    found = {finding.check: finding for finding in await diagnose(pooled)}["jit"]
    assert (found.ok, found.is_warning) == (False, True)
    assert "signalops_worker" in found.detail
    for url in (healthy.api_database_url, healthy.worker_database_url, healthy.platform_database_url):
        assert url
        login = conninfo_to_dict(url.get_secret_value())
        names = sql.Identifier(str(login["user"])), sql.Identifier(str(login["dbname"]))
        owner.execute(sql.SQL("alter role {} in database {} set jit = off").format(*names))
    assert {finding.check: finding for finding in await diagnose(pooled)}["jit"].ok
    assert {finding.check: finding for finding in await diagnose(healthy)}["jit"].ok


async def test_a_role_that_does_not_wait_for_the_disk_is_found(healthy: Settings, owner: psycopg.Connection) -> None:
    """As an API's login of its own may have it; the setting is the database's, so that no other test sees it."""
    assert healthy.api_database_url
    login = conninfo_to_dict(healthy.api_database_url.get_secret_value())
    names = sql.Identifier(str(login["user"])), sql.Identifier(str(login["dbname"]))
    owner.execute(sql.SQL("alter role {} in database {} set synchronous_commit = off").format(*names))
    found = await only_fault(healthy)
    assert (found.check, found.detail) == ("durability", "synchronous_commit = off")


async def test_a_server_that_does_not_clean_up_is_told(healthy: Settings, owner: psycopg.Connection) -> None:
    owner.execute("do $$ begin execute format('alter database %I set track_counts = off', current_database()); end $$")
    found = await only_fault(healthy)
    assert (found.check, found.detail, found.is_warning) == ("vacuum", "track_counts = off", True)


async def test_a_database_with_few_connections_is_found(healthy: Settings, owner: psycopg.Connection) -> None:
    name = sql.Identifier(owner.info.dbname)
    owner.execute(sql.SQL("alter database {} connection limit 20").format(name))
    found = await only_fault(healthy)
    assert (found.check, found.detail) == ("connections", "the server admits 20, an API and a worker process take up to 22")
