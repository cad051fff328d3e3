"""Connection strings: the login and the role of each process."""

from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from signalops import embedded
from signalops.config import Settings
from signalops.connection import DEFAULTS

Role = Literal["owner", "api", "worker", "operator", "platform"]
# A jobs table that was vacuumed while empty leaves cached generic plans that scan it as if it still were: seconds a fetch.
SESSION = (
    "-c plan_cache_mode=force_custom_plan -c timezone=UTC -c search_path=signalops,procrastinate "
    # Compiling the statement of evaluate_stateful_rules took 186 ms, each time; nothing here runs for long enough to gain by it.
    "-c jit=off -c idle_in_transaction_session_timeout=60s"
)
# No request may keep one of the API's few connections for longer.
_TIMEOUT: dict[Role, str] = dict.fromkeys(("api", "platform"), "-c statement_timeout=7s")


def admin_url(settings: Settings) -> str:
    """Return the URL of the login that everything is derived from: DATABASE_URL, or the embedded server's superuser."""
    if settings.database_url:
        return settings.database_url.get_secret_value()
    return embedded.url(settings.data, settings.embedded_version)


def dsn(settings: Settings, role: Role) -> str:
    """Return the connection string with which a process works in a role, never as the login itself.

    Through a pooler the login must be the role itself, and have these settings as its own (sql/bootstrap.sql gives them).
    """
    own = {
        "api": settings.api_database_url,
        "worker": settings.worker_database_url,
        "platform": settings.platform_database_url,
    }.get(role)
    url = own.get_secret_value() if own else admin_url(settings)
    options = f"-c role=signalops_{role} {SESSION} {_TIMEOUT.get(role, '')}"
    startup = {} if own and settings.pooler else {"options": options}
    return reachable(url, **startup, application_name=f"signalops {role}")


def listening(settings: Settings, role: Role) -> str | None:
    """Return the connection string to listen with; None: a pooler is before PostgreSQL, and no way around it is set."""
    if not settings.pooler:
        return dsn(settings, role)
    if settings.listen_database_url is None:
        return None
    direct = settings.listen_database_url.get_secret_value()
    return reachable(direct, application_name=f"signalops {role}")


def reachable(url: str, **parameters: str) -> str:
    """Return a connection string with TCP timeouts that detect a lost server, unless the URL sets them."""
    options = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    return make_conninfo(**{**DEFAULTS, **options, **parameters})


def without_password(url: str) -> tuple[str, str | None]:
    """Split a URL into a connection string without its password, and the password: everyone may read a process's arguments."""
    parameters = conninfo_to_dict(url)
    password = parameters.pop("password", None)
    return make_conninfo("", **parameters), None if password is None else str(password)
