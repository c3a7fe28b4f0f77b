"""A span as it arrives at a receiver."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class Seen:
    """A span as it arrived, with what its request says of all its spans in `resource`."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    status: int
    message: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any] = field(default_factory=dict)

    @property
    def usage(self) -> dict[str, int]:
        """Its tokens, by Langfuse's names."""
        found: dict[str, int] = json.loads(self.attributes.get("langfuse.observation.usage_details", "{}"))
        return found


def all_seen(body: bytes) -> tuple[Seen, ...]:
    """Read the spans of a request."""
    request = ExportTraceServiceRequest.FromString(body)
    return tuple(
        seen(span, sent.resource.attributes)
        for sent in request.resource_spans
        for scope in sent.scope_spans
        for span in scope.spans
    )


def seen(span: trace_pb2.Span, resource: Iterable[KeyValue] = ()) -> Seen:
    """Read a span's message."""
    return Seen(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=span.kind,
        status=span.status.code,
        message=span.status.message,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_plain(span.attributes),
        resource=_plain(resource),
    )


def _plain(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
