"""Reading JSON without its long strings gives what a full parse gives, wherever the pieces are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_zdr.instrumentation.transports._skim import METADATA, Lines, Skimmer, skim

_text = st.text('ab"\\\n\t{}[]:,é☃', max_size=24)
_keys = st.text('ab"\\é', max_size=3)
_documents = st.recursive(
    _text | st.integers(0, 9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


def shortened(value: Any, keep: int) -> Any:
    """What is expected: strings longer than `keep` bytes, as they are written, as that length."""
    if isinstance(value, str):
        written = len(json.dumps(value)) - 2
        return value if written <= keep else written
    if isinstance(value, list):
        return [shortened(item, keep) for item in value]
    if isinstance(value, dict):
        return {key: shortened(item, keep) for key, item in value.items()}
    return value


@settings(max_examples=150, deadline=None)
@given(st.lists(_documents, min_size=1, max_size=3), st.integers(20, 60), st.integers(1, 9))
def test_documents_fed_in_pieces_come_out_with_lengths_for_long_strings(
    documents: list[Any], keep: int, step: int
) -> None:
    skimmer = Skimmer(keep)
    for document in documents:
        data = json.dumps(document).encode()
        for start in range(0, len(data), step):
            skimmer.feed(data[start : start + step])
        assert skimmer.take() == shortened(document, keep)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(_keys, _documents, max_size=3), max_size=4), st.integers(1, 40))
def test_lines_cut_anywhere_come_out_whole(documents: list[Any], step: int) -> None:
    data = b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)
    lines = Lines(METADATA)
    got = [
        document for start in range(0, len(data), step) for document in lines.feed(data[start : start + step])
    ]
    assert got == documents


@pytest.mark.parametrize("escape", ["", '\\"', "\\\\", "é"])
def test_a_large_body_leaves_only_its_metadata(escape: str) -> None:
    audio = (escape + "A" * 60) * 50_000
    body = f'{{"audioContent": "{audio}", "usage": {{"processedCharactersCount": 3}}}}'
    found = skim(body)
    assert found == {"audioContent": len(audio.encode()), "usage": {"processedCharactersCount": 3}}


def test_a_line_that_is_no_json_spoils_none_after_it() -> None:
    lines = Lines()
    data = b': a comment with one " quote\nevent: x\ndata: [DONE]\n\n{"a": 1}\n'
    assert [document for document in lines.feed(data) if isinstance(document, dict)] == [{"a": 1}]


def test_a_document_without_end_is_not_kept() -> None:
    skimmer = Skimmer()
    for _ in range(40):
        skimmer.feed(b"[1, 2, 3, " * 10_000)
    assert skimmer.take() is None
    skimmer.feed(b"{}")
    assert skimmer.take() == {}
