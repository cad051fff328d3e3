"""A test that hangs is ended at its limit, and the output says where."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

HANGING = """
import asyncio

async def wait_for_ever():
    await asyncio.get_running_loop().create_future()

async def test_hangs():
    await asyncio.create_task(wait_for_ever(), name="the task that hangs")

def test_goes_on():
    pass
"""


@pytest.mark.timeout(60)  # a run of pytest of its own
def test_a_hanging_test_fails_with_the_stacks_of_its_tasks_and_the_next_one_runs(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_runtest_makereport  # noqa: F401\n")
    (tmp_path / "test_hanging.py").write_text(HANGING)
    command = [sys.executable, "-m", "pytest", "--timeout=1", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path)], capture_output=True, text=True, timeout=50, check=False, cwd=ROOT
    )
    assert "1 failed, 1 passed" in done.stdout
    assert "Timeout (>1.0s)" in done.stdout
    assert "the task that hangs" in done.stdout + done.stderr
    assert "in wait_for_ever" in done.stdout + done.stderr
