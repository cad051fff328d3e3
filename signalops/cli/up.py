"""`signalops up`: all processes on one machine, for a first try. Ctrl-C stops them."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import typer

from signalops import db, embedded, migrate
from signalops.access.jwt_config import keep_secret
from signalops.cli import seed
from signalops.cli.dev_console import DevConsole
from signalops.cli.sink import Sink
from signalops.config import Settings
from signalops.errors import Unusable
from signalops.secret_key import ensure_key
from signalops.watch.smoke import walk

SQL = db.queries("watch/dev_console")
_PARTS = {"api": ("serve",), "worker": ("work",)}
_RESTART = 1.0
_POLL = 0.1
_WORKER_METRICS_PORT = 9464
"""The usual port of Prometheus exporters of OpenTelemetry; the worker goes on without it if it is taken."""
_FOR_CONSOLE = {"SIGNALOPS_LOG_FORMAT": "json", "SIGNALOPS_LOG_REQUESTS": "all"}

_TRY_NEXT = """
SignalOps is up at {base} ({seconds:.1f} s). Try, in another terminal:

  curl -X POST {base}/api/events -H "Content-Type: application/json" \\
    -H "x-api-key: {key}" \\
    -d '{{"type":"user.signup","payload":{{"email":"user@example.com"}}}}'

  {program} event trace --last        the path of that event
  {program} usage show --tenant acme  what was counted
  {program} psql                      look into the tables
  {base}/api/docs  the API
  {base}/metrics and
  http://localhost:{metrics_port}/metrics   Prometheus metrics of API and worker

{log}Mails and webhooks are shown here. Ctrl-C ends everything.
"""
_LOGS = "Log lines of the processes are in {folder}; --verbose prints them here.\n"
_MAX_LINE = 2**20
"""Bytes of a log line that are read at once; a batch that fails can quote much."""
_OPEN_KEY = "The documentation's key opens the tenant acme on this server: revoke it before others can reach it."


def up(settings: Settings, *, is_verbose: bool) -> None:
    """Migrate, seed, start API, worker and sink, and keep them running until a signal.

    Raises: Unusable when a port is taken, before anything is started, or when the sink ends.
    """
    began = time.monotonic()
    _check_ports(settings)
    if settings.is_embedded:
        embedded.make_server(settings.data, settings.embedded_version)
    url = db.admin_url(settings)  # this process owns the embedded server; the parts are its clients
    migrate.upgrade(settings)
    keep_secret(settings)
    ensure_key(settings)  # the processes share the data folder, also with an external server
    typer.echo(seed.seed(settings))
    if settings.database_url:
        typer.echo(_OPEN_KEY, err=True)
    environment = {
        "SIGNALOPS_DRAIN_SECONDS": "0",
        "SIGNALOPS_OWN_HOST_ONLY": "true",
        "SIGNALOPS_WORKER_METRICS_PORT": str(_WORKER_METRICS_PORT),
        **os.environ,
        **({} if is_verbose else _FOR_CONSOLE),
        "DATABASE_URL": url,
    }  # no load balancer, no proxy
    asyncio.run(_Supervisor(settings, environment, began, is_verbose=is_verbose).run())
    typer.echo("Stopped.")


def _check_ports(settings: Settings) -> None:
    with ExitStack() as sockets:  # all at once: two of them may be the same
        for name in ("port", "smtp_port", "sink_port"):
            number = getattr(settings, name)
            try:
                sockets.enter_context(socket.create_server(("127.0.0.1", number)))
            except OSError as error:
                variable = f"SIGNALOPS_{name.upper()}"
                raise Unusable(f"Port {number} is taken: stop what uses it, or set {variable}.") from error


def program() -> str:
    """Return what to type for this program: as it was started, in the shortest way that works from here."""
    started = Path(sys.argv[0])
    if not (started.is_file() and os.access(started, os.X_OK)):
        return "python -m signalops"
    if shutil.which(started.name) == str(started):
        return started.name
    absolute = started.absolute()
    return min(str(absolute), f"{os.path.relpath(absolute.parent)}/{absolute.name}", key=len)


class _Supervisor:
    def __init__(self, settings: Settings, environment: dict[str, str], began: float, *, is_verbose: bool = False) -> None:
        self._settings = settings
        self._environment = environment
        self._began = began
        self._stopping = asyncio.Event()
        self._console = None if is_verbose else DevConsole(settings.data / "log", environment["DATABASE_URL"])
        self._sink = Sink(settings.smtp_port, settings.sink_port, lambda text: typer.echo(f"--- {text}"))

    async def run(self) -> None:
        parts = [self._keep_running(name, part) for name, part in _PARTS.items()]
        tasks = [asyncio.create_task(work) for work in (self._receive(), self._greet(), *parts)]
        printing = asyncio.create_task(self._console.run()) if self._console else None
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # under nohup it stays so
                    asyncio.get_running_loop().add_signal_handler(number, self._stop)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._stop()
            await asyncio.wait(tasks)
            if printing:
                printing.cancel()
        await asyncio.gather(*tasks)  # raises what went wrong

    def _stop(self) -> None:
        self._stopping.set()
        self._sink.stop()

    async def _receive(self) -> None:
        try:
            await self._sink.run()
        except OSError as error:
            raise Unusable(f"The sink failed ({error}): start again.") from error
        if not self._stopping.is_set():
            raise Unusable("The sink ended by itself: start again.")

    async def _keep_running(self, name: str, part: Sequence[str]) -> None:
        """Run a part as a process of its own, again whenever it ends, until all stop."""
        while not self._stopping.is_set():
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "signalops", *part),
                env=self._environment,
                start_new_session=True,
                stderr=None if self._console is None else asyncio.subprocess.PIPE,
                limit=_MAX_LINE,
            )
            reading = self._console and process.stderr and asyncio.create_task(self._console.read(name, process.stderr))
            ended, stopping = asyncio.create_task(process.wait()), asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            finally:
                # In a session of its own, it would outlive us.
                stopping.cancel()
                with suppress(ProcessLookupError):
                    process.terminate()
                code = await ended
                if reading:
                    await reading
            if self._stopping.is_set():
                return
            typer.echo(f"--- {name} ended with exit code {code}; starting it again", err=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RESTART)

    async def _greet(self) -> None:
        """Print what to try as soon as API and worker are ready, then send a first event."""
        base = f"http://{self._settings.host}:{self._settings.port}"
        while not (await self._is_answering() and await self._has_worker()):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _POLL)
                return
        log = _LOGS.format(folder=self._settings.data / "log") if self._console else ""
        seconds = time.monotonic() - self._began
        typer.echo(
            _TRY_NEXT.format(
                base=base, seconds=seconds, key=seed.KEY, program=program(), log=log, metrics_port=_WORKER_METRICS_PORT
            )
        )
        await self._walk(base)

    async def _walk(self, base: str) -> None:
        """Send one event of acme through the system, and print the time of each step."""
        typer.echo("A first event of acme, sent by `signalops smoke`:")
        if self._console:
            self._console.is_walking = True
        try:
            async for station in walk(base, seed.KEY, self._settings):
                typer.echo(station.line())
        except Unusable as error:  # such as when the documentation's key was revoked
            typer.echo(f"{error}")
        finally:
            if self._console:
                self._console.is_walking = False

    async def _is_answering(self) -> bool:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(self._settings.host, self._settings.port)
            writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            status = await reader.readline()
            writer.close()
            return b" 200 " in status
        return False

    async def _has_worker(self) -> bool:
        async with db.session(self._environment["DATABASE_URL"]) as connection:
            return bool(await db.value(connection, SQL["has-worker"]))
