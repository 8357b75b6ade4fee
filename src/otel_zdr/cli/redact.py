"""``otel-zdr redact IN -o OUT``: clean stored OTLP with the core that cleans live telemetry."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import BinaryIO

from otel_zdr.cli._output import whole_file
from otel_zdr.cli._terminal import OK, Progress, error, plain
from otel_zdr.errors import ConfigurationError
from otel_zdr.settings import Settings
from otel_zdr.verify.cleaning import Cleaner
from otel_zdr.verify.otlp import Document, OtlpError, encode_protobuf, read_documents
from otel_zdr.verify.otlp_files import stored_format
from otel_zdr.verify.otlp_unread import document_unread

DESCRIPTION = """Clean stored OTLP: every value that would not have survived redaction under the settings
of this environment (OTEL_ZDR_*) is removed, and each item says what was. What OTLP does not define is left
out and counted. The format of OUT is that of IN."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("input", metavar="IN", help="OTLP: JSON, JSON lines or protobuf, plain or gzip")
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="file to write, - for standard output"
    )
    parser.add_argument(
        "--format",
        choices=("json", "protobuf", "protobuf-delimited", "protobuf-fixed"),
        help="the format of OUT; protobuf-fixed is that of the Collector's file exporter",
    )
    parser.add_argument(
        "--trust-sdk-marks",
        action="store_true",
        help="keep names, templates and frames of items that carry the mark of the SDK (anyone can write it)",
    )
    parser.add_argument(
        "--json", action="store_true", help="for machines: what was removed, on standard error"
    )


def run(args: argparse.Namespace) -> int:
    outcome = _Outcome()
    try:
        form = args.format or stored_format(args.input)
        with Progress(plain(args.input, 60)) as progress:
            cleaner = Cleaner(Settings.from_env(), trust_marks=args.trust_sdk_marks, tick=progress)
            _write(args.output, form, _cleaned(args.input, cleaner, form, outcome))
    except _FormatError as problem:
        return error(f"{args.input}: {problem}")
    except (OtlpError, ConfigurationError) as problem:
        return error(str(problem))
    except OSError as problem:
        return error(f"{args.output}: cannot be written ({problem.strerror or type(problem).__name__})")
    if args.json:
        report = {
            "items": cleaner.items,
            "redacted": cleaner.redacted,
            "removed": cleaner.removed,
            "not_understood": cleaner.not_understood,
            "left_out_of_others": outcome.left_out,
        }
        print(json.dumps(report), file=sys.stderr)
    else:
        print(f"{plain(args.input)}: {_summary(cleaner, outcome)}", file=sys.stderr)
    return OK


class _Outcome:
    """`left_out`: fields of items that are not under ZDR which the format of OUT cannot carry."""

    left_out = 0


class _FormatError(Exception):
    """The format that was asked for cannot hold what is there."""


def _summary(cleaner: Cleaner, outcome: _Outcome) -> str:
    if not cleaner.items and not cleaner.removed:
        return "nothing in it: no span, log record or metric"
    counts = ", ".join(f"{name} {count}" for name, count in sorted(cleaner.removed.items())) or "nothing"
    parts = [f"{cleaner.redacted} of {cleaner.items} items are under ZDR", f"removed: {counts}"]
    if cleaner.not_understood:
        parts.append(f"not understood and left out: {cleaner.not_understood} (otel-zdr scan names them)")
    if outcome.left_out:
        parts.append(
            f"left out of what is not under ZDR, as the output has no place for it: {outcome.left_out}"
        )
    return "; ".join(parts)


def _cleaned(path: str, cleaner: Cleaner, form: str, outcome: _Outcome) -> Iterator[Document]:
    for document in read_documents(path):
        cleaned = cleaner.clean(document)
        # Of what passes as it is JSON carries also what OTLP does not define.
        outcome.left_out += sum(form != "json" or not each.carried for each in document_unread(cleaned))
        yield cleaned


def _write(output: str, form: str, documents: Iterator[Document]) -> None:
    if output == "-":
        _write_to(sys.stdout.buffer, form, documents)
        sys.stdout.buffer.flush()
        return
    with whole_file(output, private=True) as file:
        _write_to(file, form, documents)


def _write_to(file: BinaryIO, form: str, documents: Iterator[Document]) -> None:
    for number, document in enumerate(documents):
        if form == "json":
            file.write(json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode() + b"\n")
            continue
        try:
            frame = encode_protobuf(document)
        except OtlpError as problem:
            raise _FormatError(str(problem)) from None
        if form == "protobuf-fixed":
            file.write(len(frame).to_bytes(4, "big"))
        elif form == "protobuf-delimited":
            file.write(_varint(len(frame)))
        elif number:
            raise _FormatError(
                "holds several requests, of which --format protobuf holds one; choose --format json, "
                "protobuf-delimited or protobuf-fixed"
            )
        file.write(frame)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
