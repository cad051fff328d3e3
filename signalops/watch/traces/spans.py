"""The spans. Each is created when its work has ended, outside of an event's path.

Requests and attempts belong to the trace of their request id. So does a flush or a batch that worked for one request alone; one
that worked for several is a trace of its own. Attribute names: https://opentelemetry.io/docs/specs/semconv/http/http-spans/, and
`signalops.` before our own.
"""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from signalops.correlation import Correlation, current
from signalops.types import JsonObject

Fields = Mapping[str, Any]
_NOT_ATTRIBUTES = {"duration_ms", "request_id", "operation"}
_ids: ContextVar[tuple[int | None, int | None]] = ContextVar("ids", default=(None, None))


class _Known(RandomIdGenerator):
    """Ids known to other processes: of the trace, and of the span that an outbound request named."""

    def generate_trace_id(self) -> int:
        return _ids.get()[0] or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return _ids.get()[1] or super().generate_span_id()


class Spans:
    """Subscribes to telemetry events. Spans are exported in the background; those that can't be exported are lost."""

    def __init__(self, service: str) -> None:
        named = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": service}
        provider = TracerProvider(resource=Resource.create(named), id_generator=_Known())
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = provider.get_tracer("signalops")

    def __call__(self, name: str, fields: Fields) -> None:
        """Create the span of an event that reports finished work."""
        if name == "request.answered" and fields["operation"]:
            self._add(fields["operation"], SpanKind.SERVER, fields, current.get(), is_fault=fields["status"] >= 500)
        elif name == "delivery.attempted":
            is_fault = fields["outcome"] != "sent"
            self._add(f"send {fields['kind']}", SpanKind.CLIENT, fields, current.get(), is_fault)
        elif name in ("events.flushed", "batch.processed") and fields["events"]:
            self._add(name, SpanKind.INTERNAL, fields, _sole(fields["request_ids"]))

    def _add(self, name: str, kind: SpanKind, fields: Fields, of: Correlation | None, is_fault: bool = False) -> None:
        ended = time.time_ns()
        before = _ids.set((_trace_id(of.id), int(of.span or "0", 16)) if of else (None, None))
        try:
            began = ended - int(fields["duration_ms"] * 1e6)
            span = self._tracer.start_span(name, _parent(of), kind, _attributes(fields), start_time=began)
        finally:
            _ids.reset(before)
        if is_fault:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)


def _sole(correlations: Sequence[str]) -> Correlation | None:
    return Correlation(correlations[0]) if len(correlations) == 1 else None


def _parent(of: Correlation | None) -> Context:
    """Return the context of the span that the request came with; without one a trace begins."""
    if of is None or of.trace is None:
        return trace.set_span_in_context(trace.INVALID_SPAN)
    _, trace_id, span_id, flags = (int(part, 16) for part in of.trace.split("-"))
    return trace.set_span_in_context(
        NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags)))
    )


def _attributes(fields: Fields) -> JsonObject:
    attributes = {name: value for name, value in fields.items() if value is not None and name not in _NOT_ATTRIBUTES}
    status = {"http.response.status_code": int(attributes.pop("status"))} if "status" in attributes else {}
    return status | {f"signalops.{name}": _plain(value) for name, value in attributes.items()}


def _plain(value: object) -> object:
    return value if isinstance(value, str | bool | int | float | list) else str(value)


def _trace_id(correlation: str) -> int:
    """Return the trace of an id: itself where it is one, or a UUID; of any other what all processes make of it alike."""
    digits = correlation.replace("-", "")
    try:
        if len(digits) == 32:
            return int(digits, 16)
    except ValueError:
        pass
    return int.from_bytes(hashlib.sha256(correlation.encode()).digest()[:16], "big")
