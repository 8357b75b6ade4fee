"""Clean stored OTLP with the same core that cleans live telemetry.

A cleaned document is built anew from the fields that OTLP defines; nothing is copied that was not
looked at. What was removed is told place by place, so that ``otel-zdr scan`` can say which keys would
not have survived; so is what was not understood, whoever it belongs to, since a tenant's name may stand
in it. A file cannot prove anything: names, templates and frames of items that carry the
SDK's mark (``zdr.redacted``) stay only with `trust_marks`, for anyone can write an attribute.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from otel_zdr.policy import evidence
from otel_zdr.policy.decision import Policy
from otel_zdr.redaction import REMOVED, Redactor
from otel_zdr.redaction.frames import LINE
from otel_zdr.settings import Settings
from otel_zdr.verify import otlp_fields as fields
from otel_zdr.verify.otlp import METRIC_KINDS
from otel_zdr.verify.otlp_unread import LEVELS, Unread, unread
from otel_zdr.workspaces import NOBODY, UNIDENTIFIED, identify

_EVIDENCE = frozenset(
    {
        evidence.REDACTED,
        evidence.REMOVED,
        evidence.POLICY_VERSION,
        evidence.PRODUCT,
        evidence.COVERAGE,
        evidence.COVERAGE_REASON,
        evidence.FAILSAFE,
        "zdr.exception.fingerprint",
        "zdr.collector.redacted",
    }
)
_EVIDENCE_TEXT = re.compile(r"[A-Za-z0-9_.:+-]{1,128}")
_PRINTABLE = frozenset(string.printable) - frozenset("\t\n\r\x0b\x0c")
_STACKTRACE = "exception.stacktrace"
_FRAME_LINE = re.compile(LINE)
_MAX_TRACE = 32 * 1024
_FORCING_KEY = "workspace.zdr"
_SERVER_KINDS = ("server", "consumer")


@dataclass(frozen=True, slots=True)
class Removal:
    """One place that did not survive; holds nothing of its value.

    `key` is the attribute key, which may be content itself: show it only stripped and on request.
    `content_class` is "" where the catalogue has no word for it.
    """

    signal: str  # traces, logs or metrics
    place: str  # such as "attribute", "span name", "event attribute", "resource attribute"
    key: str
    content_class: str
    trace_id: str = ""
    span_id: str = ""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """One place that no reader looks at. `removed`: redaction leaves it out, as the item is under ZDR."""

    signal: str  # "" where it stands beside the signals
    unread: Unread
    removed: bool = True
    trace_id: str = ""
    span_id: str = ""


Report = Callable[[Removal], None]


class Cleaner:
    """Cleans export requests under one policy. Not thread-safe; one a file or one a run.

    `settings` decide who is under ZDR and what else is kept, as they do in a process. `report` is
    called for each value that is removed, `report_unread` for each that was not understood, `tick` with
    the number of items so far. `trust_marks`: see the module.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        trust_marks: bool = False,
        report: Report | None = None,
        report_unread: Callable[[NotUnderstood], None] | None = None,
        tick: Callable[[int], None] | None = None,
    ) -> None:
        self._policy = Policy.from_settings(settings)
        self._keys = settings.workspace_keys
        self._kept_keys = frozenset(settings.keep_keys) | frozenset(settings.workspace_keys)
        self._kept_names = frozenset(settings.keep_names)
        self._redactors: dict[tuple[frozenset[str], frozenset[str]], Redactor] = {}
        self._counts = settings.evidence == "counts"
        self._trust = trust_marks
        self._report = report
        self._report_unread = report_unread
        self._tick = tick
        self.items = 0
        self.redacted = 0
        self.removed: dict[str, int] = {}
        self.not_understood = 0

    def clean(self, document: fields.Document) -> fields.Document:
        """A new export request in which nothing of a workspace under ZDR is content."""
        cleaned: fields.Document = {}
        beside = self.count_unread("", unread("request", document))
        if beside:
            self.count({"free_text": beside})
        for signal, name in fields.SIGNALS.items():
            groups = fields.get(document, name)
            if isinstance(groups, list):
                cleaned[name] = [
                    _Group(self, signal, group).cleaned() for group in groups if isinstance(group, dict)
                ]
        return cleaned

    def count_unread(
        self,
        signal: str,
        found: Iterable[Unread],
        *,
        removed: bool = True,
        trace_id: str = "",
        span_id: str = "",
    ) -> int:
        """Tell what was not understood, and count what of it is removed."""
        count = 0
        for each in found:
            count += 1
            if self._report_unread is not None:
                self._report_unread(NotUnderstood(signal, each, removed, trace_id, span_id))
        if count and removed:
            self.not_understood += count
        return count

    def next_item(self) -> None:
        self.items += 1
        if self._tick is not None:
            self._tick(self.items)

    def redactor(self, workspaces: frozenset[str]) -> Redactor:
        keys = frozenset(self._policy.keep_keys_of(workspaces)) | self._kept_keys
        names = frozenset(self._policy.keep_names_of(workspaces)) | self._kept_names
        redactor = self._redactors.get((keys, names))
        if redactor is None:
            # Which modules this process has loaded says nothing of the one that wrote the file.
            redactor = Redactor(keep_keys=keys, keep_names=names, module_known=lambda name: False)
            self._redactors[keys, names] = redactor
        return redactor

    def named(self, attributes: Mapping[str, object]) -> frozenset[str]:
        found = NOBODY
        for key in self._keys:
            found |= identify(attributes.get(key))
        return found

    def is_under_zdr(self, workspaces: frozenset[str], resource: frozenset[str], alone: bool) -> bool:
        policy = self._policy
        if policy.decide(workspaces | resource) or policy.everything:
            return True
        # The resource identifies by itself only while no other workspace is seen beside it.
        return not (workspaces - {UNIDENTIFIED}) and not alone and policy.decide(())

    def is_hidden(self, found: Iterable[Unread]) -> bool:
        """Whether attributes are among what was not understood, and with them whose the item is."""
        return not self.nobody and any(each.in_attributes for each in found)

    @property
    def nobody(self) -> bool:
        """Whether nobody can be under ZDR."""
        return self._policy.nothing

    @property
    def trusts(self) -> bool:
        return self._trust

    @property
    def writes_counts(self) -> bool:
        return self._counts

    @property
    def version(self) -> str:
        return self._policy.version

    def count(self, removed: Mapping[str, int]) -> None:
        for content_class, count in removed.items():
            self.removed[content_class] = self.removed.get(content_class, 0) + count

    def tell(self, removal: Removal) -> None:
        if self._report is not None:
            self._report(removal)


class _Item:
    """What is removed of one item, and what its kept evidence says."""

    def __init__(self, group: _Group, redactor: Redactor, node: Any, marked: bool) -> None:
        self.group = group
        self.redactor = redactor
        self.removed: dict[str, int] = {}
        self.marked = marked
        self.trace_id = fields.read_id(fields.get(node, "traceId"), 16)
        self.span_id = fields.read_id(fields.get(node, "spanId"), 8)

    def tell(self, place: str, key: str, counts: Mapping[str, int]) -> None:
        cleaner = self.group.cleaner
        for content_class, count in counts.items():
            self.removed[content_class] = self.removed.get(content_class, 0) + count
        for content_class in counts:
            cleaner.tell(Removal(self.group.signal, place, key, content_class, self.trace_id, self.span_id))

    def leave_out(self, found: Iterable[Unread]) -> None:
        """Count what of a message was not understood: it is not copied."""
        cleaner = self.group.cleaner
        count = cleaner.count_unread(self.group.signal, found, trace_id=self.trace_id, span_id=self.span_id)
        if count:
            self.removed["free_text"] = self.removed.get("free_text", 0) + count

    def drop(self, place: str, content_class: str = "free_text") -> None:
        self.tell(place, "", {content_class: 1})

    def attributes(self, place: str, pairs: object, *, server: bool = False) -> dict[str, object]:
        read = fields.decode_attributes(pairs)
        clean: dict[str, object] = {}
        for key, value in read.items():
            if key == _STACKTRACE and self.marked and isinstance(value, str):
                kept: object = _frame_lines(value)
                if kept is not None:
                    clean[key] = kept
                    continue
            if key in _EVIDENCE:
                kept = _evidence(value)
                if kept is None:
                    self.tell(place, key, {"free_text": 1})
                elif self.marked:
                    clean[key] = kept
                continue
            counts: dict[str, int] = {}
            kept = self.redactor.attribute(key, value, counts, server)
            if kept is not REMOVED:
                clean[key] = kept
            if counts:
                self.tell(place, key, counts)
        for key, _ in read.repeated:
            self.tell(place, key, {"free_text": 1})
        return clean

    def name(self, place: str, name: str, change: Callable[[dict[str, int]], Any]) -> Any:
        counts: dict[str, int] = {}
        if self.marked and 2 <= len(name) <= 64 and _PRINTABLE.issuperset(name):
            return name  # a literal that the SDK had proven
        kept = change(counts)
        if counts:
            self.tell(place, "", counts)
        return kept

    def simple(self, place: str, change: Callable[[dict[str, int]], Any]) -> Any:
        counts: dict[str, int] = {}
        kept = change(counts)
        if counts:
            self.tell(place, "", counts)
        return kept

    def marks(self, clean: dict[str, object]) -> dict[str, object]:
        """The attributes with the evidence of what was removed, now and before."""
        cleaner = self.group.cleaner
        cleaner.redacted += 1
        cleaner.count(self.removed)
        counts = evidence.parse_removed(clean.pop(evidence.REMOVED, None))
        for content_class, count in self.removed.items():
            counts[content_class] = counts.get(content_class, 0) + count
        clean[evidence.REDACTED] = True
        if cleaner.writes_counts:
            if counts:
                clean[evidence.REMOVED] = list(evidence.render_removed(counts))
            clean.setdefault(evidence.POLICY_VERSION, cleaner.version)
        return clean


class _Group:
    """The items of one resource: they share it, and the strictest of them decides what stays of it."""

    def __init__(self, cleaner: Cleaner, signal: str, node: fields.Document) -> None:
        self.cleaner = cleaner
        self.signal = signal
        self.node = node
        self.resource = fields.get(node, "resource")
        read = fields.decode_attributes(fields.get(self.resource, "attributes"))
        self.named = cleaner.named(read)
        for key, value in read.repeated:
            if key in cleaner._keys:
                self.named |= identify(value)
        self.forced = not _is_explicit_false(read.get(_FORCING_KEY)) or self._hides_whose_it_is()
        self.any_under_zdr = self.forced or cleaner.is_under_zdr(NOBODY, self.named, True)
        self.any_marked = False
        self.parents = self._parents() if signal == "traces" else {}
        self.alone = self._is_alone()

    def cleaned(self) -> fields.Document:
        scopes_name, items_name, _ = LEVELS[self.signal]
        scopes = [self._scope(scope) for scope in fields.dicts(fields.get(self.node, scopes_name))]
        self.any_under_zdr = self.any_under_zdr or any(under for _, _, under, _ in scopes)
        if not self.any_under_zdr:
            return self.node  # what is not under ZDR passes as it is
        self.any_marked = any(marked for _, _, _, marked in scopes)
        cleaned: fields.Document = {}
        shared = _Item(self, self.cleaner.redactor(self.named), {}, self.any_marked and self.cleaner.trusts)
        cleaned["resource"] = {
            "attributes": fields.encode_attributes(
                shared.attributes("resource attribute", fields.get(self.resource, "attributes"))
            )
        }
        shared.leave_out(unread("resource group", self.node))
        _put(cleaned, "schemaUrl", self._schema(shared, self.node, True))
        cleaned[scopes_name] = [
            {**self._shared_scope(scope, under, marked), items_name: items}
            for scope, items, under, marked in scopes
        ]
        self.cleaner.count(shared.removed)
        return cleaned

    def _scope(self, scope: fields.Document) -> tuple[fields.Document, list[fields.Document], bool, bool]:
        items: list[fields.Document] = []
        any_under = any_marked = False
        _, items_name, kind = LEVELS[self.signal]
        for node in fields.dicts(fields.get(scope, items_name)):
            self.cleaner.next_item()
            odd = list(unread(kind, node))
            hidden = self.cleaner.is_hidden(odd)
            if self.signal == "metrics":
                kept, under = self._metric(node, odd, hidden)
                any_under = any_under or under
                if kept is not None:
                    items.append(kept)
                continue
            attributes = fields.decode_attributes(fields.get(node, "attributes"))
            workspaces = self._workspaces(attributes) | self._inherited(node)
            forced = self.forced or hidden
            if not (forced or self.cleaner.is_under_zdr(workspaces, self.named, self.alone)):
                items.append(node)
                continue
            any_under = True
            carries = attributes.get(evidence.REDACTED) is True
            any_marked = any_marked or carries
            item = _Item(
                self,
                self.cleaner.redactor(workspaces | self.named),
                node,
                carries and self.cleaner.trusts,
            )
            item.leave_out(odd)
            items.append(_span(item, node) if self.signal == "traces" else _log(item, node))
        return scope, items, any_under, any_marked

    def _shared_scope(self, scope: fields.Document, under: bool, marked: bool) -> fields.Document:
        node = fields.get(scope, "scope")
        item = _Item(self, self.cleaner.redactor(self.named), {}, marked and self.cleaner.trusts)
        cleaned: fields.Document = {}
        # What stands beside the items is left out in any case: this is made anew.
        whole = under or (self.signal == "metrics" and self.any_under_zdr)
        item.leave_out(each for each in unread("scope group", scope) if whole or each.place == "scope group")
        if not whole:
            if node is not None:
                cleaned["scope"] = node
            _put(cleaned, "schemaUrl", self._schema(item, scope, False))
            self.cleaner.count(item.removed)
            return cleaned
        name = fields.as_text(fields.get(node, "name"))
        version = fields.as_text(fields.get(node, "version"))
        new: fields.Document = {}
        _put(new, "name", item.name("scope name", name, lambda c: item.redactor.scope_name(name, c)))
        _put(
            new,
            "version",
            item.simple("scope version", lambda c: item.redactor.token(version, c, "free_text")),
        )
        new["attributes"] = fields.encode_attributes(
            item.attributes("scope attribute", fields.get(node, "attributes"))
        )
        cleaned["scope"] = new
        _put(cleaned, "schemaUrl", self._schema(item, scope, True))
        self.cleaner.count(item.removed)
        return cleaned

    def _schema(self, item: _Item, node: fields.Document, under: bool) -> str:
        url = fields.as_text(fields.get(node, "schemaUrl"))
        if not under:
            return url
        kept: str | None = item.simple("schema url", lambda c: item.redactor.schema_url(url, c))
        return kept or ""

    # --- who an item is for

    def _hides_whose_it_is(self) -> bool:
        """Whether what is not understood may name a workspace: the strictest holds, then."""
        scopes = fields.dicts(fields.get(self.node, LEVELS[self.signal][0]))
        found = [*unread("resource group", self.node)]
        for scope in scopes:
            found += unread("scope group", scope)
        # A field that OTLP has not names nobody; a list of items that is none may hold anybody's.
        return self.cleaner.is_hidden(found) or (
            not self.cleaner.nobody and any(each.expected and each.place.endswith(" group") for each in found)
        )

    def _workspaces(self, attributes: fields.Attributes) -> frozenset[str]:
        found = self.cleaner.named(attributes)
        for key, value in attributes.repeated:
            if key in self.cleaner._keys:
                found |= identify(value)
        return found

    def _nodes(self) -> Iterator[fields.Document]:
        if self.signal != "metrics":
            scopes, items, _ = LEVELS[self.signal]
            for scope in fields.dicts(fields.get(self.node, scopes)):
                yield from fields.dicts(fields.get(scope, items))

    def _parents(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Spans of this resource by id: (id of the parent, workspaces that its attributes name)."""
        return {
            fields.read_id(fields.get(node, "spanId"), 8): (
                fields.read_id(fields.get(node, "parentSpanId"), 8),
                self._workspaces(fields.decode_attributes(fields.get(node, "attributes"))),
            )
            for node in self._nodes()
        }

    def _inherited(self, node: fields.Document) -> frozenset[str]:
        found = NOBODY
        above = fields.read_id(fields.get(node, "parentSpanId"), 8)
        seen: set[str] = set()
        while above and above in self.parents and above not in seen:
            seen.add(above)
            above, named = self.parents[above]
            found |= named
        return found

    def _is_alone(self) -> bool:
        return all(
            self._workspaces(fields.decode_attributes(fields.get(node, "attributes"))) <= self.named
            for node in self._nodes()
        )

    # --- metrics

    def _metric(
        self, node: fields.Document, odd: list[Unread], hidden: bool
    ) -> tuple[fields.Document | None, bool]:
        name = fields.as_text(fields.get(node, "name"))
        data_name = next((kind for kind in METRIC_KINDS if isinstance(fields.get(node, kind), dict)), "")
        data = fields.get(node, data_name)
        kept: list[fields.Document] = []
        under = hidden
        item = _Item(self, self.cleaner.redactor(self.named), {}, False)
        dropped = 0
        points = list(fields.dicts(fields.get(data, "dataPoints")))
        if not points and self.any_under_zdr:
            under = True
            if name and not (item.redactor.knows_instrument(name) or name.startswith("zdr.")):
                item.drop("instrument name")
            if fields.as_text(fields.get(node, "description")):
                item.drop("description")
        for point in points:
            attributes = fields.decode_attributes(fields.get(point, "attributes"))
            workspaces = self._workspaces(attributes)
            forced = self.forced or hidden
            if not (forced or self.cleaner.is_under_zdr(workspaces, self.named, self.alone)):
                kept.append(point)
                continue
            under = True
            item.redactor = self.cleaner.redactor(workspaces | self.named)
            if not (item.redactor.knows_instrument(name) or name.startswith("zdr.")):
                dropped += 1
                continue
            kept.append(_point(item, name, point, attributes))
        if dropped:
            item.drop("measurements of an unknown instrument")
        if under or self.any_under_zdr:
            item.leave_out(odd)
        if under:
            self.cleaner.redacted += 1
        if not kept:
            self.cleaner.count(item.removed)
            return None, under
        metric: fields.Document = {"name": name}
        if under or self.any_under_zdr:
            if fields.as_text(fields.get(node, "description")):
                item.drop("description")
            unit = fields.as_text(fields.get(node, "unit"))
            _put(metric, "unit", item.simple("unit", lambda c: _unit(item.redactor, unit, c)))
            metadata = item.attributes("metadata", fields.get(node, "metadata"))
            if metadata:
                metric["metadata"] = fields.encode_attributes(metadata)
        else:
            for field in ("description", "unit", "metadata"):
                _put(metric, field, fields.get(node, field))
        metric[data_name] = {
            **_numbers(data, ("aggregationTemporality", "isMonotonic")),
            "dataPoints": _merged(data_name, data, kept) if under else kept,
        }
        self.cleaner.count(item.removed)
        return metric, under


# --- items --------------------------------------------------------------------------------------


def _span(item: _Item, node: fields.Document) -> fields.Document:
    kind = fields.read_kind(fields.get(node, "kind"))
    clean = item.attributes("attribute", fields.get(node, "attributes"), server=kind in _SERVER_KINDS)
    name = fields.as_text(fields.get(node, "name"))
    span: fields.Document = {
        **_ids(node),
        **_numbers(
            node,
            (
                "flags",
                "startTimeUnixNano",
                "endTimeUnixNano",
                "droppedAttributesCount",
                "droppedEventsCount",
                "droppedLinksCount",
            ),
        ),
        "name": item.name("span name", name, lambda c: item.redactor.span_name(name, kind, clean, c)),
        "kind": fields.KINDS.index(kind),
    }
    _put(span, "traceState", _trace_state(item, "trace state", fields.get(node, "traceState")))
    span["events"] = [_event(item, event) for event in fields.dicts(fields.get(node, "events"))]
    span["links"] = [_link(item, link) for link in fields.dicts(fields.get(node, "links"))]
    status = fields.get(node, "status")
    code = fields.read_status(fields.get(status, "code"))
    if fields.as_text(fields.get(status, "message")):
        item.drop("status message", "error_text")
    span["status"] = {"code": fields.STATUS.index(code)} if code != "unset" else {}
    span["attributes"] = fields.encode_attributes(item.marks(clean))
    return span


def _event(item: _Item, node: fields.Document) -> fields.Document:
    name = fields.as_text(fields.get(node, "name"))
    return {
        **_numbers(node, ("timeUnixNano", "droppedAttributesCount")),
        "name": item.name("event name", name, lambda c: item.redactor.event_name(name, c)),
        "attributes": fields.encode_attributes(
            item.attributes("event attribute", fields.get(node, "attributes"))
        ),
    }


def _link(item: _Item, node: fields.Document) -> fields.Document:
    link: fields.Document = {
        **_ids(node),
        **_numbers(node, ("flags", "droppedAttributesCount")),
        "attributes": fields.encode_attributes(
            item.attributes("link attribute", fields.get(node, "attributes"))
        ),
    }
    _put(link, "traceState", _trace_state(item, "link trace state", fields.get(node, "traceState")))
    return link


def _log(item: _Item, node: fields.Document) -> fields.Document:
    redactor = item.redactor
    clean = item.attributes("attribute", fields.get(node, "attributes"))
    record: fields.Document = {
        **_ids(node),
        **_numbers(
            node,
            ("timeUnixNano", "observedTimeUnixNano", "flags", "droppedAttributesCount"),
        ),
        "severityNumber": fields.read_severity(fields.get(node, "severityNumber")),
    }
    severity = fields.as_text(fields.get(node, "severityText"))
    if severity:
        _put(
            record,
            "severityText",
            item.simple("severity text", lambda c: redactor.severity_text(severity, c)),
        )
    name = fields.as_text(fields.get(node, "eventName"))
    if name:
        kept = item.name("event name", name, lambda c: redactor.log_event_name(name, c))
        _put(record, "eventName", kept)
    body = fields.decode_value(fields.get(node, "body"))
    if isinstance(body, str) and body and item.marked and len(body) <= 200 and _PRINTABLE.issuperset(body):
        record["body"] = {"stringValue": body}  # a template that the SDK had proven
    elif body not in (None, ""):
        kept = item.simple("body", lambda c: redactor.body(body, name or None, c))
        if kept is not None:
            record["body"] = fields.encode_value(kept)
    record["attributes"] = fields.encode_attributes(item.marks(clean))
    return record


def _point(
    item: _Item, instrument: str, node: fields.Document, attributes: fields.Attributes
) -> fields.Document:
    counts: dict[str, int] = {}
    clean = item.redactor.measurement_attributes(attributes, counts, instrument)
    if instrument.startswith("zdr."):
        clean |= {
            key: value
            for key, value in attributes.items()
            if key in evidence.METRIC_ATTRIBUTES and _evidence(value) is not None
        }
        counts = {}
    if counts:
        item.tell("data point attribute", "", counts)
    point = _numbers(
        node,
        (
            "startTimeUnixNano",
            "timeUnixNano",
            "asInt",
            "asDouble",
            "flags",
            "count",
            "sum",
            "min",
            "max",
            "scale",
            "zeroCount",
            "zeroThreshold",
        ),
    )
    for field in ("bucketCounts", "explicitBounds"):
        values = fields.get(node, field)
        if isinstance(values, list):
            point[field] = [value for value in values if fields.number(value) is not None]
    for field in ("positive", "negative"):
        buckets = fields.get(node, field)
        if isinstance(buckets, dict):
            point[field] = {
                **_numbers(buckets, ("offset",)),
                "bucketCounts": [
                    value
                    for value in fields.members(fields.get(buckets, "bucketCounts"))
                    if fields.number(value) is not None
                ],
            }
    quantiles = fields.get(node, "quantileValues")
    if isinstance(quantiles, list):
        point["quantileValues"] = [_numbers(q, ("quantile", "value")) for q in fields.dicts(quantiles)]
    exemplars = [
        {
            **_ids(exemplar),
            **_numbers(exemplar, ("timeUnixNano", "asInt", "asDouble")),
            "filteredAttributes": fields.encode_attributes(
                item.attributes("exemplar attribute", fields.get(exemplar, "filteredAttributes"))
            ),
        }
        for exemplar in fields.dicts(fields.get(node, "exemplars"))
    ]
    if exemplars:
        point["exemplars"] = exemplars
    point["attributes"] = fields.encode_attributes(clean)
    return point


def _merged(kind: str, data: fields.Document, points: list[fields.Document]) -> list[fields.Document]:
    """Points of one metric whose attributes became the same, as one: OTLP allows no two of them."""
    merged: dict[str, fields.Document] = {}
    for point in points:
        key = repr((sorted(map(repr, point.get("attributes") or ())), point.get("timeUnixNano")))
        first = merged.get(key)
        if first is None:
            merged[key] = point
        elif kind == "sum":
            field = "asInt" if "asInt" in first and "asInt" in point else "asDouble"
            total = (_value(first) or 0) + (_value(point) or 0)
            first.pop("asInt", None)
            first[field] = str(int(total)) if field == "asInt" else float(total)
        elif kind == "histogram" and first.get("explicitBounds") == point.get("explicitBounds"):
            first["count"] = str(
                (fields.integer(first.get("count"), 0)) + fields.integer(point.get("count"), 0)
            )
            first["sum"] = (fields.number(first.get("sum")) or 0) + (fields.number(point.get("sum")) or 0)
            first["bucketCounts"] = [
                str(fields.integer(one, 0) + fields.integer(other, 0))
                for one, other in zip(
                    first.get("bucketCounts") or (), point.get("bucketCounts") or (), strict=False
                )
            ]
            for field, choose in (("min", min), ("max", max)):
                values = [fields.number(each[field]) or 0 for each in (first, point) if field in each]
                if values:
                    first[field] = choose(values)
        elif kind == "gauge":
            merged[key] = point  # the last value
    return list(merged.values())


def _value(point: fields.Document) -> float | int | None:
    return fields.integer(point["asInt"], 0) if "asInt" in point else fields.number(point.get("asDouble"))


# --- fields -------------------------------------------------------------------------------------


def _ids(node: fields.Document) -> fields.Document:
    ids = {
        name: fields.read_id(fields.get(node, name), size)
        for name, size in (("traceId", 16), ("spanId", 8), ("parentSpanId", 8))
    }
    return {name: value for name, value in ids.items() if value}


def _numbers(node: object, names: tuple[str, ...]) -> fields.Document:
    kept: fields.Document = {}
    for name in names:
        value = fields.get(node, name)
        if type(value) is bool:
            if name == "isMonotonic":
                kept[name] = value
        elif fields.number(value) is not None:
            kept[name] = value
        elif value in _TEMPORALITIES:
            kept[name] = _TEMPORALITIES.index(value)
    return kept


_TEMPORALITIES = (
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
)


def _put(node: fields.Document, name: str, value: object) -> None:
    if value not in (None, "", []):
        node[name] = value


def _trace_state(item: _Item, place: str, value: object) -> str:
    text = fields.as_text(value)
    if not text:
        return ""
    pairs = [tuple(member.strip().partition("=")[::2]) for member in text.split(",")[:64]]
    kept = item.simple(place, lambda c: item.redactor.trace_state(pairs, c))
    return ",".join(f"{key}={content}" for key, content in kept)


def _frame_lines(text: str) -> str | None:
    if len(text) > _MAX_TRACE:
        return None
    lines = text.split("\n")
    return text if all(_FRAME_LINE.fullmatch(line) for line in lines) else None


def _evidence(value: object) -> object:
    """A value as evidence has it, None if it is something else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if _EVIDENCE_TEXT.fullmatch(value) else None
    if isinstance(value, list) and len(value) <= 64:
        return value if all(isinstance(v, str) and _EVIDENCE_TEXT.fullmatch(v) for v in value) else None
    return None


def _unit(redactor: Redactor, unit: str, removed: dict[str, int]) -> str | None:
    # UCUM annotations: `{token}`, which is no token by itself.
    inner = unit[1:-1] if unit[:1] == "{" and unit[-1:] == "}" else unit
    kept = redactor.token(inner, removed, "free_text")
    return None if kept is None else unit


def _is_explicit_false(value: object) -> bool:
    return value is None or value is False or (isinstance(value, str) and value.strip().lower() == "false")
