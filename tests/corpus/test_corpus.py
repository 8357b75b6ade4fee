"""The pure core over all recorded telemetry: no canary is left, the metadata is.

The figures are the promise of the project; the core does better, so that a loss is seen before it breaks one.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from otel_zdr.redaction import Redactor

from . import measure, replay

redactor = Redactor(module_known=lambda name: False)
FOLDERS = sorted({recording.folder for recording in replay.recordings()})


def _trace_state(text: str) -> list[tuple[str, ...]]:
    return [tuple(entry.split("=", 1)) for entry in text.split(",") if entry]


def clean_span(span: replay.Span) -> dict[str, Any]:
    removed: dict[str, int] = {}
    attributes = redactor.attributes(span.attributes, removed, span.is_server)
    return {
        "name": redactor.span_name(span.name, span.kind_name, attributes, removed),
        "attributes": attributes,
        "resource": redactor.resource_attributes(span.resource, removed),
        "scope": _clean_scope(span.scope, removed),
        "trace_state": redactor.trace_state(_trace_state(span.trace_state), removed),
        "events": [
            (redactor.event_name(event.name, removed), redactor.attributes(event.attributes, removed))
            for event in span.events
        ],
        "links": [
            (
                redactor.trace_state(_trace_state(link.trace_state), removed),
                redactor.attributes(link.attributes, removed),
            )
            for link in span.links
        ],
        "removed": removed,
    }


def _clean_scope(scope: replay.Scope, removed: dict[str, int]) -> list[Any]:
    return [
        redactor.scope_name(scope.name, removed),
        redactor.token(scope.version, removed, "free_text"),
        redactor.schema_url(scope.schema_url, removed),
        redactor.attributes(scope.attributes, removed),
    ]


def clean_log_record(record: replay.LogRecord) -> dict[str, Any]:
    removed: dict[str, int] = {}
    return {
        "attributes": redactor.attributes(record.attributes, removed),
        "body": redactor.body(record.body, record.event_name, removed),
        "event_name": redactor.log_event_name(record.event_name, removed),
        "severity_text": redactor.severity_text(record.severity_text, removed),
        "resource": redactor.resource_attributes(record.resource, removed),
        "scope": _clean_scope(record.scope, removed),
        "removed": removed,
    }


def clean_measurement(point: replay.Measurement) -> dict[str, Any] | None:
    if not redactor.knows_instrument(point.instrument):
        return None
    removed: dict[str, int] = {}
    return {
        "instrument": point.instrument,
        "unit": redactor.token(point.unit, removed, "free_text"),
        "value": point.value,
        "attributes": redactor.measurement_attributes(point.attributes, removed, point.instrument),
        "exemplars": [
            (exemplar.value, redactor.attributes(exemplar.attributes, removed))
            for exemplar in point.exemplars
        ],
        "resource": redactor.resource_attributes(point.resource, removed),
        "scope": _clean_scope(point.scope, removed),
        "removed": removed,
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_canary_is_left_in_any_place(folder: str) -> None:
    seen = 0
    for recording in replay.recordings(folder):
        for span in recording.spans():
            seen += bool(measure.leaks(measure.serialised(vars(span))))
            assert measure.leaks(measure.serialised(clean_span(span))) == [], str(recording)
        for record in recording.log_records():
            seen += bool(measure.leaks(measure.serialised(vars(record))))
            assert measure.leaks(measure.serialised(clean_log_record(record))) == [], str(recording)
        for point in recording.measurements():
            assert measure.leaks(measure.serialised(clean_measurement(point))) == [], str(recording)
    assert seen, "the search found no canary in the recording itself"


def test_the_search_finds_every_form_of_a_canary() -> None:
    import base64

    for shift in range(4):
        assert measure.leaks(base64.b64encode(b"x" * shift + b"CANARY-audiobytes-1-x7f3 and more"))
    assert measure.leaks(b"cut CANARY")
    assert measure.leaks(measure.serialised({"v": [0.7373046875]}))
    assert measure.leaks(measure.serialised({"v": b"\x00CANARY-x"}))
    assert measure.leaks(measure.serialised(bytearray(b"xCANARY-x")))
    assert not measure.leaks(b"nothing of the kind")


def _retention(*folders: str) -> tuple[Counter[str], Counter[str], list[str]]:
    total: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    lost: list[str] = []

    def add(before: dict[str, Any], after: dict[str, Any]) -> None:
        all_of, some, missing = measure.kept(before, after)
        total.update(all_of)
        kept.update(some)
        lost.extend(missing)

    for recording in replay.recordings(*folders):
        for span in recording.spans():
            clean = clean_span(span)
            add(span.attributes, clean["attributes"])
            for event, (_, attributes) in zip(span.events, clean["events"], strict=True):
                add(event.attributes, attributes)
        for record in recording.log_records():
            add(record.attributes, clean_log_record(record)["attributes"])
    return total, kept, lost


@pytest.mark.parametrize(("kind", "least"), [("usage", 0.995), ("model", 0.99), ("id", 0.99), ("name", 0.9)])
def test_metadata_that_stands_as_attributes_survives(kind: str, least: float) -> None:
    total, kept, lost = _retention()
    assert total[kind] > 100
    assert kept[kind] / total[kind] >= least, sorted(set(lost))


def test_markers_on_data_points_survive() -> None:
    total = kept = 0
    for recording in replay.recordings():
        for point in recording.measurements():
            clean = clean_measurement(point)
            before, after, _ = measure.kept(point.attributes, clean["attributes"] if clean else {})
            value = point.value in measure.USAGE
            total += sum(before.values()) + value
            kept += sum(after.values()) + (value and clean is not None)
    assert total > 300
    assert kept / total >= 0.9


def test_distinct_figures_and_models_still_stand_somewhere_on_their_item() -> None:
    total = 0
    lost = []
    for recording in replay.recordings():
        items: list[tuple[list[dict[str, Any]], Any]] = [
            ([span.attributes, *(event.attributes for event in span.events)], clean_span(span))
            for span in recording.spans()
        ]
        items += [([record.attributes], clean_log_record(record)) for record in recording.log_records()]
        for sources, clean in items:
            left = measure.anywhere([clean])
            for kind, marker in set().union(*map(measure.distinct, sources)):
                total += 1
                if not measure.still_stands(kind, marker, left):
                    lost.append(f"{recording}: {kind} {marker}")
    assert total > 500
    assert len(lost) / total <= 0.005, lost


def test_cleaning_twice_changes_nothing() -> None:
    for recording in replay.recordings():
        for span in recording.spans():
            clean = clean_span(span)
            removed: dict[str, int] = {}
            assert redactor.attributes(clean["attributes"], removed, span.is_server) == clean["attributes"]
            assert (
                redactor.span_name(clean["name"], span.kind_name, clean["attributes"], removed)
                == clean["name"]
            )
            assert redactor.resource_attributes(clean["resource"], removed) == clean["resource"]
            assert removed == {}
        for record in recording.log_records():
            clean = clean_log_record(record)
            removed = {}
            assert redactor.body(clean["body"], clean["event_name"], removed) == clean["body"]
            assert removed == {}


def test_ids_times_kinds_and_counts_of_a_recording_can_be_rebuilt() -> None:
    spans = [span for recording in replay.recordings() for span in recording.spans()]
    assert len(spans) > 300
    assert all(span.trace_id and span.span_id and span.start and span.end >= span.start for span in spans)
    assert {span.kind_name for span in spans} >= {"internal", "server", "client"}
