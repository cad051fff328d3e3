"""Runs the checks in order."""

from collections.abc import Awaitable, Callable

from signalops.config import Settings
from signalops.watch.doctor import database, reach
from signalops.watch.doctor.finding import Finding

_STAGES: tuple[Callable[[Settings], Awaitable[list[Finding]]], ...] = (
    database.server,
    database.logins,
    database.schema,
    database.inside,
    reach.listening,
    reach.database_certificate,
)


async def diagnose(settings: Settings) -> list[Finding]:
    """Return what every check found. Where one stage of the database fails, the stages behind it are not reached."""
    findings: list[Finding] = []
    for stage in _STAGES:
        findings += (found := await stage(settings))
        if any(not finding.ok and not finding.is_warning for finding in found):
            break
    return [*findings, reach.secret_key(settings), *await reach.mail_server(settings)]
