"""``otel-zdr scan FILE…``: content in stored OTLP, by texts that are searched for and by default deny."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from otel_zdr.cli._terminal import FOUND, OK, WRONG, Progress, error, plain
from otel_zdr.errors import ConfigurationError
from otel_zdr.settings import Settings
from otel_zdr.verify.canary import MIN_FRAGMENT, Search
from otel_zdr.verify.cleaning import NotUnderstood, Removal
from otel_zdr.verify.scan import Findings, Leak, scan_file

DESCRIPTION = """Find content in OTLP files (JSON, JSON lines or protobuf, plain or gzip).

Two questions are asked. Does one of the given texts stand anywhere in the file: plain, in JSON, repr,
base64 at any alignment, percent-encoded, in hex, cut short? And is there any value that would not have
survived redaction under the settings of this environment (OTEL_ZDR_*)? Texts are never printed.

A place that OTLP does not define, or a value of a wrong type, is a finding as well: content may stand there.
A file with nothing in it, or one that breaks off, is not clean either (exit code 2)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", metavar="FILE", nargs="+", help="stored OTLP")
    parser.add_argument("--text", action="append", default=[], help="a text to search for (repeatable)")
    parser.add_argument(
        "--texts",
        metavar="FILE",
        action="append",
        default=[],
        help="a file with one text a line, - for standard input: keeps them out of the process list",
    )
    parser.add_argument(
        "--min-fragment",
        type=int,
        default=MIN_FRAGMENT,
        metavar="N",
        help="count a part of a text from N characters on (default %(default)s)",
    )
    parser.add_argument("--whole", action="store_true", help="only whole texts, no parts of them")
    parser.add_argument("--texts-only", action="store_true", help="do not ask what redaction would remove")
    parser.add_argument(
        "--distrust-marks",
        action="store_true",
        help="also name the proven names, templates and frames of items that carry the mark of the SDK",
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def run(args: argparse.Namespace) -> int:
    try:
        search = Search(_texts(args), fragments=not args.whole, shortest=args.min_fragment)
        settings = Settings.from_env()
    except _TextsError as problem:
        return error(str(problem))
    except ConfigurationError as problem:
        return error(str(problem))
    except ValueError as problem:
        return error(str(problem))
    if args.texts_only and not search.count:
        return error("--texts-only needs --text or --texts")
    results: dict[str, Findings] = {}
    for name in args.files:
        with Progress(plain(name, 60)) as progress:
            results[name] = scan_file(
                name,
                search,
                None if args.texts_only else settings,
                trust_marks=not args.distrust_marks,
                progress=progress,
            )
    if args.json:
        _print_json(results)
    else:
        _print(results, search.count, args.texts_only)
    for found in results.values():
        if found.problem is not None:
            error(str(found.problem))
    if any(found.found for found in results.values()):
        return FOUND
    return OK if all(found.clean for found in results.values()) else WRONG


class _TextsError(Exception):
    """A file of texts cannot be read."""


def _texts(args: argparse.Namespace) -> list[str]:
    texts = list(args.text)
    for name in args.texts:
        try:
            content = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "not UTF-8"
            raise _TextsError(
                f"--texts {name}: cannot be read ({reason}); expected is UTF-8 text, one text to search for a line"
            ) from None
        texts += [line for line in content.splitlines() if line.strip()]
    return texts


def _print(results: dict[str, Findings], texts: int, texts_only: bool) -> None:
    for name, found in results.items():
        print(f"{plain(name)}: {_verdict(found)}")
        for (text, form, signal, place, key), many in _grouped_leaks(found.leaks).items():
            where = " ".join(part for part in (signal, place) if part)
            print(f"  LEAK            text {text} ({form}) in {where}{_named(key)}{_times(many)}")
        for (signal, place, key, content_class), many in _grouped_removals(found.removals).items():
            what = f"{signal} {place}{_named(key)}"
            print(f"  NOT ALLOWED     {what} would be removed as {content_class}{_times(many)}")
        for what, many in Counter(_not_understood(each) for each in found.not_understood).items():
            print(f"  NOT UNDERSTOOD  {plain(what)}{_times(many)}")
    searched = f"{texts} texts searched for" if texts else "no texts searched for"
    items = sum(found.items for found in results.values())
    checked = "" if texts_only else f", {items} items checked against the catalogue"
    print(f"{len(results)} files, {searched}{checked}")


def _not_understood(each: NotUnderstood) -> str:
    return f"{each.signal} {each.unread}".lstrip()


def _grouped_leaks(leaks: list[Leak]) -> Counter[tuple[int, str, str, str, str]]:
    return Counter((leak.text, leak.form, leak.signal, leak.place, leak.key) for leak in leaks)


def _grouped_removals(removals: list[Removal]) -> Counter[tuple[str, str, str, str]]:
    return Counter(
        (removal.signal, removal.place, removal.key, removal.content_class) for removal in removals
    )


def _verdict(found: Findings) -> str:
    said = []
    if found.leaks:
        said.append(f"{len({leak.text for leak in found.leaks})} of the texts found")
    if found.removals:
        said.append(f"{_values(found.removals)} that would not have survived")
    if found.not_understood:
        said.append(f"{_values(found.not_understood)} not understood")
    if found.problem is not None:
        said.append(f"not clean: only {found.items} items could be read")
    elif not found.items:
        said.append("nothing in it: no span, log record or metric")
    return ", ".join(said) or "clean"


def _values(found: Sequence[object]) -> str:
    return "1 value" if len(found) == 1 else f"{len(found)} values"


def _named(key: str) -> str:
    return f" {plain(key, 80)}" if key else ""


def _times(many: int) -> str:
    return f" ({many} times)" if many > 1 else ""


def _print_json(results: dict[str, Findings]) -> None:
    report = {
        "clean": all(found.clean for found in results.values()),
        "items": sum(found.items for found in results.values()),
        "files": [
            {
                "file": name,
                "clean": found.clean,
                "items": found.items,
                "problem": None if found.problem is None else str(found.problem),
                "leaks": [dataclasses.asdict(leak) for leak in found.leaks],
                "not_allowed": [dataclasses.asdict(removal) for removal in found.removals],
                "not_understood": [
                    {
                        "signal": each.signal,
                        "trace_id": each.trace_id,
                        "span_id": each.span_id,
                        **dataclasses.asdict(each.unread),
                    }
                    for each in found.not_understood
                ],
            }
            for name, found in results.items()
        ],
    }
    print(json.dumps(report, indent=2))
