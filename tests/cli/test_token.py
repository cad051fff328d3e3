"""`signalops token`: who it mints for, and what it refuses."""

import jwt
import pytest

from signalops.access.auth_throttle import AuthThrottle
from signalops.access.jwt_config import trust_of
from signalops.access.tokens import Claims, SharedSecret, Tokens
from signalops.config import Settings
from tests.support.command import Run


async def _said(token: str, settings: Settings) -> Claims:
    trust = trust_of(settings)
    assert trust
    assert trust.secret
    return await Tokens(trust, SharedSecret(trust.secret), AuthThrottle()).verify(token.strip(), None)


async def test_a_token_for_a_user_and_one_for_an_operator(command: Run) -> None:
    user = command("token", "--tenant", "acme", "--scope", "events:read", "--scope", "rules:*", "--subject", "u")
    claims = await _said(user.out, Settings())
    assert (claims.subject, claims.tenant, claims.scopes) == ("u", "acme", frozenset({"events:read", "rules:*"}))
    operator = command("token", "--operator", "--scope", "tenants:*", "--expires", "15m")
    claims = await _said(operator.out, Settings())
    assert (claims.tenant, claims.scopes) == (None, frozenset({"tenants:*"}))
    decoded = jwt.decode(operator.out.strip(), options={"verify_signature": False})
    assert decoded["exp"] - decoded["iat"] == 900


@pytest.mark.parametrize("arguments", ["", "--operator --tenant acme", "--tenant acme", "--operator --scope events:read",
    "--tenant acme --scope tenants:*", "--operator --scope tenants:* --expires 0s",
    "--operator --scope tenants:* --expires 9999d"])  # fmt: skip
def test_what_makes_no_sense_is_refused(command: Run, arguments: str) -> None:
    done = command("token", *arguments.split())
    assert (done.code, done.out) == (1, "")


def test_a_duration_that_is_none_is_refused_with_an_example(command: Run) -> None:
    done = command("token", "--operator", "--scope", "tenants:*", "--expires", "soon")
    assert (done.code, done.out, "such as 90s, 10m" in done.err) == (2, "", True)


async def test_an_embedded_installation_makes_its_own_secret(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET", "ISSUER", "AUDIENCE"):
        monkeypatch.delenv(f"SIGNALOPS_JWT_{name}")
    token = command("token", "--operator", "--scope", "tenants:read").out
    assert (await _said(token, Settings())).scopes == {"tenants:read"}
    assert (Settings().data / "token.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("SECRET", "short", "too short"),
        ("JWKS", "/keys.json", "both set"),
        ("ISSUER", "", "SIGNALOPS_JWT_ISSUER"),
        ("AUDIENCE", "", "SIGNALOPS_JWT_AUDIENCE"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_the_remedy(
    command: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, remedy: str
) -> None:
    monkeypatch.setenv(f"SIGNALOPS_JWT_{name}", value)
    done = command("token", "--operator", "--scope", "tenants:read")
    assert done.code == 1
    assert remedy in done.err
