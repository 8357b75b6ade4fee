"""An OTLP/HTTP sink on loopback: takes every POST, answers 200, and tells on GET how much it took.

``GET /`` answers ``{"requests": n, "bytes": n}`` since the last GET. Prints its port, then serves until its
standard input ends.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    requests = 0
    received = 0

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        left = length
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        with Sink.lock:
            Sink.requests += 1
            Sink.received += length
        self._answer(b"", "application/x-protobuf")

    def do_GET(self) -> None:
        with Sink.lock:
            told = {"requests": Sink.requests, "bytes": Sink.received}
            Sink.requests = Sink.received = 0
        self._answer(json.dumps(told).encode(), "application/json")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        return None


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
