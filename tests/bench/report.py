"""The figures as they are printed: the median of the rounds, and every round beside it."""

import os
import platform
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.bench.installation import Server
from tests.bench.processes import ELSE, IDLE
from tests.bench.scenarios import Round

_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "track_commit_timestamp")


def machine(server: Server) -> Iterator[str]:
    """Yield lines that say where the figures come from."""
    load = f", load average {os.getloadavg()[0]:.2f} before the start" if hasattr(os, "getloadavg") else ""
    yield f"machine     {os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}{load}"
    yield f"software    Python {platform.python_version()}, PostgreSQL {server.setting('server_version')}, {_wrk()}"
    yield f"PostgreSQL  {', '.join(f'{name} = {server.setting(name)}' for name in _SETTINGS)}"
    yield "load        generator, API, worker and PostgreSQL (unless DATABASE_URL is elsewhere) share the machine; row-level"
    yield "            security is on; 10 keys in turn (bcrypt at cost 12, each remembered before the load begins); a payload of"
    yield "            300 bytes that is alike in all events, an idempotency key of its own for each"


def scenario(rounds: list[Round]) -> Iterator[str]:
    """Yield a line per figure, and the CPU time of each group of processes."""
    for name in rounds[0].figures:
        yield _line(name, [each.figures[name] for each in rounds])
    for group in rounds[0].cpu:
        seconds = [each.cpu[group] for each in rounds]
        if not any(seconds):
            continue
        if group not in (ELSE, IDLE):
            yield _line(f"CPU of {group}, µs/event", [each.cpu[group] * 1e6 / each.events for each in rounds])
        yield _line(f"CPU of {group}, cores", [each.cpu[group] / each.seconds for each in rounds])


def _line(name: str, values: list[float]) -> str:
    every = "  ".join(_number(value) for value in values)
    return f"  {name:<48} {_number(statistics.median(values)):>10}   ({every})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _wrk() -> str:
    # It tells its version on the way to its usage text, and ends with 1.
    version = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return " ".join(version.split()[:2])
