"""A real OTLP receiver on loopback, over HTTP and gRPC, that keeps the bytes it is sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

_SERVICES = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
}


class Receiver:
    """What arrived, by signal."""

    def __init__(self) -> None:
        self.received: dict[str, list[bytes]] = {"traces": [], "logs": [], "metrics": []}
        self.endpoint = ""
        self.grpc_endpoint = ""

    @property
    def data(self) -> bytes:
        return b"".join(body for bodies in self.received.values() for body in bodies)

    def of(self, signal: str) -> bytes:
        return b"".join(self.received[signal])


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Start both servers; stop them at the end."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            state.received.setdefault(self.path.rsplit("/", 1)[-1], []).append(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http_server.serve_forever, daemon=True)
    thread.start()
    state.endpoint = f"http://127.0.0.1:{http_server.server_address[1]}"

    def handler_of(signal: str) -> Any:
        def export(request: bytes, _context: Any) -> bytes:
            state.received[signal].append(request)
            return b""

        return grpc.unary_unary_rpc_method_handler(export)

    grpc_server = grpc.server(futures.ThreadPoolExecutor(4))
    for service, signal in _SERVICES.items():
        grpc_server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"Export": handler_of(signal)}),)
        )
    state.grpc_endpoint = f"http://127.0.0.1:{grpc_server.add_insecure_port('127.0.0.1:0')}"
    grpc_server.start()
    try:
        yield state
    finally:
        grpc_server.stop(0)
        http_server.shutdown()
        http_server.server_close()
        thread.join(5)
