"""Finds canaries in cleaned telemetry, and counts which metadata markers of the recording it still has.

What a canary and a marker are is defined in ``recorded/README.md``. Works on plain values; the end-to-end
tests hand in the bytes that were exported.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

USAGE = frozenset({1111, 222, 1333, 777, 888, 133, 555, 444, 999, 2776})
_USAGE_IN_TEXT = re.compile(r"(?<![\w.])(?:1111|222|1333|777|888|133|555|444|999|2776)(?![\w.])")
_MODEL = re.compile(r"(?!v-)[a-z0-9.]+(?:-[a-z0-9.]+)*-keepme(?:-[a-z0-9.]+)*", re.ASCII)
_ID = re.compile(r"(?:[a-z]+[_-])+KEEPME[A-Za-z0-9_.-]*", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._:/@+-]+", re.ASCII)
_KEEPME = re.compile("keepme", re.IGNORECASE)

#: What stands inside these goes with them; their markers do not count.
_MESSAGE_KEYS = re.compile(
    r"(?:^|[._])(?:messages?|input|output|prompts?|choices?|completions?|documents?|tools?|definitions|content|parts"
    r"|events|all_messages|chat_ctx|function_tools|function_calls|tool_calls|tool_definitions|final_result"
    r"|model_request_parameters|system_instructions|json_schema|arguments|result|queries|msg|msg_template"
    r"|stacktrace|transcript|raw)(?:$|[._])"
)
#: Names beside messages that look like parts of one.
_STANDS_ALONE = re.compile(
    r"(?:^|\.)(?:gen_ai\.(?:tool|prompt|completion|output)\.(?:name|call\.id|version|type)|tools\.names|tool\.name"
    r"|gen_ai\.usage\..*|llm\.token_count\..*|.*usage.*|llm\.prompt_template\.version)$"
)
_EMBEDDING = (0.7373046875, -0.1181640625, 0.4228515625)


def canary_forms(text: str = "CANARY-") -> list[bytes]:
    """How ``text`` may stand in bytes: plain, cut short, and inside base64 at any alignment."""
    raw = text.encode()
    forms = [raw, raw[:-1]]
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        start = -(-shift * 8 // 6)
        whole = (shift + len(raw)) * 8 // 6
        forms.append(encoded[start:whole])
    return forms


def leaks(data: bytes) -> list[bytes]:
    """The forms of a canary, or the embedding vector's numbers, that stand in ``data``."""
    found = [form for form in canary_forms() if form in data]
    found += [str(number).encode() for number in _EMBEDDING if str(number).encode() in data]
    return found


def serialised(*values: Any) -> bytes:
    """The values as text that hides nothing: bytes as they are, everything else as JSON."""
    return b"\n".join(
        json.dumps(value, default=_plain, ensure_ascii=False).encode("utf-8", "surrogatepass")
        for value in values
    )


def _plain(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return value.decode("latin-1") + " " + base64.b64encode(value).decode()
    return repr(value)


def markers(attributes: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(key, kind, text) of the markers that are attributes of their own: usage, model, id or name."""
    for key, value in attributes.items():
        if key.startswith(("keepme", "app.")) or (
            _MESSAGE_KEYS.search(key) and not _STANDS_ALONE.search(key)
        ):
            continue
        for item in value if isinstance(value, list) else [value]:
            if type(item) in (int, float) and item in USAGE:
                yield key, "usage", str(int(item))
            elif isinstance(item, str) and _WORD.fullmatch(item) and _KEEPME.search(item):
                yield key, kind_of(item), item


def kind_of(text: str) -> str:
    if _MODEL.fullmatch(text):
        return "model"
    return "id" if _ID.fullmatch(text) else "name"


def kept(before: dict[str, Any], after: dict[str, Any]) -> tuple[Counter[str], Counter[str], list[str]]:
    """(markers before by kind, those still under their key, ``key=marker`` of the lost ones)."""
    total: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    lost = []
    for key, kind, text in markers(before):
        total[kind] += 1
        value = after.get(key)
        values = value if isinstance(value, (list, tuple)) else [value]
        if any(str(item) == text or (kind == "usage" and item == int(text)) for item in values):
            survived[kind] += 1
        else:
            lost.append(f"{key}={text}")
    return total, survived, lost


def distinct(attributes: dict[str, Any]) -> set[tuple[str, str]]:
    """The distinct usage numbers and model ids in the values, JSON text included, outside messages."""
    found: set[tuple[str, str]] = set()
    for key, value in attributes.items():
        if key.startswith(("keepme", "app.")) or key in _SENTENCES:
            continue
        if _FLAT_MESSAGES.match(key):
            continue
        _collect(value, found)
    return found


_SENTENCES = frozenset({"logfire.msg", "exception.message", "exception.stacktrace"})
_FLAT_MESSAGES = re.compile(
    r"(?:gen_ai\.(?:input\.messages|output\.messages|system_instructions|tool\.definitions|prompt\.\d|completion\.\d)"
    r"|llm\.(?:input|output)_messages\.|lk\.(?:chat_ctx|function_tools)|pydantic_ai\.all_messages|input$|tools$"
    r"|model_request_parameters|retrieval\.|gen_ai\.retrieval\.documents|events$)"
)
_INNER_MESSAGES = frozenset(
    [
        "messages",
        "message",
        "choices",
        "content",
        "parts",
        "documents",
        "tools",
        "functions",
        "input",
        "prompt",
        "output",
        "data",
    ]
)


def _collect(value: Any, found: set[tuple[str, str]]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in _INNER_MESSAGES:
                _collect(item, found)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, found)
    elif type(value) in (int, float):
        if value in USAGE:
            found.add(("usage", str(int(value))))
    elif isinstance(value, str):
        if value[:1] in ("{", "["):
            with contextlib.suppress(ValueError):
                _collect(json.loads(value), found)
            return
        if _MODEL.fullmatch(value):
            found.add(("model", value))


def anywhere(values: Iterable[Any]) -> str:
    """Everything that is left of an item, as text to look in."""
    return serialised(*values).decode("utf-8", "surrogatepass")


def still_stands(kind: str, marker: str, text: str) -> bool:
    if kind == "usage":
        return re.search(rf"(?<![\w.]){marker}(?:\.0)?(?![\w.])", text) is not None
    return re.search(rf"(?<![\w-]){re.escape(marker)}(?![\w-])", text) is not None
