"""The book of schemas: read once, read again when they changed, and bounded."""

import asyncio

import psycopg

from signalops import db
from signalops.ingest.types import SchemaCache
from tests.support.rows import add
from tests.support.tenants import Tenant, make_tenant


def store(owner: psycopg.Connection, tenant: Tenant, event_type: str, size: int = 1) -> None:
    add(owner, "event_schemas", tenant.id, type=event_type, schema={"title": "x" * size})


async def test_what_is_being_read_when_it_changes_is_not_kept(api_pool: db.Pool, owner: psycopg.Connection, acme: Tenant) -> None:
    book = SchemaCache(api_pool)
    reading = asyncio.create_task(book.of(acme.id))
    await asyncio.sleep(0)
    book.cache.invalidate(acme.id)
    store(owner, acme, "a")
    await reading
    assert list(await book.of(acme.id)) == ["a"]
    store(owner, acme, "b")
    assert list(await book.of(acme.id)) == ["a"], "cached until it is invalidated"
    book.cache.invalidate_all()
    assert sorted(await book.of(acme.id)) == ["a", "b"]


async def test_many_who_ask_at_once_read_once(api_pool: db.Pool, acme: Tenant) -> None:
    book = SchemaCache(api_pool)
    answers = await asyncio.gather(*(book.of(acme.id) for _ in range(50)))
    assert all(answer is answers[0] for answer in answers)


async def test_the_book_is_bounded_by_text(api_pool: db.Pool, owner: psycopg.Connection) -> None:
    tenants = [make_tenant(owner, f"t{n}") for n in range(4)]
    for tenant in tenants:
        store(owner, tenant, "a", 4000)
    book = SchemaCache(api_pool, most_bytes=10_000)
    schemas = [await book.of(tenant.id) for tenant in tenants]
    assert await book.of(tenants[3].id) is schemas[3]
    assert await book.of(tenants[2].id) is schemas[2]
    assert await book.of(tenants[0].id) is not schemas[0]
    assert await book.of(tenants[3].id) is not schemas[3], "the least recently used goes first"


async def test_tenants_without_schemas_take_room_too(api_pool: db.Pool, owner: psycopg.Connection) -> None:
    book = SchemaCache(api_pool, most_bytes=10_000)
    for n in range(5):
        assert await book.of(make_tenant(owner, f"t{n}").id) == {}
    assert len(book.cache) == 3
