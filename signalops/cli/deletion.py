"""signalops tenant delete: remove a closed tenant with all of its rows."""

from typing import Annotated

import typer

from signalops import db
from signalops.access.deletion.deletion_models import DeletionShown
from signalops.access.deletion.deletion_service import begin, show
from signalops.cli.common import AsJson, as_owner
from signalops.cli.output import show_json, show_rows
from signalops.errors import NotFound, Problem, Unusable


def delete(
    slug: Annotated[str, typer.Argument(help="The tenant's slug; it must be closed.")],
    confirm: Annotated[str, typer.Option(help="The slug again: a deleted tenant can't be restored.")],
    as_json: AsJson = False,
) -> None:
    """Have the workers delete a closed tenant; given again, show how far they are, and at the end the proof."""

    async def ask(connection: db.Connection) -> DeletionShown:
        try:
            return await begin(connection, slug, confirm)
        except NotFound:
            return await show(connection, slug)

    try:
        deletion = as_owner(ask)
    except Problem as problem:
        raise Unusable(problem.detail) from problem
    if as_json:
        show_json(deletion.model_dump(mode="json"))
        return
    if deletion.tables:
        show_rows([table.model_dump() for table in deletion.tables], ("table", "removed", "left"), as_json=False)
    if deletion.finished_at:
        typer.echo(f"Tenant {deletion.slug} ({deletion.tenant}) was deleted at {deletion.finished_at:%F %T}: nothing is left.")
    else:
        typer.echo(f"Tenant {deletion.slug} is being deleted by the workers: give the command again to see how far.")
