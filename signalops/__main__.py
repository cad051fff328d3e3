"""The console script `signalops`. A worker starts without the other commands, whose modules take as long to load as its own."""

import importlib
import os
import sys
from contextlib import suppress

_WORKER = ("-m", "signalops.queue.run", "--app=signalops.worker.app", "--log-level=info", "worker")


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[2:]
    if sys.argv[1:2] == ["work"] and not {"-h", "--help"} & set(arguments):
        with suppress(Exception):  # which the command line reports
            become_worker(arguments)
    importlib.import_module("signalops.cli").main()


def become_worker(arguments: list[str]) -> None:
    """Replace this process by a worker; raise Unusable if the schema is not the one of this release."""
    settings = importlib.import_module("signalops.config").settings()
    importlib.import_module("signalops.migrate").require_current(settings, "worker")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *_WORKER, *arguments])  # noqa: S606  it takes this process's place and signals


if __name__ == "__main__":
    main()
