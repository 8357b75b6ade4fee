"""Find content in stored OTLP: texts that are searched for, and keys that would not have survived."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from otel_zdr.settings import Settings
from otel_zdr.verify.canary import Search
from otel_zdr.verify.cleaning import Cleaner, NotUnderstood, Removal
from otel_zdr.verify.otlp import (
    Attributes,
    Item,
    LogRecord,
    OtlpError,
    Resource,
    Scope,
    Span,
    document_items,
    read_documents,
)
from otel_zdr.verify.otlp_files import open_stored

_CHUNK = 8 * 1024 * 1024
_OVERLAP = 64 * 1024

Places = Iterator[tuple[str, str, object]]


@dataclass(frozen=True, slots=True)
class Leak:
    """A searched-for text at one place. `text` counts from 1; the text itself is never repeated."""

    text: int
    form: str
    signal: str
    place: str
    key: str  # "" where the place has none, or where the key itself holds the text
    trace_id: str = ""
    span_id: str = ""


@dataclass
class Findings:
    """What was found in one file. Only where nothing was, all of it was understood and there was something,
    is it clean."""

    items: int = 0
    leaks: list[Leak] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    not_understood: list[NotUnderstood] = field(default_factory=list)
    problem: OtlpError | None = None  # why reading ended before the end of the file

    @property
    def found(self) -> bool:
        return bool(self.leaks or self.removals or self.not_understood)

    @property
    def clean(self) -> bool:
        return bool(self.items) and not self.found and self.problem is None


def scan_file(
    path: str | Path,
    search: Search,
    settings: Settings | None,
    *,
    trust_marks: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Findings:
    """Every place of a file that holds one of the texts, and every value that would not have survived.

    `settings` say who is under ZDR; None asks for the texts alone. With `trust_marks` names, templates and
    frames of items that carry the SDK's mark pass, as the SDK had proven them. `progress` is told the
    number of items read so far. A file that breaks off is examined up to there: see `problem`.
    """
    found = Findings()
    searcher = _Searcher(search)
    cleaner = None
    if settings is not None:
        cleaner = Cleaner(
            settings,
            trust_marks=trust_marks,
            report=found.removals.append,
            report_unread=found.not_understood.append,
            tick=progress,
        )
    try:
        for document in read_documents(path):
            if cleaner is not None:
                cleaner.clean(document)
            if search.count or cleaner is None:
                for item in document_items(document):
                    searcher.add(item)
                    if cleaner is None and progress is not None:
                        progress(searcher.items)
        found.items = searcher.items if cleaner is None else cleaner.items
    except OtlpError as problem:
        found.problem = problem
        found.items = searcher.items if cleaner is None else cleaner.items
    if search.count:
        found.leaks = searcher.leaks(path)
    return found


def search_file(path: str | Path, search: Search) -> list[Leak]:
    """Every place of a file that holds one of the texts. Raises :class:`~otel_zdr.verify.otlp.OtlpError`."""
    found = scan_file(path, search, None)
    if found.problem is not None:
        raise found.problem
    return found.leaks


class _Searcher:
    """Looks for the texts, item by item. Places that no item has (fields that OTLP does not define, what a
    broken file still holds) are found in the bytes."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._leaks: dict[Leak, None] = {}
        self._found: set[int] = set()
        self._shared: tuple[Resource, Scope] | None = None
        self.items = 0

    def add(self, item: Item) -> None:
        self.items += 1
        ids = (item.trace_id, item.span_id) if isinstance(item, Span | LogRecord) else ("", "")
        self._look(_signal(item), item_places(item), *ids)
        if self._shared is None or self._shared[0] is not item.resource or self._shared[1] is not item.scope:
            # A resource and a scope are shared by many items: once is enough.
            self._shared = (item.resource, item.scope)
            self._look(_signal(item), shared_places(item))

    def leaks(self, path: str | Path) -> list[Leak]:
        """All that was found, with what only the bytes of the file hold."""
        try:
            for index, form in _in_bytes(path, self._search):
                if index not in self._found:
                    self._leaks[Leak(index + 1, form, "", "outside every known field", "")] = None
        except (OSError, EOFError, zlib.error, OtlpError):
            pass  # reading it for items has said so
        return list(self._leaks)

    def _look(self, signal: str, places: Places, trace_id: str = "", span_id: str = "") -> None:
        for place, key, value in places:
            for find in self._search.find_in(value):
                self._found.add(find.index)
                shown = "" if self._search.find_in(key) else key
                self._leaks[Leak(find.index + 1, find.form, signal, place, shown, trace_id, span_id)] = None


def item_places(item: Item) -> Places:
    """(place, key, value) for everything that belongs to the item alone; keys are values too."""
    if isinstance(item, Span):
        yield "span name", "", item.name
        yield "status message", "", item.status_message
        yield "trace state", "", item.trace_state
        yield from _attributes("attribute", item.attributes)
        for event in item.events:
            yield "event name", "", event.name
            yield from _attributes("event attribute", event.attributes)
        for link in item.links:
            yield "link trace state", "", link.trace_state
            yield from _attributes("link attribute", link.attributes)
    elif isinstance(item, LogRecord):
        yield "body", "", item.body
        yield "event name", "", item.event_name
        yield "severity text", "", item.severity_text
        yield from _attributes("attribute", item.attributes)
    else:
        yield "instrument name", "", item.name
        yield "description", "", item.description
        yield "unit", "", item.unit
        yield from _attributes("metadata", item.metadata)
        for point in item.points:
            yield from _attributes("data point attribute", point.attributes)
            for exemplar in point.exemplars:
                yield from _attributes("exemplar attribute", exemplar.attributes)


def shared_places(item: Item) -> Places:
    """(place, key, value) of the resource and scope of an item."""
    yield from _attributes("resource attribute", item.resource.attributes)
    yield "resource schema url", "", item.resource.schema_url
    yield "scope name", "", item.scope.name
    yield "scope version", "", item.scope.version
    yield "scope schema url", "", item.scope.schema_url
    yield from _attributes("scope attribute", item.scope.attributes)


def _attributes(place: str, attributes: Attributes) -> Places:
    for key, value in attributes.pairs():
        yield f"{place} key", "", key
        yield place, key, value


def _signal(item: Item) -> str:
    return "traces" if isinstance(item, Span) else "logs" if isinstance(item, LogRecord) else "metrics"


def _in_bytes(path: str | Path, search: Search) -> Iterator[tuple[int, str]]:
    with open_stored(path) as stream:
        before = b""
        while chunk := stream.read(_CHUNK):
            for find in search.find(before + chunk):
                yield find.index, find.form
            before = chunk[-_OVERLAP:]
