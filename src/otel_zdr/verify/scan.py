"""Find content in stored OTLP: texts that are searched for, and keys that would not have survived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from otel_zdr.settings import Settings
from otel_zdr.verify.canary import Search
from otel_zdr.verify.cleaning import Cleaner, Removal
from otel_zdr.verify.otlp import (
    Attributes,
    Item,
    LogRecord,
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


def search_file(
    path: str | Path, search: Search, progress: Callable[[int], None] | None = None
) -> list[Leak]:
    """Every place of a file that holds one of the texts.

    `progress` is told the number of items read so far. Places that no item has (fields that OTLP does
    not define, what a broken file still holds) are found in the bytes and reported as such. Raises
    :class:`~otel_zdr.verify.otlp.OtlpError`.
    """
    leaks: dict[Leak, None] = {}
    found: set[int] = set()
    count = 0
    shared: tuple[Resource, Scope] | None = None
    for document in read_documents(path):
        for item in document_items(document):
            count += 1
            if progress is not None and count % 500 == 0:
                progress(count)
            signal = _signal(item)
            trace_id, span_id = (
                ("", "") if not isinstance(item, Span | LogRecord) else (item.trace_id, item.span_id)
            )
            for place, key, value in item_places(item):
                for find in search.find_in(value):
                    found.add(find.index)
                    shown = "" if search.find_in(key) else key
                    leaks[Leak(find.index + 1, find.form, signal, place, shown, trace_id, span_id)] = None
            if shared is not None and shared[0] is item.resource and shared[1] is item.scope:
                continue  # a resource and a scope are shared by many items: once is enough
            shared = (item.resource, item.scope)
            for place, key, value in shared_places(item):
                for find in search.find_in(value):
                    found.add(find.index)
                    shown = "" if search.find_in(key) else key
                    leaks[Leak(find.index + 1, find.form, signal, place, shown)] = None
    for find_index, form in _in_bytes(path, search):
        if find_index not in found:
            leaks[Leak(find_index + 1, form, "", "outside every known field", "")] = None
    return list(leaks)


def check_file(
    path: str | Path,
    settings: Settings,
    *,
    trust_marks: bool = True,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Removal], int]:
    """What of a file would not have survived under these settings, and how many items it holds.

    With `trust_marks` names, templates and frames of items that carry the SDK's mark pass, as the SDK
    had proven them. Raises :class:`~otel_zdr.verify.otlp.OtlpError`.
    """
    removals: list[Removal] = []
    cleaner = Cleaner(settings, trust_marks=trust_marks, report=removals.append)
    for document in read_documents(path):
        cleaner.clean(document)
        if progress is not None:
            progress(cleaner.items)
    return removals, cleaner.items


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
