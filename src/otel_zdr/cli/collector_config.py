"""``otel-zdr collector-config``: the same policy as configuration of the OpenTelemetry Collector."""

from __future__ import annotations

import argparse
import sys

from otel_zdr.cli._output import whole_file
from otel_zdr.cli._terminal import OK, error
from otel_zdr.collector import KINDS, generate
from otel_zdr.errors import ConfigurationError
from otel_zdr.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command."""
    parser.description = (
        "Write the configuration of a Collector that enforces what this environment's OTEL_ZDR_* variables "
        "(or the policy file they name) say. Its first line is the command that starts it."
    )
    parser.add_argument("kind", choices=KINDS, help="a gateway for a fleet, or an agent beside an app")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    parser.add_argument(
        "--trust-sdk-marks",
        action="store_true",
        help="keep names and log templates of items that carry the SDK's mark; only for receivers that "
        "authenticate their senders",
    )


def run(args: argparse.Namespace) -> int:
    """Generate; 0, or 2 with nothing written when the settings or the file cannot be used."""
    try:
        text = generate(Settings.from_env(), args.kind, trust_sdk_marks=args.trust_sdk_marks)
    except ConfigurationError as problem:
        return error(str(problem))
    if args.output is None or args.output == "-":
        sys.stdout.write(text)
        return OK
    try:
        # Whole or not at all: a Collector may be told to read the file at any moment.
        with whole_file(args.output) as file:
            file.write(text.encode())
    except OSError as problem:
        return error(f"{args.output} cannot be written: {problem.strerror}")
    return OK
