"""``otel-zdr demo``: the promise on real calls, and that it is not taken for held when it is not."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openai")
pytest.importorskip("inworld_tts")

from otel_zdr.cli.demo import _sections
from otel_zdr.verify.demo.comparison import KINDS, compare
from otel_zdr.verify.demo.running import CLINIC, STUDIO, Run, missing, run


@pytest.fixture(scope="module")
def done() -> Run:
    assert missing() == []
    return run(lambda _step: None)


def test_the_vendor_got_every_text_and_the_backend_none_of_the_clinic(done: Run) -> None:
    result = compare(done)
    assert result.problems == []
    assert result.sides[STUDIO].visible == set(KINDS)
    assert result.sides[CLINIC].visible == set()
    received = b"".join(request.body + request.head for request in done.arrived)
    for kind, text in done.said[CLINIC].items():
        assert text.encode() not in received
        assert kind == "noted" or text.encode() in done.vendor


def test_usage_and_names_of_both_workspaces_are_the_same(done: Run) -> None:
    studio, clinic = compare(done).sides[STUDIO], compare(done).sides[CLINIC]
    assert clinic.usage["input tokens"] == studio.usage["input tokens"] > 0
    assert clinic.tokens == studio.tokens > 0
    assert clinic.named["models"] == studio.named["models"] != set()
    assert (clinic.spans, clinic.logs) == (studio.spans, studio.logs)


def test_the_table_of_the_readme_is_what_the_demo_prints(done: Run) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| | studio (not under ZDR) | clinic (under ZDR) |\n")[2].partition("\n\n")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in table.splitlines()[1:]]
    printed = [row for section in _sections(done, compare(done)) for row in section]

    def without_chance(text: str) -> str:
        # Ids count on in the server that all demos of a process share.
        return re.sub(r"(note|req|chatcmpl)([ -])[0-9a-f]+…?", r"\1\2…", text.strip())

    assert [tuple(map(without_chance, row)) for row in rows] == [
        tuple(map(without_chance, row)) for row in printed
    ]


def test_what_was_removed_is_counted_by_class(done: Run) -> None:
    result = compare(done)
    assert {"prompt", "completion", "error_text", "free_text"} <= set(result.sides[CLINIC].removed)
    assert not result.sides[STUDIO].removed


def test_all_three_signals_arrived(done: Run) -> None:
    assert {request.signal for request in done.arrived} == {"traces", "logs", "metrics"}


def test_a_leak_of_one_text_is_told(done: Run) -> None:
    first = done.arrived[0]
    leaked = dataclasses.replace(first, head=first.head + done.said[CLINIC]["spoken"].encode())
    problems = compare(dataclasses.replace(done, arrived=[leaked, *done.arrived[1:]])).problems
    assert problems == [f"LEAK: the {KINDS['spoken']} of the clinic arrived"]


def test_silence_is_not_taken_for_privacy(done: Run) -> None:
    problems = compare(dataclasses.replace(done, arrived=[])).problems
    assert any("proves nothing" in problem for problem in problems)
    assert any("missing" in problem for problem in problems)


def test_a_prompt_the_vendor_never_got_proves_nothing(done: Run) -> None:
    assert compare(dataclasses.replace(done, vendor=b"")).problems != []


def test_the_command_prints_both_sides_and_keeps_what_arrived(tmp_path: Path) -> None:
    environ = {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "otel_zdr.cli", "demo", "--keep", str(tmp_path)]
    shown = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=180)
    assert shown.returncode == 0, shown.stderr
    assert "The promise held" in shown.stdout
    assert "not there" in shown.stdout
    assert "running the application" in shown.stderr
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) >= 3
    scan = subprocess.run(
        [sys.executable, "-m", "otel_zdr.cli", "scan", "--json", *(str(tmp_path / name) for name in kept)],
        env={**environ, "OTEL_ZDR_WORKSPACES": "clinic", "OTEL_ZDR_UNIDENTIFIED": "retain"},
        capture_output=True,
        text=True,
    )
    assert scan.returncode == 0, scan.stdout
    assert json.loads(scan.stdout)["items"] > 10
