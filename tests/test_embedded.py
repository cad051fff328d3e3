"""The embedded PostgreSQL: found where it is, and made by those commands alone that are there to make it."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

COMMANDS = [
    *(["tenant", "list"], ["rule", "list", "--tenant", "acme"], ["usage", "show", "--tenant", "acme"], ["doctor"], ["seed"]),
    *(["psql", "-c", "select 1"], ["serve"], ["work"], ["migrate", "--down", "--yes"], ["key", "list", "--tenant", "acme"]),
]


async def run(folder: Path, *arguments: str) -> tuple[int | None, str]:
    """Run the command line in a folder, with only the setting of that folder; return its exit code and output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SIGNALOPS_", "DATABASE_URL"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "signalops", *arguments),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(25):
        printed, _ = await process.communicate()
    return process.returncode, printed.decode()


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_no_other_command_makes_a_database(tmp_path: Path, command: list[str]) -> None:
    code, printed = await run(tmp_path, *command)
    assert code == 1
    assert f"There is no database in {tmp_path / '.data'}" in printed
    assert "signalops up" in printed
    assert is_empty(tmp_path)


@pytest.mark.timeout(90)  # makes a cluster
async def test_migrate_makes_one_which_the_others_find(tmp_path: Path) -> None:
    assert (await run(tmp_path, "migrate"))[0] == 0
    assert (await run(tmp_path, "tenant", "list"))[0] == 0
