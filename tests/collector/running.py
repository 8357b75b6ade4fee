"""A real Collector under test, and the destination it exports to."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

GATE = "--feature-gates=ottl.functions.enableLambda"
REQUESTS = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
_HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], seconds: float = 30, what: str = "a condition") -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.05)


class Destination:
    """An OTLP/HTTP server on loopback that keeps what it is sent. ``open`` = False: it answers 503."""

    def __init__(self) -> None:
        self.open = True
        self.bodies: list[tuple[str, bytes]] = []
        self.lock = threading.Lock()
        destination = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if destination.open:
                    with destination.lock:
                        destination.bodies.append((self.path.rsplit("/", 1)[-1], body))
                self.send_response(200 if destination.open else 503)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self) -> list[tuple[str, bytes]]:
        with self.lock:
            bodies, self.bodies = self.bodies, []
        return bodies

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Collector:
    """One process of the real binary, with its own ports, queue and log."""

    def __init__(
        self,
        binary: str,
        config: Path,
        folder: Path,
        *,
        destination: str = "",
        host: str = "127.0.0.1",
        grpc_port: int | None = None,
        more_configs: tuple[Path, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.binary, self.config, self.folder = binary, config, folder
        self.more_configs = more_configs
        self.queue = folder / "queue"
        self.log = folder / "log"
        self.host = host
        self.http_port, health = free_port(host), free_port(host)
        self.grpc_port = grpc_port or free_port(host)
        self.health = f"http://{host}:{health}"
        self.url = f"http://{host}:{self.http_port}"
        self.environment = {
            **os.environ,
            "ZDR_OTLP_HTTP_ENDPOINT": f"{host}:{self.http_port}",
            "ZDR_OTLP_GRPC_ENDPOINT": f"{host}:{self.grpc_port}",
            "ZDR_HEALTH_ENDPOINT": f"{host}:{health}",
            "ZDR_METRICS_PORT": str(free_port()),
            "ZDR_QUEUE_DIRECTORY": str(self.queue),
            "ZDR_DESTINATION": destination,
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Collector:
        command = [self.binary, GATE, "--config", str(self.config)]
        for config in self.more_configs:
            command += ["--config", str(config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        wait_until(self.is_ready, 60, f"the start of the Collector (log: {self.log})")
        return self

    def is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the Collector stopped: {self.log.read_text()[-2000:]}")
        try:
            with _HTTP.open(self.health, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def send(
        self,
        kind: str,
        body: bytes,
        content_type: str = "application/x-protobuf",
        headers: dict[str, str] | None = None,
    ) -> int:
        """The HTTP status that the receiver answers."""
        request = urllib.request.Request(
            f"{self.url}/v1/{kind}", body, {"Content-Type": content_type, **(headers or {})}
        )
        try:
            with _HTTP.open(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@contextlib.contextmanager
def running(
    binary: str, config: Path, folder: Path, **options: object
) -> Iterator[tuple[Collector, Destination]]:
    destination = Destination()
    collector = Collector(binary, config, folder, destination=destination.url, **options)  # type: ignore[arg-type]
    try:
        yield collector.start(), destination
    finally:
        collector.stop()
        destination.close()


def parsed(bodies: list[tuple[str, bytes]], kind: str) -> list:  # type: ignore[type-arg]
    """What arrived, as protobuf requests."""
    found = []
    for path, body in bodies:
        if path == kind:
            request = REQUESTS[kind]()
            request.ParseFromString(body)
            found.append(request)
    return found
