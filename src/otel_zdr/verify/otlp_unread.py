"""What of a document no reader looks at: fields that OTLP has not, and values of a wrong type.

:mod:`otel_zdr.verify.otlp` reads such a value as absent, and the cleaner drops it, which is right and says
nothing. A file is only clean if there is none of it: content may stand there as well as anywhere.
The tables say what the readers understand, which is what OTLP 1.8 defines but for profiles and string tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from otel_zdr.verify import otlp_fields as fields
from otel_zdr.verify.otlp_fields import Document, Overfull

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_TOKEN = re.compile(r"[A-Za-z0-9._:/@+-]{1,128}")
_NAMELESS = "(a name that is none of OTLP)"


@dataclass(frozen=True, slots=True)
class Unread:
    """One place that was not understood; holds nothing of its value.

    Attributes:
        place: the message, such as ``span`` or ``span event``.
        field: the field in it. A name that does not look like one of OTLP is not repeated: it may be content.
        found: the kind of value that stands there.
        expected: the kind that OTLP has there; "" where OTLP has no such field.
        carried: whether a copy of the message still holds it.
    """

    place: str
    field: str
    found: str
    expected: str = ""
    carried: bool = True

    @property
    def in_attributes(self) -> bool:
        """Whether it is a part of attributes, which say whose an item is."""
        return self.field == "attributes" or self.place.endswith(" attributes")

    def __str__(self) -> str:
        if not self.expected:
            return f"{self.place}: {self.field}, {self.found}, outside every known field"
        return f"{self.place}: {self.field} is {self.found}, expected {self.expected}"


def unread(kind: str, node: object) -> Iterator[Unread]:
    """What of a message is not understood; `kind` is one of those below.

    Items are left to their own call: of ``request``, ``resource group`` and ``scope group`` only what
    stands beside the next level, of all other kinds everything below.
    """
    if kind == "attributes":
        yield from _attributes("", "attributes", node, 0)
    else:
        yield from _message(kind, kind, node)


def document_unread(document: Document) -> Iterator[Unread]:
    """What of an export request is not understood, at every level."""
    yield from unread("request", document)
    for signal, resources in fields.SIGNALS.items():
        scopes, items, item = LEVELS[signal]
        for group in fields.dicts(fields.get(document, resources)):
            yield from unread("resource group", group)
            for scoped in fields.dicts(fields.get(group, scopes)):
                yield from unread("scope group", scoped)
                for node in fields.dicts(fields.get(scoped, items)):
                    yield from unread(item, node)


LEVELS = {
    "traces": ("scopeSpans", "spans", "span"),
    "logs": ("scopeLogs", "logRecords", "log record"),
    "metrics": ("scopeMetrics", "metrics", "metric"),
}
"""By signal: the name of the scopes of a resource, of the items of a scope, and the kind of an item."""


# --- what there is ------------------------------------------------------------------------------

Check = Callable[[str, str, object], Iterator[Unread]]
"""(place, field, value) to what of the value is not understood."""


def _leaf(expected: str, understood: Callable[[object], bool]) -> Check:
    def check(place: str, field: str, value: object) -> Iterator[Unread]:
        if not understood(value):
            yield Unread(place, field, _kind(value), expected)

    return check


def _one(kind: str) -> Check:
    def check(place: str, field: str, value: object) -> Iterator[Unread]:
        if not isinstance(value, dict):
            yield Unread(place, field, _kind(value), "an object")
        else:
            yield from _message(kind, kind, value)

    return check


def _many(kind: str | None) -> Check:
    """A list of messages; without a kind they are looked into by whoever walks over them."""

    def check(place: str, field: str, value: object) -> Iterator[Unread]:
        if not isinstance(value, list):
            yield Unread(place, field, _kind(value), "a list")
            return
        for member in value:
            if not isinstance(member, dict):
                yield Unread(place, field, f"a list with {_kind(member)}", "a list of objects")
            elif kind is not None:
                yield from _message(kind, kind, member)

    return check


def _numbers(place: str, field: str, value: object) -> Iterator[Unread]:
    if not isinstance(value, list):
        yield Unread(place, field, _kind(value), "a list")
        return
    for member in value:
        if not _is_number(member):
            yield Unread(place, field, f"a list with {_kind(member)}", "a list of numbers")


def _is_number(value: object) -> bool:
    return fields.number(value) is not None


def _is_whole(value: object) -> bool:
    return fields.integer(value, None) is not None


def _is_token(value: object) -> bool:
    return isinstance(value, str) and (not value or _TOKEN.fullmatch(value) is not None)


def _is_id(size: int) -> Callable[[object], bool]:
    def understood(value: object) -> bool:
        return value == "" or fields.read_id(value, size) != ""

    return understood


def _is_enum(prefix: str, names: tuple[str, ...]) -> Callable[[object], bool]:
    known = frozenset(prefix + name.upper() for name in names) | frozenset(names)

    def understood(value: object) -> bool:
        return value in known if isinstance(value, str) and not value.isdecimal() else _is_whole(value)

    return understood


_TEXT = _leaf("text", lambda value: isinstance(value, str))
_NUMBER = _leaf("a number", _is_number)
_WHOLE = _leaf("a whole number", _is_whole)
_BOOL = _leaf("a bool", lambda value: isinstance(value, bool))
_TRACE_ID = _leaf("an id of 16 bytes", _is_id(16))
_SPAN_ID = _leaf("an id of 8 bytes", _is_id(8))
_TOKENS = _leaf(
    "a list of tokens", lambda value: isinstance(value, list) and all(_is_token(member) for member in value)
)
_SEVERITY = _leaf(
    "a severity",
    lambda value: (
        (
            isinstance(value, str)
            and (value == "SEVERITY_NUMBER_UNSPECIFIED" or fields.read_severity(value) > 0)
        )
        or _is_whole(value)
    ),
)
_TEMPORALITY = _leaf(
    "a temporality", _is_enum("AGGREGATION_TEMPORALITY_", ("unspecified", "delta", "cumulative"))
)


def _any_value(place: str, field: str, value: object) -> Iterator[Unread]:
    yield from _value(place, field, value, 0)


def _pairs(place: str, field: str, value: object) -> Iterator[Unread]:
    yield from _attributes(place, field, value, 0)


_TIMES: Mapping[str, Check] = {"startTimeUnixNano": _WHOLE, "timeUnixNano": _WHOLE, "flags": _WHOLE}
_POINT: Mapping[str, Check] = {
    **_TIMES,
    "attributes": _pairs,
    "exemplars": _many("exemplar"),
    **dict.fromkeys(("asInt", "count", "zeroCount", "scale"), _WHOLE),
    **dict.fromkeys(("asDouble", "sum", "min", "max", "zeroThreshold"), _NUMBER),
    "bucketCounts": _numbers,
    "explicitBounds": _numbers,
    "positive": _one("buckets"),
    "negative": _one("buckets"),
    "quantileValues": _many("quantile"),
}
_DATA: Mapping[str, Check] = {
    "dataPoints": _many("data point"),
    "aggregationTemporality": _TEMPORALITY,
    "isMonotonic": _BOOL,
}
_DATA_KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")

_MESSAGES: Mapping[str, Mapping[str, Check]] = {
    "request": dict.fromkeys(fields.SIGNALS.values(), _many(None)),
    "resource group": {
        "resource": _one("resource"),
        "schemaUrl": _TEXT,
        **{scopes: _many(None) for scopes, _, _ in LEVELS.values()},
    },
    "scope group": {
        "scope": _one("scope"),
        "schemaUrl": _TEXT,
        **{items: _many(None) for _, items, _ in LEVELS.values()},
    },
    "resource": {
        "attributes": _pairs,
        "droppedAttributesCount": _WHOLE,
        "entityRefs": _many("entity reference"),
    },
    # Nobody reads these, and redaction leaves them out: no finding while they can be names alone.
    "entity reference": {
        "schemaUrl": _leaf("a token", _is_token),
        "type": _leaf("a token", _is_token),
        "idKeys": _TOKENS,
        "descriptionKeys": _TOKENS,
    },
    "scope": {"name": _TEXT, "version": _TEXT, "attributes": _pairs, "droppedAttributesCount": _WHOLE},
    "span": {
        "traceId": _TRACE_ID,
        "spanId": _SPAN_ID,
        "parentSpanId": _SPAN_ID,
        "traceState": _TEXT,
        "name": _TEXT,
        "kind": _leaf("a kind of span", _is_enum("SPAN_KIND_", fields.KINDS)),
        "startTimeUnixNano": _WHOLE,
        "endTimeUnixNano": _WHOLE,
        "flags": _WHOLE,
        "attributes": _pairs,
        "events": _many("span event"),
        "links": _many("span link"),
        "status": _one("span status"),
        **dict.fromkeys(("droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"), _WHOLE),
    },
    "span event": {
        "name": _TEXT,
        "timeUnixNano": _WHOLE,
        "attributes": _pairs,
        "droppedAttributesCount": _WHOLE,
    },
    "span link": {
        "traceId": _TRACE_ID,
        "spanId": _SPAN_ID,
        "traceState": _TEXT,
        "attributes": _pairs,
        "droppedAttributesCount": _WHOLE,
        "flags": _WHOLE,
    },
    "span status": {
        "code": _leaf("a status code", _is_enum("STATUS_CODE_", fields.STATUS)),
        "message": _TEXT,
    },
    "log record": {
        "traceId": _TRACE_ID,
        "spanId": _SPAN_ID,
        "timeUnixNano": _WHOLE,
        "observedTimeUnixNano": _WHOLE,
        "severityNumber": _SEVERITY,
        "severityText": _TEXT,
        "eventName": _TEXT,
        "body": _any_value,
        "attributes": _pairs,
        "droppedAttributesCount": _WHOLE,
        "flags": _WHOLE,
    },
    "metric": {
        "name": _TEXT,
        "description": _TEXT,
        "unit": _TEXT,
        "metadata": _pairs,
        **dict.fromkeys(_DATA_KINDS, _one("metric data")),
    },
    "metric data": _DATA,
    "data point": _POINT,
    "buckets": {"offset": _WHOLE, "bucketCounts": _numbers},
    "quantile": {"quantile": _NUMBER, "value": _NUMBER},
    "exemplar": {
        "filteredAttributes": _pairs,
        "timeUnixNano": _WHOLE,
        "asInt": _WHOLE,
        "asDouble": _NUMBER,
        "traceId": _TRACE_ID,
        "spanId": _SPAN_ID,
    },
}


# --- the walk -----------------------------------------------------------------------------------


def _message(kind: str, place: str, node: object) -> Iterator[Unread]:
    if not isinstance(node, dict):
        return
    known = _MESSAGES[kind]
    if kind == "metric":
        yield from _second_data(place, node)
    for name, value in node.items():
        spelt = name if name in known else _camel(name)
        check = known.get(spelt)
        if check is None:
            yield _unknown(place, name, value)
        elif _is_empty(value):
            continue
        elif spelt != name and node.get(spelt) is not None:
            yield Unread(place, _named(name), f"{_kind(value)} beside {spelt}")
        else:
            yield from check(place, spelt, value)
    yield from _beside(place, node)


def _second_data(place: str, node: Document) -> Iterator[Unread]:
    given = [kind for kind in _DATA_KINDS if isinstance(fields.get(node, kind), dict)]
    for kind in given[1:]:
        yield Unread(place, kind, f"an object beside {given[0]}")


def _beside(place: str, node: Document) -> Iterator[Unread]:
    if isinstance(node, Overfull):
        for name, value in node.beside:
            yield replace(_unknown(place, name, value), carried=False)


def _unknown(place: str, name: object, value: object) -> Unread:
    if isinstance(name, str) and name[:1] == "#":
        return Unread(place, f"field {name[1:]} of protobuf", "a value")
    return Unread(place, _named(name), _kind(value))


def _attributes(place: str, field: str, value: object, depth: int) -> Iterator[Unread]:
    if not isinstance(value, list):
        yield Unread(place, field, _kind(value), "a list of keys and values")
        return
    for pair in value:
        if type(pair) is dict and len(pair) == 2 and type(pair.get("key")) is str:
            inner = pair.get("value")
            # By far the most attributes are these.
            if type(inner) is dict and len(inner) == 1 and type(inner.get("stringValue")) is str:
                continue
            if inner is not None:
                yield from _value(place, field, inner, depth)
                continue
        if not isinstance(pair, dict):
            yield Unread(place, field, f"a list with {_kind(pair)}", "a list of keys and values")
            continue
        if not isinstance(pair.get("key", ""), str):
            yield Unread(
                place, field, f"a list with a key that is {_kind(pair['key'])}", "a key that is text"
            )
        for name, inner in pair.items():
            if name not in ("key", "value"):
                yield _unknown(f"{place} {field}", name, inner)
        if pair.get("value") is not None:
            yield from _value(place, field, pair["value"], depth)
        yield from _beside(f"{place} {field}", pair)


def _value(place: str, field: str, value: object, depth: int) -> Iterator[Unread]:
    if not isinstance(value, dict):
        yield Unread(place, field, f"{_kind(value)} as a value", "an object such as stringValue")
        return
    if depth > fields.MAX_DEPTH:
        yield Unread(place, field, f"nested deeper than {fields.MAX_DEPTH}", "less")
        return
    read = False
    for name, content in value.items():
        kind = fields.VALUE_FIELDS.get(name) if isinstance(name, str) else None
        if kind is None or (read and content is not None):
            yield _unknown(f"{place} {field}", name, content)
            continue
        if content is None:
            continue
        read = True
        if kind in ("array", "map"):
            yield from _container(place, field, kind, content, depth)
        elif not _VALUES[kind](content):
            yield Unread(f"{place} {field}", name, _kind(content), _EXPECTED[kind])
    yield from _beside(f"{place} {field}", value)


def _container(place: str, field: str, kind: str, content: object, depth: int) -> Iterator[Unread]:
    if not isinstance(content, dict):
        yield Unread(place, field, f"{_kind(content)} as a value", f"{_EXPECTED[kind]} with values")
        return
    for name, members in content.items():
        if name != "values":
            yield _unknown(f"{place} {field}", name, members)
        elif members is None:
            continue
        elif not isinstance(members, list):
            yield Unread(f"{place} {field}", "values", _kind(members), "a list")
        elif kind == "map":
            yield from _attributes(place, field, members, depth + 1)
        else:
            for member in members:
                yield from _value(place, field, member, depth + 1)
    yield from _beside(f"{place} {field}", content)


_VALUES: Mapping[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "bytes": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": _is_whole,
    "double": _is_number,
}
_EXPECTED = {
    "string": "text",
    "bytes": "base64",
    "bool": "a bool",
    "int": "a whole number",
    "double": "a number",
    "array": "an object",
    "map": "an object",
}


def _is_empty(value: object) -> bool:
    """Whether a value of whatever type holds nothing."""
    return value is None or (
        isinstance(value, (str, list, dict)) and not value and type(value) is not Overfull
    )


def _named(name: object) -> str:
    return name if isinstance(name, str) and _FIELD_NAME.fullmatch(name) else _NAMELESS


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a bool"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
