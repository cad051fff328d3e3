"""Starting parts: taken ports, the sink's end, what `up` says to type, and the settings of `serve`."""

import asyncio
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import uvicorn

from signalops import config, db
from signalops.cli import up
from signalops.cli.sink import Sink
from signalops.config import Settings
from signalops.errors import Unusable
from tests.prove.test_up import free_port
from tests.support.command import Run

PORTS = ("SIGNALOPS_PORT", "SIGNALOPS_SMTP_PORT", "SIGNALOPS_SINK_PORT")


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    chosen = {name: free_port() for name in PORTS}
    for name, port in chosen.items():
        monkeypatch.setenv(name, str(port))
    return chosen


@pytest.mark.parametrize("name", PORTS)
def test_a_taken_port_is_said_before_anything_starts(command: Run, ports: dict[str, int], name: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", ports[name])):
        done = command("up")
    assert done == (1, "", f"signalops: Port {ports[name]} is taken: stop what uses it, or set {name}.")
    assert not list(tmp_path.iterdir())  # no server was started


def test_two_parts_on_one_port_are_refused(command: Run, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALOPS_SINK_PORT", str(ports["SIGNALOPS_PORT"]))
    assert "set SIGNALOPS_SINK_PORT." in command("up").err


@pytest.mark.parametrize("name", ["smtp_port", "sink_port"])
async def test_when_the_sink_fails_all_of_up_ends_and_says_why(settings: Settings, name: str) -> None:
    """As when another program takes the port after the check."""
    own = {"port": free_port(), "smtp_port": free_port(), "sink_port": free_port()}
    mine = settings.model_copy(update=own)
    environment = {**os.environ, "DATABASE_URL": db.admin_url(settings), "SIGNALOPS_PORT": str(mine.port)}
    with socket.create_server(("127.0.0.1", own[name])), pytest.raises(Unusable, match=r"The sink failed \(.*in use"):
        await asyncio.wait_for(up._Supervisor(mine, environment, 0.0).run(), 30)
    assert not [child for child in psutil.Process().children() if "signalops" in child.cmdline()]


async def test_the_sink_stops_when_told() -> None:
    sink = Sink(free_port(), free_port(), print)
    running = asyncio.create_task(sink.run())
    await asyncio.sleep(0)  # it has begun
    sink.stop()
    await asyncio.wait_for(running, 10)


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o755)
    return path


def test_what_to_type_is_the_program_as_it_was_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started = _program(tmp_path / "project" / ".venv" / "bin" / "signalops")
    monkeypatch.setattr(sys, "argv", [str(started)])
    monkeypatch.chdir(tmp_path / "project")
    assert up.program() == ".venv/bin/signalops"
    monkeypatch.chdir(started.parent)
    assert up.program() == "./signalops"
    monkeypatch.chdir("/")
    assert up.program() == str(started).lstrip("/") or up.program() == str(started)
    monkeypatch.setenv("PATH", str(started.parent), prepend=os.pathsep)
    assert up.program() == "signalops"
    started.chmod(0o644)
    assert up.program() == "python -m signalops"


def test_the_options_of_serve_are_settings(signalops: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app reads its host and port, for what it tells of its start, from the settings; also in processes of its own."""
    for name in ("SIGNALOPS_HOST", "SIGNALOPS_PORT"):
        monkeypatch.setenv(name, "1")
    served: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda _app, **options: served.update(options))
    assert signalops("serve", "--host", "127.0.0.2", "--port", "4321").code == 0
    assert (served["host"], served["port"]) == ("127.0.0.2", 4321)
    assert (config.settings().host, config.settings().port) == ("127.0.0.2", 4321)
    assert (os.environ["SIGNALOPS_HOST"], os.environ["SIGNALOPS_PORT"]) == ("127.0.0.2", "4321")
    assert served["timeout_keep_alive"] > 60


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "localhost"])
async def test_localhost_is_listened_on_by_both_its_addresses(settings: Settings, tmp_path: Path, address: str) -> None:
    assert settings.database_url is not None
    port = free_port()
    own = {"DATABASE_URL": settings.database_url.get_secret_value(), "SIGNALOPS_DATA": str(tmp_path)}
    arguments = ("-m", "signalops", "serve", "--port", str(port))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env={**os.environ, **own})
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as client:
            while True:
                with suppress(aiohttp.ClientConnectorError):
                    async with client.get(f"http://{address}:{port}/healthz") as answer:
                        assert answer.status == 200
                        break
                await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=0.05)
                assert process.returncode is None
    finally:
        process.terminate()
        await process.wait()
