"""A database in which nothing has been done yet."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from signalops.config import Settings
from tests.conftest import settings_for


@pytest.fixture
def empty(server: str, admin: psycopg.Connection) -> Iterator[Settings]:
    """Settings of an installation on an empty database."""
    name = f"so_empty_{uuid.uuid4().hex[:8]}"
    admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield settings_for(server, name)
    admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
