"""A background task that fails ends its process with an exit code by which it is restarted; an outage does not."""

import asyncio
import os
import signal
import sys

import pytest

from signalops import db
from signalops.config import Settings
from signalops.supervise import supervised
from tests.support.paths import ROOT

_FAILING = """
from signalops import clock_sync
async def keep(_):
    raise RuntimeError("a bug")
clock_sync.keep_synced = keep
"""
_API = f"""{_FAILING}
import uvicorn
uvicorn.run("signalops.web.app:create", factory=True, port=0, log_config=None)
"""
_WORKER = f"""{_FAILING}
from signalops.worker import app
app.run_worker()
"""


@pytest.mark.parametrize("program", [_API, _WORKER], ids=["API", "worker"])
async def test_a_failed_task_is_reported_and_ends_the_process(settings: Settings, program: str) -> None:
    own = {"DATABASE_URL": db.admin_url(settings), "SIGNALOPS_DATA": str(settings.data), "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **own, "SIGNALOPS_DRAIN_SECONDS": "0"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(25):
        out, err = await process.communicate()
    assert process.returncode == 70, err.decode()
    assert "keep the time" in (out + err).decode()
    assert "RuntimeError" in (out + err).decode()


async def test_an_outage_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signalops.supervise._PAUSE", 0)
    signalled: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: signalled.append(number))
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise db.OUTAGE[0]("the server is away")

    try:
        await supervised("work", work)
        assert (tries, signalled) == (3, [])
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_what_is_cancelled_has_not_failed() -> None:
    signalled: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: signalled.append(number))
    try:
        task = supervised("wait", lambda: asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert signalled == []
    finally:
        signal.signal(signal.SIGTERM, before)
