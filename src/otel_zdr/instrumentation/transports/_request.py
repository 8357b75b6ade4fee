"""A request to Inworld as every transport sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from .._hosts import is_inworld, server_of

Server = tuple[str, "int | None"]


class Request(NamedTuple):
    """One request to one of Inworld's hosts.

    Attributes:
        method: upper case.
        server: host and port.
        path: without the query.
        body: bytes, text or a mapping; None for a file or an iterator, which are not ours to read.
        key: what authorises the request; only ever fingerprinted.
    """

    method: str
    server: Server
    path: str
    body: Any
    key: str | None

    def fields(self, keep: int) -> Mapping[str, Any]:
        """The fields of the JSON body, texts longer than `keep` bytes as their length."""
        body = self.body
        if isinstance(body, Mapping):
            return body
        if isinstance(body, (bytes, bytearray)) and body[:2] == b"--":
            return _config_part(bytes(body))
        from ._skim import skim

        fields = skim(body, keep)
        return fields if isinstance(fields, dict) else {}


def inworld_url(url: Any) -> tuple[Server, str, str] | None:
    """Server, path and query of a URL of one of Inworld's hosts; None for all other hosts."""
    text = url if isinstance(url, str) else str(url)
    parts = _seen.get(text)
    if parts is None:
        parts = _split(text)
        if parts is None:
            return None
        # Only the endpoints themselves: no query, which may hold a key, no id of a voice or job.
        if len(_seen) < 256 and len(text) < 128 and not parts[2] and parts[1].count("/") <= 3:
            _seen[text] = parts
    return parts if is_inworld(parts[0]) else None


_seen: dict[str, tuple[Server, str, str]] = {}


def _split(text: str) -> tuple[Server, str, str] | None:
    try:
        parts = urlsplit(text)
        server = server_of(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
    except ValueError:
        return None
    if server is None:
        return None
    return server, parts.path.replace("%3A", ":").replace("%3a", ":"), parts.query


def authorization(headers: Any, query: str = "") -> str | None:
    """What authorises a request: the header, or the query of a WebSocket's URL."""
    try:
        value = headers.get("Authorization") if headers is not None else None
        if value is None and "authorization=" in query:
            value = parse_qs(query).get("authorization", [None])[0]
    except Exception:
        return None
    return value if isinstance(value, str) else None


def pick(source: Any, name: str) -> Any:
    """`source[name]`, which is in camelCase, or the same in snake_case: Inworld takes and sends both."""
    if type(source) is not dict and not isinstance(source, Mapping):
        return None
    value = source.get(name)
    if value is None:
        value = source.get(_snake(name))
    return value


_snakes: dict[str, str] = {}


def _snake(name: str) -> str:
    # Names are those in our own source, so the memo is bounded.
    snake = _snakes.get(name)
    if snake is None:
        snake = _snakes[name] = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return snake


def count(value: object) -> int | None:
    """A non-negative int; protocol buffers write 64-bit ones as text."""
    if isinstance(value, str) and len(value) < 20 and value.isdecimal():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _config_part(body: bytes) -> Mapping[str, Any]:
    """The `transcribeConfig` part of a multipart upload, which comes first; the audio is not looked at."""
    head = body[: 64 * 1024]
    for name in (b'name="transcribeConfig"', b'name="transcribe_config"'):
        start = head.find(name)
        if start >= 0:
            begin, end = head.find(b"\r\n\r\n", start), -1
            if begin >= 0:
                end = head.find(b"\r\n--", begin + 4)
            if end >= 0:
                try:
                    return {"transcribeConfig": json.loads(head[begin + 4 : end])}
                except ValueError:
                    return {}
    return {}
