"""An operator who speaks to a running API."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from signalops.config import Settings
from tests.support.api import JSON, Answer, Client
from tests.support.tenants import operator_headers


class Operator:
    """Sends an operator's requests; `do` is a path behind /api/tenants."""

    def __init__(self, api: Client, headers: dict[str, str]) -> None:
        self._api = api
        self.headers = headers

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kind = {} if body is None else JSON
        return await self._api.request(method, path, data=data, headers={**self.headers, **kind, **named})

    async def get(self, path: str) -> Answer:
        return await self.send("GET", path)

    async def make(self, slug: str, **more: Any) -> dict[str, Any]:
        answer = await self.send("POST", "/api/tenants", {"slug": slug, "name": slug.title(), **more})
        assert answer.status == 201, answer
        made: dict[str, Any] = answer.json
        return made


@pytest.fixture
def operator(api: Client, settings: Settings) -> Operator:
    """An operator who may do anything."""
    return Operator(api, operator_headers(settings, "tenants:*"))


@pytest.fixture
def as_operator(api: Client, settings: Settings) -> Callable[..., Operator]:
    """Makes operators with some scopes."""
    return lambda *scopes: Operator(api, operator_headers(settings, *scopes))
