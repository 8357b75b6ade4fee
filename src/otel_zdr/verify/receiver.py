"""What a backend would get: a server on loopback that takes whatever is sent, over HTTP and gRPC.

Any method on any path and any gRPC method is answered with success, so that exporters of every kind find
what they expect. Bodies are kept in memory, decompressed, and never leave it.
"""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MAX_BODY_BYTES = 64 * 1024 * 1024
_SIGNALS = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
}


@dataclass(frozen=True, slots=True)
class Received:
    """One request.

    Attributes:
        path: of the URL, or the gRPC method. body: decompressed. head: what else the sender wrote.
    """

    path: str
    body: bytes
    head: bytes = b""

    @property
    def signal(self) -> str | None:
        """`traces`, `logs` or `metrics` where the request is OTLP."""
        if self.path in _SIGNALS:
            return _SIGNALS[self.path]
        last = self.path.partition("?")[0].rsplit("/", 1)[-1]
        return last if last in _SIGNALS.values() else None


class Receiver:
    """`with Receiver() as receiver:` then `receiver.url`, `receiver.grpc_target`, `receiver.requests`."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.requests.append))
        self._http.daemon_threads = True
        self.port: int = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.grpc_port = 0
        self._grpc: Any = None
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.daemon = True

    @property
    def grpc_target(self) -> str:
        """`127.0.0.1:port`, or "" where grpcio is not installed."""
        return f"127.0.0.1:{self.grpc_port}" if self.grpc_port else ""

    @property
    def data(self) -> bytes:
        """Everything that arrived."""
        return b"\n".join(part for request in self.requests for part in (request.head, request.body))

    def __enter__(self) -> Receiver:
        self._thread.start()
        try:
            self._start_grpc()
        except ImportError:
            self._grpc = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._grpc is not None:
            self._grpc.stop(0)
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def _start_grpc(self) -> None:
        import grpc  # type: ignore[import-untyped]

        keep = self.requests.append

        class Everything(grpc.GenericRpcHandler):  # type: ignore[misc]
            def service(self, details: Any) -> Any:
                method = details.method
                head = repr(tuple(details.invocation_metadata or ())).encode()

                def answer(bodies: Any, context: Any) -> Any:
                    for body in bodies:
                        keep(Received(method, body, head))
                    yield b""

                # Bytes in, bytes out: one handler for calls of every kind.
                return grpc.stream_stream_rpc_method_handler(answer)

        self._grpc = grpc.server(futures.ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
        self._grpc.add_generic_rpc_handlers((Everything(),))
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()


def _handler(keep: Callable[[Received], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _take(self) -> None:
            body = self._decoded(self._read())
            head = f"{self.requestline}\n{self.headers}".encode("utf-8", "replace")
            keep(Received(self.path, body, head))
            protobuf = self.headers.get("Content-Type") == "application/x-protobuf"
            answer = b"" if protobuf else b"{}"
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf" if protobuf else "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _take

        def _read(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            length = int(self.headers.get("Content-Length") or 0)
            return self.rfile.read(min(length, _MAX_BODY_BYTES))

        def _decoded(self, body: bytes) -> bytes:
            encoding = self.headers.get("Content-Encoding", "").lower()
            try:
                if encoding == "gzip":
                    return gzip.decompress(body)
                if encoding == "deflate":
                    return zlib.decompress(body)
            except (OSError, zlib.error):
                return body
            return body

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: what is asked for may hold content."""

    return Handler
