"""The checks besides the schema: LISTEN/NOTIFY, certificates, the secret key, the mail server."""

import asyncio
import secrets
import stat
from datetime import datetime, timedelta

from signalops import clock, db
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.send import SecretBox
from signalops.watch import watch_queries
from signalops.watch.doctor.certificate import certificate_of
from signalops.watch.doctor.finding import Finding, line, refused

_TIMEOUT = 3.0
_SOON = timedelta(days=14)


async def listening(settings: Settings) -> list[Finding]:
    """Listen as a process does and speak as another does: a pooler in between takes LISTEN and delivers nothing."""
    channel = f"signalops_doctor_{secrets.token_hex(4)}"
    conninfo = db.listening(settings, "api")
    if conninfo is None:
        remedy = "Set SIGNALOPS_LISTEN_DATABASE_URL: till then jobs are found half a second late, and revoked keys a second."
        return [Finding("notifications", False, "nobody listens behind the pooler", remedy, is_warning=True)]
    try:
        async with asyncio.timeout(_TIMEOUT):
            async for notification in db.listen(conninfo, [channel]):
                if notification:
                    return [Finding("notifications", True, "arrive")]
                async with db.session(db.dsn(settings, "api")) as other:
                    await watch_queries.notify(other, channel)
    except (TimeoutError, *db.OUTAGE):
        pass
    detail = f"a notification of one connection did not reach another within {_TIMEOUT:.0f} s"
    remedy = "A pooler stands before PostgreSQL: set SIGNALOPS_POOLER and SIGNALOPS_LISTEN_DATABASE_URL."
    return [Finding("notifications", False, detail, remedy)]


async def database_certificate(settings: Settings) -> list[Finding]:
    """Look how long the certificate of the connection to PostgreSQL lasts; nothing where there is no TLS."""
    async with db.session(db.dsn(settings, "api")) as session:
        address = watch_queries.tls_address(session)
    return [await _certificate("database certificate", *address, "postgres")] if address else []


def secret_key(settings: Settings) -> Finding:
    """Look at the key without making one, as a Keyring would."""
    file = settings.data / "secret.key"
    if not (settings.secret_key or settings.database_url or file.exists()):
        remedy = "Let `signalops up` or `signalops seed` make one in the data folder, or set SIGNALOPS_SECRET_KEY."
        return Finding("secret key", False, "there is none yet", remedy, is_warning=True)
    try:
        SecretBox(settings)
    except Unusable as error:
        return refused("secret key", error)
    if settings.secret_key is None and (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
        return Finding("secret key", False, f"others may read {file} (mode {mode:o})", f"Run `chmod 600 {file}`.")
    return Finding("secret key", True, "is set" if settings.secret_key else f"is in {file}")


async def mail_server(settings: Settings) -> list[Finding]:
    """Call the mail server; where it is spoken to by TLS, look at its certificate too."""
    host, port, security = settings.smtp_host, settings.smtp_port, settings.mail_security
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        detail = f"{host}:{port} can't be reached ({line(error)})"
        remedy = "Start it, or set SIGNALOPS_SMTP_HOST and SIGNALOPS_SMTP_PORT: till then emails are retried."
        return [Finding("mail server", False, detail, remedy, is_warning=True)]
    writer.close()
    found = Finding("mail server", True, f"{host}:{port} answers")
    return [found] if security == "none" else [found, await _certificate("mail certificate", host, port, security)]


async def _certificate(check: str, host: str, port: int, protocol: str) -> Finding:
    try:
        ends = await asyncio.to_thread(certificate_of, host, port, protocol, _TIMEOUT)
    except OSError as error:
        detail = f"{host}:{port} shows none ({line(error)})"
        return Finding(check, False, detail, "Let it offer TLS, or correct how it is spoken to.", is_warning=True)
    return _lasting(check, ends)


def _lasting(check: str, ends: datetime) -> Finding:
    left = ends - clock.now()
    detail = f"{'expired' if left < timedelta() else 'lasts till'} {ends:%Y-%m-%d}"
    remedy = "" if left > _SOON else "Renew it: with an expired one who verifies it can't connect."
    return Finding(check, left > _SOON, detail, remedy, is_warning=True)
