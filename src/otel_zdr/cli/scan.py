"""``otel-zdr scan FILE…``: content in stored OTLP, by texts that are searched for and by default deny."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path

from otel_zdr.cli._terminal import FOUND, OK, Progress, error, plain
from otel_zdr.errors import ConfigurationError
from otel_zdr.settings import Settings
from otel_zdr.verify.canary import MIN_FRAGMENT, Search
from otel_zdr.verify.cleaning import Removal
from otel_zdr.verify.otlp import OtlpError
from otel_zdr.verify.scan import Leak, check_file, search_file

DESCRIPTION = """Find content in OTLP files (JSON, JSON lines or protobuf, plain or gzip).

Two questions are asked. Does one of the given texts stand anywhere in the file: plain, in JSON, repr,
base64 at any alignment, percent-encoded, in hex, cut short? And is there any value that would not have
survived redaction under the settings of this environment (OTEL_ZDR_*)? Texts are never printed."""


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
    except (OSError, UnicodeDecodeError) as problem:
        return error(f"the texts cannot be read: {getattr(problem, 'strerror', None) or 'not UTF-8'}")
    except ConfigurationError as problem:
        return error(str(problem))
    except ValueError as problem:
        return error(str(problem))
    if args.texts_only and not search.count:
        return error("--texts-only needs --text or --texts")
    results: list[tuple[str, list[Leak], list[Removal]]] = []
    items = 0
    for name in args.files:
        progress = Progress(plain(name, 60))
        try:
            leaks = search_file(name, search, progress) if search.count else []
            removals: list[Removal] = []
            if not args.texts_only:
                removals, count = check_file(
                    name, settings, trust_marks=not args.distrust_marks, progress=progress
                )
                items += count
        except OtlpError as problem:
            return error(str(problem))
        finally:
            progress.end()
        results.append((name, leaks, removals))
    if args.json:
        _print_json(results, items)
    else:
        _print(results, search.count, items, args.texts_only)
    return FOUND if any(leaks or removals for _, leaks, removals in results) else OK


def _texts(args: argparse.Namespace) -> list[str]:
    texts = list(args.text)
    for name in args.texts:
        content = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        texts += [line for line in content.splitlines() if line.strip()]
    return texts


def _print(
    results: list[tuple[str, list[Leak], list[Removal]]], texts: int, items: int, texts_only: bool
) -> None:
    for name, leaks, removals in results:
        print(f"{plain(name)}: {_verdict(leaks, removals)}")
        for (text, form, signal, place, key), many in _grouped_leaks(leaks).items():
            where = " ".join(part for part in (signal, place) if part)
            print(f"  LEAK         text {text} ({form}) in {where}{_named(key)}{_times(many)}")
        for (signal, place, key, content_class), many in _grouped_removals(removals).items():
            what = f"{signal} {place}{_named(key)}"
            print(f"  NOT ALLOWED  {what} would be removed as {content_class}{_times(many)}")
    searched = f"{texts} texts searched for" if texts else "no texts searched for"
    checked = "" if texts_only else f", {items} items checked against the catalogue"
    print(f"{len(results)} files, {searched}{checked}")


def _grouped_leaks(leaks: list[Leak]) -> Counter[tuple[int, str, str, str, str]]:
    return Counter((leak.text, leak.form, leak.signal, leak.place, leak.key) for leak in leaks)


def _grouped_removals(removals: list[Removal]) -> Counter[tuple[str, str, str, str]]:
    return Counter(
        (removal.signal, removal.place, removal.key, removal.content_class) for removal in removals
    )


def _verdict(leaks: list[Leak], removals: list[Removal]) -> str:
    if not leaks and not removals:
        return "clean"
    found = []
    if leaks:
        found.append(f"{len({leak.text for leak in leaks})} of the texts found")
    if removals:
        found.append(f"{len(removals)} values that would not have survived")
    return ", ".join(found)


def _named(key: str) -> str:
    return f" {plain(key, 80)}" if key else ""


def _times(many: int) -> str:
    return f" ({many} times)" if many > 1 else ""


def _print_json(results: list[tuple[str, list[Leak], list[Removal]]], items: int) -> None:
    report = {
        "clean": not any(leaks or removals for _, leaks, removals in results),
        "items": items,
        "files": [
            {
                "file": name,
                "leaks": [dataclasses.asdict(leak) for leak in leaks],
                "not_allowed": [dataclasses.asdict(removal) for removal in removals],
            }
            for name, leaks, removals in results
        ],
    }
    print(json.dumps(report, indent=2))
