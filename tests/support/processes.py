"""Processes as they run in production: one command each, started again whenever they end."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from signalops import db
from signalops.config import Settings
from tests.support.paths import ROOT


class Process:
    """A process of the tree `root` on a test's database; with `restarts` it is started again when it ends, as by compose."""

    def __init__(self, settings: Settings, *arguments: str, restarts: bool = False, root: Path = ROOT) -> None:
        own = {"DATABASE_URL": db.admin_url(settings), "SIGNALOPS_DATA": str(settings.data), "PYTHONPATH": str(root)}
        self._root = root
        self._environment = {**os.environ, **own}
        self._arguments = arguments
        self._restarts = restarts
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.codes: list[int] = []

    async def __aenter__(self) -> Self:
        await self._start()
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restarts = False
        self.send(signal.SIGKILL)
        await self.ended()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self, seconds: float = 60) -> int:
        """Return the exit code, when the process has ended for good; kill it when it does not in time."""
        assert self._keeper is not None
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._keeper)
        except TimeoutError:
            self._restarts = False
            self.send(signal.SIGKILL)
            await self._keeper
            raise
        return self.codes[-1]

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *self._arguments, env=self._environment, cwd=self._root
        )

    async def _keep(self) -> None:
        assert self._process is not None
        self.codes.append(await self._process.wait())
        while self._restarts:
            await self._start()
            self.codes.append(await self._process.wait())


def worker(settings: Settings, *flags: str, restarts: bool = False, root: Path = ROOT) -> Process:
    """Return a worker, in procrastinate's own command line."""
    return Process(settings, "procrastinate", "--app=signalops.worker.app", "worker", *flags, restarts=restarts, root=root)


def api(settings: Settings, socket: Path, root: Path = ROOT) -> Process:
    """Return an API process that listens on a socket of the file system, and is started again whenever it ends."""
    application = ("--factory", "signalops.web.app:create", "--uds", str(socket), "--log-level", "critical")
    return Process(settings, "uvicorn", *application, restarts=True, root=root)


async def eventually(holds: Callable[[], object], seconds: float = 15.0) -> None:
    """Return as soon as something holds; raise TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            if holds():
                return
            await asyncio.sleep(0.02)
