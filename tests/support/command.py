"""The command line as a user meets it: arguments in; exit code, output and errors out."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from signalops import cli, config
from signalops.config import Settings


class Done(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


async def beside(run: Run, *arguments: str) -> Done:
    """Run a command in a thread, beside the event loop of the test: it has a loop of its own."""
    return await asyncio.to_thread(run, *arguments)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command in this process, through `main` and its handling of errors, with the environment as it is then."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["signalops", *arguments])
        config.settings.cache_clear()
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        if isinstance(ended.value.code, str):  # Python prints it, and exits with 1
            return Done(1, out, err + ended.value.code)
        return Done(ended.value.code or 0, out, err)

    yield run
    config.settings.cache_clear()


@pytest.fixture
def signalops(command: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on the test's own database."""
    assert settings.database_url
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    return command
