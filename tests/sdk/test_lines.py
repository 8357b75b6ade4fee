"""The lines that an operator reads on standard error."""

from __future__ import annotations

from typing import Any

import pytest

import otel_zdr
from otel_zdr.sdk import evidence, failure
from otel_zdr.testing import canary


@pytest.mark.parametrize(
    ("part", "said"),
    [("span", "cleaning a span failed"), ("exception", "cleaning an exception failed")],
)
def test_a_failure_is_said_in_words(capsys: pytest.CaptureFixture[str], part: str, said: str) -> None:
    failure.note(part, ValueError())
    assert said in capsys.readouterr().err


def summary(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    evidence._summary()
    return capsys.readouterr().err


def test_the_summary_says_that_values_were_removed_from_measurements(
    make_pipeline: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    otel_zdr.install()
    pipeline = make_pipeline()
    counter = pipeline.meter.create_counter("gen_ai.client.token.usage")
    for _ in range(3):
        counter.add(1, {"app.note": canary()})
    assert "redacted measurements; values removed: free_text:3;" in summary(capsys)
    pipeline.tracer.start_span("chat").end()
    assert "redacted 1 span, measurements; values" in summary(capsys)
    pipeline.tracer.start_span("chat").end()
    assert "redacted 2 spans, measurements; values" in summary(capsys)


def test_without_anything_removed_there_is_no_summary(capsys: pytest.CaptureFixture[str]) -> None:
    otel_zdr.install()
    assert summary(capsys) == ""
