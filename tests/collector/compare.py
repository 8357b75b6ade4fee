"""Both tiers' answers to the same telemetry, laid side by side.

The Python tier is `otel_zdr.verify.cleaning`: the pure core over stored OTLP. An item becomes a map from
places to values, so that a difference names the place it is at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format

from otel_zdr.settings import Settings
from otel_zdr.verify.cleaning import Cleaner
from tests.collector.running import REQUESTS

Places = dict[str, Any]
_GROUPS = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
}


def cleaned_by_python(kind: str, body: str, settings: Settings) -> Any:
    """The protobuf request that the core leaves of a document in OTLP JSON."""
    return as_request(kind, json.dumps(Cleaner(settings).clean(json.loads(body))))


def as_request(kind: str, body: str) -> Any:
    """OTLP JSON writes ids in hexadecimal, protobuf's JSON in base64."""
    import base64

    def ids(node: Any) -> Any:
        if isinstance(node, list):
            return [ids(item) for item in node]
        if not isinstance(node, dict):
            return node
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode()
            if key in ("traceId", "spanId", "parentSpanId") and isinstance(value, str)
            else ids(value)
            for key, value in node.items()
        }

    return json_format.ParseDict(ids(json.loads(body)), REQUESTS[kind](), ignore_unknown_fields=True)


def value_of(value: Any) -> Any:
    """An AnyValue as Python; JSON texts are compared as JSON, numbers as numbers."""
    field = value.WhichOneof("value")
    if field is None:
        return None
    content = getattr(value, field)
    if field == "array_value":
        return [value_of(item) for item in content.values]
    if field == "kvlist_value":
        return attributes_of(content.values)
    if field == "string_value" and content[:1] in ("{", "["):
        try:
            return ("json", json.dumps(json.loads(content, parse_int=float), sort_keys=True))
        except ValueError:
            return content
    return content


def attributes_of(pairs: Any) -> dict[str, Any]:
    return {pair.key: value_of(pair.value) for pair in pairs if not pair.key.startswith("zdr.")}


def items(kind: str, requests: list[Any]) -> Iterator[Places]:
    groups, scopes, members = _GROUPS[kind]
    for request in requests:
        for group in getattr(request, groups):
            for scope in getattr(group, scopes):
                for item in getattr(scope, members):
                    shared = {
                        **{f"resource.{k}": v for k, v in attributes_of(group.resource.attributes).items()},
                        **{f"scope.{k}": v for k, v in attributes_of(scope.scope.attributes).items()},
                        "scope version": scope.scope.version,
                        "scope name": scope.scope.name,
                        "resource schema url": group.schema_url,
                        "scope schema url": scope.schema_url,
                    }
                    yield {**shared, **_READ[kind](item)}


def _span(span: Any) -> Places:
    places: Places = {
        "id": (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()),
        "name": span.name,
        "kind": span.kind,
        "times": (span.start_time_unix_nano, span.end_time_unix_nano),
        "status": (span.status.code, span.status.message),
        "trace state": span.trace_state,
        "links": len(span.links),
        **{f"attribute.{k}": v for k, v in attributes_of(span.attributes).items()},
    }
    for index, event in enumerate(span.events):
        places[f"event {index}"] = (event.name, event.time_unix_nano)
        places |= {f"event {index}.{k}": v for k, v in attributes_of(event.attributes).items()}
    return places


def _log(record: Any) -> Places:
    return {
        "id": (
            record.trace_id.hex(),
            record.span_id.hex(),
            record.time_unix_nano,
            record.observed_time_unix_nano,
        ),
        "name": record.event_name,
        "severity": (record.severity_number, record.severity_text),
        "body": value_of(record.body) or None,
        **{f"attribute.{k}": v for k, v in attributes_of(record.attributes).items()},
    }


def _metric(metric: Any) -> Places:
    field = metric.WhichOneof("data")
    points = []
    for point in getattr(metric, field).data_points:
        copy = type(point)()
        copy.CopyFrom(point)
        for number in ("attributes", "exemplars"):
            copy.ClearField(number)
        points.append((sorted(attributes_of(point.attributes).items(), key=str), str(copy)))
    return {
        "name": metric.name,
        "description": metric.description,
        "unit": metric.unit,
        "kind": field,
        "points": sorted(points, key=str),
    }


_READ = {"traces": _span, "logs": _log, "metrics": _metric}


def differences(kind: str, python: list[Any], collector: list[Any]) -> list[tuple[str, Any, Any]]:
    """(place, what Python keeps, what the Collector keeps) wherever they are not the same."""
    left = sorted(items(kind, python), key=_order)
    right = sorted(items(kind, collector), key=_order)
    found: list[tuple[str, Any, Any]] = []
    if len(left) != len(right):
        found.append(("items", [i.get("name") for i in left], [i.get("name") for i in right]))
        return found
    for one, other in zip(left, right, strict=True):
        found += [
            (place, one.get(place), other.get(place))
            for place in sorted({*one, *other})
            if one.get(place) != other.get(place)
        ]
    return found


def _order(places: Places) -> str:
    return str(
        (
            places.get("id"),
            places.get("name") if "points" in places else "",
            places.get("points"),
            places.get("attribute.order"),
        )
    )
