"""Reading JSON for its metadata: long strings (audio, mostly) are passed over, never copied.

A string longer than `keep` bytes becomes a number, its length in bytes. So a body of many megabytes costs one
search for quotes and leaves a document of a few hundred bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# Longer than any metadata.
METADATA = 512
# Enough for the text of a synthesis request (2,000 characters) in any encoding and escaping.
TEXT = 64 * 1024
# What is left of a document beyond this is no answer we know.
_MAX_DOCUMENT = 1024 * 1024
_QUOTE = b'"'
_BACKSLASH = 0x5C


class Skimmer:
    """Takes a JSON document in pieces. One instance reads one document after the other."""

    __slots__ = ("_inside", "_keep", "_length", "_overflow", "_rest", "_slashes", "_string")

    def __init__(self, keep: int = METADATA) -> None:
        self._keep = keep
        self._rest = bytearray()  # the document without its long strings
        self._string = bytearray()  # the open string, while it is short
        self._length = 0
        self._inside = False
        self._slashes = 0  # backslashes at the end of the last piece of the open string
        self._overflow = False

    @property
    def empty(self) -> bool:
        """Whether nothing of a document has been fed yet."""
        return not (self._rest or self._inside or self._overflow)

    def feed(self, data: bytes) -> None:
        """The next piece, cut anywhere."""
        at, size = 0, len(data)
        while at < size:
            found = data.find(_QUOTE, at)
            if not self._inside:
                if found < 0:
                    self._emit(data[at:] if at else data)
                    return
                self._emit(data[at:found])
                self._inside, self._length, self._slashes = True, 0, 0
                at = found + 1
                continue
            stop = size if found < 0 else found
            before = stop
            while before > at and data[before - 1] == _BACKSLASH:
                before -= 1
            slashes = stop - before + (self._slashes if before == at else 0)
            self._length += stop - at
            if self._length <= self._keep:
                self._string += data[at:stop]
            if found < 0:
                self._slashes = slashes
                return
            at = found + 1
            self._slashes = 0
            if slashes % 2:
                self._length += 1
                self._string += _QUOTE
            else:
                self._close()

    def take(self) -> Any:
        """The document, or None if it is no JSON or too large; the next one begins."""
        rest, overflow = bytes(self._rest), self._overflow or self._inside
        self._rest.clear()
        self._string.clear()
        self._inside, self._overflow = False, False
        return None if overflow else parse(rest)

    def _close(self) -> None:
        self._inside = False
        if self._length <= self._keep:
            self._emit(_QUOTE + self._string + _QUOTE)
        else:
            self._emit(b"%d" % self._length)
        self._string.clear()

    def _emit(self, piece: bytes | bytearray) -> None:
        if len(self._rest) + len(piece) > _MAX_DOCUMENT:
            self._overflow = True
            self._rest.clear()
        elif not self._overflow:
            self._rest += piece


def parse(line: bytes | bytearray) -> Any:
    """One JSON document, also as the data of a server-sent event; None for anything else."""
    if line[:5] == b"data:":
        line = line[5:]
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def skim(data: Any, keep: int = METADATA) -> Any:
    """A whole document (bytes or text) without its long strings, or None."""
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        return None
    if len(data) <= max(keep, 4096):
        return parse(bytes(data))
    skimmer = Skimmer(keep)
    skimmer.feed(bytes(data))
    return skimmer.take()


class Lines:
    """Documents that stand one a line: NDJSON, and the data lines of server-sent events."""

    __slots__ = ("_skimmer",)

    def __init__(self, keep: int = METADATA) -> None:
        self._skimmer = Skimmer(keep)

    def feed(self, data: bytes) -> Iterator[Any]:
        """The documents that `data` completes."""
        start = 0
        skimmer = self._skimmer
        while (end := data.find(b"\n", start)) >= 0:
            if end - start <= 4096 and skimmer.empty:
                document = parse(data[start:end])
            else:
                skimmer.feed(data[start:end])
                document = skimmer.take()
            start = end + 1
            if document is not None:
                yield document
        if start < len(data):
            skimmer.feed(data[start:])

    def rest(self) -> Any:
        """What stands after the last line break, if it is a document."""
        return self._skimmer.take()
