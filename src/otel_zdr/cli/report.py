"""``otel-zdr report FILE…``: the evidence in stored OTLP, as a page for people and as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import datetime, timezone

from otel_zdr.cli._terminal import OK, Progress, Unseen, error, plain
from otel_zdr.errors import ConfigurationError
from otel_zdr.policy.decision import Policy
from otel_zdr.settings import Settings
from otel_zdr.verify.otlp import OtlpError, read_items
from otel_zdr.verify.report import UNIDENTIFIED, Report

DESCRIPTION = """Sum up the evidence in OTLP files (JSON, JSON lines or protobuf, plain or gzip): for each
workspace and product what was seen and removed, what is not covered and why, and under which policy versions.

Writes one HTML page that loads nothing. Which workspaces a list or policy names is taken from the settings of
this environment (OTEL_ZDR_*)."""

_PAGE = "zdr-report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", metavar="FILE", nargs="+", help="stored OTLP")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PAGE",
        help=f"where to write the page, - for standard output (default: {_PAGE})",
    )
    parser.add_argument("--json", action="store_true", help="JSON on standard output; a page only with -o")
    parser.add_argument(
        "--policy", metavar="FILE", help="this policy file in place of the environment's settings"
    )
    parser.add_argument(
        "--signal",
        choices=("traces", "logs", "metrics"),
        help="what protobuf files hold, where their names do not tell",
    )


def run(args: argparse.Namespace) -> int:
    """Read, sum up, write; the exit code."""
    if args.json and args.output == "-":
        return error("--json and -o - both want standard output")
    try:
        report = _new_report(args.policy)
    except ConfigurationError as problem:
        return error(str(problem))
    for name in args.files:
        unseen = Unseen(name)
        try:
            with Progress(plain(name, 60)) as progress:
                for item in read_items(name, signal=args.signal, report_unread=unseen):
                    report.add(item)
                    unseen.items += 1
                    progress(report.items)
        except OtlpError as problem:
            return error(str(problem))
        unseen.tell()
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    if args.output or not args.json:
        page = args.output or _PAGE
        try:
            _write(page, _render(report, args.files))
        except OSError as problem:
            return error(f"{page} cannot be written: {problem.strerror}")
        if not args.json and page != "-":
            _tell(report, page)
    return OK


def _new_report(policy_file: str | None) -> Report:
    settings = Settings.from_env()
    if policy_file is not None:
        from otel_zdr.policy.document import read_policy

        return Report(settings.workspace_keys, Policy(read_policy(policy_file).rules()))
    # `*` names everybody, and where nobody is under ZDR a list has nothing to name.
    everybody = settings.policy_file is None and settings.workspaces in (("*",), ())
    return Report(settings.workspace_keys, Policy.from_settings(settings), names_everybody=everybody)


def _render(report: Report, files: list[str]) -> str:
    from otel_zdr.verify.report_page import render

    return render(report, files, datetime.now(timezone.utc))


def _write(page: str, content: str) -> None:
    if page == "-":
        sys.stdout.write(content)
        return
    # Readable by its owner until somebody decides otherwise: it names workspaces.
    descriptor = os.open(page, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content)


def _tell(report: Report, page: str) -> None:
    print(
        f"{report.items:,} spans and log records, {report.redacted:,} redacted, "
        f"{report.values:,} values removed: {plain(page, 1000)}"
    )
    for id_ in report.unnamed:
        holds = "it is under ZDR" if report.is_under_zdr(id_) else "it is not under ZDR"
        print(f"workspace {plain(id_)} is named by no list or policy: {holds}")
    for id_, count in sorted(report.without_mark.items()):
        print(
            f"workspace {plain(id_ or UNIDENTIFIED)} is under ZDR, and {count:,} of its items carry no mark"
        )
