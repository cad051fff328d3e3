"""Limits the size of a receiver's response as it arrives: heads, interim responses and framing as well as bodies."""

from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MAX_BYTES = 256 * 1024
"""Of one answer; of its body no more than a quarter is read."""
MAX_INTERIM = 8
"""Answers such as 100 and 103 before the final one; each costs as much as that."""


class BoundedHandler(ResponseHandler):
    """A connection that is cut when an answer is too long: the library bounds heads and chunks, but not how many there are."""

    _received = _interim = 0

    def set_response_params(self, **parameters: Any) -> None:
        """Begin to wait for the answer to another request."""
        self._received = self._interim = 0
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > MAX_BYTES:
            self._cut()
        else:
            super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        message, _ = data
        self._interim += message.code < 200
        if self._interim > MAX_INTERIM:
            self._cut()
        else:
            super().feed_data(data, size)

    def _cut(self) -> None:
        error = aiohttp.ClientPayloadError("the answer is too long")
        self.set_exception(error)
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(error)
        self.abort()


class BoundedConnector(aiohttp.TCPConnector):
    """A connector whose connections are bounded so."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(BoundedHandler, loop=self._loop)  # type: ignore[assignment]  # of a subclass
