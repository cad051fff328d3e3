"""Where Prometheus asks a worker: a small server in a thread of its own, which serves no tenant's request."""

from collections.abc import Iterator
from contextlib import contextmanager

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
        facts.emit("metrics.unserved", host=host, port=port, error=str(error))
        yield
        return
    facts.emit("metrics.served", host=host, port=server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
