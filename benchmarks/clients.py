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
        kind, pieces = next(
            (kind, pieces) for end, kind, pieces in _STREAMS if self.path.partition("?")[0].endswith(end)
        )
        self.send_response(200)
        self.send_header("Content-Type", kind)
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


def _messages() -> Iterator[bytes]:
    usage = {"input_tokens": 5, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-1",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    block, stop = {"type": "text", "text": ""}, {"stop_reason": "end_turn", "stop_sequence": None}
    delta = "content_block_delta"
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *(
            {"type": delta, "index": 0, "delta": {"type": "text_delta", "text": f"word{index} "}}
            for index in range(CHUNKS)
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": CHUNKS}},
    ]
    for event in events:
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _cartesia(context: str) -> Iterator[dict[str, Any]]:
    audio = base64.b64encode(bytes(range(256)) * 8).decode()
    base = {"context_id": context, "status_code": 206, "done": False}
    for _ in range(CHUNKS):
        yield {**base, "type": "chunk", "data": audio, "step_time": 1.5}
    yield {"type": "done", "context_id": context, "status_code": 200, "done": True}


_TOKENS, _AUDIO = tuple(_tokens()), tuple(_audio())
_EVENTS = "text/event-stream"
_STREAMS = (
    ("voice:stream", "application/x-ndjson", _AUDIO),
    ("/v1/messages", _EVENTS, tuple(_messages())),
    ("/tts/sse", _EVENTS, tuple(f"data: {json.dumps(event)}\n\n".encode() for event in _cartesia("c"))),
    ("/speak", "audio/wav", (bytes(2048),) * CHUNKS),
    ("/text-to-speech/v/stream", "audio/mpeg", (bytes(2048),) * CHUNKS),
    ("", _EVENTS, _TOKENS),
)


# WebSockets: what the client's first message, or its second where one sets up the other, is answered with


def _socket_answers(path: str, message: dict[str, Any] | bytes) -> Iterator[Any]:
    if path.endswith("voice:streamBidirectional"):
        if isinstance(message, dict) and "send_text" in message:
            audio = base64.b64encode(bytes(range(256)) * 8).decode()
            usage = {"processedCharactersCount": 5, "modelId": "inworld-tts-1.5-mini"}
            chunk = {"audioContent": audio, "usage": usage}
            for _ in range(CHUNKS):
                yield {"result": {"contextId": "c", "audioChunk": chunk}}
            yield {"result": {"contextId": "c", "contextClosed": {}}}
    elif path.endswith("transcribe:streamBidirectional"):
        for index in range(CHUNKS):
            yield {"result": {"transcription": {"transcript": f"words so far {index}", "isFinal": False}}}
    elif path.endswith("/v1/listen"):
        words = [{"word": f"word{n}", "start": n, "end": n + 0.5, "confidence": 0.9} for n in range(8)]
        found = {"alternatives": [{"transcript": "word " * 8, "confidence": 0.9, "words": words}]}
        info = {"name": "2-general-nova", "version": "2024-01-18.26916", "arch": "nova-2"}
        metadata = {"request_id": "3f2c8a54", "model_uuid": "1ed36bac", "model_info": info}
        for index in range(CHUNKS):
            yield {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": 1.25,
                "start": index * 1.25,
                "is_final": False,
                "speech_final": False,
                "channel": found,
                "metadata": metadata,
                "from_finalize": False,
            }
    elif path.endswith("/v2/listen"):
        for index in range(CHUNKS):
            yield {
                "type": "TurnInfo",
                "request_id": "3f2c8a54",
                "sequence_id": index,
                "event": "Update",
                "turn_index": 0,
                "audio_window_start": 0.0,
                "audio_window_end": index * 0.5,
                "transcript": "word " * 8,
                "words": [{"word": "word", "confidence": 0.9}] * 8,
                "end_of_turn_confidence": 0.1,
            }
    elif path.endswith("/tts/websocket"):
        assert isinstance(message, dict)
        yield from _cartesia(message["context_id"])
    elif path.endswith("/speech-to-text/realtime"):
        for index in range(CHUNKS):
            yield {"message_type": "partial_transcript", "text": f"words so far {index}"}


def _converse(socket: Any) -> None:
    path = socket.request.path.partition("?")[0]
    for message in socket:
        answered = False
        for answer in _socket_answers(path, message if isinstance(message, bytes) else json.loads(message)):
            socket.send(json.dumps(answer))
            time.sleep(PAUSE)
            answered = True
        if answered and not path.endswith(("/websocket", "/realtime")):
            return


def _serve_sockets() -> int:
    """The port of a WebSocket server, 0 where websockets is not installed."""
    try:
        from websockets.sync.server import serve
    except ImportError:
        return 0
    server = serve(_converse, "127.0.0.1", 0, compression=None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.socket.getsockname()[1])


def main() -> None:
    """Serves until standard input ends; prints the ports for HTTP and for WebSockets."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    print(_serve_sockets(), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
