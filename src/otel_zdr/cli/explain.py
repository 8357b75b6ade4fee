"""``otel-zdr explain FILE``: a redacted trace in words, for a person at three in the morning."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime, timezone

from otel_zdr.cli._terminal import OK, Progress, Unseen, error, plain
from otel_zdr.verify.explanation import Explained, Trace, as_json, explain
from otel_zdr.verify.otlp import Item, OtlpError, read_items

DESCRIPTION = """Print the traces of an OTLP file as trees: names, durations, usage, error types and frames,
and for each item what was removed and why."""

_MAX_INDENT = 24  # levels; deeper ones are drawn there
_BOLD, _RED, _DIM, _END = "\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("files", metavar="FILE", nargs="+", help="OTLP: JSON, JSON lines or protobuf")
    parser.add_argument("--trace", metavar="ID", default="", help="only traces whose id begins with ID (hex)")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(args: argparse.Namespace) -> int:
    unseen = [Unseen(name) for name in args.files]
    try:
        with Progress(plain(args.files[0], 60)) as progress:
            traces = explain(_items(unseen, progress), args.trace)
    except OtlpError as problem:
        return error(str(problem))
    for each in unseen:
        each.tell()
    if args.trace and not traces:
        return error("no trace with this id is in the input")
    if args.json:
        print(json.dumps({"traces": [as_json(trace) for trace in traces]}, indent=2))
        return OK
    style = _Style(sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    for number, trace in enumerate(traces):
        if number:
            print()
        for line in _lines(trace, style):
            print(line)
    if not traces:
        print("no spans and no log records")
    return OK


def _items(files: list[Unseen], progress: Progress) -> Iterator[Item]:
    count = 0
    for each in files:
        for item in read_items(each.file, report_unread=each):
            count += 1
            each.items += 1
            progress(count)
            yield item


class _Style:
    """Colours, where a terminal shows them. Untrusted text has been stripped before it comes here."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def bold(self, text: str) -> str:
        return f"{_BOLD}{text}{_END}" if self._on else text

    def red(self, text: str) -> str:
        return f"{_RED}{text}{_END}" if self._on else text

    def dim(self, text: str) -> str:
        return f"{_DIM}{text}{_END}" if self._on else text


def _lines(trace: Trace, style: _Style) -> Iterator[str]:
    title = f"trace {trace.trace_id}" if trace.trace_id else "log records of no trace"
    parts = [_many(trace.spans, "span"), _many(trace.logs, "log record"), _duration(trace.seconds)]
    if trace.policies:
        parts.append("policy " + ", ".join(plain(version, 80) for version in trace.policies))
    yield f"{style.bold(title)}  {' · '.join(parts)}"
    pending = [(root, "", index == 0) for index, root in enumerate(reversed(trace.roots))]
    while pending:
        item, indent, last = pending.pop()
        branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield f"{indent}{branch}{_head(item, style)}"
        inner = indent + below
        detail = inner + ("│  " if item.children else "   ")
        for line in _details(item, style):
            yield f"{detail}{line}"
        deeper = inner if len(inner) <= _MAX_INDENT * 3 else indent
        pending += [(child, deeper, index == 0) for index, child in enumerate(reversed(item.children))]


def _head(item: Explained, style: _Style) -> str:
    if item.kind != "span":
        time = datetime.fromtimestamp(min(item.start // 10**9, 2**35), tz=timezone.utc)
        when = f"{time:%H:%M:%S}.{item.start // 10**6 % 1000:03d}"
        return f"{style.dim(when)} {plain(item.severity, 20)} {style.bold(plain(item.name))}"
    parts = [style.bold(plain(item.name))]
    if item.span_kind not in ("unspecified", "internal"):
        parts.append(f"({item.span_kind})")
    parts.append(_duration(item.seconds))
    if item.model and item.model not in item.name:
        parts.append(f"model {plain(item.model, 80)}")
    if item.status == "error":
        parts.append(style.red("ERROR"))
    return " ".join(parts)


def _details(item: Explained, style: _Style) -> Iterator[str]:
    if item.usage:
        yield "usage    " + ", ".join(
            f"{_short(key)} {plain(value, 40)}" for key, value in item.usage.items()
        )
    if item.errors:
        label = "error    " if "error.type" in item.errors or item.status == "error" else "ids      "
        yield label + ", ".join(f"{plain(key, 60)} {plain(value, 128)}" for key, value in item.errors.items())
    if item.events:
        yield "events   " + ", ".join(plain(name, 64) for name in item.events[:20])
    for failure in item.failures:
        name = plain(failure.type or "exception", 128)
        print_as = f" (fingerprint {plain(failure.fingerprint, 64)})" if failure.fingerprint else ""
        yield f"{style.red(name)}{print_as}"
        frames = (
            failure.frames[1:] if failure.frames[:1] and failure.type in failure.frames[0] else failure.frames
        )
        for line in frames:
            yield f"  {plain(line, 300)}"
        if failure.text_hidden:
            yield "  (a stack trace that is more than frames: not shown)"
    for sentence in item.why:
        yield style.dim(plain(sentence, 600))


def _short(key: str) -> str:
    for prefix in ("gen_ai.usage.", "llm.token_count.", "otel_zdr.usage."):
        key = key.removeprefix(prefix)
    return plain(key, 60)


def _duration(seconds: float) -> str:
    if seconds >= 60:
        return f"{int(seconds // 60)} min {seconds % 60:.0f} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.1f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} µs"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
