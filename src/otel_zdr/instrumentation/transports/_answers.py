"""Observers of answer bodies: bytes as the application reads them, turned into documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._call import Call
from .._streams import Observer
from ._skim import METADATA, TEXT, Lines, Skimmer


def keep_for(call: Call) -> int:
    """How long a text may be to be kept: content only where it may go out."""
    return TEXT if call.wants_content else METADATA


class Document(Observer):
    """A body that is one JSON document, read when it is complete."""

    __slots__ = ("_read", "_skimmer")

    def __init__(self, keep: int, read: Callable[[Call, Any], None]) -> None:
        super().__init__()
        self._skimmer = Skimmer(keep)
        self._read = read

    def chunk(self, call: Call, item: Any) -> None:
        self._skimmer.feed(item)

    def finish(self, call: Call) -> None:
        document = self._skimmer.take()
        if isinstance(document, dict):
            self._read(call, document)


class Each(Observer):
    """A body with one document a line (NDJSON, server-sent events), each given to another observer."""

    __slots__ = ("_inner", "_lines")

    def __init__(self, keep: int, inner: Observer) -> None:
        super().__init__()
        self._lines = Lines(keep)
        self._inner = inner

    def chunk(self, call: Call, item: Any) -> None:
        for document in self._lines.feed(item):
            if isinstance(document, dict):
                self._inner.chunk(call, document)

    def finish(self, call: Call) -> None:
        document = self._lines.rest()
        if isinstance(document, dict):
            self._inner.chunk(call, document)
        self._inner.finish(call)
