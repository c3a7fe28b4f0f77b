"""Spans in the form of OpenTelemetry's protocol, as protobuf and as JSON: https://opentelemetry.io/docs/specs/otlp"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from harness.export.address import RELEASE, SERVICE
from harness.export.attributes import FAILED, attributes, problem
from harness.export.generation import Attribute
from harness.store.spans import Ended

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_IDS = ("traceId", "spanId", "parentSpanId")


def message(ended: Ended, environment: str) -> Message:
    """Give one span as a protobuf message.

    Raises TypeError or ValueError when an attribute has a value that no release of the harness writes.
    """
    span = ended.span
    start = _nanoseconds(span.started_at)
    return Message(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_span_id or ""),
        name=_text(span.name),
        kind=Message.SPAN_KIND_CLIENT if span.kind == "model" else Message.SPAN_KIND_INTERNAL,
        start_time_unix_nano=start,
        # The clocks of two machines may have written the two.
        end_time_unix_nano=max(start, _nanoseconds(span.ended_at or span.started_at)),
        attributes=_pairs(attributes(ended, environment, RELEASE)),
        status=_status(ended),
    )


def request(messages: Iterable[Message], environment: str) -> ExportTraceServiceRequest:
    """Give spans as the request that exports them."""
    about: dict[str, Attribute] = {
        "service.name": SERVICE,
        "service.version": RELEASE,
        "deployment.environment.name": environment,
        "openinference.project.name": SERVICE,
    }
    scope = ScopeSpans(scope=InstrumentationScope(name=SERVICE, version=RELEASE), spans=messages)
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=Resource(attributes=_pairs(about)), scope_spans=[scope])]
    )


def as_json(sent: ExportTraceServiceRequest) -> dict[str, Any]:
    """Give a request as OTLP/JSON: protobuf's JSON, but enums as numbers and ids in hexadecimal."""
    document: dict[str, Any] = MessageToDict(sent, use_integers_for_enums=True)
    for resource in document.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                span |= {name: base64.b64decode(span[name]).hex() for name in _IDS if name in span}
    return document


def _status(ended: Ended) -> Status:
    span = ended.span
    if span.status in FAILED:
        return Status(code=Status.STATUS_CODE_ERROR, message=_text(problem(span)))
    return Status(code=Status.STATUS_CODE_OK if span.status == "ok" else Status.STATUS_CODE_UNSET)


def _pairs(values: dict[str, Attribute]) -> list[KeyValue]:
    return [KeyValue(key=_text(name), value=_value(value)) for name, value in values.items()]


def _value(value: Attribute) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=_text(value))
        case _:
            return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))


def _text(value: str) -> str:
    """A text as UTF-8 can carry it: a model's JSON may hold half of a surrogate pair."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * 1000
