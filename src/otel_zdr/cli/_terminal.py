"""Text for a terminal: untrusted text without control characters, progress, plain errors."""

from __future__ import annotations

import sys
import threading
import time
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
    _say(message)
    return WRONG


def _say(message: str) -> None:
    print(f"otel-zdr: {plain(message, 1000)}", file=sys.stderr)


class Unseen:
    """Counts what the readers of one file did not see, to say so: what is shown is then not all of it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._count = 0
        self.items = 0

    def __call__(self, _unread: object) -> None:
        self._count += 1

    def tell(self) -> None:
        if not self.items:
            _say(f"{self.file}: nothing in it: no span, log record or metric")
        if self._count:
            values = f"{self._count} value{'' if self._count == 1 else 's'}"
            _say(f"{self.file}: {values} not understood and not shown; otel-zdr scan names them")


class Progress:
    """Says on standard error how far long work has come: ``with Progress("day.jsonl") as progress: …``.

    Call it with the number of items so far. A terminal shows one line that counts; elsewhere there is a line
    after ten seconds and then twice a minute, so that nobody takes long work for a hanging one. A thread tells
    the time, since reading one long document counts nothing for a while.
    """

    def __init__(self, what: str, *, first: float = 10.0, then: float = 30.0) -> None:
        self._what = what
        self._terminal = sys.stderr.isatty()
        self._first, self._then = (1.0, 1.0) if self._terminal else (first, then)
        self._count = 0
        self._started = time.monotonic()
        self._done = threading.Event()
        self._shown = False
        self._thread = threading.Thread(target=self._tell, name="otel-zdr-progress", daemon=True)

    def __call__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._shown and self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _tell(self) -> None:
        wait = self._first
        while not self._done.wait(wait):
            wait = self._then
            self._shown = True
            begin, end = ("\r", "\x1b[K") if self._terminal else ("otel-zdr: ", "\n")
            read = f"{self._count:,} items" if self._count else "reading"
            seconds = time.monotonic() - self._started
            line = f"{begin}{self._what}: {read}, {seconds:.0f} s{end}"
            try:
                print(line, end="", file=sys.stderr, flush=True)
            except (OSError, ValueError):
                return  # nobody reads it
