"""``otel-zdr coverage``: what the specification promises, the whole table or the row for one question."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap

from otel_zdr.cli._terminal import OK, error
from otel_zdr.policy.coverage import MODES, Coverage, all_rows, coverage, table

_QUESTION = ("provider", "model", "mode")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        "What Zero Data Retention covers. Without options the whole table; with --product and --data the row "
        "that holds for such a call."
    )
    parser.add_argument("--product", help="tts, stt, llm, voice_cloning or voice_design")
    parser.add_argument(
        "--data",
        help="text, audio, voice_sample, voice_description, transcript, usage, prompt, completion, "
        "system_instructions or tool",
    )
    parser.add_argument("--provider", help="who serves the call; for llm the host of the model")
    parser.add_argument("--model", help="the model's id, for stt provider/model")
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument(
        "--via",
        choices=("inworld", "direct"),
        default="inworld",
        help="through the API, or to the vendor itself",
    )
    parser.add_argument("--json", action="store_true", help="for machines")


def run(args: argparse.Namespace) -> int:
    """Print the answer; 2 where the question is not whole."""
    asked = args.product is not None or args.data is not None
    if asked and (args.product is None or args.data is None):
        return error("coverage: --product and --data belong together")
    if not asked:
        if args.via != "inworld" or any(getattr(args, name) is not None for name in _QUESTION):
            return error("coverage: name --product and --data as well")
        _print_table(all_rows(), as_json=args.json)
        return OK
    row = coverage(
        product=args.product,
        data=args.data,
        provider=args.provider,
        model=args.model,
        mode=args.mode,
        via=args.via,
    )
    if args.json:
        print(json.dumps(row.as_dict(), indent=2))
    else:
        _print_row(row)
    for name in ("product", "data"):
        known = sorted({getattr(each, name) for each in all_rows()})
        if getattr(args, name).strip().lower() not in known:
            print(
                f"otel-zdr: coverage: --{name} is none that the specification names: {', '.join(known)}",
                file=sys.stderr,
            )
    return OK


def _print_row(row: Coverage) -> None:
    lines = [("status", row.status), ("reason", row.reason)]
    if row.guarantee:
        lines.append(("guarantee", f"{row.guarantee} (the upstream provider's own)"))
    lines.append(("source", row.source))
    for name, text in lines:
        print(textwrap.fill(text, 100, initial_indent=f"{name:10} ", subsequent_indent=" " * 11))


def _print_table(rows: list[Coverage], *, as_json: bool) -> None:
    if as_json:
        found = table()
        print(
            json.dumps(
                {
                    "table_version": found["table_version"],
                    "specification": found["specification"],
                    "rows": [row.as_dict() for row in rows],
                },
                indent=2,
            )
        )
        return
    heads = ("product", "data", "provider, model", "mode", "status", "guarantee of the provider, or reason")
    cells = [
        (
            row.product,
            row.data,
            row.model or row.provider or "any",
            row.mode or "any",
            row.status,
            row.guarantee or ("none stated for this mode" if row.model else row.reason),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [heads, *cells]) for column in range(len(heads) - 1)]
    for line in [heads, *cells]:
        first = "  ".join(text.ljust(width) for text, width in zip(line[:-1], widths, strict=True))
        wrapped = textwrap.wrap(line[-1], 60) or [""]
        print(f"{first}  {wrapped[0]}")
        for more in wrapped[1:]:
            print(f"{'':{len(first)}}  {more}")
