"""Texts to search for, in the forms that telemetry hides them in.

A text may stand plain, in any case, inside JSON inside JSON, as a Python repr, percent-encoded, as
HTML, in hex, in UTF-16, in base64 at any byte alignment, and cut short at either end. Numeric texts
("0.73, -0.11, 0.42") are found in lists of numbers whatever their layout.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

MIN_FRAGMENT = 12
"""Characters of a text that must stand together to count as a part of it; shorter texts count whole."""

MIN_TEXT = 3
"""Shorter texts stand everywhere and are refused."""

_MAX_FRAGMENTS = 64
_NUMBERS = re.compile(
    r"[\[(]?\s*-?\d+(?:\.\d+)?(?:e-?\d+)?(?:\s*,\s*-?\d+(?:\.\d+)?(?:e-?\d+)?)+\s*[\])]?\Z", re.I
)


@dataclass(frozen=True, slots=True)
class Find:
    """Text number `index` (in the order given, from 0) was found in the form `form`."""

    index: int
    form: str


class Search:
    """Texts compiled for searching; raises ValueError if one is shorter than :data:`MIN_TEXT`.

    `fragments=False` looks for whole texts only.
    """

    def __init__(self, texts: Iterable[str], *, fragments: bool = True, shortest: int = MIN_FRAGMENT) -> None:
        self._forms: list[tuple[int, str, bytes]] = []  # searched in the value as it is
        self._folded: list[tuple[int, str, bytes]] = []  # searched in the value in lower case
        self._parts: list[tuple[int, str, bytes]] = []  # likewise, where nothing better was found
        self._shortest = max(MIN_TEXT, shortest)
        self._numbers: list[tuple[int, bytes]] = []
        self.count = 0
        for index, text in enumerate(texts):
            if len(text.strip()) < MIN_TEXT:
                raise ValueError(f"text {index + 1} is shorter than {MIN_TEXT} characters")
            self.count += 1
            self._add(index, text.strip("\r\n"), fragments)

    def find(self, content: bytes) -> list[Find]:
        """The texts that stand in `content`, each once, with the first form it was found in."""
        found: dict[int, str] = {}
        for index, form, needle in self._forms:
            if index not in found and needle in content:
                found[index] = form
        folded = content.lower()
        for index, form, needle in self._folded:
            if index not in found and needle in folded:
                found[index] = form
        if self._numbers:
            spaceless = _spaceless(content)
            for index, needle in self._numbers:
                if index not in found and needle in spaceless:
                    found[index] = "numbers"
        for index, form, needle in self._parts:
            if index not in found and needle in folded:
                found[index] = form
        return [Find(index, form) for index, form in sorted(found.items())]

    def find_in(self, value: object) -> list[Find]:
        """The texts that stand in a decoded value: text, bytes, number, list or map, keys included."""
        return self.find(flatten(value))

    def _add(self, index: int, text: str, fragments: bool) -> None:
        whole = text.encode("utf-8", "surrogatepass")
        self._folded.append((index, "plain", whole.lower()))
        for form, encoded in _encodings(text, whole):
            self._forms.append((index, form, encoded))
        if _NUMBERS.match(text.strip()):
            self._numbers.append((index, _spaceless(text.strip().strip("[]()").encode())))
        if not fragments:
            return
        for part in _windows(text, self._shortest):
            encoded = part.encode("utf-8", "surrogatepass")
            self._parts.append((index, "part", encoded.lower()))
        for form, encoded in _base64(whole):
            # Base64 cut short: a window of the same number of bytes.
            for piece in _windows(encoded.decode("ascii"), self._shortest * 4 // 3 + 2):
                self._forms.append((index, f"part in {form}", piece.encode("ascii")))


def flatten(value: object) -> bytes:
    """Everything that a decoded value holds, as bytes, one part a line."""
    parts: list[bytes] = []
    _flatten(value, parts, 0)
    return b"\n".join(parts)


def _flatten(value: object, parts: list[bytes], depth: int) -> None:
    if depth > 64:
        return
    if isinstance(value, str):
        parts.append(value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        parts.append(value)
    elif isinstance(value, dict):
        for key, content in value.items():
            parts.append(str(key).encode("utf-8", "surrogatepass"))
            _flatten(content, parts, depth + 1)
    elif isinstance(value, (list, tuple)):
        if value and all(isinstance(member, (int, float)) for member in value):
            parts.append(", ".join(map(repr, value)).encode())
            if all(isinstance(member, int) and 0 <= member <= 255 for member in value):
                parts.append(bytes(value))  # bytearrays arrive as lists of numbers
        else:
            for member in value:
                _flatten(member, parts, depth + 1)
    elif value is not None:
        parts.append(repr(value).encode())


def _encodings(text: str, whole: bytes) -> list[tuple[str, bytes]]:
    forms: dict[bytes, str] = {}

    def add(form: str, encoded: bytes) -> None:
        if encoded != whole:
            forms.setdefault(encoded, form)

    escaped = text
    for _ in range(3):  # JSON in JSON in JSON
        for ascii_only in (True, False):
            add("json", json.dumps(escaped, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogatepass"))
        escaped = json.dumps(escaped)[1:-1]
    add("repr", repr(text)[1:-1].encode("utf-8", "surrogatepass"))
    add("repr", ascii(text)[1:-1].encode())
    for quoted in (quote(text, safe="", errors="replace"), quote_plus(text, errors="replace")):
        add("url", quoted.encode())
    add("html", html.escape(text).encode("utf-8", "surrogatepass"))
    add("utf-16", text.encode("utf-16-le", "surrogatepass"))
    add("hex", whole.hex().encode())
    add("hex", whole.hex().upper().encode())
    for form, encoded in _base64(whole):
        add(form, encoded)
    return [(form, encoded) for encoded, form in forms.items()]


def _base64(whole: bytes) -> list[tuple[str, bytes]]:
    """The characters that stand for `whole` alone, at each of the three alignments, in both alphabets."""
    forms: list[tuple[str, bytes]] = []
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + whole)
        first = -(-before * 8 // 6)  # characters that also hold bits of what stands before
        last = (before + len(whole)) * 8 // 6
        core = encoded[first:last]
        if len(core) >= 6:
            forms.append(("base64", core))
            other = core.replace(b"+", b"-").replace(b"/", b"_")
            if other != core:
                forms.append(("base64", other))
    return forms


def _windows(text: str, size: int) -> list[str]:
    """Parts of `size` characters such that every longer part of the text holds at least one of them."""
    if len(text) <= size:
        return []
    step = max(size // 3, len(text) // _MAX_FRAGMENTS, 1)
    starts = [*range(0, len(text) - size, step), len(text) - size]
    parts = [text[start : start + size] for start in starts]
    # Blank or uniform parts stand in many texts.
    return [part for part in parts if len(set(part.lower())) >= 4]


def _spaceless(content: bytes) -> bytes:
    return content.translate(None, b" \t\r\n")
