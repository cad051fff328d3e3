"""The real processes of a round, started as an installation starts them and always stopped; and the CPU time they use."""

import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from signalops import db
from signalops.config import ON_ONE_MACHINE
from tests.bench.installation import KEYS, Installation, Wrong
from tests.support.tenants import Tenant

ELSE, IDLE = "all else", "nothing (idle)"
START_SECONDS = 30.0
STOP_SECONDS = 30.0
MAX_WAIT = 240.0
"""Seconds that a command may take."""


@contextmanager
def api(home: Installation) -> Iterator[tuple[str, int]]:
    """Run one API process; yield its base URL and its process id once it is ready."""
    port = _free_port()
    arguments = [
        "--factory",
        "signalops.web.app:create",
        "--port",
        str(port),
        "--loop",
        "uvloop",
        # as `signalops serve` runs it
        "--http",
        "signalops.web.protocol:BoundedProtocol",
        "--ws",
        "none",
        "--no-server-header",
        "--limit-concurrency",
        "900",
    ]
    url = f"http://127.0.0.1:{port}"
    with _process(home, ["uvicorn", *arguments, "--no-access-log", "--log-level", "warning"], _answers(url)) as pid:
        for tenant in home.tenants[:KEYS]:
            _present(url, tenant)
        yield url, pid


def _present(url: str, tenant: Tenant) -> None:
    """Have the API check a key by bcrypt, before any load: as after a deploy, when the first request of each key waits for it."""
    request = urllib.request.Request(f"{url}/api/events?limit=1", headers=tenant.headers)
    with urllib.request.urlopen(request, timeout=START_SECONDS) as answered:
        answered.read()


@contextmanager
def worker(home: Installation, *options: str) -> Iterator[int]:
    """Run one worker process with options of procrastinate's own; yield its process id once it is registered."""
    command = ["procrastinate", "--app=signalops.worker.app", "--log-level=warning", "worker", *options]
    is_ready = "select count(*) from procrastinate.procrastinate_workers"
    with _process(home, command, lambda: bool(home.value(is_ready))) as pid:
        yield pid


def command(home: Installation, *words: str) -> None:
    """Run a command of `signalops` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", *words], env=_environment(home), capture_output=True, text=True, check=False, timeout=MAX_WAIT
    )
    if done.returncode:
        raise Wrong(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:].strip()}")


@contextmanager
def metered(groups: Mapping[str, int | None]) -> Iterator[dict[str, float]]:
    """Yield what holds, after the block, the CPU seconds used in it: by each process tree, the generator, and all else."""
    before = _used(groups)
    used: dict[str, float] = {}
    yield used
    # The kernel counts in ticks, for the machine and for processes apart: what is all else may come out just below zero.
    used.update({group: max(0.0, seconds - before[group]) for group, seconds in _used(groups).items()})


def _used(groups: Mapping[str, int | None]) -> dict[str, float]:
    # The load generators are the only children of ours that end while we measure.
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = {group: _of_tree(pid) for group, pid in groups.items() if pid}
    used["generator"] = ended.ru_utime + ended.ru_stime
    machine = psutil.cpu_times()
    idle = machine.idle + getattr(machine, "iowait", 0.0)
    # In user and nice, guests are counted already.
    busy = sum(machine) - idle - getattr(machine, "guest", 0.0) - getattr(machine, "guest_nice", 0.0)
    return {**used, ELSE: busy - sum(used.values()), IDLE: idle}


def _of_tree(pid: int) -> float:
    root = psutil.Process(pid)
    seconds = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:  # it has ended since, and is in its parent's children_user
            continue
        # Backends that ended are in what their parent has waited for.
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


_USUAL = r'^(Launching a worker on .*|.*"level":"info".*)\n?'
"""What a process logs of all that goes well."""


@contextmanager
def _process(home: Installation, module: list[str], is_ready: Callable[[], bool]) -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *module], env=_environment(home), stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _await(lambda: process.poll() is not None or is_ready(), f"{module[0]} did not start", log)
            if process.poll() is not None:
                raise Wrong(f"{module[0]} ended at once with {process.returncode}: {_tail(log)}")
            yield process.pid
        finally:
            _stop(process)
            if tail := re.sub(_USUAL, "", _tail(log), flags=re.MULTILINE):
                print(f"  {module[0]} said: {tail}", file=sys.stderr)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await(is_done: Callable[[], bool], failure: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise Wrong(f"{failure} within {START_SECONDS:.0f} s: {_tail(log)}")
        time.sleep(0.05)


def _environment(home: Installation) -> dict[str, str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALOPS_")}
    return {
        **outside,
        **ON_ONE_MACHINE,
        "DATABASE_URL": db.admin_url(home.settings),
        "SIGNALOPS_DATA": str(home.settings.data),
        "SIGNALOPS_DRAIN_SECONDS": "0",  # after the measurement, and for no load balancer
    }


def _answers(url: str) -> Callable[[], bool]:
    def has_answered() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    return has_answered


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(log: Path) -> str:
    """Return the last lines of a log, whole."""
    text = log.read_text(errors="replace")
    return (text if len(text) <= 2000 else text[-2000:].partition("\n")[2]).strip()
