"""Stored OTLP for the tests of the command line, and a way to run one subcommand."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

TRACE_ID = "5b8efff798038103d269b633813fc60c"


def run(command: str, *arguments: str) -> int:
    """Run a subcommand as the dispatcher does."""
    module = importlib.import_module(f"otel_zdr.cli.{command}")
    parser = argparse.ArgumentParser(prog=f"otel-zdr {command}")
    module.add_arguments(parser)
    code = module.run(parser.parse_args(arguments))
    assert isinstance(code, int)
    return code


def value(content: Any) -> dict[str, Any]:
    if isinstance(content, bool):
        return {"boolValue": content}
    if isinstance(content, int):
        return {"intValue": str(content)}
    if isinstance(content, float):
        return {"doubleValue": content}
    if isinstance(content, list):
        return {"arrayValue": {"values": [value(member) for member in content]}}
    return {"stringValue": content}


def attributes(**content: Any) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": value(each)} for key, each in content.items()]


def span(number: int, name: str, *, parent: int = 0, kind: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE_ID,
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(1_700_000_000_000_000_000 + number * 1_000_000),
        "endTimeUnixNano": str(1_700_000_001_500_000_000),
        **fields,
    }


def traces(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "app"}, "spans": list(spans)}]}]}


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    return {"resourceLogs": [{"scopeLogs": [{"scope": {"name": "app"}, "logRecords": list(records)}]}]}


def write(path: Path, *documents: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return str(path)
