"""What of each workspace arrived, and whether the promise held."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from otel_zdr.verify.canary import Search
from otel_zdr.verify.demo.running import CLINIC, STUDIO, Run
from otel_zdr.verify.otlp import Attributes, Item, LogRecord, Metric, Span, read_items

KINDS = {
    "hosted": "prompt to a hosted model",
    "routed": "prompt to a third party's model",
    "refused": "prompt in the vendor's error",
    "spoken": "text to be spoken",
    "noted": "line in the log",
}
_USAGE = {
    "gen_ai.usage.input_tokens": "input tokens",
    "gen_ai.usage.output_tokens": "output tokens",
    "otel_zdr.usage.characters": "characters spoken",
}
_NAMED = {
    "gen_ai.response.model": "models",
    "gen_ai.response.id": "response ids",
    "gen_ai.request.id": "request ids",
    "error.type": "error types",
}
_TOKEN_METRIC = "gen_ai.client.token.usage"


@dataclass
class Side:
    """What arrived of one workspace.

    Attributes:
        visible: kinds of content that stand in the telemetry, in any form.
        spans, logs: how many arrived. usage: sums by label. tokens: the sum on the token metric.
        named: distinct values by label. removed: values removed, by class. coverage: by product.
        marked: how many spans and log records carry the mark.
    """

    visible: set[str] = field(default_factory=set)
    spans: int = 0
    logs: int = 0
    marked: int = 0
    usage: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    named: dict[str, set[str]] = field(default_factory=dict)
    removed: Counter[str] = field(default_factory=Counter)
    coverage: dict[str, set[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, and what did not hold (empty: the promise was kept)."""

    sides: dict[str, Side]
    problems: list[str]
    requests: int
    bytes: int


def compare(run: Run) -> Comparison:
    """Look for every text in every byte that arrived, then read the items."""
    sides = {workspace: Side() for workspace in run.said}
    for workspace, texts in run.said.items():
        search = Search(texts.values())
        kinds = list(texts)
        for request in run.arrived:
            for content in (request.body, request.head):
                sides[workspace].visible.update(kinds[find.index] for find in search.find(content))
    for item in _items(run):
        _read(item, sides)
    size = sum(len(request.body) for request in run.arrived)
    return Comparison(sides, list(_problems(run, sides)), len(run.arrived), size)


def write(run: Run, folder: Path) -> list[Path]:
    """What arrived as files, one a request, for `otel-zdr scan`, `explain` and `report`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, request in enumerate(run.arrived):
        path = folder / f"{number:02}-{request.signal or 'other'}.pb"
        path.write_bytes(request.body)
        paths.append(path)
    return paths


def _items(run: Run) -> Iterator[Item]:
    with tempfile.TemporaryDirectory() as folder:
        for path, request in zip(write(run, Path(folder)), run.arrived, strict=True):
            if request.signal is not None:
                yield from read_items(path, signal=request.signal)


def _read(item: Item, sides: dict[str, Side]) -> None:
    if isinstance(item, Metric):
        if item.name == _TOKEN_METRIC:
            for point in item.points:
                side = sides.get(str(dict(point.attributes.pairs()).get("workspace.id")))
                if side is not None:
                    side.tokens += int(point.sum or 0)
        return
    attributes = _attributes(item.attributes)
    side = sides.get(str(attributes.get("workspace.id")))
    if side is None:
        return
    if isinstance(item, Span):
        side.spans += 1
    elif isinstance(item, LogRecord):
        side.logs += 1
    side.marked += attributes.get("zdr.redacted") is True
    for key, label in _USAGE.items():
        value = attributes.get(key)
        if isinstance(value, int):
            side.usage[label] += value
    for key, label in _NAMED.items():
        if key in attributes:
            side.named.setdefault(label, set()).add(str(attributes[key]))
    removed = attributes.get("zdr.removed")
    for entry in removed if isinstance(removed, (list, tuple)) else ():
        content_class, _, count = str(entry).partition(":")
        side.removed[content_class] += int(count)
    if "zdr.coverage" in attributes:
        reason = attributes.get("zdr.coverage.reason")
        verdict = f"{attributes['zdr.coverage']}{f' ({reason})' if reason else ''}"
        side.coverage.setdefault(str(attributes.get("zdr.product")), set()).add(verdict)


def _attributes(attributes: Attributes) -> dict[str, object]:
    return dict(attributes.pairs())


def _problems(run: Run, sides: dict[str, Side]) -> Iterable[str]:
    studio, clinic = sides[STUDIO], sides[CLINIC]
    # The vendor has to get the texts of both, or there was nothing to keep out of telemetry.
    for workspace, texts in run.said.items():
        for kind, text in texts.items():
            if kind != "noted" and text.encode() not in run.vendor:
                yield f"the vendor's stand-in did not get the {KINDS[kind]} of the {workspace}"
    for kind, label in KINDS.items():
        if kind not in studio.visible:
            yield f"the {label} of the {STUDIO} did not arrive: its absence for the {CLINIC} proves nothing"
        if kind in clinic.visible:
            yield f"LEAK: the {label} of the {CLINIC} arrived"
    for label in _USAGE.values():
        if not clinic.usage[label] or (
            label != "characters spoken" and clinic.usage[label] != studio.usage[label]
        ):
            yield f"the {label} of the {CLINIC} are missing"
    if not clinic.tokens or clinic.tokens != studio.tokens:
        yield f"the {CLINIC}'s tokens are missing from the metric"
    for label in _NAMED.values():
        if len(clinic.named.get(label, ())) != len(studio.named.get(label, ())):
            yield f"the {label} of the {CLINIC} are missing"
    if clinic.spans != studio.spans or clinic.logs != studio.logs:
        yield f"spans or log records of the {CLINIC} are missing"
    if clinic.marked != clinic.spans + clinic.logs:
        yield f"items of the {CLINIC} carry no mark"
