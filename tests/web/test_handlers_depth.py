"""The path from a handler to its SQL is short: at most six functions of ours, so that a reader can follow it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import psycopg
import pytest

import signalops
from tests.support.api import SIGNUP, Answer, Client
from tests.support.tenants import Tenant

PACKAGE = Path(signalops.__file__).parent
MAX_FUNCTIONS = 6
HANDLERS = "web/handlers.py"
Functions = list[str]


def own(codes: Iterator[CodeType]) -> Functions:
    """Return the functions of ours, outermost first; `db` runs SQL for all others, and `supervise` runs every task."""
    files = ((Path(code.co_filename), code.co_name) for code in codes)
    names = [f"{file.relative_to(PACKAGE)} {name}" for file, name in files if file.is_relative_to(PACKAGE)]
    return [name for name in names if not name.startswith(("db/", "supervise.py"))]


def stack(frame: FrameType | None) -> Iterator[CodeType]:
    """Yield the code of a running stack, innermost first."""
    while frame:
        yield frame.f_code
        frame = frame.f_back


def suspended(awaited: Any) -> Iterator[CodeType]:
    """Yield the code of a suspended task, outermost first."""
    while (code := getattr(awaited, "cr_code", None)) is not None:
        yield code
        awaited = awaited.cr_await


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> list[Functions]:
    """The path to each statement: of the task that runs it, behind that of the request which waits for it."""
    taken: list[Functions] = []
    execute = psycopg.AsyncCursor.execute

    async def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        running = own(stack(sys._getframe()))[::-1]
        waiting = [own(suspended(task.get_coro())) for task in asyncio.all_tasks()]
        for path in [running, *([*one, *running] for one in waiting)]:
            if callers := [depth for depth, name in enumerate(path) if name.startswith(HANDLERS)]:
                taken.append(path[callers[-1] + 1 :])
        return await execute(self, *args, **kwargs)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", spy)
    return taken


Call = Callable[[Client, Tenant], Awaitable[Answer]]


@pytest.mark.parametrize(
    ("call", "ends"),
    [
        (lambda api, tenant: api.post(SIGNUP, tenant), "ingest/event_queries.py accept"),
        (lambda api, tenant: api.get("/api/rules", tenant), "rules/rule_queries.py list_rules"),
        (lambda api, tenant: api.get("/api/usage", tenant), "usage/usage_queries.py usage_by"),
        (lambda api, tenant: api.get("/api/invoices", tenant), "usage/invoices/invoice_queries.py _all"),
        (lambda api, tenant: api.get("/api/dead-letters", tenant), "send/dead_letters/dead_letter_queries.py read_dead_letters"),
    ],
)
async def test_few_functions_are_between_a_handler_and_its_sql(
    api: Client, acme: Tenant, paths: list[Functions], call: Call, ends: str
) -> None:
    await call(api, acme)
    assert ends in {path[-1] for path in paths if path}
    assert max(map(len, paths)) <= MAX_FUNCTIONS, paths
