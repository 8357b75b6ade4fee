"""What commands say on standard error while they work."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path

import pytest

from otel_zdr.cli._terminal import Progress

from .stored import attributes, run, span, traces, write


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


@pytest.mark.parametrize("command", ["explain", "report"])
def test_what_is_not_understood_is_said_where_it_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    secret = f"the patient of room {uuid.uuid4().hex}"
    arguments = ["-o", str(tmp_path / "page.html")] if command == "report" else []
    sound = write(tmp_path / "sound.json", traces(span(1, "chat", attributes=attributes(a="b"))))
    odd = write(tmp_path / "odd.json", traces(span(1, "chat", attributes={"note": secret}, extra=secret)))
    empty = write(tmp_path / "empty.json")

    assert run(command, sound, *arguments) == 0
    assert capsys.readouterr().err == ""
    assert run(command, sound, odd, empty, *arguments) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        f"otel-zdr: {odd}: 2 values not understood and not shown; otel-zdr scan names them",
        f"otel-zdr: {empty}: nothing in it: no span, log record or metric",
    ]
    assert secret not in printed.out
