"""signalops token: mint a bearer token, where this installation signs its own."""

import getpass
from typing import Annotated, get_args

import typer

from signalops.access.jwt_config import Trust, mint, trust_of
from signalops.cli.common import AsJson
from signalops.cli.output import show_done
from signalops.cli.times import seconds
from signalops.config import settings
from signalops.errors import Unusable
from signalops.types import PlatformScope, Scope

_LONGEST = 365 * 86_400


app = typer.Typer()


@app.command(epilog="Example: signalops token --operator --scope 'tenants:*' --expires 15m")
def token(
    tenant: Annotated[
        str | None, typer.Option("--tenant", "-t", help="The id or the slug of the tenant whose user it is for.")
    ] = None,
    operator: Annotated[bool, typer.Option("--operator", help="It is for an operator of the installation.")] = False,
    scope: Annotated[list[str] | None, typer.Option(help="What it may do; repeat for several.")] = None,
    subject: Annotated[str | None, typer.Option(help="Who it is for, as the audit log names them. Default: you.")] = None,
    expires: Annotated[str, typer.Option(help="How long it is valid, such as 90s, 15m, 1h or 7d.")] = "1h",
    as_json: AsJson = False,
) -> None:
    """Print a token for the header `Authorization: Bearer`. It can't be taken back: let it end soon."""
    if operator == (tenant is not None):
        raise Unusable("Say for whom it is: either --tenant and its slug, or --operator.")
    scopes = _scopes(scope or [], get_args(PlatformScope if operator else Scope))
    minted = mint(_trust(), subject or getpass.getuser(), tenant, scopes, _seconds(expires))
    show_done(minted, {"token": minted, "expiresIn": _seconds(expires)}, as_json)


def _trust() -> Trust:
    trust = trust_of(settings())
    if trust is None:
        raise Unusable("This installation takes no tokens: set SIGNALOPS_JWT_SECRET, _JWT_ISSUER and _JWT_AUDIENCE.")
    return trust


def _scopes(scopes: list[str], possible: tuple[str, ...]) -> list[str]:
    if not scopes or set(scopes) - set(possible):
        raise Unusable(f"Give --scope, once or several times: there are {', '.join(possible)}.")
    return scopes


def _seconds(text: str) -> int:
    length = seconds(text)
    if not 0 < length <= _LONGEST:
        raise Unusable(f"--expires {text} is no length of time up to a year: write 90s, 15m, 1h or 7d.")
    return length
