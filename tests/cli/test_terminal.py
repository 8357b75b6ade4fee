"""What commands say on standard error while they work."""

from __future__ import annotations

import threading
import time

import pytest

from otel_zdr.cli._terminal import Progress


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("day.jsonl") as progress:
        progress(5)

    assert capsys.readouterr().err == ""


def test_long_work_says_how_far_it_is_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    said = ""
    with Progress("day.jsonl", first=0.01, then=0.01) as progress:
        for count in (0, 1234):
            progress(count)
            end = time.monotonic() + 20
            while ("1,234 items" if count else "reading") not in said and time.monotonic() < end:
                time.sleep(0.01)
                said += capsys.readouterr().err

    assert said.startswith("otel-zdr: day.jsonl: reading, 0 s\n")
    assert "otel-zdr: day.jsonl: 1,234 items, " in said


def test_a_terminal_shows_one_line_and_clears_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Progress("day.jsonl") as progress:
        progress(7)
        time.sleep(1.3)

    said = capsys.readouterr().err
    assert said.startswith("\rday.jsonl: 7 items, 1 s")
    assert said.endswith("\r\x1b[K")
    assert "\n" not in said


def test_its_thread_ends_with_the_work_also_when_that_fails() -> None:
    with pytest.raises(ValueError), Progress("day.jsonl"):
        raise ValueError

    assert "otel-zdr-progress" not in {thread.name for thread in threading.enumerate()}
