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

_SOCKET = "_otel_zdr_socket"


class _Connections:
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def socket(self, connection: Any) -> Socket | None:
        """The observer of a connection, made at its first message; None for hosts that are not Inworld's."""
        known = vars(connection)
        if _SOCKET not in known:
            setattr(connection, _SOCKET, self._open(connection))
        found: Socket | None = known.get(_SOCKET)
        return found

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

    def send(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        socket = self.socket(instance)
        if socket is None:
            return wrapped(*args, **kwargs)
        socket.sent(args[0] if args else kwargs.get("message"))
        try:
            return wrapped(*args, **kwargs)
        except BaseException as exc:
            _lost(socket, exc)
            raise

    async def send_async(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        socket = self.socket(instance)
        if socket is None:
            return await wrapped(*args, **kwargs)
        socket.sent(args[0] if args else kwargs.get("message"))
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as exc:
            _lost(socket, exc)
            raise

    def recv(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        socket = self.socket(instance)
        if socket is None:
            return wrapped(*args, **kwargs)
        try:
            message = wrapped(*args, **kwargs)
        except BaseException as exc:
            _lost(socket, exc)
            raise
        socket.received(message)
        return message

    async def recv_async(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        socket = self.socket(instance)
        if socket is None:
            return await wrapped(*args, **kwargs)
        try:
            message = await wrapped(*args, **kwargs)
        except BaseException as exc:
            _lost(socket, exc)
            raise
        socket.received(message)
        return message

    def close(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """For both kinds: what `wrapped` returns is awaited by the caller where it has to be."""
        socket: Socket | None = vars(instance).get(_SOCKET)
        if socket is not None:
            socket.closed(INTERRUPTED)
        return wrapped(*args, **kwargs)


def _lost(socket: Socket, error: BaseException) -> None:
    """Only a closed connection ends calls: a time limit or a cancelled wait is the application's affair."""
    exceptions = sys.modules.get("websockets.exceptions")
    if exceptions is None or not isinstance(error, exceptions.ConnectionClosed):
        return
    if isinstance(error, exceptions.ConnectionClosedOK):
        socket.closed()
    else:
        socket.failed(error)


def patch(patches: Patches, telemetry: Telemetry) -> None:
    connections = _Connections(telemetry)
    for module, send, recv in (
        ("websockets.sync.client", connections.send, connections.recv),
        ("websockets.asyncio.client", connections.send_async, connections.recv_async),
    ):
        patches.wrap(module, "ClientConnection.send", send)
        patches.wrap(module, "ClientConnection.recv", recv)
        patches.wrap(module, "ClientConnection.close", connections.close)
