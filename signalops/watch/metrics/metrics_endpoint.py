"""GET /metrics of the API, for Prometheus."""

import hmac

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import SecretStr

from signalops.endpoint import Text, endpoint
from signalops.errors import NotFound
from signalops.http import Request, Response, is_from_this_machine, is_own_host
from signalops.watch.metrics.collector import Measurements
from signalops.watch.metrics.registry import exposition


class MetricsHttp:
    """The endpoint of metrics."""

    def __init__(self, measurements: Measurements, token: SecretStr | None) -> None:
        self._measurements = measurements
        self._token = token.get_secret_value().encode() if token else None

    @endpoint(
        "GET /metrics",
        "scrape",
        "Export metrics for Prometheus",
        None,
        answers={200: Text},
        problems=(NotFound,),
        texts=("text/plain",),
    )
    async def scrape(self, request: Request) -> Response:
        """Return the metrics to callers with SIGNALOPS_METRICS_TOKEN; without that setting, to callers on this machine."""
        if not self._admits(request):
            raise NotFound("There is nothing at this address: see /api/docs.")
        return Response(exposition(await self._measurements.read()), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def _admits(self, request: Request) -> bool:
        if self._token:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token)
        return is_from_this_machine(request) and is_own_host(request.headers.get("host", ""))
