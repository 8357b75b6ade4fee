"""websockets: client connections, for threads and for asyncio.

Patched on the client classes only; a server's connections have the same base.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

from .._call import INTERRUPTED
from .._patch import Patches
from .._telemetry import Telemetry
from ._request import authorization, inworld_url
from ._sockets import Socket, open_socket


class _Connections:
    """Watches a connection from its handshake on, if its host is Inworld's.

    Only then its methods are replaced, on the one connection: those to other hosts cost nothing a message.
    """

    def __init__(self, telemetry: Telemetry) -> None:
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
            _watch(instance, socket)
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
            _watch_async(instance, socket)
        return result


def _redirects(error: BaseException) -> bool:
    """The client tries again elsewhere, and that attempt is the call."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(status, int) and 300 <= status < 400


def _watch(connection: Any, socket: Socket) -> None:
    # The connection is held weakly, so that it is collected as before.
    owner, kind = weakref.ref(connection), type(connection)
    original_send, original_recv, original_close = kind.send, kind.recv, kind.close

    def send(message: Any, *args: Any, **kwargs: Any) -> Any:
        socket.sent(message)
        try:
            return original_send(owner(), message, *args, **kwargs)
        except BaseException as exc:
            _lost(socket, exc)
            raise

    def recv(*args: Any, **kwargs: Any) -> Any:
        try:
            message = original_recv(owner(), *args, **kwargs)
        except BaseException as exc:
            _lost(socket, exc)
            raise
        socket.received(message)
        return message

    def close(*args: Any, **kwargs: Any) -> Any:
        socket.closed(INTERRUPTED)
        return original_close(owner(), *args, **kwargs)

    connection.send, connection.recv, connection.close = send, recv, close


def _watch_async(connection: Any, socket: Socket) -> None:
    owner, kind = weakref.ref(connection), type(connection)
    original_send, original_recv, original_close = kind.send, kind.recv, kind.close

    async def send(message: Any, *args: Any, **kwargs: Any) -> Any:
        socket.sent(message)
        try:
            return await original_send(owner(), message, *args, **kwargs)
        except BaseException as exc:
            _lost(socket, exc)
            raise

    async def recv(*args: Any, **kwargs: Any) -> Any:
        try:
            message = await original_recv(owner(), *args, **kwargs)
        except BaseException as exc:
            _lost(socket, exc)
            raise
        socket.received(message)
        return message

    async def close(*args: Any, **kwargs: Any) -> Any:
        socket.closed(INTERRUPTED)
        return await original_close(owner(), *args, **kwargs)

    connection.send, connection.recv, connection.close = send, recv, close


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
    connections = _Connections(get_telemetry())
    patches.wrap("websockets.sync.client", "ClientConnection.handshake", connections.handshake)
    patches.wrap("websockets.asyncio.client", "ClientConnection.handshake", connections.handshake_async)
