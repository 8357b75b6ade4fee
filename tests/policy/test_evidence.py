"""How counts are written on items and read back."""

from __future__ import annotations

import pytest

from otel_zdr.policy.evidence import parse_removed, render_removed


def test_counts_are_rendered_as_class_and_number_in_a_fixed_order() -> None:
    assert render_removed({"prompt": 2, "completion": 1, "url": 0}) == ("completion:1", "prompt:2")
    assert render_removed({}) == ()


def test_what_was_rendered_is_read_back() -> None:
    counts = {"prompt": 2, "completion": 1}
    assert parse_removed(list(render_removed(counts))) == counts


@pytest.mark.parametrize(
    "value", [None, 7, "prompt:2", ["prompt"], ["prompt:x"], [":3"], [7], ["a:" + "9" * 13], ["x" * 99]]
)
def test_anything_of_another_form_is_left_out(value: object) -> None:
    assert parse_removed(value) == {}
