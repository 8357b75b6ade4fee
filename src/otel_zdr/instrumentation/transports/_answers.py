"""Observers of answer bodies: bytes as the application reads them, turned into documents."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import cache
from logging import getLogger
from time import perf_counter
from typing import Any

from .._call import Call
from .._streams import Observer
from ._skim import METADATA, TEXT, Lines, Skimmer, skim

_log = getLogger(__name__)


def keep_for(call: Call) -> int:
    """How long a text may be to be kept: content only where it may go out."""
    return TEXT if call.wants_content else METADATA


class Document(Observer):
    """A body that is one JSON document, read when it is complete."""

    __slots__ = ("_document", "_keep", "_read", "_skimmer")

    def __init__(self, keep: int, read: Callable[[Call, Any], None]) -> None:
        super().__init__()
        self._document: Any = None
        self._keep = keep
        self._skimmer = Skimmer(keep)
        self._read = read

    def chunk(self, call: Call, item: Any) -> None:
        self._skimmer.feed(item)

    def whole(self, call: Call, data: bytes) -> None:
        """The body at once."""
        self._document = skim(data, self._keep)

    def finish(self, call: Call) -> None:
        document = self._skimmer.take() if self._document is None else self._document
        if isinstance(document, dict):
            self._read(call, document)


class Telling:
    """What tells a line that says more than content from the many that do not.

    Args:
        keys: keys of such lines, unless their value is null. Inside a text their quotes would be escaped.
    """

    __slots__ = ("_keys", "_pattern")

    def __init__(self, *keys: str) -> None:
        quoted = [f'"{key}"'.encode() for key in keys]
        self._keys = tuple((key, key + b":null", key + b": null") for key in quoted)
        self._pattern = re.compile(rb"(?:%s)(?!\s*:\s*null)" % b"|".join(map(re.escape, quoted)))

    def search(self, data: bytes, start: int) -> int:
        """Where the next one is found, -1 if there is none."""
        # Counting is much faster than any pattern, and most often there is nothing to be found.
        for key, null, spaced_null in self._keys:
            found = data.count(key, start)
            if found and found > data.count(null, start) + data.count(spaced_null, start):
                match = self._pattern.search(data, start)
                return match.start() if match else -1
        return -1


_telling = cache(lambda keys: Telling(*keys))  # those in our own source

# Pieces of a stream of which only the metadata is read are put aside up to so many bytes.
BATCH = 32 * 1024
_MOST_PIECES = 64


class Each(Observer):
    """A body with one document a line (NDJSON, server-sent events), each given to another observer.

    The first document says what the answer is and is read at once. Where content may not go out the rest is
    collected and read in batches, which costs a stream's consumer next to nothing a piece.

    Args:
        keep: how long a text may be to be kept.
        inner: who reads the documents. Lines in which nothing stands that `tells` are not even parsed where
            content may not go out.
        digest: reads a batch of whole lines itself, for their metadata only; they stand in the bytes it gets from
            one place to another, as copying them costs as much as reading them.

    Attributes:
        collects: whether pieces are only collected from now on.
        pieces: those that are not read yet.
    """

    __slots__ = (
        "_digest",
        "_inner",
        "_lines",
        "_reading",
        "_room",
        "_size",
        "_telling",
        "collects",
        "pieces",
    )

    def __init__(
        self,
        keep: int,
        inner: Observer,
        digest: Callable[[Call, bytes, int, int], None] | None = None,
    ) -> None:
        super().__init__()
        self._lines = Lines(keep)
        self._inner = inner
        self._telling = _telling(inner.tells) if inner.tells else None
        self._digest = digest
        self._room = self._size = BATCH
        self._reading = threading.Lock()
        self.collects = False
        self.pieces: list[bytes] = []

    def see(self, call: Call, item: Any) -> None:
        if not self.collects:
            super().see(call, item)
            return
        call.touched = perf_counter()
        self.pieces.append(item)
        self._room -= len(item)
        if self._room < 0:
            self.digest(call)

    def chunk(self, call: Call, item: Any) -> None:
        for document in self._lines.feed(item):
            if isinstance(document, dict):
                self._inner.chunk(call, document)
                self.collects = not call.wants_content

    def batch(self, count: int) -> int:
        """How many pieces to collect for the next batch, when one of `count` pieces has been read."""
        # At most twice as many: the first pieces of an answer may be short.
        return max(1, min(BATCH * count // self._size, 2 * count, _MOST_PIECES))

    def digest(self, call: Call) -> None:
        """Read what was collected; contained, as `see` is. From any thread, also while another collects."""
        self._room = BATCH
        with self._reading:
            try:
                self._read_batch(call)
            except Exception as exc:
                self.broken = True
                _log.debug("a stream is no longer read: %s", type(exc).__qualname__)

    def _read_batch(self, call: Call) -> None:
        pieces = self.pieces[:]
        del self.pieces[: len(pieces)]
        try:
            block = b"".join(pieces)
        except TypeError:  # the client decodes them
            block = b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
        self._size = len(block) or BATCH
        if self.broken:
            return
        end = block.rfind(b"\n") + 1
        if self._digest is not None and end:
            start = 0
            if not self._lines.empty:
                start = block.find(b"\n") + 1
                self._take(call, block[:start], None)
            self._digest(call, block, start, end)
            block = block[end:]
            end = 0
        if end or len(block) > BATCH // 2:
            self._take(call, block, self._telling)
        elif block:
            self.pieces.insert(0, block)

    def _take(self, call: Call, data: bytes, telling: Telling | None) -> None:
        for document in self._lines.feed(data, telling):
            if isinstance(document, dict):
                self._inner.chunk(call, document)

    def finish(self, call: Call) -> None:
        if self.pieces:
            self.digest(call)
            if self.pieces:
                self._lines.feed(b"".join(self.pieces))
                self.pieces.clear()
        document = self._lines.rest()
        if isinstance(document, dict):
            self._inner.chunk(call, document)
        self._inner.finish(call)
