"""Where Prometheus asks: GET /metrics of the API."""

import hmac
from ipaddress import ip_address

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from signalops.errors import NotFound
from signalops.watch.metrics.measure import Measurements
from signalops.watch.metrics.registry import exposition

_PROXIED = ("forwarded", "x-forwarded-for")


class MetricsHttp:
    """The handler, with what it needs."""

    def __init__(self, measurements: Measurements, token: SecretStr | None) -> None:
        self._measurements = measurements
        self._token = token.get_secret_value().encode() if token else None

    async def scrape(self, request: Request) -> Response:
        """Tell Prometheus what the installation does: whoever has SIGNALOPS_METRICS_TOKEN, or without it this machine."""
        if not self._admits(request):
            raise NotFound("There is nothing at this address: see /api/docs.")
        return Response(exposition(await self._measurements.read()), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def _admits(self, request: Request) -> bool:
        if self._token:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)
        # A proxy on this machine asks for others.
        if request.client is None or any(header in request.headers for header in _PROXIED):
            return False
        return ip_address(request.client.host).is_loopback
