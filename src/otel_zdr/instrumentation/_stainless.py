"""The generator behind openai, groq, anthropic and cartesia gives their calls the same four kinds of result.

- a model, text or bytes: read, and the call ends;
- a `Stream` or `AsyncStream` over server-sent events: followed in place;
- `with_raw_response`: a response whose body is there but not parsed. Its bytes are read beside the
  application, which parses them as it likes;
- `with_streaming_response`, and `with_raw_response` of a stream: a response whose body the application
  pulls, as bytes, lines or a parsed stream. The one method below all of these, `iter_bytes` of this HTTP
  response, is tapped.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from logging import getLogger
from typing import Any

from ._call import Call
from ._read import get, text
from ._streams import Observer, end_when_called, follow
from .transports._answers import Each
from .transports._skim import METADATA

_log = getLogger(__name__)

RAW_HEADER = "X-Stainless-Raw-Response"
# Beyond this a body is not read for its usage.
_MAX_BODY_BYTES = 8 * 1024 * 1024

Read = Callable[[Call, Any], None]


def raw_mode(kwargs: Mapping[str, Any]) -> str | None:
    """`"true"` under `with_raw_response`, `"stream"` under `with_streaming_response`, else None."""
    headers = kwargs.get("extra_headers")
    return text(headers.get(RAW_HEADER)) if isinstance(headers, Mapping) else None


def settle(
    call: Call, result: Any, read: Read, observe: Callable[[], Observer], request_id: str = "x-request-id"
) -> Any:
    """End `call` with `result`, now or when the application has read it; returns `result`.

    Args:
        read: reads a whole answer, as a model or as the dict its JSON makes, or as text.
        observe: makes the observer of a streamed answer; its items are models or dicts too.
        request_id: the header in which this vendor sends the id of the request.
    """
    if hasattr(type(result), "__pydantic_fields__"):
        # A model, as most answers are: its fields are the answer's, and nothing of the client's.
        read(call, result)
        call.end()
        return result
    if get(result, "_iterator") is not None:
        response = get(result, "response")
        _headers(call, response, request_id)
        return follow(result, call, observe(), response)
    response = get(result, "http_response")
    if response is not None and hasattr(result, "parse"):
        _headers(call, response, request_id)
        if getattr(response, "is_closed", True):
            _read_body(call, response.content, _content_type(response), read)
            call.end()
        else:
            _Body(call, result, response, read, observe)
        return result
    response = get(result, "response")
    if response is not None:
        _headers(call, response, request_id)
    read(call, result)
    call.end()
    return result


def _headers(call: Call, response: Any, request_id: str) -> None:
    headers = getattr(response, "headers", None)
    if headers is not None:
        call.response(request_id=headers.get(request_id) or headers.get("x-inworld-request-id"))


def _content_type(response: Any) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _read_body(call: Call, body: bytes, content_type: str, read: Read) -> None:
    if len(body) > _MAX_BODY_BYTES:
        return
    if content_type.endswith("json"):
        read(call, json.loads(body))
    elif content_type.startswith("text/") and call.wants_content:
        read(call, body.decode("utf-8", "replace"))


class _Body:
    """The body of an HTTP response that the application pulls."""

    __slots__ = ("_advancing", "_buffer", "_call", "_iteration", "_kind", "_observer", "_read")

    def __init__(
        self, call: Call, result: Any, response: Any, read: Read, observe: Callable[[], Observer]
    ) -> None:
        self._call = call
        self._read = read
        self._kind = _content_type(response)
        self._observer: Observer | None = observe() if self._kind == "text/event-stream" else None
        if self._observer is not None and not call.wants_content:
            self._observer = Each(METADATA, self._observer)
        self._buffer = bytearray()
        self._iteration: Any = None
        self._advancing = False
        call.on_end = self._finish
        self._tap(response)
        for name in ("close", "aclose"):
            end_when_called(response, name, call, self)
        if getattr(result, "_stream", False):
            self._follow_parsed(result, observe)

    @property
    def advancing(self) -> bool:
        """Whether a close just now is the body's own, because it ran out or failed."""
        return self._advancing or (self._iteration is not None and self._iteration.advancing)

    def _tap(self, response: Any) -> None:
        pull, pull_async = response.iter_bytes, response.aiter_bytes

        def iter_bytes(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            return self._pull(pull(*args, **kwargs))

        def aiter_bytes(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            return self._pull_async(pull_async(*args, **kwargs))

        response.iter_bytes = iter_bytes
        response.aiter_bytes = aiter_bytes

    def _pull(self, source: Iterator[bytes]) -> Iterator[bytes]:
        call = self._call
        try:
            while True:
                self._advancing = True
                try:
                    data = next(source)
                except StopIteration:
                    self._exhausted()
                    return
                except BaseException as exc:
                    call.fail(exc)
                    raise
                finally:
                    self._advancing = False
                self._see(data)
                yield data
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    async def _pull_async(self, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        call = self._call
        try:
            while True:
                self._advancing = True
                try:
                    data = await source.__anext__()
                except StopAsyncIteration:
                    self._exhausted()
                    return
                except BaseException as exc:
                    call.fail(exc)
                    raise
                finally:
                    self._advancing = False
                self._see(data)
                yield data
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def _exhausted(self) -> None:
        # A stream parsed from these bytes ends the call itself, after its last item.
        if self._iteration is None:
            self._call.end()

    def _see(self, data: bytes) -> None:
        if self._iteration is None and type(self._observer) is Each:
            self._observer.see(self._call, data)
            return
        self._call.chunk()
        if self._iteration is not None:
            return
        if self._observer is not None:
            try:
                self._feed(data)
            except Exception as exc:
                self._observer = None
                _log.debug("a stream is no longer read: %s", type(exc).__qualname__)
        elif self._kind.endswith("json") and len(self._buffer) <= _MAX_BODY_BYTES:
            self._buffer += data

    def _feed(self, data: bytes) -> None:
        self._buffer += data
        if b"\n" not in data and b"\r" not in data:
            return
        lines = bytes(self._buffer).splitlines(keepends=True)
        self._buffer = bytearray() if lines[-1].endswith((b"\n", b"\r")) else bytearray(lines.pop())
        for line in lines:
            payload = line[5:].strip() if line.startswith(b"data:") else b""
            if payload.startswith(b"{") and self._observer is not None:
                self._observer.see(self._call, json.loads(payload))

    def _finish(self, call: Call) -> None:
        if self._observer is not None:
            self._observer.finish(call)
        elif self._buffer:
            _read_body(call, bytes(self._buffer), self._kind, self._read)

    def _follow_parsed(self, result: Any, observe: Callable[[], Observer]) -> None:
        parse = result.parse

        def followed(stream: Any) -> Any:
            if self._iteration is None and getattr(stream, "_iterator", None) is not None:
                try:
                    follow(stream, self._call, observe())
                    self._iteration = stream._iterator
                except Exception as exc:
                    _log.debug("a stream is not read: %s", type(exc).__qualname__)
            return stream

        def parsed(*args: Any, **kwargs: Any) -> Any:
            found = parse(*args, **kwargs)
            if hasattr(found, "__await__"):
                return _after(found, followed)
            return followed(found)

        result.parse = parsed


async def _after(awaitable: Any, then: Callable[[Any], Any]) -> Any:
    return then(await awaitable)
