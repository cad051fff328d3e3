"""A PostgreSQL of the test's own, to be restarted."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from signalops import embedded

Mode = Literal["immediate", "fast"]
"""immediate: as after a loss of power, with recovery from the log; fast: transactions are rolled back, then it stops."""


class Cluster:
    """A server with files of its own."""

    def __init__(self, data: Path, version: int) -> None:
        self._server = embedded.make_server(data, version)
        self._data = data
        self._version = version
        self.url = embedded.url(data, version)
        self.user: str | None = self._server.system_user

    def restart(self, mode: Mode) -> None:
        """Stop and start; return when it takes connections."""
        self._run("restart", "-m", mode, "-l", str(self._server.log))

    def start(self) -> None:
        """Start it again; return when it takes connections."""
        # `restart` knows with which options it ran, and starts a server that does not run.
        self.restart("immediate")

    def stop(self) -> None:
        """End it, as after a loss of power."""
        self._run("stop", "-m", "immediate")

    def use(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's own programs, as the user that the server runs as."""
        command = [str(embedded.program(self._version, program)), *arguments]
        # As root, PostgreSQL refuses to run: the package has a user for it.
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd="/", timeout=60)

    def _run(self, *arguments: str) -> None:
        self.use("pg_ctl", "-w", "-D", str(self._server.pgdata), *arguments)


@contextmanager
def cluster(version: int) -> Iterator[Cluster]:
    """Start one; it leaves nothing behind."""
    # Not in pytest's folder: as root, it is closed to the user that PostgreSQL runs as.
    with TemporaryDirectory() as data:
        own = Cluster(Path(data), version)
        try:
            yield own
        finally:
            own.stop()
