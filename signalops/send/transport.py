"""The one way out: every channel's connections are made here, with one owner who closes them."""

import aiohttp

from signalops.config import Settings


class Transport:
    """The outgoing connections of one process. The HTTP session is opened by the first that needs it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._http: aiohttp.ClientSession | None = None

    def http(self) -> aiohttp.ClientSession:
        """Return the shared HTTP session of the running event loop."""
        if self._http is None:
            self._http = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.settings.send_timeout),
                # The session serves all tenants: one receiver's cookie must not reach another tenant's request.
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "SignalOps", "Accept-Encoding": "identity"},
                # Some compress anyhow: an answer is kept as it came rather than unpacked to any size.
                auto_decompress=False,
                trust_env=False,
            )
        return self._http

    async def close(self) -> None:
        """Close what was opened."""
        if self._http is not None:
            await self._http.close()
            self._http = None
