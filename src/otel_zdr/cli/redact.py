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

DESCRIPTION = """Clean stored OTLP: every value that would not have survived redaction under the settings
of this environment (OTEL_ZDR_*) is removed, and each item says what was. The format of OUT is that of IN."""


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
    progress = Progress("items")
    try:
        cleaner = Cleaner(Settings.from_env(), trust_marks=args.trust_sdk_marks)
        form = args.format or stored_format(args.input)
        _write(args.output, form, _cleaned(args.input, cleaner, progress))
    except (OtlpError, ConfigurationError) as problem:
        return error(str(problem))
    except OSError as problem:
        return error(f"{args.output}: cannot be written ({problem.strerror or type(problem).__name__})")
    finally:
        progress.end()
    if args.json:
        report = {"items": cleaner.items, "redacted": cleaner.redacted, "removed": cleaner.removed}
        print(json.dumps(report), file=sys.stderr)
    else:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(cleaner.removed.items())) or "nothing"
        of = f"{cleaner.redacted} of {cleaner.items} items are under ZDR"
        print(f"{plain(args.input)}: {of}; removed: {counts}", file=sys.stderr)
    return OK


def _cleaned(path: str, cleaner: Cleaner, progress: Progress) -> Iterator[Document]:
    for document in read_documents(path):
        yield cleaner.clean(document)
        progress(cleaner.items)


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
        frame = encode_protobuf(document)
        if form == "protobuf-fixed":
            file.write(len(frame).to_bytes(4, "big"))
        elif form == "protobuf-delimited":
            file.write(_varint(len(frame)))
        elif number:
            raise OtlpError(
                "the input holds several requests: choose --format protobuf-delimited or protobuf-fixed"
            )
        file.write(frame)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
