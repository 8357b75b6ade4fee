"""Telemetry made at run time: a canary in every place that OTLP has, and metadata that must survive."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.running import REQUESTS

START = 1_790_000_000_000_000_000


def canary() -> str:
    """Unique, and shaped like a token: nothing but its place gives it away."""
    return "CANARY" + uuid.uuid4().hex


def value(content: Any) -> AnyValue:
    if isinstance(content, bool):
        return AnyValue(bool_value=content)
    if isinstance(content, int):
        return AnyValue(int_value=content)
    if isinstance(content, float):
        return AnyValue(double_value=content)
    if isinstance(content, bytes):
        return AnyValue(bytes_value=content)
    if isinstance(content, list):
        return AnyValue(array_value=ArrayValue(values=map(value, content)))
    if isinstance(content, dict):
        return AnyValue(kvlist_value=KeyValueList(values=pairs(content)))
    if content is None:
        return AnyValue()
    return AnyValue(string_value=content)


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(content)) for key, content in attributes.items()]


def traces(*spans: Span, resource: dict[str, Any] | None = None, scope: str = "") -> Any:
    request = REQUESTS["traces"]()
    group = request.resource_spans.add()
    group.resource.attributes.extend(pairs(resource or {}))
    scoped = group.scope_spans.add()
    scoped.scope.name = scope
    scoped.spans.extend(spans)
    return request


def logs(*records: LogRecord, resource: dict[str, Any] | None = None) -> Any:
    request = REQUESTS["logs"]()
    group = request.resource_logs.add()
    group.resource.attributes.extend(pairs(resource or {}))
    group.scope_logs.add().log_records.extend(records)
    return request


def metrics(*found: Metric, resource: dict[str, Any] | None = None) -> Any:
    request = REQUESTS["metrics"]()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(pairs(resource or {}))
    group.scope_metrics.add().metrics.extend(found)
    return request


def span(attributes: dict[str, Any] | None = None, name: str = "chat gpt-4o", **more: Any) -> Span:
    return Span(
        trace_id=uuid.uuid4().bytes,
        span_id=uuid.uuid4().bytes[:8],
        name=name,
        kind=more.pop("kind", Span.SPAN_KIND_CLIENT),
        start_time_unix_nano=START,
        end_time_unix_nano=START + 1_000_000,
        attributes=pairs(attributes or {}),
        **more,
    )


def counter(name: str, attributes: dict[str, Any], number: int = 1, **more: Any) -> Metric:
    metric = Metric(name=name, **more)
    metric.sum.aggregation_temporality = 2
    metric.sum.is_monotonic = True
    metric.sum.data_points.append(
        NumberDataPoint(
            start_time_unix_nano=START, time_unix_nano=START + 1, as_int=number, attributes=pairs(attributes)
        )
    )
    return metric


METADATA = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1111,
    "gen_ai.usage.output_tokens": 222,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.response.id": "chatcmpl-1",
    "acme.usageMetadata.promptTokenCount": 333,
    "llm.usage.cost_details": '{"total_tokens": 1333, "model": "gpt-4o"}',
}


class Everywhere:
    """Requests with a canary in every place. ``canaries``: place → text."""

    def __init__(self, who: dict[str, Any] | None = None) -> None:
        self.canaries: dict[str, str] = {}
        self.who = who or {}

    def plant(self, place: str) -> str:
        return self.canaries.setdefault(place, canary())

    def attributes(self, place: str) -> dict[str, Any]:
        plant = self.plant
        return {
            "gen_ai.input.messages": f'[{{"role":"user","content":"{plant(place + " json")}"}}]',
            "gen_ai.usage.input_tokens": plant(place + " wrong type"),
            "gen_ai.request.model": ["a", plant(place + " list") + " text"],
            "gen_ai.usage.output_tokens": {"a": {"b": plant(place + " map")}},
            "gen_ai.usage.raw": json.dumps({"note": plant(place + " usage json"), "total_tokens": 7}),
            "output.value": json.dumps(
                {
                    "usage": {"total_tokens": 7},
                    "choices": [{"text": plant(place + " response")}],
                    "model": {"x": plant(place + " response model")},
                }
            ),
            "service.name": plant(place + " bytes").encode(),
            "http.route": "/" + plant(place + " route") + " with text",
            "http.request.method": plant(place + " method"),
            plant(place + " key"): 1,
            "embedding.vector": [0.5, 0.25],
            "exception.stacktrace": f"app.py:3 run\n{plant(place + ' trace')}\nValueError: {plant(place + ' trace text')}",
            "exception.message": plant(place + " message"),
            "zdr.collector.state": plant(place + " state"),
            "zdr.collector.pruned": {"gen_ai.input.messages": plant(place + " pruned")},
            "zdr.redacted": True,
            "zdr.removed": [plant(place + " evidence")],
            "db.statement": plant(place + " statement"),
            "user.id": plant(place + " user"),
            "server.address": plant(place + " host") + " x",
            "tags": [{"deep": [plant(place + " deep")]}],
            "gen_ai.response.id": base64.b64encode((plant(place + " base64") + " text").encode()).decode()
            + "==",
            **self.who,
        }

    def traces(self) -> Any:
        plant = self.plant
        made = span(self.attributes("span"), plant("span name"))
        made.trace_state = f"vendor={plant('trace state')},ot={plant('ot')}"
        made.status.code = 2
        made.status.message = plant("status")
        made.kind = Span.SPAN_KIND_SERVER
        event = made.events.add(name=plant("event name"), time_unix_nano=START)
        event.attributes.extend(pairs(self.attributes("event")))
        link = made.links.add(trace_id=b"1" * 16, span_id=b"2" * 8, trace_state=f"a={plant('link state')}")
        link.attributes.extend(pairs(self.attributes("link")))
        request = traces(made, resource=self.attributes("resource"), scope=plant("scope name"))
        self._shared(request.resource_spans[0], request.resource_spans[0].scope_spans[0])
        return request

    def _shared(self, group: Any, scoped: Any) -> None:
        plant = self.plant
        group.schema_url = "https://example.com/" + plant("resource schema")
        scoped.schema_url = "https://example.com/" + plant("scope schema")
        scoped.scope.name = plant("scope name")
        scoped.scope.version = plant("scope version") + " x"
        scoped.scope.attributes.extend(pairs(self.attributes("scope")))

    def logs(self) -> Any:
        plant = self.plant
        records = [
            LogRecord(
                time_unix_nano=START,
                severity_text=plant("severity"),
                event_name=plant("log event name"),
                body=value(body),
                attributes=pairs(self.attributes("log")),
            )
            for body in (
                plant("body"),
                [plant("body list")],
                plant("body bytes").encode(),
                {
                    "content": plant("body map"),
                    "message": {"content": [{"text": plant("body deep")}]},
                    plant("body key"): 1,
                },
                {
                    "index": plant("body type"),
                    "finish_reason": plant("body enum"),
                    "message.role": plant("body dot"),
                },
            )
        ]
        request = logs(*records, resource=self.attributes("resource"))
        self._shared(request.resource_logs[0], request.resource_logs[0].scope_logs[0])
        return request

    def metrics(self) -> Any:
        plant = self.plant
        known = counter(
            "gen_ai.client.token.usage",
            self.attributes("point"),
            description=plant("description"),
            unit=plant("unit") + " x",
        )
        known.metadata.extend(pairs({plant("metadata key"): plant("metadata")}))
        exemplar = known.sum.data_points[0].exemplars.add(as_int=1, time_unix_nano=START)
        exemplar.filtered_attributes.extend(pairs(self.attributes("exemplar")))
        empty = Metric(name=plant("empty metric"), description=plant("empty description"))
        unset = Metric(name=plant("gauge without points"))
        unset.gauge.SetInParent()
        request = metrics(
            known, counter(plant("instrument"), {}), empty, unset, resource=self.attributes("resource")
        )
        self._shared(request.resource_metrics[0], request.resource_metrics[0].scope_metrics[0])
        return request


def leaks(content: bytes, canaries: dict[str, str]) -> list[str]:
    """Places whose canary, plain or in base64 at any alignment, stands in ``content``."""
    found = []
    for place, text in canaries.items():
        needles = [text.encode()]
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + text.encode() + b"\0" * 3)
            needles.append(encoded[4 if shift else 0 : 36])
        if any(needle in content for needle in needles):
            found.append(place)
    return found
