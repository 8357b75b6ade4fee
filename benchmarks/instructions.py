"""Where the work of one item goes: Python instructions by what they are for.

Timers share a machine with others, and a sampling profiler sees little of 30 µs. The interpreter's instructions can
be counted exactly, and what the gate adds is made of them: its time is their number times what one of them takes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

#: The first that the path of a module contains says what its instructions are for.
PURPOSES = (
    ("/benchmarks/floor", "the bare allowlist"),
    ("otel_zdr/redaction/json_pruning", "pruning the structured body"),
    ("otel_zdr/redaction/", "attributes and names"),
    ("otel_zdr/catalogue/", "attributes and names"),
    ("otel_zdr/sdk/identity", "whose it is"),
    ("otel_zdr/policy/decision", "whose it is"),
    ("otel_zdr/workspaces", "whose it is"),
    ("otel_zdr/sdk/evidence", "evidence and coverage"),
    ("otel_zdr/sdk/eligibility", "evidence and coverage"),
    ("otel_zdr/policy/eligibility", "evidence and coverage"),
    ("otel_zdr/sdk/storage", "making the clean item"),
    ("otel_zdr/sdk/making_records", "making the clean item"),
    ("otel_zdr/sdk/span/making", "making the clean item"),
    ("otel_zdr/sdk/shared", "making the clean item"),
    ("otel_zdr/", "the gate around it"),
)
SDK = "the SDK"


def count(write: Callable[[Any], None], calls: list[Any]) -> dict[str, float]:
    """Instructions an item by purpose, after ``calls`` have been written once to fill what is remembered."""
    counted: Counter[CodeType] = Counter()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "call":
            frame.f_trace_opcodes = True
        elif event == "opcode":
            counted[frame.f_code] += 1
        return trace

    for call in calls:
        write(call)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for call in calls:
            write(call)
    finally:
        sys.settrace(before)
    found: dict[str, float] = {}
    for code, number in counted.items():
        purpose = _purpose_of(code.co_filename.replace("\\", "/"))
        if purpose is not None:
            found[purpose] = found.get(purpose, 0) + number / len(calls)
    return found


def _purpose_of(path: str) -> str | None:
    """What a module is for; None of the workload itself."""
    for part, purpose in PURPOSES:
        if part in path:
            return purpose
    return None if "/benchmarks/" in path else SDK
