"""Cleaning stored OTLP: nothing of a workspace under ZDR is content afterwards, figures and ids are there."""

from __future__ import annotations

import copy
import json
import uuid
from typing import Any

import pytest

from otel_zdr.settings import Settings
from otel_zdr.verify import otlp
from otel_zdr.verify.cleaning import Cleaner, Removal

TRACE_ID, SPAN_ID, CHILD_ID = "ab" * 16, "cd" * 8, "ef" * 8


def attribute(key: str, value: Any) -> dict[str, Any]:
    kind = {str: "stringValue", int: "intValue", bool: "boolValue", float: "doubleValue"}[type(value)]
    return {"key": key, "value": {kind: str(value) if kind == "intValue" else value}}


def everywhere(text: str) -> list[dict[str, Any]]:
    """Requests with a text in every place that OTLP has, and in places that it has not."""
    pair = attribute("text", text)
    odd = {"key": text, "value": {"stringValue": "value"}}
    resource = {"attributes": [pair, odd, attribute("service.name", "shop")], "extra": text}
    scope = {"name": text, "version": text, "attributes": [pair, odd], "extra": text}
    span = {
        "traceId": TRACE_ID,
        "spanId": SPAN_ID,
        "parentSpanId": text,
        "traceState": f"vendor={text}",
        "name": text,
        "kind": 3,
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "1000000001",
        "attributes": [
            pair,
            odd,
            attribute("gen_ai.usage.input_tokens", 1111),
            attribute("gen_ai.request.model", "gpt-keepme"),
            attribute("gen_ai.prompt", text),
            attribute("zdr.removed", text),
            attribute("exception.stacktrace", f"app.py:1 {text}"),
            attribute("service.name", "one"),
            attribute("service.name", text),
        ],
        "events": [{"name": text, "attributes": [pair, odd], "timeUnixNano": "5", "extra": text}],
        "links": [{"traceId": TRACE_ID, "spanId": SPAN_ID, "traceState": text, "attributes": [pair]}],
        "status": {"code": 2, "message": text, "extra": text},
        "extra": text,
    }
    record = {
        "timeUnixNano": "7",
        "severityNumber": 9,
        "severityText": text,
        "body": {"stringValue": text},
        "eventName": text,
        "attributes": [pair, odd],
        "traceId": text,
        "extra": text,
    }
    point = {
        "attributes": [pair, odd, attribute("gen_ai.request.model", "gpt-keepme")],
        "timeUnixNano": "9",
        "asInt": "3",
        "exemplars": [{"filteredAttributes": [pair], "asInt": "1", "traceId": TRACE_ID, "spanId": SPAN_ID}],
        "extra": text,
    }
    metrics = [
        {"name": text, "description": text, "unit": text, "sum": {"dataPoints": [point]}, "extra": text},
        {
            "name": "http.server.request.duration",
            "description": text,
            "unit": "{token}",
            "metadata": [pair],
            "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point, point]},
        },
    ]
    return [
        {
            "resourceSpans": [
                {
                    "resource": resource,
                    "schemaUrl": text,
                    "scopeSpans": [{"scope": scope, "schemaUrl": text, "spans": [span]}],
                }
            ]
        },
        {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": [record]}]}]},
        {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"scope": scope, "metrics": metrics}]}]},
    ]


@pytest.mark.parametrize("trust_marks", [False, True])
def test_no_place_keeps_content(trust_marks: bool) -> None:
    text = f"CANARY {uuid.uuid4().hex} of a patient"
    documents = everywhere(text)
    before = copy.deepcopy(documents)
    cleaner = Cleaner(Settings(), trust_marks=trust_marks)

    cleaned = [cleaner.clean(document) for document in documents]

    assert text in json.dumps(documents)  # positive control
    assert "CANARY" not in json.dumps(cleaned)
    assert documents == before  # what was given is not edited
    for document in cleaned:
        assert otlp.encode_protobuf(document)


def test_figures_ids_and_times_stay() -> None:
    traces, logs, metrics = (Cleaner(Settings()).clean(d) for d in everywhere("some text here"))
    (span,), (record,), (metric,) = (list(otlp.document_items(d)) for d in (traces, logs, metrics))

    assert isinstance(span, otlp.Span)
    assert (span.trace_id, span.span_id, span.kind, span.status) == (TRACE_ID, SPAN_ID, "client", "error")
    assert span.seconds == 1.0
    assert span.attributes["gen_ai.usage.input_tokens"] == 1111
    assert span.attributes["gen_ai.request.model"] == "gpt-keepme"
    assert span.attributes["zdr.redacted"] is True
    assert "prompt:1" in span.attributes["zdr.removed"]  # type: ignore[operator]
    assert span.resource.attributes["service.name"] == "shop"
    assert isinstance(record, otlp.LogRecord)
    assert (record.time, record.severity_number, record.body) == (7, 9, None)
    assert isinstance(metric, otlp.Metric)
    assert (metric.name, metric.unit) == ("http.server.request.duration", "{token}")
    # Two points whose attributes became the same are one.
    assert [point.value for point in metric.points] == [6]


def spans(*nodes: dict[str, Any], resource: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {"resource": {"attributes": list(resource)}, "scopeSpans": [{"spans": list(nodes)}]}
        ]
    }


def span(span_id: str, *attributes: dict[str, Any], parent: str = "", name: str = "") -> dict[str, Any]:
    return {
        "traceId": TRACE_ID,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": name,
        "attributes": [attribute("gen_ai.prompt", "some prompt"), *attributes],
    }


def kept(document: dict[str, Any], settings: Settings, **options: Any) -> list[bool]:
    cleaned = Cleaner(settings, **options).clean(document)
    return ["gen_ai.prompt" in item.attributes for item in otlp.document_items(cleaned)]  # type: ignore[union-attr]


CLINIC = Settings(workspaces=("clinic",), unidentified="retain")


def test_only_workspaces_under_zdr_are_cleaned_and_others_pass_as_they_are() -> None:
    document = spans(
        span("1" * 16, attribute("workspace.id", "studio")),
        span("2" * 16, attribute("workspace.id", " CLINIC ")),
        span("3" * 16),
    )

    assert kept(document, CLINIC) == [True, False, True]
    studio = spans(span("1" * 16, attribute("workspace.id", "studio")))
    assert Cleaner(CLINIC).clean(studio) == studio


def test_a_child_of_a_span_under_zdr_is_under_zdr() -> None:
    document = spans(
        span("1" * 16, attribute("workspace.id", "clinic")),
        span("2" * 16, parent="1" * 16),
        span("3" * 16, attribute("workspace.id", "studio"), parent="2" * 16),
        span("4" * 16, parent="5" * 16),
        span("5" * 16, parent="4" * 16),
    )

    assert kept(document, CLINIC) == [False, False, False, True, True]


def test_a_workspace_key_given_twice_tightens() -> None:
    document = spans(span("1" * 16, attribute("workspace.id", "studio"), attribute("workspace.id", "clinic")))

    assert kept(document, CLINIC) == [False]


def test_a_resource_under_zdr_puts_everything_of_it_under_zdr() -> None:
    document = spans(span("1" * 16), resource=(attribute("workspace.id", "clinic"),))
    forced = spans(span("1" * 16), resource=(attribute("workspace.zdr", "yes"),))
    explicit = spans(span("1" * 16), resource=(attribute("workspace.zdr", False),))

    assert [kept(d, CLINIC) for d in (document, forced, explicit)] == [[False], [False], [True]]


def test_a_shared_resource_is_cleaned_when_one_of_its_items_is_under_zdr() -> None:
    resource = (attribute("process.command_line", "app --prompt secret"),)
    mixed = spans(
        span("1" * 16, attribute("workspace.id", "studio")),
        span("2" * 16, attribute("workspace.id", "clinic")),
        resource=resource,
    )
    open_ = spans(span("1" * 16, attribute("workspace.id", "studio")), resource=resource)

    assert "secret" not in json.dumps(Cleaner(CLINIC).clean(mixed))
    assert "secret" in json.dumps(Cleaner(CLINIC).clean(open_))


TRACE = "app.Error\napp.py:12 main\ncause: builtins.KeyError\n+3 frames\nlib.py:7 C.f.<locals>.<lambda>"


def marked(name: str, stacktrace: str) -> dict[str, Any]:
    return spans(
        span(
            "1" * 16,
            attribute("zdr.redacted", True),
            attribute("zdr.exception.fingerprint", "0123456789abcdef"),
            attribute("exception.stacktrace", stacktrace),
            name=name,
        )
    )


def test_names_and_frames_of_marked_items_stay_only_when_marks_are_trusted() -> None:
    document = marked("charge the card", TRACE)
    (trusted,) = otlp.document_items(Cleaner(Settings(), trust_marks=True).clean(document))
    (distrusted,) = otlp.document_items(Cleaner(Settings()).clean(document))

    assert isinstance(trusted, otlp.Span)
    assert isinstance(distrusted, otlp.Span)
    assert trusted.name == "charge the card"
    assert trusted.attributes["exception.stacktrace"] == TRACE
    assert trusted.attributes["zdr.exception.fingerprint"] == "0123456789abcdef"
    assert distrusted.name == "internal"
    assert not {"exception.stacktrace", "zdr.exception.fingerprint"} & set(distrusted.attributes)


@pytest.mark.parametrize(
    "line", ["ValueError: text of a patient", '  File "a.py", line 3, in f', "x = prompt", "a.py:3 two words"]
)
def test_a_stack_trace_with_a_line_that_is_no_frame_goes_whole(line: str) -> None:
    (item,) = otlp.document_items(
        Cleaner(Settings(), trust_marks=True).clean(marked("x", f"{TRACE}\n{line}"))
    )

    assert "exception.stacktrace" not in item.attributes  # type: ignore[union-attr]


def test_cleaning_twice_changes_nothing_more() -> None:
    documents = everywhere("some text of a patient")
    first = [Cleaner(Settings()).clean(document) for document in documents]
    cleaner = Cleaner(Settings(), trust_marks=True)
    second = [cleaner.clean(document) for document in first]

    for one, two in zip(first, second, strict=True):
        assert list(otlp.document_items(one)) == list(otlp.document_items(two))
    assert cleaner.removed == {}


def test_every_removal_is_told_with_its_place_and_without_its_value() -> None:
    removals: list[Removal] = []
    Cleaner(Settings(), report=removals.append).clean(everywhere("some text of a patient")[0])

    places = {(removal.place, removal.content_class) for removal in removals}
    assert ("attribute", "prompt") in places
    assert {"span name", "status message", "event attribute", "resource attribute", "scope name"} <= {
        place for place, _ in places
    }
    assert all(removal.trace_id == TRACE_ID for removal in removals if removal.place == "span name")
