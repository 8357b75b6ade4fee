"""Searching: a text is found in whatever form telemetry hides it."""

from __future__ import annotations

import base64
import html
import json
import pickle
import uuid
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_zdr.verify.canary import Find, Search, flatten


def secret() -> str:
    return f'the "patient" in room {uuid.uuid4().hex}\n said: äöü €\\'


def as_json(text: str, depth: int) -> str:
    for _ in range(depth):
        text = json.dumps({"a": text})
    return text


@pytest.mark.parametrize(
    "hide",
    [
        str,
        str.upper,
        repr,
        ascii,
        html.escape,
        quote_plus,
        lambda t: quote(t, safe=""),
        lambda t: as_json(t, 1),
        lambda t: as_json(t, 2),
        lambda t: as_json(t, 3),
        lambda t: json.dumps(t, ensure_ascii=False),
        lambda t: t.encode("utf-16-le"),
        lambda t: t.encode().hex(),
        lambda t: base64.b64encode(t.encode()),
        lambda t: base64.b64encode(b"x" + t.encode() + b"yz"),
        lambda t: base64.b64encode(b"xy" + t.encode()),
        lambda t: base64.urlsafe_b64encode(b"xyz" + t.encode() + b"z"),
        lambda t: pickle.dumps(t),
        lambda t: t[:20],
        lambda t: t[-25:],
        lambda t: t[5:30],
        lambda t: base64.b64encode(b"1" + t.encode())[:40],
        lambda t: {"key": [1, {"inner": t}]},
        lambda t: {t: 1},
        lambda t: list(t.encode()),
        lambda t: t.encode(),
    ],
)
def test_a_text_is_found_in_every_form(hide: Callable[[str], object]) -> None:
    text, other = secret(), secret()
    search = Search([other[23:57], text])
    content = hide(text)

    assert [find.index for find in search.find_in(content)] == [1]
    assert search.find_in(hide("x" * 50)) == []


def test_numbers_are_found_in_vectors() -> None:
    search = Search(["0.7373046875, -0.1181640625, 0.4228515625"])

    assert search.find_in([1.0, 0.7373046875, -0.1181640625, 0.4228515625]) == [Find(0, "plain")]
    assert search.find_in("[0.7373046875,-0.1181640625,0.4228515625]")[0].form == "numbers"
    assert search.find_in([0.25, 0.5, 0.75]) == []


def test_short_texts_are_found_whole_only_and_the_shortest_are_refused() -> None:
    search = Search(["Anna Muster"])

    assert search.find_in("of Anna Muster, 42")
    assert not search.find_in("Anna")
    with pytest.raises(ValueError, match="text 1 is shorter"):
        Search(["ab"])


def test_whole_texts_only_on_request() -> None:
    text = secret()

    assert not Search([text], fragments=False).find_in(text[:-2])
    assert Search([text], fragments=False).find_in(text)


def test_deep_values_are_read_without_recursion_errors() -> None:
    value: object = "deep"
    for _ in range(5000):
        value = [value]

    assert flatten(value) == b""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(min_size=16, max_size=60, alphabet=st.characters(codec="utf-8")).filter(
        lambda t: len(t.strip()) >= 16 and t == t.strip("\r\n") and len(t.encode()) >= 16
    ),
    st.binary(max_size=5),
    st.binary(max_size=5),
)
def test_base64_is_found_at_every_alignment(text: str, before: bytes, after: bytes) -> None:
    search = Search([text], fragments=False)

    assert search.find(base64.b64encode(before + text.encode() + after))
