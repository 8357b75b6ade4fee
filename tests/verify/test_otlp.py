"""Reading stored OTLP: every form that exporters and the Collector write, and hostile files."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.internal.encoder import _VarintBytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_zdr.verify import otlp, otlp_fields, otlp_files

TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN_ID = "eee19b7ec3c1b174"

TRACES: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "schemaUrl": "https://opentelemetry.io/schemas/1.30.0",
            "scopeSpans": [
                {
                    "scope": {"name": "httpx", "version": "1.2"},
                    "spans": [
                        {
                            "traceId": TRACE_ID,
                            "spanId": SPAN_ID,
                            "name": "POST",
                            "kind": 3,
                            "startTimeUnixNano": "1700000000000000000",
                            "endTimeUnixNano": "1700000001500000000",
                            "attributes": [
                                {"key": "n", "value": {"intValue": "42"}},
                                {"key": "d", "value": {"doubleValue": 0.5}},
                                {"key": "b", "value": {"boolValue": False}},
                                {"key": "raw", "value": {"bytesValue": "AAEC"}},
                                {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}},
                                {
                                    "key": "map",
                                    "value": {
                                        "kvlistValue": {
                                            "values": [{"key": "k", "value": {"stringValue": "v"}}]
                                        }
                                    },
                                },
                            ],
                            "events": [{"name": "exception", "timeUnixNano": "1700000000000000001"}],
                            "links": [{"traceId": TRACE_ID, "spanId": SPAN_ID, "traceState": "ot=th:8"}],
                            "status": {"code": 2, "message": "broken"},
                        }
                    ],
                }
            ],
        }
    ]
}
LOGS: dict[str, Any] = {
    "resourceLogs": [
        {
            "scopeLogs": [
                {
                    "scope": {"name": "app"},
                    "logRecords": [
                        {
                            "timeUnixNano": "5",
                            "severityNumber": 9,
                            "severityText": "INFO",
                            "body": {"stringValue": "hello"},
                            "eventName": "greeting",
                            "traceId": TRACE_ID,
                            "spanId": SPAN_ID,
                        }
                    ],
                }
            ]
        }
    ]
}
METRICS: dict[str, Any] = {
    "resourceMetrics": [
        {
            "scopeMetrics": [
                {
                    "metrics": [
                        {
                            "name": "zdr.removed.values",
                            "sum": {
                                "aggregationTemporality": 2,
                                "isMonotonic": True,
                                "dataPoints": [
                                    {
                                        "asInt": "7",
                                        "timeUnixNano": "9",
                                        "exemplars": [{"asDouble": 1.5, "timeUnixNano": "9"}],
                                    }
                                ],
                            },
                        },
                        {
                            "name": "latency",
                            "histogram": {
                                "aggregationTemporality": 2,
                                "dataPoints": [
                                    {
                                        "count": "2",
                                        "sum": 3.5,
                                        "bucketCounts": ["1", "1"],
                                        "explicitBounds": [1.0],
                                    }
                                ],
                            },
                        },
                    ]
                }
            ]
        }
    ]
}


def fixed(frame: bytes) -> bytes:
    return len(frame).to_bytes(4, "big") + frame


def varint(frame: bytes) -> bytes:
    return bytes(_VarintBytes(len(frame))) + frame


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("encode", "copies"),
    [
        (lambda d: json.dumps(d).encode(), 1),
        (lambda d: json.dumps(d, indent=4).encode(), 1),
        (lambda d: b"\n\n" + json.dumps(d, indent=1).encode(), 1),
        (lambda d: b"\xef\xbb\xbf" + json.dumps(d).encode(), 1),
        (lambda d: (json.dumps(d) + "\n").encode() * 3, 3),
        (lambda d: (json.dumps(d, indent=2) + "\n").encode() * 3, 3),
        (lambda d: json.dumps([d, d]).encode(), 2),
        (lambda d: gzip.compress(json.dumps(d).encode()), 1),
        (otlp.encode_protobuf, 1),
        (lambda d: gzip.compress(otlp.encode_protobuf(d)), 1),
        (lambda d: varint(otlp.encode_protobuf(d)) * 2, 2),
        (lambda d: fixed(otlp.encode_protobuf(d)) * 2, 2),
    ],
    ids=[
        "json",
        "pretty",
        "after-blank-lines",
        "bom",
        "lines",
        "pretty-one-after-the-other",
        "array",
        "json-gzip",
        "protobuf",
        "protobuf-gzip",
        "delimited",
        "collector-file-exporter",
    ],
)
@pytest.mark.parametrize("document", [TRACES, LOGS, METRICS], ids=["traces", "logs", "metrics"])
def test_every_form_of_a_file_gives_the_same_items(
    tmp_path: Path, document: dict[str, Any], encode: Callable[[dict[str, Any]], bytes], copies: int
) -> None:
    path = write(tmp_path / "stored.bin", encode(document))

    assert list(otlp.read_items(path)) == list(otlp.document_items(document)) * copies


def test_a_span_is_read_with_all_its_places(tmp_path: Path) -> None:
    (span,) = otlp.read_items(write(tmp_path / "t.json", json.dumps(TRACES)))

    assert isinstance(span, otlp.Span)
    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE_ID, SPAN_ID, "")
    assert (span.name, span.kind, span.status, span.status_message) == ("POST", "client", "error", "broken")
    assert span.seconds == 1.5
    assert dict(span.attributes) == {
        "n": 42,
        "d": 0.5,
        "b": False,
        "raw": b"\x00\x01\x02",
        "list": [1],
        "map": {"k": "v"},
    }
    assert span.resource.attributes["service.name"] == "shop"
    assert (span.scope.name, span.scope.version) == ("httpx", "1.2")
    assert span.events[0].name == "exception"
    assert span.links[0].trace_state == "ot=th:8"


def test_log_records_and_metrics_are_read(tmp_path: Path) -> None:
    (record,) = otlp.read_items(write(tmp_path / "l.json", json.dumps(LOGS)))
    counter, histogram = otlp.read_items(write(tmp_path / "m.json", json.dumps(METRICS)))

    assert isinstance(record, otlp.LogRecord)
    assert (record.body, record.event_name, record.severity_text) == ("hello", "greeting", "INFO")
    assert isinstance(counter, otlp.Metric)
    assert (counter.kind, counter.points[0].value, counter.points[0].exemplars[0].value) == ("sum", 7, 1.5)
    assert isinstance(histogram, otlp.Metric)
    assert (histogram.points[0].count, histogram.points[0].sum) == (2, 3.5)


def test_snake_case_names_and_enum_names_are_understood(tmp_path: Path) -> None:
    document = {
        "resource_spans": [
            {
                "scope_spans": [
                    {
                        "spans": [
                            {
                                "trace_id": TRACE_ID.upper(),
                                "kind": "SPAN_KIND_SERVER",
                                "status": {"code": "STATUS_CODE_OK"},
                                "attributes": [{"key": "a", "value": {"string_value": "b"}}],
                            }
                        ]
                    }
                ]
            }
        ]
    }
    (span,) = otlp.read_items(write(tmp_path / "t.json", json.dumps(document)))

    assert isinstance(span, otlp.Span)
    assert (span.trace_id, span.kind, span.status) == (TRACE_ID, "server", "ok")
    assert span.attributes == {"a": "b"}


def test_a_key_given_twice_is_not_lost() -> None:
    attributes = otlp_fields.decode_attributes(
        [{"key": "a", "value": {"stringValue": "one"}}, {"key": "a", "value": {"stringValue": "two"}}]
    )

    assert list(attributes.pairs()) == [("a", "one"), ("a", "two")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain text",
        b"{}{",
        b'{"resourceSpans": [',
        b'{"other": 1}',
        b'{"resourceSpans": {}}',
        b"[1]",
        b"[" * 100_000,
        b'{"resourceSpans": [' + b"9" * 5000 + b"]}",
        b"\x0a\xff\xff\xff\xff",
        b"\x0a\x03\x0a\x05\x00",
        b"\x28\xb5\x2f\xfd\x00\x00",
        b"\x1f\x8b\x08\x00broken",
        bytes(range(256)),
    ],
)
def test_what_is_no_otlp_is_an_error_that_says_nothing_of_the_content(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "x", content)
    if not content:  # an exporter that wrote nothing: no request, so no item
        assert list(otlp.read_items(path)) == []
        return
    with pytest.raises(otlp.OtlpError) as caught:
        list(otlp.read_items(path))
    assert "plain text" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_an_otlp_error(tmp_path: Path) -> None:
    with pytest.raises(otlp.OtlpError):
        list(otlp.read_items(tmp_path / "none"))


def test_good_lines_before_a_line_that_was_cut_off_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", json.dumps(TRACES) + "\n" + json.dumps(TRACES)[:100])
    items = otlp.read_items(path)

    assert next(items)
    with pytest.raises(otlp.OtlpError):
        next(items)


LINE = json.dumps(TRACES)


@pytest.mark.parametrize(
    "broken",
    ["{", LINE[:100], LINE[:-1], '{"resourceSpans": [}', "text of a patient", LINE + " text of a patient"],
)
def test_a_broken_line_is_named_by_its_number(tmp_path: Path, broken: str) -> None:
    path = write(tmp_path / "t.jsonl", f"{LINE}\n\n{broken}\n{LINE}\n")
    read: list[otlp.Item] = []
    with pytest.raises(otlp.OtlpError) as caught:
        read += otlp.read_items(path)

    assert str(caught.value).startswith(f"{path}: line 3 is not valid JSON")
    assert "patient" not in str(caught.value)
    assert "correct or remove it" in str(caught.value)


def test_a_broken_document_of_many_lines_is_named_by_its_first_line_and_the_place(tmp_path: Path) -> None:
    lines = json.dumps(TRACES, indent=2).splitlines()
    lines[5] = "text of a patient"
    path = write(tmp_path / "t.json", "\n".join([LINE, "", *lines]))
    with pytest.raises(otlp.OtlpError) as caught:
        list(otlp.read_items(path))

    assert "the document that begins in line 3 is not valid JSON (noticed in line 8, column 1)" in str(
        caught.value
    )
    assert "patient" not in str(caught.value)


def test_an_array_with_a_document_a_line_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", f"[\n{LINE},\n{LINE}\n]\n")

    assert list(otlp.read_items(path)) == list(otlp.document_items(TRACES)) * 2


def test_what_a_gzip_file_may_expand_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "t.json.gz", gzip.compress(f"{LINE}\n".encode() * 100))
    assert len(list(otlp.read_items(path))) == 100  # positive control
    monkeypatch.setattr(otlp_files, "MAX_EXPANSION", 16 * 1024)
    with pytest.raises(otlp.OtlpError) as caught:
        list(otlp.read_items(path))

    assert str(caught.value).startswith(f"{path}: expands to more than 16 KiB")
    assert "unpack it first" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        f"{LINE}\n{LINE[:-1]}{' ' * 9000}}}\n".encode(),
        b"{" + b" " * 9000,
        b"{" + b"\n" * 9000,
        f"{LINE}\n".encode() + b"{" + b" \n" * 5000 + LINE[1:].encode(),
        otlp.encode_protobuf(TRACES) * 50,
        b" " * 9000,
    ],
    ids=["long-line", "spaces", "newlines", "many-lines", "protobuf", "blank"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_what_is_held_at_once_is_bounded(
    tmp_path: Path, content: bytes, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "stored", pack(content))
    monkeypatch.setattr(otlp_files, "MAX_DOCUMENT", 4096)
    with pytest.raises(otlp.OtlpError) as caught:
        list(otlp.read_items(path))

    assert str(path) in str(caught.value)
    assert "longer than 4 KiB" in str(caught.value)


def test_many_small_documents_may_be_longer_than_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_files, "MAX_DOCUMENT", 4096)
    path = write(tmp_path / "t.jsonl", f"{LINE}\n" * 50)

    assert len(list(otlp.read_items(path))) == 50


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"plain text", "expected are export requests"),
        (b'{"other": 1}', "expected are export requests"),
        (b"[1]", "expected are export requests"),
        (b"\x28\xb5\x2f\xfd\x00\x00", "zstd -d"),
        (gzip.compress(LINE.encode())[:-20], "ends too early"),
        (LINE.encode("utf-16"), "convert it to UTF-8"),
    ],
)
def test_an_error_says_what_was_expected_or_what_to_do(tmp_path: Path, content: bytes, advice: str) -> None:
    path = write(tmp_path / "stored", content)
    with pytest.raises(otlp.OtlpError, match=advice) as caught:
        list(otlp.read_items(path))

    assert str(caught.value).startswith(f"{path}: ")


def test_an_empty_request_is_empty_protobuf_and_two_signals_are_none() -> None:
    assert otlp.encode_protobuf({}) == b""
    with pytest.raises(otlp.OtlpError, match="traces and logs"):
        otlp.encode_protobuf({**TRACES, **LOGS})


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every container and key below a node."""
    found = [(node, key) for key in (node if isinstance(node, dict) else range(len(node)))]
    for container, key in list(found):
        if isinstance(container[key], (dict, list)):
            found += places(container[key])
    return found


@pytest.mark.parametrize(
    "wrong", [None, True, -1, 10**400, 1.5, float("nan"), "text", "\ud800", [], [None], ["a"], {}, {"a": 1}]
)
@pytest.mark.parametrize("document", [TRACES, LOGS, METRICS], ids=["traces", "logs", "metrics"])
def test_a_field_of_a_wrong_type_is_read_as_absent(document: dict[str, Any], wrong: object) -> None:
    for index in range(len(places(document))):
        damaged = copy.deepcopy(document)
        container, key = places(damaged)[index]
        container[key] = wrong

        list(otlp.document_items(damaged))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.recursive(
        st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_values_come_back_as_they_were_written(value: object) -> None:
    assert otlp_fields.decode_value(json.loads(json.dumps(otlp_fields.encode_value(value)))) == value
