"""Spans of both processes, as a real collector receives them: one trace from the producer's span to the receiver's."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from signalops.config import Settings
from signalops.errors import Unusable
from signalops.watch import traces
from tests.support.api import SIGNUP, running_process
from tests.support.processes import eventually, worker
from tests.support.receivers import Receiver
from tests.support.tenants import Tenant

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """Takes spans by OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/)."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []

    async def take(self, request: web.Request) -> web.Response:
        for resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            (service,) = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
            self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    def of(self, trace: str) -> dict[str, tuple[str, Any]]:
        return {span.name: (service, span) for service, span in self.spans if span.trace_id.hex() == trace}


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    monkeypatch.setenv("SIGNALOPS_TRACES", "true")
    yield collector
    await runner.cleanup()


async def test_one_trace_leads_from_the_producer_to_the_receiver(
    settings: Settings, acme: Tenant, receiver: Receiver, collector: Collector
) -> None:
    async with running_process(settings) as api, worker(settings, "--concurrency", "2"):
        hook = {"kind": "webhook", "name": "hook", "config": {"url": receiver.url}}
        assert (await api.post(hook, acme, "/api/channels")).status == 201
        rule = {"name": "signups", "pattern": {"type": ["user.signup"]}, "channel": "hook"}
        assert (await api.post(rule, acme, "/api/rules")).status == 201
        await api.post(SIGNUP, acme, traceparent=f"00-{TRACE}-{SPAN}-01")
        async with asyncio.timeout(15):
            await eventually(lambda: len(collector.of(TRACE)) == 4)
    spans = collector.of(TRACE)
    assert {name: service for name, (service, _) in spans.items()} == {
        "storeEvent": "signalops-api",
        "events.flushed": "signalops-api",
        "batch.processed": "signalops-worker",
        "send webhook": "signalops-worker",
    }
    stored, sent = spans["storeEvent"][1], spans["send webhook"][1]
    assert stored.parent_span_id.hex() == sent.parent_span_id.hex() == SPAN
    (request,) = receiver.received
    assert request.headers["traceparent"] == f"00-{TRACE}-{sent.span_id.hex()}-01"
    assert 0 < stored.end_time_unix_nano - stored.start_time_unix_nano < 10e9
    span_attributes = {a.key: a.value for a in stored.attributes}
    assert span_attributes["http.response.status_code"].int_value == 202
    assert span_attributes["signalops.tenant"].string_value == str(acme.id)


def test_nobody_pays_for_what_nobody_asks_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert traces.spans_of(settings, "api") is None
    monkeypatch.setitem(__import__("sys").modules, "signalops.watch.traces.spans", None)  # as without the extra
    with pytest.raises(Unusable, match="pip install"):
        traces.spans_of(settings.model_copy(update={"traces": True}), "api")
