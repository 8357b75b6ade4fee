"""Inside the checked process: every connection ends at one receiver on loopback, or is refused and named.

Exporters keep their own code, endpoints and credentials; only the last step is another one. Connections by
ways that cannot be redirected are refused by an audit hook, which no Python code can pass by.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Callable
from typing import Any

_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyname_ex", "socket.getnameinfo")
_SENDS = ("socket.connect", "socket.sendto", "socket.sendmsg")


class Wire:
    """Installed once, for the life of the process: audit hooks cannot be taken off.

    Attributes:
        redirected: hosts that were meant, of what was redirected. refused: those of what was not.
        written: paths of files opened for writing.
    """

    def __init__(self, http_port: int, grpc_port: int) -> None:
        self._http, self._grpc = http_port, grpc_port
        self.redirected: set[str] = set()
        self.refused: set[str] = set()
        self.written: set[str] = set()

    def install(self) -> None:
        """Put the hooks in place; libraries follow when they are imported."""
        import http.client

        import wrapt

        sys.addaudithook(self._audit)
        self._connect_here(http.client.HTTPConnection)
        self._connect_here(http.client.HTTPSConnection)
        for module, patch in (
            ("urllib3.connection", self._patch_urllib3),
            ("httpx", self._patch_httpx),
            ("httpx2", self._patch_httpx),
            ("grpc", self._patch_grpc),
            ("grpc.aio", self._patch_grpc),
        ):
            wrapt.register_post_import_hook(patch, module)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _SENDS:
            address = args[1] if len(args) > 1 else None
            if not self._is_ours(address):
                self.refused.add(_named(address))
                raise ConnectionRefusedError(111, "otel-zdr check: nothing leaves this process")
        elif event in _LOOKUPS:
            host = args[0][0] if isinstance(args[0], tuple) else args[0]
            if not _is_loopback(host):
                self.refused.add(_named((host, args[1] if len(args) > 1 else None)))
                raise ConnectionRefusedError(111, "otel-zdr check: nothing is looked up")
        elif event == "open" and isinstance(args[0], str) and _writes(args):
            self.written.add(args[0])

    def _is_ours(self, address: Any) -> bool:
        return (
            isinstance(address, tuple)
            and len(address) >= 2
            and _is_loopback(address[0])
            and address[1] in (self._http, self._grpc)
        )

    # --- HTTP ---------------------------------------------------------------------------------------

    def _connect_here(self, owner: Any) -> None:
        wire = self

        def connect(connection: Any) -> None:
            import socket

            wire.redirected.add(_named((connection.host, connection.port)))
            connection.sock = socket.create_connection(("127.0.0.1", wire._http), 10)
            # What urllib3 asks of a connection that it takes to be encrypted.
            connection.is_verified = connection.proxy_is_verified = True

        owner.connect = connect

    def _patch_urllib3(self, module: Any) -> None:
        self._connect_here(module.HTTPConnection)
        self._connect_here(module.HTTPSConnection)

    def _patch_httpx(self, module: Any) -> None:
        for name, method in (
            ("HTTPTransport", "handle_request"),
            ("AsyncHTTPTransport", "handle_async_request"),
        ):
            transport = getattr(module, name)
            setattr(transport, method, self._sends_here(getattr(transport, method)))

    def _sends_here(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def handle(transport: Any, request: Any) -> Any:
            self.redirected.add(_named((request.url.host, request.url.port)))
            request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._http)
            return original(transport, request)

        return handle

    # --- gRPC: its connections are made in C, where no audit hook sees them ---------------------------

    def _patch_grpc(self, module: Any) -> None:
        insecure = module.insecure_channel

        def insecure_channel(target: str, options: Any = None, *args: Any, **kwargs: Any) -> Any:
            self.redirected.add(_printable(target))
            return insecure(f"127.0.0.1:{self._grpc}", options, *args, **kwargs)

        def secure_channel(
            target: str, credentials: Any, options: Any = None, *args: Any, **kwargs: Any
        ) -> Any:
            return insecure_channel(target, options, *args, **kwargs)

        module.insecure_channel = insecure_channel
        module.secure_channel = secure_channel


def _is_loopback(host: Any) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _writes(args: tuple[Any, ...]) -> bool:
    mode, flags = (*args, None, None)[1:3]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & 0b11)  # O_WRONLY, O_RDWR


def _named(address: Any) -> str:
    """A host, with its port where there is one: never a path or what stands before an ``@``."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return _printable(f"{host}:{port}" if port else host)
    return _printable(address)


def _printable(value: object) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text.rpartition("@")[2][:128]
