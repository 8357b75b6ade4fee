"""aiohttp's client: `ClientSession._request` for HTTP, `ClientWebSocketResponse` for WebSockets."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import wrapt

from .._call import INTERRUPTED
from .._patch import Patches
from .._streams import Observer
from .._telemetry import Telemetry
from ._bodies import Body, closing
from ._exchange import Exchange
from ._frames import async_frame
from ._request import Request, authorization, inworld_url
from ._sockets import Socket, open_socket
from ._watched import observed, watch


class _Aiohttp:
    def __init__(self, patches: Patches) -> None:
        self._patches = patches

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        method, url = _argument(args, kwargs, 0, "method"), _argument(args, kwargs, 1, "str_or_url")
        found = inworld_url(_absolute(instance, url))
        if found is None:
            return None
        server, path, _ = found
        body = kwargs.get("json")
        if body is None:
            body = kwargs.get("data")
        if not isinstance(body, (bytes, str, Mapping)):
            body = None
        key = authorization(kwargs.get("headers")) or authorization(instance.headers)
        return Request(str(method).upper(), server, path, body, key)

    def answered(self, exchange: Exchange, response: Any, kwargs: dict[str, Any]) -> None:
        call = exchange.call
        observer = exchange.answered(response.status, response.headers)
        if observer is None:
            return
        content = response.content
        if content.at_eof():
            call.end()
            return
        response.content = _ObservedReader(content, call, observer)
        body = Body(call, observer, at_end=content.at_eof)
        body.watch(self._patches, response, {"close": closing, "release": closing})


class _ObservedReader(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """A response's `StreamReader`, with every way to read it."""

    def __init__(self, reader: Any, call: Any, observer: Observer) -> None:
        super().__init__(reader)
        self._self_call = call
        self._self_observer = observer

    async def _self_read(self, reading: Awaitable[Any]) -> Any:
        try:
            data = await reading
        except BaseException as exc:
            self._self_call.fail(exc)
            raise
        self._self_saw(data[0] if isinstance(data, tuple) else data)
        return data

    def _self_saw(self, data: bytes) -> None:
        call = self._self_call
        if call.ended:
            return
        if data:
            self._self_observer.see(call, data)
        if self.__wrapped__.at_eof():
            call.end()

    def read(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_read(self.__wrapped__.read(*args, **kwargs))

    def readany(self) -> Any:
        return self._self_read(self.__wrapped__.readany())

    def readline(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_read(self.__wrapped__.readline(*args, **kwargs))

    def readuntil(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_read(self.__wrapped__.readuntil(*args, **kwargs))

    def readexactly(self, n: int) -> Any:
        return self._self_read(self.__wrapped__.readexactly(n))

    def readchunk(self) -> Any:
        return self._self_read(self.__wrapped__.readchunk())

    def read_nowait(self, *args: Any, **kwargs: Any) -> Any:
        data = self.__wrapped__.read_nowait(*args, **kwargs)
        self._self_saw(data)
        return data

    # the iterators

    def __aiter__(self) -> Any:
        return self._self_pieces(self.__wrapped__.readline)

    def iter_chunked(self, n: int) -> Any:
        return self._self_pieces(functools.partial(self.__wrapped__.read, n))

    def iter_any(self) -> Any:
        return self._self_pieces(self.__wrapped__.readany)

    def iter_chunks(self) -> Any:
        from aiohttp.streams import ChunkTupleAsyncStreamIterator

        return ChunkTupleAsyncStreamIterator(self)  # type: ignore[arg-type]

    def _self_pieces(self, read: Callable[[], Awaitable[bytes]]) -> _Pieces:
        return _Pieces(read, self._self_call, self._self_observer)


class _Pieces:
    """As aiohttp's `AsyncStreamIterator`, in one step with the observation, which is paid for each piece."""

    __slots__ = ("_call", "_read", "_see")

    def __init__(self, read: Callable[[], Awaitable[bytes]], call: Any, observer: Observer) -> None:
        self._read = read
        self._call = call
        self._see = observer.see

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        try:
            data = await self._read()
        except BaseException as exc:
            self._call.fail(exc)
            raise
        if not data:
            self._call.end()
            raise StopAsyncIteration
        self._see(self._call, data)
        return data


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], index: int, name: str) -> Any:
    return args[index] if len(args) > index else kwargs.get(name)


def _absolute(session: Any, url: Any) -> Any:
    build = getattr(session, "_build_url", None)  # joins a session's base URL
    return build(url) if build is not None else url


# WebSockets


def _connecting(patches: Patches, telemetry: Telemetry) -> Any:
    async def connect(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            response = await wrapped(*args, **kwargs)
        except BaseException as exc:
            socket = _open(telemetry, instance, args, kwargs)
            if socket is not None:
                socket.refused(exc)
            raise
        socket = _open(telemetry, instance, args, kwargs)
        if socket is not None:
            watch(patches, response, socket, _METHODS)
        return response

    return connect


def _open(telemetry: Telemetry, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Socket | None:
    try:
        found = inworld_url(_absolute(session, _argument(args, kwargs, 0, "url")))
        if found is None:
            return None
        server, path, query = found
        key = authorization(kwargs.get("headers"), query) or authorization(session.headers)
        return open_socket(telemetry, server, path, key)
    except Exception:
        return None


async def _send(
    socket: Socket, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    socket.sent(_argument(args, kwargs, 0, "data"))
    return await wrapped(*args, **kwargs)


async def _receive(
    socket: Socket, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    socket.receiving += 1
    try:
        message = await wrapped(*args, **kwargs)
    finally:
        socket.receiving -= 1
    if message.type in _DATA:
        socket.received(message.data)
    else:
        _ended(socket, wrapped.__self__, message)  # type: ignore[attr-defined]
    return message


async def _close(
    socket: Socket, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    # `receive` closes as well, when the server has; then what it returns tells how.
    if not socket.receiving:
        socket.closed(INTERRUPTED)
    return await wrapped(*args, **kwargs)


_METHODS = {
    "receive": observed(_receive),
    "close": observed(_close),
    **dict.fromkeys(("send_str", "send_bytes"), observed(_send)),
}


# RFC 6455's opcodes, which are the values of aiohttp's message types
_DATA = frozenset({1, 2})
_CLOSED_IN_ORDER = (None, 0, 1000, 1001)
_BROKEN = 1006


def _ended(socket: Socket, response: Any, message: Any) -> None:
    kind = message.type.name
    if kind == "ERROR":
        socket.failed(message.data if isinstance(message.data, BaseException) else None)
    elif kind == "CLOSE" and message.data in _CLOSED_IN_ORDER:
        socket.closed()
    elif kind == "CLOSE" or (kind == "CLOSED" and response.close_code == _BROKEN):
        socket.failed(None)
    elif kind in ("CLOSED", "CLOSING"):
        socket.closed(INTERRUPTED)


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    patches.wrap("aiohttp.client", "ClientSession._request", async_frame(_Aiohttp(patches), get_telemetry))
    patches.wrap("aiohttp.client", "ClientSession._ws_connect", _connecting(patches, get_telemetry()))
