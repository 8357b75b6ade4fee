"""``otel-zdr coverage``."""

from __future__ import annotations

import argparse
import json

import pytest

from otel_zdr.cli import coverage as command
from otel_zdr.policy.coverage import table


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    code = command.run(parser.parse_args(arguments))
    return (code, *capsys.readouterr())


def test_without_options_the_whole_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = run(capsys)
    assert code == 0
    for wanted in (
        "voice_cloning",
        "assemblyai/*",
        "ZDR enabled for streaming",
        "none stated for this mode",
        "third-party",
    ):
        assert wanted in output


def test_the_whole_table_as_json_has_every_row_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = run(capsys, "--json")
    found = json.loads(output)
    assert code == 0
    assert found["table_version"] == table()["table_version"]
    asked = {(row["product"], row["data"]) for row in found["rows"]}
    assert asked == {(row["product"], row["data"]) for row in table()["rows"]}
    assert all(row["source"] and row["reason"] and row["status"] for row in found["rows"])


def test_a_question_gets_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--product", "stt", "--data", "audio", "--model", "assemblyai/best", "--mode", "streaming")
    code, output, _ = run(capsys, *arguments)
    assert code == 0
    assert "covered" in output
    assert "ZDR enabled for streaming" in output
    code, output, _ = run(capsys, *arguments, "--via", "direct", "--json")
    found = json.loads(output)
    assert (found["status"], found["guarantee"]) == ("not_covered", "ZDR enabled for streaming")


@pytest.mark.parametrize("arguments", [("--product", "stt"), ("--data", "audio"), ("--provider", "groq")])
def test_half_a_question_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, output, errors = run(capsys, *arguments)
    assert (code, output) == (2, "")
    assert errors.startswith("otel-zdr: coverage: ")


def test_what_is_not_known_is_an_answer_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, errors = run(capsys, "--product", "video", "--data", "frames\x1b[31m")
    assert code == 0
    assert "unknown" in output
    assert "\x1b" not in output + errors
    assert "--product is none that the specification names: llm, stt, tts" in errors
    assert "--data is none that the specification names: audio, completion" in errors
    assert run(capsys, "--product", "tts", "--data", "text")[2] == ""
