"""Text for a terminal: untrusted text without control characters, progress, plain errors."""

from __future__ import annotations

import sys
import unicodedata

OK, FOUND, WRONG = 0, 1, 2
"""Exit codes: clean; a leak, bypass or failed validation was found; wrong usage or unreadable input."""


def plain(text: object, longest: int = 200) -> str:
    """Text that cannot move the cursor, colour, hide or reorder anything, at most `longest` characters.

    Control, format (bidirectional overrides among them), surrogate and private characters become "·".
    """
    shown = "".join(
        char if char == " " or unicodedata.category(char)[0] not in "CZ" else "·"
        for char in str(text)[: longest + 1]
    )
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def error(message: str) -> int:
    """One plain line on standard error; the exit code for wrong usage or unreadable input."""
    print(f"otel-zdr: {plain(message, 1000)}", file=sys.stderr)
    return WRONG


class Progress:
    """A line on standard error that counts, only where a person looks on."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = False
        self._on = sys.stderr.isatty()

    def __call__(self, count: int) -> None:
        if self._on:
            self._shown = True
            print(f"\r{self._what}: {count:,}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
