"""What a stored trace says after redaction, as plain data: for people and for machines.

Shows names, durations, usage, error types, frames and the evidence of each item. Values of other
attributes are not read: the file may as well be one that nobody has redacted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from otel_zdr import catalogue
from otel_zdr.policy import evidence
from otel_zdr.redaction.frames import LINE
from otel_zdr.verify.otlp import Item, LogRecord, Span

_LINE = re.compile(LINE)
_MAX_LINES = 400
_FINGERPRINT = "zdr.exception.fingerprint"
_STATUS_CODES = ("http.response.status_code", "http.status_code", "rpc.grpc.status_code")
_WORDS = re.compile(r"[_-]+")

#: How a content class is called by a person: one, many.
CLASS_WORDS: dict[str, tuple[str, str]] = {
    "prompt": ("prompt", "prompts"),
    "completion": ("answer of a model", "answers of a model"),
    "system_instructions": ("text of system instructions", "texts of system instructions"),
    "tool_definition": ("definition of a tool", "definitions of tools"),
    "tool_arguments": ("set of arguments to a tool", "sets of arguments to tools"),
    "tool_result": ("result of a tool", "results of tools"),
    "audio": ("piece of audio", "pieces of audio"),
    "transcript": ("transcript", "transcripts"),
    "tts_text": ("text to be spoken", "texts to be spoken"),
    "embedding_input": ("text to be embedded", "texts to be embedded"),
    "document": ("document", "documents"),
    "media": ("piece of media", "pieces of media"),
    "voice_sample": ("voice sample", "voice samples"),
    "voice_description": ("description of a voice", "descriptions of voices"),
    "error_text": ("error message (may quote content)", "error messages (may quote content)"),
    "free_text": ("value not known to be metadata", "values not known to be metadata"),
    "url": ("address with path or query", "addresses with path or query"),
    "db_text": ("database statement", "database statements"),
    "derived": ("value inferred from content", "values inferred from content"),
    "caller": ("value that an outside caller fills in", "values that an outside caller fills in"),
    "identifier": ("identifier of a user, session or device", "identifiers of users, sessions or devices"),
}

_COVERAGE_WORDS = {
    "covered": "the specification promises Zero Data Retention for this request",
    "not_covered": "the specification makes no promise for this request",
    "unknown": "the specification says nothing of this kind of request",
}


@dataclass(slots=True)
class Failure:
    """An exception: its type, where it happened, and the hash that groups it with others like it."""

    type: str
    fingerprint: str
    frames: list[str]
    text_hidden: bool  # a stack trace that is not of frames only: it is not shown


@dataclass(slots=True)
class Explained:
    """One span or log record."""

    kind: str  # "span" or "log record"
    name: str
    trace_id: str
    span_id: str
    parent_span_id: str = ""
    span_kind: str = ""
    start: int = 0  # ns since the epoch
    seconds: float = 0.0
    status: str = ""
    severity: str = ""
    model: str = ""
    usage: dict[str, float | int | str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)  # error.type, HTTP status, ids for a support ticket
    failures: list[Failure] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    redacted: bool = False
    failsafe: bool = False
    collector: bool = False
    removed: dict[str, int] = field(default_factory=dict)
    policy_version: str = ""
    product: str = ""
    coverage: str = ""
    coverage_reason: str = ""
    why: list[str] = field(default_factory=list)  # the evidence in words, one sentence each
    children: list[Explained] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Without its children, which :func:`trees` nests."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "children"}
        values["failures"] = [asdict(failure) for failure in self.failures]
        return values


@dataclass(slots=True)
class Trace:
    """A trace: its outermost items in order of time, each with its children."""

    trace_id: str  # "" for log records of no trace
    roots: list[Explained]
    spans: int
    logs: int
    seconds: float

    @property
    def policies(self) -> list[str]:
        return sorted({item.policy_version for item in walk(self.roots) if item.policy_version})


def explain(items: Iterable[Item], trace_id: str = "") -> list[Trace]:
    """The traces of a file in order of time; only those whose id begins with `trace_id`.

    Spans whose parent is not in the file, or is their own descendant, are outermost.
    """
    by_trace: dict[str, list[Explained]] = {}
    for item in items:
        if isinstance(item, Span):
            explained = _span(item)
        elif isinstance(item, LogRecord):
            explained = _log(item)
        else:
            continue
        if explained.trace_id.startswith(trace_id.lower()):
            by_trace.setdefault(explained.trace_id, []).append(explained)
    traces = [_trace(identity, members) for identity, members in by_trace.items()]
    return sorted(traces, key=lambda trace: (not trace.trace_id, trace.roots[0].start))


def walk(roots: Iterable[Explained]) -> Iterable[Explained]:
    """Every item, parents before children."""
    pending = list(roots)[::-1]
    while pending:
        item = pending.pop()
        yield item
        pending += reversed(item.children)


def as_json(trace: Trace) -> dict[str, Any]:
    """A trace for machines: items in the order of the tree, each with its depth."""
    items = []
    pending = [(root, 0) for root in reversed(trace.roots)]
    while pending:
        item, depth = pending.pop()
        items.append({"depth": depth, **item.as_dict()})
        pending += [(child, depth + 1) for child in reversed(item.children)]
    return {
        "trace_id": trace.trace_id,
        "spans": trace.spans,
        "log_records": trace.logs,
        "seconds": trace.seconds,
        "policy_versions": trace.policies,
        "items": items,
    }


def _trace(trace_id: str, members: list[Explained]) -> Trace:
    spans: dict[str, Explained] = {}
    for item in members:
        if item.kind == "span" and item.span_id:
            spans.setdefault(item.span_id, item)
    roots: list[Explained] = []
    for item in members:
        parent = spans.get(item.parent_span_id if item.kind == "span" else item.span_id)
        if parent is None or parent is item or _is_above(item, parent, spans):
            roots.append(item)
        else:
            parent.children.append(item)
    for item in members:
        item.children.sort(key=lambda child: child.start)
    roots.sort(key=lambda root: root.start)
    timed = [item for item in members if item.kind == "span"] or members
    start = min(item.start for item in timed)
    end = max(item.start + int(item.seconds * 1e9) for item in timed)
    logs = sum(item.kind != "span" for item in members)
    return Trace(trace_id, roots, len(members) - logs, logs, (end - start) / 1e9)


def _is_above(item: Explained, parent: Explained, spans: Mapping[str, Explained]) -> bool:
    """Whether `item` is its parent's own ancestor: a file may say so, and would be a loop."""
    seen: set[int] = set()
    above: Explained | None = parent
    while above is not None and id(above) not in seen:
        if above is item:
            return True
        seen.add(id(above))
        above = spans.get(above.parent_span_id) if above.parent_span_id else None
    return above is not None


def _span(span: Span) -> Explained:
    explained = Explained(
        kind="span",
        name=span.name,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        span_kind=span.kind,
        start=span.start,
        seconds=span.seconds,
        status=span.status,
    )
    _read(explained, span.attributes)
    for event in span.events:
        failure = _failure(event.attributes)
        if failure is not None:
            explained.failures.append(failure)
        else:
            explained.events.append(event.name)
    _say_why(explained)
    return explained


def _log(record: LogRecord) -> Explained:
    body = record.body if isinstance(record.body, str) else ""
    explained = Explained(
        kind="log record",
        name=record.event_name or body or "(no text)",
        trace_id=record.trace_id,
        span_id=record.span_id,
        start=record.time,
        severity=record.severity_text or str(record.severity_number or ""),
    )
    _read(explained, record.attributes)
    failure = _failure(record.attributes)
    if failure is not None:
        explained.failures.append(failure)
    _say_why(explained)
    return explained


def _read(explained: Explained, attributes: Mapping[str, object]) -> None:
    for key, value in attributes.items():
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            continue
        if key in ("error.type", *_STATUS_CODES):
            explained.errors[key] = str(value)
            continue
        rule = catalogue.find(key)
        if rule is None or not rule.keep:
            continue
        if rule.content_class == "usage":
            explained.usage[key] = value
        elif rule.content_class == "model" and isinstance(value, str) and key.endswith("model"):
            explained.model = explained.model or value
        elif rule.content_class == "reference" and key.endswith(("request.id", "request_id", "response.id")):
            explained.errors[key] = str(value)
    explained.redacted = attributes.get(evidence.REDACTED) is True
    explained.failsafe = attributes.get(evidence.FAILSAFE) is True
    explained.collector = attributes.get("zdr.collector.redacted") is True
    explained.removed = evidence.parse_removed(attributes.get(evidence.REMOVED))
    explained.policy_version = _text(attributes.get(evidence.POLICY_VERSION))
    explained.product = _text(attributes.get(evidence.PRODUCT))
    explained.coverage = _text(attributes.get(evidence.COVERAGE))
    explained.coverage_reason = _text(attributes.get(evidence.COVERAGE_REASON))


def _failure(attributes: Mapping[str, object]) -> Failure | None:
    kind = _text(attributes.get("exception.type"))
    trace = _text(attributes.get("exception.stacktrace"))
    fingerprint = _text(attributes.get(_FINGERPRINT))
    if not (kind or trace or fingerprint or "exception.message" in attributes):
        return None
    lines = trace.split("\n") if trace else []
    is_frames = all(_LINE.fullmatch(line) for line in lines)
    return Failure(kind, fingerprint, lines[:_MAX_LINES] if is_frames else [], not is_frames)


def _say_why(item: Explained) -> None:
    say = item.why.append
    if item.failsafe:
        say("cleaning it failed, so only ids, times, usage and model were kept")
    if item.redacted or item.collector:
        version = f" (policy version {item.policy_version})" if item.policy_version else ""
        because = f"because its workspace is under Zero Data Retention{version}"
        what = in_words(item.removed)
        if what:
            say(f"removed {what}, {because}")
        elif item.redacted:
            say(f"no value removed, or counts are switched off; checked {because}")
        else:
            say(f"cleaned in the Collector, which keeps no counts, {because}")
        if item.redacted and item.collector:
            say("cleaned once more in the Collector")
    else:
        say("not redacted: its workspace is not under Zero Data Retention, or it did not pass otel-zdr")
    if item.coverage:
        words = _COVERAGE_WORDS.get(item.coverage, item.coverage)
        reason = f": {_WORDS.sub(' ', item.coverage_reason)}" if item.coverage_reason else ""
        product = f" ({item.product})" if item.product else ""
        say(f"coverage {_WORDS.sub(' ', item.coverage)}{product}: {words}{reason}")


def in_words(removed: Mapping[str, int]) -> str:
    """Counts by class as a person says them: ``2 prompts, 1 database statement``."""
    parts = []
    for name, count in sorted(removed.items(), key=lambda entry: (-entry[1], entry[0])):
        one, many = CLASS_WORDS.get(name, (f"value of the class {name}", f"values of the class {name}"))
        parts.append(f"{count} {one if count == 1 else many}")
    return ", ".join(parts)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
