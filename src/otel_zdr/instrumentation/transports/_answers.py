"""Observers of answer bodies: bytes as the application reads them, turned into documents."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .._call import Call
from .._streams import Observer
from ._skim import METADATA, TEXT, Lines, Skimmer, skim


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


class Each(Observer):
    """A body with one document a line (NDJSON, server-sent events), each given to another observer.

    Args:
        keep: how long a text may be to be kept.
        inner: who reads the documents.
        telling: found in every line that says more than content. Lines without it are not even parsed where
            content may not go out; all but the first, which says what the answer is.
    """

    __slots__ = ("_begun", "_inner", "_lines", "_telling")

    def __init__(self, keep: int, inner: Observer, telling: re.Pattern[bytes] | None = None) -> None:
        super().__init__()
        self._lines = Lines(keep)
        self._inner = inner
        self._telling = telling
        self._begun = False

    def chunk(self, call: Call, item: Any) -> None:
        telling = self._telling if self._begun and not call.wants_content else None
        for document in self._lines.feed(item, telling):
            if isinstance(document, dict):
                self._begun = True
                self._inner.chunk(call, document)

    def finish(self, call: Call) -> None:
        document = self._lines.rest()
        if isinstance(document, dict):
            self._inner.chunk(call, document)
        self._inner.finish(call)
