"""The migrator's connections: the administrator's, which locks out other migrators, and yoyo's."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege
from yoyo import get_backend
from yoyo.backends import DatabaseBackend

from signalops import db
from signalops.config import Settings
from signalops.errors import Unusable

# One migrator at a time in a database; the number is arbitrary, and ours.
LOCK = 7_303_014_518
LOCK_TIMEOUT = "10s"
"""A migrator that can't get its lock must not make the traffic queue up behind it."""
TIMEOUTS = f"-c lock_timeout={LOCK_TIMEOUT} -c statement_timeout=15min"


def let_in(connection: psycopg.Connection, url: str) -> None:
    """Give a role of ours the login and the password that its process's URL has; the password itself is not sent."""
    login = conninfo_to_dict(url)
    user, password = str(login.get("user")), login.get("password")
    if password and user in ("signalops_api", "signalops_worker", "signalops_platform"):
        hashed = connection.pgconn.encrypt_password(str(password).encode(), user.encode(), b"scram-sha-256").decode()
        try:
            connection.execute(sql.SQL("alter role {} login password {}").format(sql.Identifier(user), hashed))
        except InsufficientPrivilege:
            # The roles are a DBA's: then so are their passwords, and one that may log in has been seen to.
            if connection.execute("select from pg_roles where rolname = %s and rolcanlogin", [user]).rowcount == 0:
                raise


@contextmanager
def alone(settings: Settings) -> Iterator[psycopg.Connection]:
    with connect(make_conninfo(db.admin_url(settings), connect_timeout=10)) as connection:
        connection.execute("select pg_advisory_lock(%s)", [LOCK])
        try:
            yield connection
        except InsufficientPrivilege as error:
            raise Unusable(
                f"The login of DATABASE_URL may not do this ({db.reason(error)}): have a DBA run sql/bootstrap.sql "
                "and what its first lines say."
            ) from error


@contextmanager
def connect(conninfo: str) -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            yield connection
    except psycopg.OperationalError as error:
        # The SQLSTATE of a refused connection does not reach the client: only its text does.
        if re.search(r'role "signalops_\w+" does not exist', str(error)):
            raise Unusable("The database is without our roles: run `signalops migrate` first.") from error
        if "unsupported startup parameter" in str(error):
            raise Unusable("A pooler is before PostgreSQL: set SIGNALOPS_POOLER, as the README says.") from error
        raise Unusable(f"PostgreSQL can't be reached or gave up ({str(error).strip()}): check DATABASE_URL.") from error


@contextmanager
def backend(settings: Settings) -> Iterator[DatabaseBackend]:
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    parameters = conninfo_to_dict(db.admin_url(settings), options=f"-c role=signalops_owner -c search_path=yoyo {TIMEOUTS}")
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items() if name != "dbname")
    backend = get_backend(f"postgresql+psycopg:///{quote(str(parameters['dbname']))}?{query}")
    try:
        yield backend
    finally:
        backend.connection.close()
