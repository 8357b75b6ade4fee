"""websockets: client connections, for threads and for asyncio.

Patched on the client classes only; a server's connections have the same base.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .._call import INTERRUPTED
from .._patch import Patches
from .._telemetry import Telemetry
from ._request import authorization, inworld_url
from ._sockets import Socket, open_socket
from ._watched import observed, watch


class _Connections:
    """Watches a connection from its handshake on, if its host is Inworld's.

    Only then methods are wrapped: in a process that never speaks to Inworld messages cost nothing.
    """

    def __init__(self, patches: Patches, telemetry: Telemetry) -> None:
        self._patches = patches
        self._telemetry = telemetry

    def _open(self, connection: Any) -> Socket | None:
        try:
            request = connection.request
            # A host without a port stands for the scheme's own port, whichever scheme that is.
            found = inworld_url(f"wss://{request.headers['Host']}{request.path}")
            if found is None:
                return None
            server, path, query = found
            return open_socket(self._telemetry, server, path, authorization(request.headers, query))
        except Exception:
            return None

    def _refused(self, connection: Any, error: BaseException) -> None:
        socket = self._open(connection)
        if socket is not None and not _redirects(error):
            socket.refused(error)

    def handshake(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as exc:
            self._refused(instance, exc)
            raise
        socket = self._open(instance)
        if socket is not None:
            watch(self._patches, instance, socket, _METHODS)
        return result

    async def handshake_async(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as exc:
            self._refused(instance, exc)
            raise
        socket = self._open(instance)
        if socket is not None:
            watch(self._patches, instance, socket, _ASYNC_METHODS)
        return result


def _redirects(error: BaseException) -> bool:
    """The client tries again elsewhere, and that attempt is the call."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(status, int) and 300 <= status < 400


def _send(socket: Socket, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    socket.sent(_message(args, kwargs))
    try:
        return wrapped(*args, **kwargs)
    except BaseException as exc:
        _lost(socket, exc)
        raise


async def _send_async(
    socket: Socket, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    socket.sent(_message(args, kwargs))
    try:
        return await wrapped(*args, **kwargs)
    except BaseException as exc:
        _lost(socket, exc)
        raise


def _recv(socket: Socket, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        message = wrapped(*args, **kwargs)
    except BaseException as exc:
        _lost(socket, exc)
        raise
    socket.received(message)
    return message


async def _recv_async(
    socket: Socket, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        message = await wrapped(*args, **kwargs)
    except BaseException as exc:
        _lost(socket, exc)
        raise
    socket.received(message)
    return message


def _close(socket: Socket, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    socket.closed(INTERRUPTED)
    return wrapped(*args, **kwargs)


async def _close_async(
    socket: Socket, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    socket.closed(INTERRUPTED)
    return await wrapped(*args, **kwargs)


def _message(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else kwargs.get("message")


_METHODS = {"send": observed(_send), "recv": observed(_recv), "close": observed(_close)}
_ASYNC_METHODS = {
    "send": observed(_send_async),
    "recv": observed(_recv_async),
    "close": observed(_close_async),
}


def _lost(socket: Socket, error: BaseException) -> None:
    """Only a closed connection ends calls: a time limit or a cancelled wait is the application's affair."""
    exceptions = sys.modules.get("websockets.exceptions")
    if exceptions is None or not isinstance(error, exceptions.ConnectionClosed):
        return
    if isinstance(error, exceptions.ConnectionClosedOK):
        socket.closed()
    else:
        socket.failed(error)


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    connections = _Connections(patches, get_telemetry())
    patches.wrap("websockets.sync.client", "ClientConnection.handshake", connections.handshake)
    patches.wrap("websockets.asyncio.client", "ClientConnection.handshake", connections.handshake_async)
