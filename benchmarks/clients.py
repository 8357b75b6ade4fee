"""Streams of official clients, bare and instrumented, against a server on loopback in another process.

The unit is one chunk of a long stream: what the call itself costs is spread over hundreds of them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import systems

CHUNKS = 500
PAUSE = 0.0003  # seconds between two chunks


def openai(url: str) -> Callable[[int], None]:
    """Chat completions, streamed."""
    from openai import OpenAI

    client = OpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0)

    def run(chunks: int) -> None:
        for _ in range(chunks // CHUNKS):
            stream = client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}], stream=True
            )
            _expect(sum(1 for _ in stream))

    return run


def openai_async(url: str) -> Callable[[int], None]:
    """Chat completions, streamed, asynchronous client."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0)
    loop = asyncio.new_event_loop()

    async def call() -> None:
        stream = await client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}], stream=True
        )
        seen = 0
        async for _ in stream:
            seen += 1
        _expect(seen)

    def run(chunks: int) -> None:
        for _ in range(chunks // CHUNKS):
            loop.run_until_complete(call())

    return run


def inworld_tts(url: str) -> Callable[[int], None]:
    """Speech, streamed."""
    from inworld_tts import InworldTTS

    client = InworldTTS(api_key="none", base_url=url)
    loop = asyncio.new_event_loop()

    async def call() -> None:
        seen = 0
        async for _ in client.stream("hello", voice="Ashley"):
            seen += 1
        _expect(seen)

    def run(chunks: int) -> None:
        for _ in range(chunks // CHUNKS):
            loop.run_until_complete(call())

    return run


CLIENTS = {"openai": openai, "openai, async": openai_async, "inworld-tts": inworld_tts}


def prepare(system: systems.System, client: str, url: str) -> Callable[[int], None]:
    """A function that streams calls of ``CHUNKS`` chunks through a client, wrapped if the system is ours."""
    if system.settings is None:
        return CLIENTS[client](url)
    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from worker import discard_spans

    import otel_zdr

    trace.set_tracer_provider(system.build(SimpleSpanProcessor, discard_spans(), shutdown_on_exit=False))
    _instrument("zdr_openai", "zdr_inworld")
    run = CLIENTS[client](url)

    def under_zdr(chunks: int) -> None:
        with otel_zdr.workspace(system.workspace):
            run(chunks)

    return under_zdr


def _instrument(*names: str) -> None:
    from importlib.metadata import entry_points

    for entry in entry_points(group="opentelemetry_instrumentor"):
        if entry.name in names:
            entry.load()().instrument()


def _expect(seen: int) -> None:
    if seen != CHUNKS:
        raise RuntimeError(f"{seen} chunks of {CHUNKS} came through")


class Vendor(BaseHTTPRequestHandler):
    """Streams ``CHUNKS`` chunks, each in a segment of its own, as a vendor sends them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        speech = self.path.endswith("voice:stream")
        pieces = _AUDIO if speech else _TOKENS
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson" if speech else "text/event-stream")
        self.send_header("Content-Length", str(sum(map(len, pieces))))
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)
            time.sleep(PAUSE)

    def log_message(self, format: str, *arguments: object) -> None:
        return None


def _tokens() -> Iterator[bytes]:
    for index in range(CHUNKS):
        choice = {"index": 0, "delta": {"content": f"word{index} "}, "finish_reason": None}
        if index == CHUNKS - 1:
            choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        chunk: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [choice],
        }
        yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _audio() -> Iterator[bytes]:
    audio = base64.b64encode(bytes(range(256)) * 8).decode()
    usage = {"processedCharactersCount": 5, "modelId": "inworld-tts-1.5-mini"}
    for _ in range(CHUNKS):
        yield json.dumps({"result": {"audioContent": audio, "usage": usage}}).encode() + b"\n"


_TOKENS, _AUDIO = tuple(_tokens()), tuple(_audio())


def main() -> None:
    """Serves until standard input ends; prints the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
