"""A client of the HTTP API of any installation, for commands that run without its database."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, IPv6Network

import aiohttp

from signalops.config import Settings
from signalops.errors import Unusable
from signalops.send.transport import Transport
from signalops.types import JsonObject

# The URL is the caller's own, not one that a tenant names.
_ANYWHERE = {"send_allowed_networks": (IPv4Network("0.0.0.0/0"), IPv6Network("::/0")), "send_ports": (), "send_plain_http": True}


class ApiClient:
    """Requests with one API key. Unusable, with the remedy, when the API does not answer or refuses."""

    def __init__(self, transport: Transport, base_url: str, key: str) -> None:
        self._http = transport.http()
        self.base_url = base_url.rstrip("/")
        self._headers = {"x-api-key": key}

    async def get(self, path: str, **query: str) -> JsonObject:
        """Return the answer to a GET."""
        return await self.request("GET", path, query=query)

    async def post(self, path: str, body: JsonObject) -> JsonObject:
        """Return the answer to a POST."""
        return await self.request("POST", path, body=body)

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: JsonObject | None = None
    ) -> JsonObject:
        """Return the JSON of an answer; an empty object if there is none."""
        url = self.base_url + path
        try:
            async with self._http.request(method, url, params=query, json=body, headers=self._headers) as response:
                answer: JsonObject = await response.json(content_type=None) or {}
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise Unusable(f"{self.base_url} is no URL of an API: write it as http://localhost:3000.") from error
        except OSError as error:
            raise Unusable(
                f"Nothing answers at {self.base_url} ({error}): start it with `signalops up`, or correct the URL."
            ) from error
        except ValueError as error:
            raise Unusable(f"{self.base_url} is not SignalOps (its answer is no JSON): correct the URL.") from error
        if not response.ok:
            raise Unusable(f"{method} {path} was answered with {response.status}: {answer.get('detail', answer)}")
        return answer

    async def forward(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post something to a URL, such as a local receiver; return its status. Unusable if it does not answer."""
        try:
            async with self._http.request("POST", url, data=body, headers=headers) as response:
                return response.status
        except (aiohttp.ClientError, OSError) as error:
            raise Unusable(str(error)) from error


@asynccontextmanager
async def api_client(base_url: str, key: str, settings: Settings) -> AsyncIterator[ApiClient]:
    """Open a client; it is closed with the block."""
    transport = Transport(settings.model_copy(update=_ANYWHERE))
    try:
        yield ApiClient(transport, base_url, key)
    finally:
        await transport.close()
