"""Serves metrics: a worker by a small server in its own thread, API processes together."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from prometheus_client import start_http_server

from signalops import telemetry
from signalops.watch.metrics.registry import REGISTRY


@contextmanager
def served(host: str, port: int | None) -> Iterator[None]:
    """Serve this process's metrics within the context; port 0 is any free port. A port that can't be bound is logged."""
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, REGISTRY)
    except OSError as error:
        telemetry.emit("metrics.listen_failed", host=host, port=port, error=str(error))
        yield
        return
    telemetry.emit("metrics.served", host=host, port=server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def shared(processes: int) -> Iterator[None]:
    """Let processes started within the context share one folder, if several, so that any of them serves the metrics of all.

    What an installation counted before its start is gone, as with one process.
    """
    if processes == 1:
        yield
        return
    with TemporaryDirectory(prefix="signalops-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # the name is prometheus_client's
        yield
