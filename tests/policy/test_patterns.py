"""Patterns against the plain definition: a regular expression, and trying ids."""

from __future__ import annotations

import itertools
import re
import time

from hypothesis import given
from hypothesis import strategies as st

from otel_zdr.policy.patterns import PatternIndex, canonical, matches, overlap

patterns = st.text("ab*", min_size=1, max_size=6).map(canonical)
ids = st.text("ab", min_size=1, max_size=6)
SHORT_IDS = ["".join(letters) for size in range(8) for letters in itertools.product("ab", repeat=size)]


def regex(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


@given(patterns, ids)
def test_a_pattern_matches_what_its_regular_expression_matches(pattern: str, id_: str) -> None:
    assert matches(pattern, id_) == bool(regex(pattern).fullmatch(id_))


@given(
    st.text("ab*", min_size=1, max_size=3).map(canonical),
    st.text("ab*", min_size=1, max_size=3).map(canonical),
)
def test_two_patterns_overlap_exactly_if_there_is_an_id_that_both_match(one: str, other: str) -> None:
    common = any(matches(one, id_) and matches(other, id_) for id_ in SHORT_IDS)
    assert overlap(one, other) == common


@given(patterns, patterns, ids)
def test_a_pattern_that_matches_another_one_matches_all_its_ids(wide: str, narrow: str, id_: str) -> None:
    if matches(wide, narrow) and matches(narrow, id_):
        assert matches(wide, id_)


@given(st.lists(patterns, max_size=8, unique=True), ids)
def test_the_index_finds_the_longest_patterns_that_match(given_patterns: list[str], id_: str) -> None:
    matching = [pattern for pattern in given_patterns if matches(pattern, id_)]
    longest = max(map(len, matching), default=0)
    index = PatternIndex((pattern, pattern) for pattern in given_patterns)
    assert sorted(index.find(id_)) == sorted(pattern for pattern in matching if len(pattern) == longest)


@given(st.lists(patterns, min_size=1, max_size=8, unique=True), ids)
def test_the_index_can_leave_one_pattern_out(given_patterns: list[str], id_: str) -> None:
    without = PatternIndex((pattern, pattern) for pattern in given_patterns[1:])
    index = PatternIndex((pattern, pattern) for pattern in given_patterns)
    assert sorted(index.find(id_, but=given_patterns[0])) == sorted(without.find(id_))


def test_no_pattern_and_no_id_take_long() -> None:
    pattern = "a*" * 128
    begin = time.perf_counter()
    assert not matches(pattern + "b", "a" * 255 + "c")
    assert overlap(pattern + "b", "*a" * 120 + "c") is False
    assert time.perf_counter() - begin < 1
