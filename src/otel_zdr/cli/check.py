"""``otel-zdr check``: canaries through the pipeline that this environment configures."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING

from otel_zdr.cli._terminal import FOUND, OK, error, plain
from otel_zdr.errors import ConfigurationError

if TYPE_CHECKING:
    from otel_zdr.verify.check import Report, Result

DESCRIPTION = """Send canaries, made now, through every place of spans, log records and metrics, in a process
that is started with this environment's settings: its exporters, endpoints, configuration file and distro.

Nothing leaves the machine: every connection of that process ends at a receiver on loopback, or is refused.
It is run twice, once with otel-zdr off as a control. Exit code 1 on a leak or an open way round the SDK."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--workspace",
        action="append",
        default=[],
        metavar="ID",
        help="check with this workspace (repeatable; default: one that the policy puts under ZDR)",
    )
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of the application that sets its own telemetry up (repeatable)",
    )
    parser.add_argument(
        "--no-launcher",
        action="store_true",
        help="start as plain python does, not as opentelemetry-instrument",
    )
    parser.add_argument("--all", action="store_true", help="also list the places that are clean")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(args: argparse.Namespace) -> int:
    """Check; 0 clean, 1 a leak or a bypass, 2 it could not be checked."""
    from otel_zdr.settings import Settings
    from otel_zdr.verify.check import CheckError, check, whose

    def progress(step: str) -> None:
        print(f"otel-zdr check: {step}", file=sys.stderr, flush=True)

    try:
        settings = Settings.from_env()
        report = check(
            settings,
            whose(settings, args.workspace),
            imports=args.imports,
            launcher=not args.no_launcher,
            progress=progress,
        )
    except (ConfigurationError, CheckError) as problem:
        return error(f"check: {problem}")
    if args.json:
        print(json.dumps(_as_dict(report), indent=2))
    else:
        _print(report, every=args.all)
    return OK if report.clean else FOUND


def _print(report: Report, *, every: bool) -> None:
    for line in report.said:
        print(f"it said: {plain(line, 300)}")
    where = ", ".join(plain(host) for host in report.destinations) or "nowhere over the network"
    print(f"telemetry goes to: {where}")
    for (pipeline, who), results in _grouped(report.results).items():
        counts = Counter(result.status for result in results)
        summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        what = (
            "the pipeline configured here" if pipeline == "configured" else "providers an application makes"
        )
        print(f"{what}, {plain(who)}: {summary}")
        for result in results:
            if result.status == "leaked" or every:
                print(f"  {result.status.upper():12}  {result.signal:7}  {result.place}")
    for title, lines in (("BYPASS", report.bypasses), ("note", report.notes)):
        for line in lines:
            print(f"{title}: {plain(line, 300)}")
    print("outside the promise:")
    for line in report.outside:
        print(f"  {plain(line, 300)}")
    print(
        "clean" if report.clean else f"NOT clean: {len(report.leaks)} leaks, {len(report.bypasses)} bypasses"
    )


def _grouped(results: list[Result]) -> dict[tuple[str, str], list[Result]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.pipeline, result.who), []).append(result)
    return groups


def _as_dict(report: Report) -> dict[str, object]:
    return {
        "clean": report.clean,
        "policy": report.policy,
        "workspaces": [
            {"workspace": who.workspace, "under_zdr": who.under_zdr, "named": who.named}
            for who in report.whos
        ],
        "results": [dataclasses.asdict(result) for result in report.results],
        "bypasses": report.bypasses,
        "notes": report.notes,
        "destinations": report.destinations,
        "outside_the_promise": report.outside,
        "said": report.said,
    }
