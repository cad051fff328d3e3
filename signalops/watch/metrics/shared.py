"""Where several API processes share what they count."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory


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
