"""Compressed bodies, as RFC 9110, section 8.4, has them: read within bounds, or refused with what is taken."""

import gzip
import json
import time
import zlib

import psycopg
import pytest

from signalops.content_coding import RATIO, coding_of, decoded
from signalops.errors import Malformed, TooLarge, UnsupportedMedia
from tests.support.api import NOTHING, SIGNUP, Client, assert_problem, rows
from tests.support.tenants import Tenant

BODY = json.dumps(SIGNUP).encode()
LINES = b"\n".join([BODY] * 400)
RAW = zlib.compressobj(wbits=-15)
NOT_WHAT_IT_SAYS = {
    "no gzip": (BODY, "gzip"),
    "broken off": (gzip.compress(BODY, mtime=0)[:-9], "gzip"),
    "wrong checksum": (gzip.compress(BODY, mtime=0)[:-8] + bytes(8), "gzip"),
    "rubbish behind it": (gzip.compress(BODY, mtime=0) + b"rubbish", "gzip"),
    "deflate without its head": (RAW.compress(BODY) + RAW.flush(), "deflate"),
    "gzip as deflate": (gzip.compress(BODY, mtime=0), "deflate"),
}


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("GZip", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),  # RFC 9110, 8.4.1.3
        ("gzip", gzip.compress(BODY[:10], mtime=0) + gzip.compress(BODY[10:], mtime=0)),  # RFC 1952, 2.2: members in a row
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
        ("", BODY),
        ("identity, gzip", gzip.compress(BODY, mtime=0)),
    ],
)
async def test_what_is_compressed_is_stored_as_it_was(
    api: Client, owner: psycopg.Connection, acme: Tenant, coding: str, body: bytes
) -> None:
    answer = await api.post(body, acme, content_encoding=coding)
    assert answer.status == 202, answer.body
    assert rows(owner)["events"] == 1


async def test_a_compressed_batch_is_stored(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    headers = {"content_type": "application/x-ndjson", "content_encoding": "gzip"}
    answer = await api.post_batch(gzip.compress(LINES), acme, **headers)
    assert (answer.status, answer.json["accepted"]) == (202, 400)
    assert rows(owner)["events"] == 400


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "nonsense"])
async def test_another_coding_is_refused_with_what_is_taken(
    api: Client, owner: psycopg.Connection, acme: Tenant, coding: str
) -> None:
    answer = await api.post(BODY, acme, content_encoding=coding)
    assert_problem(answer, 415, "unsupported-media-type")
    assert answer.headers["accept-encoding"] == "gzip, deflate, identity"
    assert rows(owner) == NOTHING


@pytest.mark.parametrize("name", NOT_WHAT_IT_SAYS)
async def test_a_body_that_is_not_what_its_header_says_is_refused(
    api: Client, owner: psycopg.Connection, acme: Tenant, name: str
) -> None:
    body, coding = NOT_WHAT_IT_SAYS[name]
    assert_problem(await api.post(body, acme, content_encoding=coding), 400, "malformed")
    assert rows(owner) == NOTHING


def test_the_size_is_bounded_and_so_is_the_ratio() -> None:
    whole = b"x" * 2**20
    assert decoded(gzip.compress(whole), "gzip", 2**20) == whole
    with pytest.raises(TooLarge):
        decoded(gzip.compress(whole + b"x"), "gzip", 2**20)
    bomb = gzip.compress(b"[" * 2**26)
    assert len(bomb) * RATIO < 2**26
    with pytest.raises(TooLarge):
        decoded(bomb, "gzip", 2**26)


def test_members_without_end_are_bounded() -> None:
    assert decoded(gzip.compress(b"x", mtime=0) * 100, "gzip", 2**10) == b"x" * 100
    began = time.thread_time()
    with pytest.raises(TooLarge, match="members"):
        decoded(gzip.compress(b"", mtime=0) * 400_000, "gzip", 2**23)
    assert time.thread_time() - began < 1
    with pytest.raises(Malformed):
        decoded(b"\x1f", "gzip", 10)


def test_headers_in_a_row_are_one() -> None:
    assert coding_of("identity,gzip") == "gzip"
    with pytest.raises(UnsupportedMedia):
        coding_of("gzip,deflate")


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", '"Shift_JIS"', "utf-7"])
async def test_another_charset_is_refused(api: Client, owner: psycopg.Connection, acme: Tenant, charset: str) -> None:
    answer = await api.post(BODY, acme, content_type=f"application/json; charset={charset}")
    assert_problem(answer, 415, "unsupported-media-type")
    assert (await api.post(BODY, acme, content_type='application/json;charset="UTF-8"')).status == 202
    assert rows(owner)["events"] == 1


async def test_a_part_of_a_body_is_refused(api: Client, owner: psycopg.Connection, acme: Tenant) -> None:
    assert_problem(await api.post(BODY, acme, content_range=f"bytes 0-{len(BODY) - 1}/999"), 400, "malformed")
    assert rows(owner) == NOTHING
