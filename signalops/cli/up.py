"""`signalops up`: everything on one machine, for a first try. Ctrl-C ends all of it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import typer

from signalops import db, migrate
from signalops.cli import seed
from signalops.cli.sink import Sink
from signalops.config import Settings

_PARTS = {"api": ("serve",), "worker": ("work",)}
_RESTART = 1.0

_TRY_NEXT = """
SignalOps is up at {base} ({seconds:.1f} s). Try, in another terminal:

  curl -X POST {base}/api/events -H "Content-Type: application/json" \\
    -H "x-api-key: {key}" \\
    -d '{{"type":"user.signup","payload":{{"email":"user@example.com"}}}}'

  signalops follow ID              the path of that event, with the id from the answer
  signalops usage --tenant acme    what was counted
  signalops psql                   look into the tables
  {base}/api/docs   the API

Mails and webhooks are shown here. Ctrl-C ends everything.
"""


def up(settings: Settings) -> None:
    """Migrate, seed, start API, worker and sink, and keep them running until a signal."""
    began = time.monotonic()
    url = db.admin_url(settings)  # this process holds the embedded server; the parts are its clients
    migrate.upgrade(settings)
    typer.echo(seed.seed(settings))
    environment = {**os.environ, "DATABASE_URL": url}
    asyncio.run(_Supervisor(settings, environment, began).run())
    typer.echo("Stopped.")


class _Supervisor:
    def __init__(self, settings: Settings, environment: dict[str, str], began: float) -> None:
        self._settings = settings
        self._environment = environment
        self._began = began
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        sink = Sink(self._settings.smtp_port, self._settings.sink_port, lambda text: typer.echo(f"--- {text}"))
        tasks = [loop.create_task(self._keep_running(name, part)) for name, part in _PARTS.items()]
        tasks += [loop.create_task(sink.run()), loop.create_task(self._say_when_ready())]
        # The sink's own server would take the signals for itself: ours are set once it has.
        await asyncio.sleep(0)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        await self._stopping.wait()
        sink.stop()
        await asyncio.gather(*tasks)

    async def _keep_running(self, name: str, part: Sequence[str]) -> None:
        """Run a part as a process of its own, again whenever it ends, until all stop."""
        while not self._stopping.is_set():
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "signalops", *part, env=self._environment, start_new_session=True
            )
            ended = asyncio.create_task(process.wait())
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if self._stopping.is_set():
                with suppress(ProcessLookupError):
                    process.terminate()
                await ended
                return
            typer.echo(f"--- {name} ended with exit code {ended.result()}; starting it again", err=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RESTART)

    async def _say_when_ready(self) -> None:
        base = f"http://{self._settings.host}:{self._settings.port}"
        while not self._stopping.is_set():
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(self._settings.host, self._settings.port)
                writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                status = await reader.readline()
                writer.close()
                if b" 200 " in status:
                    typer.echo(_TRY_NEXT.format(base=base, seconds=time.monotonic() - self._began, key=seed.KEY))
                    return
            await asyncio.sleep(0.05)  # it is starting
