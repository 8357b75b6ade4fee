"""The command ``otel-zdr``: one module a subcommand, imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from otel_zdr.cli._terminal import WRONG, plain
from otel_zdr.version import VERSION

#: Subcommand → its line in the overview. The module is ``otel_zdr.cli.<name>`` with "-" as "_".
COMMANDS = {
    "demo": "real calls for two workspaces, one under ZDR: what arrived, side by side",
    "check": "canaries through the pipeline that this environment configures",
    "coverage": "what the specification promises for a request",
    "policy": "show, validate, fingerprint",
    "scan": "find content in stored OTLP",
    "redact": "clean stored OTLP",
    "explain": "a redacted trace in words",
    "report": "the evidence in stored OTLP as a page",
    "collector-config": "the same policy as Collector configuration",
}

EXIT_CODES = """exit codes:
  0  clean
  1  a leak, a bypass, a failed validation or something not understood was found
  2  wrong usage or unreadable input (for scan a file with nothing in it, too)"""

_INTERRUPTED, _NOBODY_READS = 130, 141  # as shells name them: 128 and the number of the signal


class _Parser(argparse.ArgumentParser):
    """Messages of one plain line: what was typed may hold anything."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG, f"{self.prog}: {plain(message, 1000)} (try {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. ``arguments`` defaults to those of the process."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _never_fail_to_print()
    # The first word that is no option names the subcommand: only its module is imported.
    chosen = next((word for word in given if not word.startswith("-")), None)
    try:
        args = _parser(chosen).parse_args(given)
        code: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # `otel-zdr … | head`: nothing more can be written, the interpreter's own last flush included.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _NOBODY_READS
    except Exception as error:
        return _say_unexpected(error)
    return code


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="otel-zdr",
        description="Zero Data Retention for OpenTelemetry.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"otel-zdr {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, line in COMMANDS.items():
        subparser = commands.add_parser(name, help=line)
        if name == chosen:
            module = importlib.import_module(f"otel_zdr.cli.{name.replace('-', '_')}")
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser


def _never_fail_to_print() -> None:
    """A terminal that lacks a character shows a question mark in its place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _say_unexpected(error: Exception) -> int:
    """Where it happened, never what the message says: that may quote the input."""
    place, traceback = "", error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = f"{os.path.basename(code.co_filename)}:{traceback.tb_lineno} {code.co_name}"
        traceback = traceback.tb_next
    print(
        f"otel-zdr: unexpected {type(error).__name__} at {plain(place)}; this is a defect, please report it",
        file=sys.stderr,
    )
    return WRONG
