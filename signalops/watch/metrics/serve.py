"""Where Prometheus asks: a worker has a small server in a thread of its own, several API processes share what they count."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from prometheus_client import start_http_server

from signalops import facts
from signalops.watch.metrics.registry import REGISTRY


@contextmanager
def served(host: str, port: int | None) -> Iterator[None]:
    """Serve this process's metrics meanwhile, at any free port if it is 0; the work goes on without where that can't be."""
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, REGISTRY)
    except OSError as error:
        facts.emit("metrics.listen_failed", host=host, port=port, error=str(error))
        yield
        return
    facts.emit("metrics.served", host=host, port=server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def shared(processes: int) -> Iterator[None]:
    """Let the processes that are started meanwhile, if several, share one folder: whichever is asked tells of all.

    What an installation counted before its start is gone, as with one process.
    """
    if processes == 1:
        yield
        return
    with TemporaryDirectory(prefix="signalops-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # the name is prometheus_client's
        yield
