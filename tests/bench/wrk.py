"""Load as fast as answers come, by wrk (https://github.com/wg/wrk): each connection sends its next request on an answer."""

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import orjson

from tests.bench import events
from tests.bench.installation import KEYS, Installation, Wrong

CONNECTIONS = 64
_SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Load:
    """What wrk saw: events answered with 2xx, in how many seconds, and the milliseconds of an answer."""

    events: int
    seconds: float
    p50: float
    p99: float
    in_flight: int
    """Most events that may have been stored unanswered, when wrk hung up at the end."""


def require() -> None:
    """End with exit code 2 when wrk is missing."""
    if shutil.which("wrk") is None:
        print("wrk, the load generator, is missing: apt-get install wrk", file=sys.stderr)
        sys.exit(2)


def load(url: str, home: Installation, seconds: int, connections: int = CONNECTIONS, size: int = 1) -> Load:
    """Post events for some seconds on some connections, `size` in a request; raise Wrong unless every answer accepted all."""
    path = "/api/events" if size == 1 else "/api/events/batch"
    with tempfile.NamedTemporaryFile("wb", suffix=".txt") as key_file:
        key_file.write(orjson.dumps(events.event() | {"idempotencyKey": "@KEY@"}) + b"\n")
        key_file.writelines(tenant.key.encode() + b"\n" for tenant in home.tenants[:KEYS])
        key_file.flush()
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-s", str(_SCRIPT), url + path]
        command = ["wrk", *options, "--", key_file.name, str(size), secrets.token_hex(4)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    return _read(ended.stdout + ended.stderr, connections, size)


def _read(output: str, connections: int, size: int) -> Load:
    lines = output.splitlines()
    line = next((line for line in lines if line.startswith("{")), None)
    if line is None:
        raise Wrong(f"wrk did not report: {output}")
    seen = json.loads(line)
    if seen["refused"] or seen["broken"] or not seen["requests"]:
        samples = " ".join(line for line in lines if line.startswith("answered: "))
        raise Wrong(
            f"of {seen['requests']} requests {seen['refused']} were not wholly accepted and {seen['broken']} broke off {samples}"
        )
    return Load(seen["requests"] * size, seen["seconds"], seen["p50"], seen["p99"], connections * size)
