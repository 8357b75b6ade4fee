"""Streams that are read in batches give what a plain parse of every line gives, wherever they are cut."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.trace import StatusCode

from otel_zdr.instrumentation.transports import InworldTransportInstrumentor
from tests.instrumentation.http_clients import CLIENTS, Requests

CHARACTERS = "otel_zdr.usage.characters"
LARGE = 40_000


class Scripted(ThreadingHTTPServer):
    """Answers every POST with `body`, in pieces of `step` bytes."""

    daemon_threads = True
    body = b""
    step = 1 << 20


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        server: Any = self.server
        self.send_response(200)
        speech = self.path.endswith("voice:stream")
        self.send_header("Content-Type", "application/x-ndjson" if speech else "text/event-stream")
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        for start in range(0, len(server.body), server.step):
            self.wfile.write(server.body[start : start + server.step])

    def log_message(self, format: str, *arguments: object) -> None: ...


@pytest.fixture(scope="module")
def scripted() -> Iterator[Scripted]:
    with Scripted(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def url(scripted: Scripted, instrument: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> str:
    host = f"127.0.0.1:{scripted.server_address[1]}"
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", host)
    instrument(InworldTransportInstrumentor)
    return f"http://{host}"


_texts = st.text('ab"\\\n{}:,é', max_size=12) | st.just("usage") | st.just('"usage": {"x": 1}')
_counts = st.integers(0, 3000) | st.integers(0, 3000).map(str)
_usages = st.fixed_dictionaries(
    {},
    optional={"processedCharactersCount": _counts, "modelId": st.just("model-1"), "other": st.integers(0, 9)},
)
_results = st.fixed_dictionaries(
    {},
    optional={
        "audioContent": st.sampled_from(["", "A" * 40, "A" * 3000, "A" * LARGE]),
        "usage": _usages,
        "timestampInfo": st.fixed_dictionaries(
            {"wordAlignment": st.fixed_dictionaries({"words": st.lists(_texts, max_size=4)})}
        ),
    },
)


def counted(lines: list[dict[str, Any]]) -> int | None:
    """The plain reference: every line parsed, every count added."""
    counts = [line["result"].get("usage", {}).get("processedCharactersCount") for line in lines]
    found = [int(count) for count in counts if count is not None]
    return sum(found) if found else None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    results=st.lists(_results, min_size=1, max_size=14),
    times=st.sampled_from([1, 1, 3]),
    step=st.sampled_from([1 << 20, 700, 4096]),
    spaced=st.booleans(),
    last=st.sampled_from(["\n", "", "\r\n"]),
)
async def test_the_characters_of_any_stream_are_summed(
    url: str, telemetry: Any, scripted: Scripted, results: Any, times: int, step: int, spaced: bool, last: str
) -> None:
    # Lines that end as the one before are counted without being read.
    lines = [{"result": result} for result in results for _ in range(times)]
    separators = (", ", ": ") if spaced else (",", ":")
    body = "\n".join(json.dumps(line, separators=separators) for line in lines) + last
    scripted.body, scripted.step = body.encode(), step
    before = len(telemetry.spans())
    async with Requests().stream(f"{url}/tts/v1/voice:stream", {"text": "said", "modelId": "m"}) as read:
        got = [json.loads(line) async for line in read if line]
    assert got == lines
    (span,) = telemetry.spans()[before:]
    expected = counted(lines)
    assert span.attributes[CHARACTERS] == (4 if expected is None else expected)
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("chunks", [1, 400])
async def test_an_error_in_the_stream_is_an_error_of_the_call(
    url: str, telemetry: Any, scripted: Scripted, name: str, chunks: int
) -> None:
    """The status was 200 long ago; the error's text repeats what was said."""
    good = {"result": {"audioContent": "A" * 400, "usage": {"processedCharactersCount": 3}}}
    error = {"error": {"code": 8, "message": f"too much of {telemetry.canary}", "details": []}}
    scripted.body = "".join(json.dumps(line) + "\n" for line in [good] * chunks + [error]).encode()
    scripted.step = 4096
    async with CLIENTS[name]().stream(f"{url}/tts/v1/voice:stream", {"text": "said"}) as read:
        assert len([line async for line in read if line]) == chunks + 1
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "RESOURCE_EXHAUSTED"
    assert span.attributes[CHARACTERS] == 3 * chunks
    assert telemetry.canary.encode() not in telemetry.wire()
    point = telemetry.points("gen_ai.client.operation.duration")[-1]
    assert point.attributes["error.type"] == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize(
    "null", ['"usage":null,"finish_reason":null', '"usage" : null, "finish_reason" : null']
)
async def test_what_stands_in_one_chunk_of_many_is_found(
    url: str, telemetry: Any, scripted: Scripted, name: str, null: str
) -> None:
    """Texts that look like it are not taken for it."""
    word = json.dumps('"usage": {"prompt_tokens": 99}')
    chunk = f'data: {{"id":"c-1","model":"m-1","choices":[{{"index":0,"delta":{{"content":{word}}}}}],{null}}}\n\n'
    usage = {"prompt_tokens": 5, "completion_tokens": 600}
    metadata = {"attempts": [{"provider": "openai", "model": "gpt-1", "success": True}]}
    done = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
    body = chunk * 600 + f"data: {json.dumps(done)}\n\n"
    body += f"data: {json.dumps({'choices': [], 'usage': usage, 'metadata': metadata})}\n\ndata: [DONE]\n\n"
    scripted.body, scripted.step = body.encode(), 4096
    asked = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": telemetry.canary}]}
    async with CLIENTS[name]().stream(f"{url}/v1/chat/completions", asked) as read:
        assert len([line async for line in read if line]) == 603
    found = dict(telemetry.span().attributes)
    expected = {
        "gen_ai.response.id": "c-1",
        "gen_ai.response.model": "gpt-1",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 600,
        "gen_ai.provider.name": "openai",
    }
    assert {key: found.get(key) for key in expected} == expected
    telemetry.assert_content("gen_ai.input.messages")
