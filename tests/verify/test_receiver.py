"""The receiver on loopback takes what exporters of every kind send, decompressed and by signal."""

from __future__ import annotations

import gzip
import http.client
import zlib

import grpc
import pytest

from otel_zdr.verify.receiver import Receiver


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_bodies_are_kept_decompressed(encoding: str, compress: object) -> None:
    with Receiver() as receiver:
        connection = http.client.HTTPConnection("127.0.0.1", receiver.port)
        headers = {"Content-Encoding": encoding, "Content-Type": "application/x-protobuf"}
        connection.request("POST", "/v1/traces?x=1", compress(b"a body" * 9), headers)  # type: ignore[operator]
        assert connection.getresponse().status == 200
    assert [(request.signal, request.body) for request in receiver.requests] == [("traces", b"a body" * 9)]
    assert b"/v1/traces?x=1" in receiver.requests[0].head


def test_chunked_bodies_and_kept_connections_are_read_to_their_end() -> None:
    with Receiver() as receiver:
        connection = http.client.HTTPConnection("127.0.0.1", receiver.port)
        for body in (b"first", b"second"):
            connection.request("PUT", "/any/path", iter([body, b"!"]), encode_chunked=True)
            connection.getresponse().read()
    assert [(request.signal, request.body) for request in receiver.requests] == [
        (None, b"first!"),
        (None, b"second!"),
    ]


@pytest.mark.parametrize(
    ("service", "signal"),
    [
        ("trace.v1.TraceService", "traces"),
        ("logs.v1.LogsService", "logs"),
        ("metrics.v1.MetricsService", "metrics"),
    ],
)
def test_grpc_calls_are_taken_whatever_the_service(service: str, signal: str) -> None:
    with Receiver() as receiver, grpc.insecure_channel(receiver.grpc_target) as channel:
        call = channel.unary_unary(f"/opentelemetry.proto.collector.{service}/Export")
        assert call(b"bytes", metadata=[("x-note", "said")], timeout=10) == b""
    (request,) = receiver.requests
    assert (request.signal, request.body) == (signal, b"bytes")
    assert b"said" in request.head
