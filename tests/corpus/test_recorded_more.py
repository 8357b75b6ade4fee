"""Instrumentations that the first recordings do not have: the same promises, and no number that is data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from . import measure, replay
from .test_corpus import clean_log_record, clean_measurement, clean_span

RECORDINGS = replay.recordings(root=replay.MORE)
FOLDERS = sorted({recording.folder for recording in RECORDINGS})
#: A number under keys such as ``usage`` in what an application's own code was given or returned.
DATA = b"4111111111111111"


def items(recording: replay.Recording) -> Iterator[tuple[list[dict[str, Any]], Any, Any]]:
    """(attributes that may hold markers, the item, the item cleaned)."""
    for span in recording.spans():
        yield [span.attributes, *(event.attributes for event in span.events)], span, clean_span(span)
    for record in recording.log_records():
        yield [record.attributes], record, clean_log_record(record)
    for point in recording.measurements():
        yield [point.attributes], point, clean_measurement(point)


def leaks(data: bytes) -> list[bytes]:
    return measure.leaks(data) + [DATA for _ in range(DATA in data)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_canary_and_no_number_that_is_data_is_left(folder: str) -> None:
    for recording in replay.recordings(folder, root=replay.MORE):
        for _, _, clean in items(recording):
            assert leaks(measure.serialised(clean)) == [], str(recording)


def test_the_recordings_hold_both() -> None:
    found: Counter[bool] = Counter()
    for recording in RECORDINGS:
        for _, item, _ in items(recording):
            data = measure.serialised(vars(item))
            found[True] += DATA in data
            found[False] += bool(measure.leaks(data))
    assert found[True] > 20
    assert found[False] > 200
    assert len(FOLDERS) > 45


@pytest.mark.parametrize(("kind", "least"), [("usage", 0.995), ("model", 0.97), ("id", 0.98), ("name", 0.85)])
def test_metadata_that_stands_as_attributes_survives(kind: str, least: float) -> None:
    total: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    lost: list[str] = []
    for recording in RECORDINGS:
        for span in recording.spans():
            clean = clean_span(span)
            pairs = [(span.attributes, clean["attributes"])]
            pairs += [(e.attributes, c) for e, (_, c) in zip(span.events, clean["events"], strict=True)]
            for before, after in pairs:
                had, has, missing = measure.kept(before, after)
                total.update(had)
                kept.update(has)
                lost += missing
        for record in recording.log_records():
            had, has, missing = measure.kept(record.attributes, clean_log_record(record)["attributes"])
            total.update(had)
            kept.update(has)
            lost += missing
    assert total[kind] > 50
    assert kept[kind] / total[kind] >= least, sorted(set(lost))


def test_markers_on_data_points_survive() -> None:
    total = kept = 0
    lost = []
    for recording in RECORDINGS:
        for point in recording.measurements():
            clean = clean_measurement(point)
            before, after, missing = measure.kept(point.attributes, clean["attributes"] if clean else {})
            total += sum(before.values())
            kept += sum(after.values())
            lost += missing
    assert total > 100
    assert kept / total >= 0.95, sorted(set(lost))


def test_distinct_figures_and_models_still_stand_somewhere_on_their_item() -> None:
    total = 0
    lost = []
    for recording in RECORDINGS:
        for sources, _, clean in items(recording):
            left = measure.anywhere([clean])
            for kind, marker in set().union(*map(measure.distinct, sources)):
                total += 1
                if not measure.still_stands(kind, marker, left):
                    lost.append(f"{recording}: {kind} {marker}")
    assert total > 400
    assert len(lost) / total <= 0.01, lost
