"""Properties over arbitrary values: no canary survives, every metadata value does, cleaning is idempotent."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from otel_zdr import catalogue
from otel_zdr.catalogue import shapes
from otel_zdr.redaction import REMOVED, Redactor
from otel_zdr.redaction.removed import count

redactor = Redactor(keep_keys=["acme.room", "shop.*"], module_known=lambda name: False)
RULES = catalogue.exact_rules()
KEPT = sorted(key for key, rule in RULES.items() if rule.keep)
DROPPED = sorted(key for key, rule in RULES.items() if not rule.keep)
TOKENS = st.text("abcXYZ019._:/@+-", max_size=140)
TEXTS = st.one_of(
    TOKENS, st.text(max_size=40), st.sampled_from(['{"usage":{"total_tokens":3}}', '["stop"]', "12"])
)
LEAVES = st.one_of(
    TEXTS,
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=20),
)
KEYS = st.one_of(
    st.sampled_from(KEPT),
    st.sampled_from(DROPPED),
    st.sampled_from(
        ["acme.room", "shop.size", "acme.usage.tokens", "my.note", "x", "llm.input_messages.0.message.role"]
    ),
    st.text(max_size=30),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(
            st.one_of(KEYS, st.sampled_from(["usage", "total_tokens", "model", "id"])), inner, max_size=4
        ),
    ),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(KEYS, VALUES, max_size=8)


def reference(mapping: dict[str, Any], removed: dict[str, int], server: bool) -> dict[str, Any]:
    """One attribute at a time, without the fast path."""
    clean = {}
    for key, value in mapping.items():
        kept = redactor.attribute_plainly(key, value, removed, server)
        if kept is not REMOVED:
            clean[key] = kept
    return clean


@settings(max_examples=300, deadline=None)
@given(MAPPINGS, st.booleans())
def test_the_fast_path_equals_the_plain_reference(mapping: dict[str, Any], server: bool) -> None:
    fast: dict[str, int] = {}
    plain: dict[str, int] = {}
    assert repr(redactor.attributes(mapping, fast, server)) == repr(reference(mapping, plain, server))
    assert fast == plain
    single: dict[str, int] = {}
    one_by_one = {key: redactor.attribute(key, value, single, server) for key, value in mapping.items()}
    assert repr({key: value for key, value in one_by_one.items() if value is not REMOVED}) == repr(
        reference(mapping, {}, server)
    )
    assert single == plain


@settings(max_examples=300, deadline=None)
@given(MAPPINGS, st.booleans())
def test_cleaning_what_is_clean_changes_nothing_and_counts_nothing(
    mapping: dict[str, Any], server: bool
) -> None:
    once = redactor.attributes(mapping, {}, server)
    removed: dict[str, int] = {}
    assert repr(redactor.attributes(once, removed, server)) == repr(once)
    assert removed == {}


def planted(value: Any, canary: str, draw: Any) -> Any:
    """``value`` with the canary in one drawn place."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value, key=repr)))
        return {**value, key: planted(value[key], canary, draw)}
    if isinstance(value, (list, tuple)) and value and draw(st.booleans()):
        index = draw(st.integers(0, len(value) - 1))
        return [planted(item, canary, draw) if index == number else item for number, item in enumerate(value)]
    form = draw(st.sampled_from(["text", "json", "usage", "bytes", "list", "key", "nested key", "repr"]))
    said = f"the patient said {canary} today"
    return {
        "text": said,
        "json": json.dumps({"messages": [said], "usage": {"note": said, said: 3}}),
        "usage": {"usage": {"total_tokens": 3, said: 4}, "text": said},
        "bytes": said.encode(),
        "list": ["ok", said],
        "key": {said: 1},
        "nested key": {"usage": {"details": {said: {"tokens": 5}}}},
        "repr": repr({"usage": {"note": said}}),
    }[form]


@settings(max_examples=400, deadline=None)
@given(MAPPINGS, st.data())
def test_a_canary_anywhere_in_attributes_or_bodies_does_not_survive(
    mapping: dict[str, Any], data: Any
) -> None:
    canary = f"CANARY-{uuid.uuid4()}"
    if mapping and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(mapping)))
        mapping = {**mapping, key: planted(mapping[key], canary, data.draw)}
    else:
        mapping = {**mapping, f"acme {canary}": 5, f"{canary}.usage.total_tokens": 7}
    assert canary in repr(mapping)  # the positive control
    removed: dict[str, int] = {}
    assert canary not in repr(redactor.attributes(mapping, removed))
    assert canary not in repr(removed)
    assert canary not in repr(redactor.body(mapping, "gen_ai.choice", removed))
    assert canary not in repr(redactor.body(planted("", canary, data.draw), canary, removed))
    assert canary not in repr(
        redactor.span_name(f"say {canary}", canary, mapping, removed) if not mapping else ""
    )


USAGE_KEYS = sorted(
    key
    for key in KEPT
    if RULES[key].content_class == "usage" and RULES[key].shape == shapes.USAGE and "." in key
)
MODEL_KEYS = sorted(key for key in KEPT if RULES[key].content_class == "model" and "." in key)
ID_KEYS = sorted(
    key
    for key in KEPT
    if RULES[key].content_class == "reference"
    and RULES[key].server_class is None
    and RULES[key].shape in (shapes.TOKEN, shapes.TOKENS, shapes.SCALAR)
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(USAGE_KEYS),
    st.one_of(st.integers(0, 2**63 - 1), st.floats(0, 1e12)),
    st.sampled_from(MODEL_KEYS + ID_KEYS),
    st.text("abcdefghijklmnopqrstuvwxyzABC0123456789._:-", min_size=1, max_size=100),
    st.booleans(),
)
def test_every_usage_model_and_id_key_survives(
    usage: str, figure: float, key: str, text: str, server: bool
) -> None:
    assume(key in ID_KEYS or shapes.may_name_a_model(text))
    mapping = {usage.replace("N", "3"): figure, key.replace(".N.", ".3."): text}
    removed: dict[str, int] = {}
    assert redactor.attributes(mapping, removed, server) == mapping
    assert removed == {}


_WORDS = [
    "acme",
    "usage",
    "tokens",
    "input",
    "cost",
    "model",
    "id",
    "request",
    "name",
    "patient",
    "note",
    "3",
    "N",
]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(_WORDS), min_size=1, max_size=6), st.sampled_from([".", "_", "-", ""]), VALUES
)
def test_unlisted_keys_keep_only_what_the_shapes_allow(words: list[str], joint: str, value: Any) -> None:
    key = joint.join(words)
    kept = redactor.attribute(key, value, {})
    if kept is REMOVED:
        return
    for leaf in leaves(kept):
        assert isinstance(leaf, (int, float)) or (leaf and not leaf.strip(shapes.TOKEN_CHARACTERS))


def leaves(value: Any) -> Iterator[Any]:
    """The values of a structure, also one of JSON, and its keys: names of figures are tokens too."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = json.loads(value)
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from leaves(part)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def test_counts_add_up() -> None:
    removed: dict[str, int] = {}
    count(removed, "prompt")
    count(removed, "prompt")
    assert removed == {"prompt": 2}


@given(text=st.one_of(TOKENS, st.text(max_size=140)))
def test_a_token_is_what_the_design_says(text: str) -> None:
    """1 to 128 of its characters, and no address."""
    assert shapes.is_token(text) == (
        re.fullmatch(r"[A-Za-z0-9._:/@+-]{1,128}", text) is not None and "//" not in text
    )
