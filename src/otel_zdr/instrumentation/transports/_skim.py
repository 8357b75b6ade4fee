"""Reading JSON for its metadata: long strings (audio, mostly) are passed over, never copied.

A string longer than `keep` bytes becomes a number, its length in bytes. So a body of many megabytes costs one
search for quotes and leaves a document of a few hundred bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Protocol

# Longer than any metadata.
METADATA = 512
# Enough for the text of a synthesis request (2,000 characters) in any encoding and escaping.
TEXT = 64 * 1024
# What is left of a document beyond this is no answer we know.
_MAX_DOCUMENT = 1024 * 1024
# A document this short is parsed as it is.
_SHORT = 1024
_QUOTE = b'"'
_BACKSLASH = b"\\"
# What is left of a string, up to its quote or to a backslash that ends the piece.
_REST = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)


class Skimmer:
    """Takes a JSON document in pieces. One instance reads one document after the other."""

    __slots__ = ("_escaped", "_inside", "_keep", "_length", "_overflow", "_rest", "_string")

    def __init__(self, keep: int = METADATA) -> None:
        self._keep = keep
        self._rest = bytearray()  # the document without its long strings
        self._string = bytearray()  # the open string, while it is short
        self._length = 0
        self._inside = False
        self._escaped = False  # whether the last piece of the open string ended with a backslash
        self._overflow = False

    @property
    def empty(self) -> bool:
        """Whether nothing of a document has been fed yet."""
        return not (self._rest or self._inside or self._overflow)

    def feed(self, data: bytes) -> None:
        """The next piece, cut anywhere."""
        if self._length > self._keep and self._inside and _QUOTE not in data and data[-1:] != _BACKSLASH:
            # The usual piece of a stream: it lies within a long string.
            self._length += len(data)
            self._escaped = False
            return
        at, size = 0, len(data)
        while at < size:
            found = data.find(_QUOTE, at)
            if not self._inside:
                if found < 0:
                    self._emit(data[at:] if at else data)
                    return
                self._emit(data[at:found])
                self._inside, self._length = True, 0
                at = found + 1
                continue
            begin = at
            if self._escaped:
                self._escaped = False
                at += 1
                if found < at:
                    found = data.find(_QUOTE, at)
            stop = size if found < 0 else found
            if data.find(_BACKSLASH, at, stop) >= 0:
                stop = _REST.match(data, at).end()  # type: ignore[union-attr]
                if stop < size and data[stop : stop + 1] == _BACKSLASH:
                    stop, self._escaped = size, True
            self._length += stop - begin
            if self._length <= self._keep:
                self._string += data[begin:stop]
            if stop == size:
                return
            self._close()
            at = stop + 1

    def take(self) -> Any:
        """The document, or None if it is no JSON or too large; the next one begins."""
        rest, overflow = bytes(self._rest), self._overflow or self._inside
        self._rest.clear()
        self._string.clear()
        self._inside, self._escaped, self._overflow = False, False, False
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


def parse(line: bytes) -> Any:
    """One JSON document, also as the data of a server-sent event; None for anything else."""
    if line[:5] == b"data:":
        line = line[5:]
    try:
        return _decode(line.decode())
    except (ValueError, RecursionError):
        return None


_decode = json.JSONDecoder().decode


def _cut(data: bytes, keep: int) -> Any:
    """As a `Skimmer` fed with one piece, for the usual document without backslashes."""
    left: list[bytes] = []
    at, start = 0, data.find(_QUOTE)
    while start >= 0:
        end = data.find(_QUOTE, start + 1)
        if end < 0:
            return None
        if end - start > keep + 1:
            left += (data[at:start], b"%d" % (end - start - 1))
            at = end + 1
        start = data.find(_QUOTE, end + 1)
    left.append(data[at:])
    document = b"".join(left)
    return parse(document) if len(document) <= _MAX_DOCUMENT else None


def _at_once(data: bytes, keep: int) -> Any:
    """A whole document without its long strings, or None."""
    if len(data) <= _SHORT:
        return parse(data)
    if b"\\" not in data:
        return _cut(data, keep)
    skimmer = Skimmer(keep)
    skimmer.feed(data)
    return skimmer.take()


def skim(data: Any, keep: int = METADATA) -> Any:
    """A whole document (bytes or text) without its long strings, or None."""
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        return None
    return _at_once(data if isinstance(data, bytes) else bytes(data), keep)


class Search(Protocol):
    """Finds the next line that is worth parsing."""

    def search(self, data: bytes, start: int) -> int:
        """Where in `data`, from `start` on, something of it stands; -1 for nowhere."""
        ...


class Lines:
    """Documents that stand one a line: NDJSON, and the data lines of server-sent events."""

    __slots__ = ("_keep", "_skimmer")

    def __init__(self, keep: int = METADATA) -> None:
        self._keep = keep
        self._skimmer = Skimmer(keep)

    @property
    def empty(self) -> bool:
        """Whether no line is open."""
        return self._skimmer.empty

    def feed(self, data: bytes, telling: Search | None = None) -> Sequence[Any]:
        """The documents that `data` completes; with `telling`, at least those in which it is found."""
        skimmer = self._skimmer
        if b"\n" not in data:
            skimmer.feed(data)
            return ()
        documents = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            document = None
            if not skimmer.empty:
                skimmer.feed(data[start:end])
                document = skimmer.take()
            elif telling is not None:
                found = telling.search(data, start)
                if found < 0:
                    start = data.rfind(b"\n") + 1
                    break
                start = max(data.rfind(b"\n", start, found) + 1, start)
                end = data.find(b"\n", found)
                if end < 0:
                    break
                document = _at_once(data[start:end], self._keep)
            elif end > start:
                document = _at_once(data[start:end], self._keep)
            start = end + 1
            if document is not None:
                documents.append(document)
        if start < len(data):
            skimmer.feed(data[start:] if start else data)
        return documents

    def rest(self) -> Any:
        """What stands after the last line break, if it is a document."""
        return self._skimmer.take()
