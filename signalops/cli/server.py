"""The commands that start processes: up, serve, work, migrate, seed."""

import os
import socket
from typing import Annotated, Literal

import typer

from signalops import embedded, logs, migrate
from signalops.__main__ import become_worker
from signalops.cli import seed as seeding
from signalops.cli import up as supervising
from signalops.config import send_to_this_machine, settings

app = typer.Typer()


@app.command(epilog="Example: signalops up, and in another terminal the curl that it prints.")
def up(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print the log lines of the processes instead of a summary.")
    ] = False,
) -> None:
    """Start everything on this machine: PostgreSQL, API, worker, and a sink that shows the mails and webhooks."""
    send_to_this_machine()
    supervising.up(settings(), is_verbose=verbose)


@app.command(epilog="Example: signalops serve --port 3000")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="API processes that share the port.")] = 1,
) -> None:
    """Start the API."""
    import uvicorn  # noqa: PLC0415  a tenth of a second that the other commands need not wait

    from signalops.watch.metrics.serve import shared  # noqa: PLC0415  likewise
    from signalops.web.protocol import server_options  # noqa: PLC0415  likewise

    # An option is a setting, for the processes that uvicorn starts too.
    overrides = {"SIGNALOPS_HOST": host, "SIGNALOPS_PORT": port}
    os.environ.update({name: str(value) for name, value in overrides.items() if value is not None})
    migrate.require_current(settings(), "api")
    logs.install(settings())  # for the parent of several processes
    with shared(processes):
        uvicorn.run(
            "signalops.web.app:create",
            factory=True,
            host=_listened(settings().host) if processes == 1 else settings().host,  # type: ignore[arg-type]  # asyncio takes several
            port=settings().port,
            workers=processes,
            log_config=None,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=10,
            **server_options(settings()),
        )


def _listened(host: str) -> str | list[str]:
    """Return what to listen on: of localhost 127.0.0.1, and ::1 where there is one, which many containers have not.

    Several processes share one socket, which has one address.
    """
    if host != "localhost":
        return host
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return ["127.0.0.1", "::1"]
    except OSError:
        return "127.0.0.1"


@app.command(
    epilog="Example: signalops work --queues events,maintenance --concurrency 8",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": ["--help"]},
)
def work(context: typer.Context) -> None:
    """Start a worker; takes the options of `procrastinate worker`, such as --queues, --concurrency and --name."""
    become_worker(context.args)


@app.command("migrate", epilog="Example: DATABASE_URL=postgresql://... signalops migrate")
def migrate_(
    down: Annotated[bool, typer.Option("--down", help="Roll everything back instead. ALL DATA IS LOST.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    stage: Annotated[
        Literal["pre", "post"] | None,
        typer.Option(help="pre: only what the release before runs on, too; post: the rest, when none of its processes is left."),
    ] = None,
) -> None:
    """Migrate the database to the schema of this release; safe to repeat, and for several at once."""
    if down:
        if not yes:
            typer.confirm("Roll back every migration? All data is lost", abort=True)
        for name in (ids := migrate.downgrade(settings())):
            typer.echo(f"rolled back {name}")
        typer.echo(f"{len(ids)} migrations.")
    else:
        if settings().is_embedded:
            embedded.make_server(settings().data, settings().embedded_version)
        _report(migrate.upgrade(settings(), stage))


def _report(done: migrate.Upgrade) -> None:
    """Print what an upgrade did."""
    for name in done.migrations:
        typer.echo(f"applied {name}")
    for name in done.definitions.dropped:
        typer.echo(f"dropped {name}")
    summary = f"{len(done.migrations)} migrations, {done.definitions.statements} statements of functions and grants."
    typer.echo(summary if done else "Nothing to do: the schema is current.")


@app.command(epilog="Example: signalops seed")
def seed() -> None:
    """Create the demonstration tenant acme, with its key, two channels and two rules; safe to run again."""
    send_to_this_machine()
    migrate.require_current(settings(), "owner")
    typer.echo(seeding.seed(settings()))
