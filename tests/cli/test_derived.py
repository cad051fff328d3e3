"""Commands that are derived from endpoints: filters, pages and names are those of the API."""

import json

import pytest
import typer

from signalops import cli, db
from signalops.cli import tenants
from signalops.cli.derived import Commands
from signalops.endpoint import endpoint
from signalops.http import Page, Response, listed
from signalops.types import Caller
from tests.support.command import Run


class Numbers(Page):
    """Query of a list of numbers."""

    over: int = 0


@endpoint("GET /api/numbers", "listNumbers", "List numbers", "events:read")
async def list_numbers(connection: db.Connection, caller: Caller, query: Numbers) -> Response:
    """List numbers. A second sentence is not shown in the list of commands."""
    first = query.over + 1 if query.starting_after is None else query.starting_after.int + 1
    rows = [{"id": f"{number:032x}", "number": number} for number in range(first, 251)]
    return listed(rows[: query.limit + 1], query.limit, lambda row: row)


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(("limit", "over", "expected"), [(50, 0, 50), (230, 0, 230), (1000, 0, 250), (1000, 200, 50)])
def test_a_list_goes_on_over_pages_until_the_limit(
    signalops: Run, monkeypatch: pytest.MonkeyPatch, limit: int, over: int, expected: int
) -> None:
    numbers = typer.Typer()
    Commands(numbers, "number").add(list_numbers, "list", columns="number id")
    tree = typer.Typer()
    tree.add_typer(numbers, name="number")
    tree.add_typer(tenants.app, name="tenant")  # a program of one group would take its name for granted
    monkeypatch.setattr(cli, "_tree", lambda: typer.main.get_command(tree))
    done = signalops("number", "list", "--tenant", "acme", "--limit", str(limit), "--over", str(over), "--json")
    assert [one["number"] for one in json.loads(done.out)] == list(range(over + 1, over + expected + 1))
    assert signalops("number", "list", "--tenant", "nobody").code == 1
