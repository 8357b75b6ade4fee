"""``otel-zdr demo``: real calls for two workspaces, one under ZDR, and what arrived, side by side."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

from otel_zdr.cli._terminal import FOUND, OK, error, plain

if TYPE_CHECKING:
    from otel_zdr.verify.demo.comparison import Comparison, Side
    from otel_zdr.verify.demo.running import Run

DESCRIPTION = """Run an application that knows nothing of otel-zdr: openai and inworld-tts calls for two
workspaces, against a stand-in for the vendor's API, under opentelemetry-instrument with the real OTLP
exporter.

Only the clinic is under ZDR. Everything stays on loopback. Exit code 0 only if every text of the studio
arrived at the backend and none of the clinic did, with the usage of both."""

_WIDTHS = (27, 40, 40)
Row = tuple[str, str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument(
        "--keep", metavar="FOLDER", help="write what arrived there, for scan, explain and report"
    )


def run(args: argparse.Namespace) -> int:
    """Run it; 0 only if the promise held."""
    from otel_zdr.verify.demo import comparison, running

    if absent := running.missing():
        return error(f"demo: {', '.join(absent)} missing; install otel-zdr[demo]")
    started = time.monotonic()

    def progress(step: str) -> None:
        print(f"[{time.monotonic() - started:4.1f} s] {step}", file=sys.stderr, flush=True)

    try:
        done = running.run(progress)
        result = comparison.compare(done)
        kept = comparison.write(done, Path(args.keep)) if args.keep else []
    except running.DemoError as problem:
        return error(f"demo: {problem}")
    except OSError as problem:
        return error(f"demo: {plain(problem.strerror or type(problem).__name__)}")
    if args.json:
        print(json.dumps(_as_dict(result), indent=2))
    else:
        _print(done, result)
        if kept:
            print(f"{len(kept)} OTLP files in {plain(args.keep)}")
    progress("done")
    return FOUND if result.problems else OK


def _sections(done: Run, result: Comparison) -> list[list[Row]]:
    from otel_zdr.verify.demo.comparison import KINDS

    studio, clinic = result.sides["studio"], result.sides["clinic"]

    def seen(workspace: str, kind: str) -> str:
        visible = kind in result.sides[workspace].visible
        return _short(done.said[workspace][kind]) if visible else "not there"

    content = [(label, seen("studio", kind), seen("clinic", kind)) for kind, label in KINDS.items()]
    usage = [(label, str(studio.usage[label]), str(clinic.usage[label])) for label in studio.usage]
    usage.append(("tokens on the metric", str(studio.tokens), str(clinic.tokens)))
    usage += [(label, _joined(studio, label), _joined(clinic, label)) for label in sorted(studio.named)]
    usage.append(("spans, log records", f"{studio.spans}, {studio.logs}", f"{clinic.spans}, {clinic.logs}"))
    removed = ", ".join(f"{name} {count}" for name, count in sorted(clinic.removed.items()))
    evidence = [("removed, by class", "-", removed or "nothing")]
    for product, verdicts in sorted(clinic.coverage.items()):
        evidence.append((f"coverage of {product}", "-", "; ".join(sorted(verdicts))))
    return [content, usage, evidence]


def _short(text: str) -> str:
    """The sentence and the beginning of its note, which was made for this run."""
    sentence, _, note = text.partition(", note ")
    return f"“{sentence}, note {note[:6]}…”"


def _joined(side: Side, label: str) -> str:
    return plain(", ".join(sorted(side.named.get(label, ()))), 120)


def _print(done: Run, result: Comparison) -> None:
    from otel_zdr.verify.demo.running import SETTINGS

    print("\nThe application has no line about zero data retention. What turned it on:")
    print("  " + " ".join(f"{name}={value}" for name, value in SETTINGS.items()))
    print("  opentelemetry-instrument python application.py")
    for line in done.stderr.splitlines():
        if line.startswith("otel-zdr: "):
            print(f"It said: {plain(line, 300)}")
    print(f"\nWhat arrived at the backend: {result.requests} OTLP requests, {result.bytes:,} bytes\n")
    heads = ("", "studio (not under ZDR)", "clinic (under ZDR)")
    sections = _sections(done, result)
    if not _print_rich(heads, sections):
        _print_plain(heads, sections)
    if result.problems:
        print("\nThe promise did NOT hold:")
        for problem in result.problems:
            print(f"  {problem}")
    else:
        print(
            "\nThe promise held: the vendor got every text of both workspaces; the backend got every text of "
            "the studio,\nnone of the clinic in any form, and the usage of both."
        )


def _print_rich(heads: Row, sections: list[list[Row]]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    # Where nobody looks on, the width is fixed, so that the table reads the same in a log.
    console = Console(width=None if sys.stdout.isatty() else sum(_WIDTHS) + 10)
    table = Table()
    for head in heads:
        table.add_column(head, overflow="fold")
    for rows in sections:
        for row in rows:
            # Text, not markup: what arrived may hold brackets.
            table.add_row(*(Text(cell, "green" if cell == "not there" else "") for cell in row))
        table.add_section()
    console.print(table)
    return True


def _print_plain(heads: Row, sections: list[list[Row]]) -> None:
    rule = "  ".join("-" * width for width in _WIDTHS)
    for rows in ([heads], *sections):
        for row in rows:
            cells = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, _WIDTHS, strict=True)]
            for number in range(max(map(len, cells))):
                parts = [cell[number] if number < len(cell) else "" for cell in cells]
                print(
                    "  ".join(part.ljust(width) for part, width in zip(parts, _WIDTHS, strict=True)).rstrip()
                )
        print(rule)


def _as_dict(result: Comparison) -> dict[str, object]:
    return {
        "held": not result.problems,
        "problems": result.problems,
        "requests": result.requests,
        "bytes": result.bytes,
        "workspaces": {
            workspace: {
                "under_zdr": workspace == "clinic",
                "visible": sorted(side.visible),
                "spans": side.spans,
                "log_records": side.logs,
                "usage": dict(side.usage),
                "tokens_on_metric": side.tokens,
                "removed": dict(side.removed),
                **{label.replace(" ", "_"): sorted(values) for label, values in side.named.items()},
            }
            for workspace, side in result.sides.items()
        },
    }
