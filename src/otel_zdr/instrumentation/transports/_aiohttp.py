"""aiohttp's client: `ClientSession._request` for HTTP, `ClientWebSocketResponse` for WebSockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import wrapt

from .._call import INTERRUPTED
from .._patch import Patches
from .._streams import Observer
from .._telemetry import Telemetry
from ._bodies import Body
from ._exchange import Exchange
from ._frames import async_frame
from ._request import Request, authorization, inworld_url
from ._sockets import Socket, open_socket


class _Aiohttp:
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
        body = Body(call, observer)
        for name in ("close", "release"):
            body.end_with(response, name)


class _ObservedReader(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """A response's `StreamReader`, with every way to read it."""

    def __init__(self, reader: Any, call: Any, observer: Observer) -> None:
        super().__init__(reader)
        self._self_call = call
        self._self_observer = observer

    async def _self_read(self, read: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        call = self._self_call
        try:
            data = await read(*args, **kwargs)
        except BaseException as exc:
            call.fail(exc)
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

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        return await self._self_read(self.__wrapped__.read, *args, **kwargs)

    async def readany(self) -> Any:
        return await self._self_read(self.__wrapped__.readany)

    async def readline(self, *args: Any, **kwargs: Any) -> Any:
        return await self._self_read(self.__wrapped__.readline, *args, **kwargs)

    async def readuntil(self, *args: Any, **kwargs: Any) -> Any:
        return await self._self_read(self.__wrapped__.readuntil, *args, **kwargs)

    async def readexactly(self, n: int) -> Any:
        return await self._self_read(self.__wrapped__.readexactly, n)

    async def readchunk(self) -> Any:
        return await self._self_read(self.__wrapped__.readchunk)

    def read_nowait(self, *args: Any, **kwargs: Any) -> Any:
        data = self.__wrapped__.read_nowait(*args, **kwargs)
        self._self_saw(data)
        return data

    # the iterators, on the methods above

    def __aiter__(self) -> Any:
        return _iterator(self.readline)

    def iter_chunked(self, n: int) -> Any:
        return _iterator(lambda: self.read(n))

    def iter_any(self) -> Any:
        return _iterator(self.readany)

    def iter_chunks(self) -> Any:
        from aiohttp.streams import ChunkTupleAsyncStreamIterator

        return ChunkTupleAsyncStreamIterator(self)  # type: ignore[arg-type]


def _iterator(read: Callable[[], Awaitable[bytes]]) -> Any:
    from aiohttp.streams import AsyncStreamIterator

    return AsyncStreamIterator(read)


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], index: int, name: str) -> Any:
    return args[index] if len(args) > index else kwargs.get(name)


def _absolute(session: Any, url: Any) -> Any:
    build = getattr(session, "_build_url", None)  # joins a session's base URL
    return build(url) if build is not None else url


# WebSockets

_SOCKET = "_otel_zdr_socket"


def _connecting(telemetry: Telemetry) -> Any:
    async def connect(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        socket = await wrapped(*args, **kwargs)
        try:
            found = inworld_url(_absolute(instance, _argument(args, kwargs, 0, "url")))
            if found is not None:
                server, path, query = found
                key = authorization(kwargs.get("headers"), query) or authorization(instance.headers)
                setattr(socket, _SOCKET, open_socket(telemetry, server, path, key))
        except Exception:
            setattr(socket, _SOCKET, None)
        return socket

    return connect


def _socket(instance: Any) -> Socket | None:
    socket: Socket | None = vars(instance).get(_SOCKET)
    return socket


async def _send(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    socket = _socket(instance)
    if socket is not None:
        socket.sent(_argument(args, kwargs, 0, "data"))
    return await wrapped(*args, **kwargs)


async def _receive(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    socket = _socket(instance)
    if socket is None:
        return await wrapped(*args, **kwargs)
    socket.receiving += 1
    try:
        message = await wrapped(*args, **kwargs)
    finally:
        socket.receiving -= 1
    kind = message.type.name
    if kind in ("TEXT", "BINARY"):
        socket.received(message.data)
    elif kind == "ERROR":
        socket.failed(message.data if isinstance(message.data, BaseException) else None)
    elif kind == "CLOSE" and message.data in _CLOSED_IN_ORDER:
        socket.closed()
    elif kind == "CLOSE" or (kind == "CLOSED" and instance.close_code == _BROKEN):
        socket.failed(None)
    elif kind in ("CLOSED", "CLOSING"):
        socket.closed(INTERRUPTED)
    return message


_CLOSED_IN_ORDER = (None, 0, 1000, 1001)
_BROKEN = 1006


async def _close(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    socket = _socket(instance)
    # `receive` closes as well, when the server has; then what it returns tells how.
    if socket is not None and not socket.receiving:
        socket.closed(INTERRUPTED)
    return await wrapped(*args, **kwargs)


def patch(patches: Patches, telemetry: Telemetry) -> None:
    patches.wrap("aiohttp.client", "ClientSession._request", async_frame(_Aiohttp(), telemetry))
    patches.wrap("aiohttp.client", "ClientSession._ws_connect", _connecting(telemetry))
    for name in ("send_str", "send_bytes"):
        patches.wrap("aiohttp.client_ws", f"ClientWebSocketResponse.{name}", _send)
    patches.wrap("aiohttp.client_ws", "ClientWebSocketResponse.receive", _receive)
    patches.wrap("aiohttp.client_ws", "ClientWebSocketResponse.close", _close)
