"""Inworld's WebSockets over websockets (for threads and for asyncio) and aiohttp, under ZDR and not."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import weakref
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.sync.client
from opentelemetry.trace import SpanKind, StatusCode

from otel_zdr.instrumentation.transports import InworldTransportInstrumentor
from tests.fakes.server import FakeServer
from tests.instrumentation.socket_clients import KEY, SOCKETS

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
SPEECH, TRANSCRIPTION = "/tts/v1/voice:streamBidirectional", "/stt/v1/transcribe:streamBidirectional"


@pytest.fixture
def on(
    server: FakeServer, telemetry: Any, monkeypatch: pytest.MonkeyPatch, instrument: Callable[[Any], Any]
) -> None:
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", server.host)
    instrument(InworldTransportInstrumentor)


@pytest.fixture(params=SOCKETS)
def connect(request: pytest.FixtureRequest, on: None) -> Any:
    return SOCKETS[request.param]


def create(context: str, model: str = "inworld-tts-2") -> dict[str, Any]:
    return {"create": {"voiceId": "narrator", "modelId": model}, "contextId": context}


def say(context: str, text: str) -> dict[str, Any]:
    return {"send_text": {"text": text, "flush_context": {}}, "contextId": context}


async def until(socket: Any, field: str) -> dict[str, Any]:
    while True:
        message = await socket.receive()
        if field in message["result"]:
            return dict(message["result"])


def by_model(telemetry: Any) -> dict[str, Any]:
    return {span.attributes["gen_ai.request.model"]: span for span in telemetry.spans()}


async def test_each_context_of_a_connection_is_one_span(
    connect: Any, server: FakeServer, telemetry: Any
) -> None:
    texts = {"a": f"first {telemetry.canary}", "b": f"the second {telemetry.canary}"}
    async with connect(f"{server.ws_url}{SPEECH}") as socket:
        for name in texts:
            await socket.send(create(name, f"model-{name}"))
            await until(socket, "contextCreated")
        for name, text in texts.items():
            await socket.send(say(name, text))
            await until(socket, "flushCompleted")
        await socket.send({"close_context": {}, "contextId": "b"})
        await until(socket, "contextClosed")
        assert [span.name for span in telemetry.spans()] == ["text_to_speech model-b"]
        await socket.send({"closeContext": {}, "context_id": "a"})
        await until(socket, "contextClosed")
        assert len(telemetry.spans()) == 2
    for name, text in texts.items():
        span = by_model(telemetry)[f"model-{name}"]
        assert span.kind is SpanKind.CLIENT
        assert span.status.status_code is StatusCode.UNSET
        assert span.attributes["otel_zdr.usage.characters"] == len(text)
        assert span.attributes["gen_ai.response.model"] == f"model-{name}"
        assert span.attributes["gen_ai.provider.name"] == "inworld"
        assert span.attributes["otel_zdr.product"] == "tts"
        assert span.attributes["otel_zdr.mode"] == "streaming"
        assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0
        assert "otel_zdr.response.end_reason" not in span.attributes
    assert KEY.encode() not in telemetry.wire()
    telemetry.assert_content(INPUT)


async def test_snake_case_contexts_are_understood(connect: Any, server: FakeServer, telemetry: Any) -> None:
    async with connect(f"{server.ws_url}{SPEECH}") as socket:
        await socket.send(
            {"create": {"voice_id": "narrator", "model_id": "inworld-tts-2"}, "context_id": "a"}
        )
        await socket.send({"sendText": {"text": telemetry.canary}, "contextId": "a"})
        await socket.send({"flushContext": {}, "context_id": "a"})
        await until(socket, "flushCompleted")
    span = telemetry.span()
    assert span.name == "text_to_speech inworld-tts-2"
    assert span.attributes["otel_zdr.usage.characters"] == len(telemetry.canary)
    # everything that was asked for had been spoken
    assert "otel_zdr.response.end_reason" not in span.attributes
    telemetry.assert_content(INPUT)


async def test_a_connection_left_early_interrupts_its_contexts(
    connect: Any, server: FakeServer, telemetry: Any
) -> None:
    async with connect(f"{server.ws_url}{SPEECH}") as socket:
        await socket.send(create("a"))
        await socket.send(say("a", telemetry.canary))
        await until(socket, "audioChunk")
    span = telemetry.span()
    assert span.attributes["otel_zdr.response.end_reason"] == "interrupted"
    assert span.status.status_code is StatusCode.UNSET
    telemetry.assert_content(INPUT)


async def test_a_context_the_server_refuses_is_an_error(
    connect: Any, server: FakeServer, telemetry: Any
) -> None:
    async with connect(f"{server.ws_url}{SPEECH}") as socket:
        await socket.send(say("never-created", telemetry.canary))
        refusal = await socket.receive()
    assert telemetry.canary in json.dumps(refusal)
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "INVALID_ARGUMENT"
    telemetry.assert_content(INPUT)


@pytest.mark.parametrize("fault", [{"drop_after": 2}, {"close_after": 2, "close_code": 1011}])
async def test_a_connection_the_server_breaks_is_an_error(
    connect: Any, fault: dict[str, int], server: FakeServer, telemetry: Any
) -> None:
    server.fail(SPEECH, **fault)

    async def talk() -> None:
        async with connect(f"{server.ws_url}{SPEECH}") as socket:
            await socket.send(create("a"))
            await socket.send(say("a", telemetry.canary))
            await until(socket, "flushCompleted")

    with pytest.raises(Exception):
        await talk()
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] in ("ConnectionClosedError", "ConnectionClosed")
    telemetry.assert_content(INPUT)


async def test_a_wait_that_times_out_does_not_end_the_session(
    on: None, server: FakeServer, telemetry: Any
) -> None:
    async with SOCKETS["websockets-asyncio"](f"{server.ws_url}{SPEECH}") as socket:
        await socket.send(create("a"))
        await until(socket, "contextCreated")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.05)
        assert telemetry.spans() == []
        await socket.send(say("a", telemetry.canary))
        await until(socket, "flushCompleted")
    assert telemetry.span().attributes["otel_zdr.usage.characters"] == len(telemetry.canary)


async def test_a_cancelled_task_ends_its_contexts(on: None, server: FakeServer, telemetry: Any) -> None:
    ready = asyncio.Event()

    async def talk() -> None:
        async with SOCKETS["websockets-asyncio"](f"{server.ws_url}{SPEECH}") as socket:
            await socket.send(create("a"))
            await socket.send({"send_text": {"text": telemetry.canary}, "contextId": "a"})
            await until(socket, "contextCreated")
            ready.set()
            await until(socket, "flushCompleted")

    task = asyncio.create_task(talk())
    await asyncio.wait_for(ready.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"
    telemetry.assert_content(INPUT)


async def test_a_connection_that_is_dropped_ends_its_spans(
    on: None, server: FakeServer, telemetry: Any
) -> None:
    server.fail(SPEECH, close_after=1)
    socket = await websockets.asyncio.client.connect(f"{server.ws_url}{SPEECH}")
    await socket.send(json.dumps(create("a")))
    await socket.recv()
    await socket.send(json.dumps(say("a", telemetry.canary)))
    await asyncio.wait_for(socket.wait_closed(), 5)
    assert telemetry.spans() == []
    del socket
    await asyncio.sleep(0.05)
    gc.collect()
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "abandoned"
    telemetry.assert_content(INPUT)


# speech to text


def config(model: str = "soniox/stt-rt-v4", **more: Any) -> dict[str, Any]:
    return {"transcribeConfig": {"modelId": model, **more}}


def heard(telemetry: Any) -> dict[str, Any]:
    return {"audioChunk": {"content": base64.b64encode(telemetry.canary.encode()).decode()}}


async def test_a_session_of_turns_is_one_span_with_the_audio_heard(
    connect: Any, server: FakeServer, telemetry: Any
) -> None:
    async with connect(f"{server.ws_url}{TRANSCRIPTION}") as socket:
        await socket.send(config(prompts=[f"prompt {telemetry.canary}"]))
        for _ in range(2):
            await socket.send(heard(telemetry))
            await socket.send({"endTurn": {}})
            await until(socket, "speechStopped")
        await socket.send({"closeStream": {}})
        rest = await socket.rest()
    assert rest[-1]["result"]["usage"]["transcribedAudioMs"] == 1500
    span = telemetry.span()
    assert span.name == "speech_to_text soniox/stt-rt-v4"
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["otel_zdr.provider"] == "soniox"
    assert span.attributes["otel_zdr.usage.audio_seconds"] == 1.5
    assert span.attributes["gen_ai.response.model"] == "soniox/stt-rt-v4"
    assert span.attributes["otel_zdr.mode"] == "streaming"
    assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert "otel_zdr.response.end_reason" not in span.attributes
    telemetry.assert_content(INPUT, OUTPUT)
    if not telemetry.zdr:
        (message,) = json.loads(span.attributes[OUTPUT])
        assert message["parts"][0]["content"] == f"{telemetry.canary} {telemetry.canary}"


@pytest.mark.parametrize("as_bytes", [True, False])
async def test_sent_audio_is_counted_where_the_server_counts_none(
    connect: Any, as_bytes: bool, server: FakeServer, telemetry: Any
) -> None:
    second = bytes(3200)
    async with connect(f"{server.ws_url}{TRANSCRIPTION}") as socket:
        raw = {"audioEncoding": "LINEAR16", "sampleRateHertz": 1600, "numberOfChannels": 1}
        await socket.send(config("deepgram/flux-general-en", language="no-usage", **raw))
        for _ in range(2):
            piece = {"audio_chunk": {"content": base64.b64encode(second).decode()}}
            await socket.send(second if as_bytes else piece)
        await socket.send({"close_stream": {}})
        await socket.rest()
    span = telemetry.span()
    assert span.attributes["otel_zdr.usage.audio_seconds"] == pytest.approx(2.0, abs=0.01)


async def test_a_session_left_early_is_interrupted(connect: Any, server: FakeServer, telemetry: Any) -> None:
    async with connect(f"{server.ws_url}{TRANSCRIPTION}") as socket:
        await socket.send(config())
        await socket.send(heard(telemetry))
        await until(socket, "transcription")
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"
    telemetry.assert_content()


# manners


async def test_other_hosts_and_servers_of_our_own_make_no_span(on: None, telemetry: Any) -> None:
    async def answer(socket: Any) -> None:
        async for message in socket:
            await socket.send(message)

    async with websockets.asyncio.server.serve(answer, "127.0.0.1", 0) as own:
        port = own.sockets[0].getsockname()[1]
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}{SPEECH}") as socket:
            await socket.send(json.dumps(create("a")))
            assert json.loads(await socket.recv()) == create("a")
    assert telemetry.spans() == []


async def test_what_is_sent_and_received_is_unchanged(
    connect: Any, server: FakeServer, telemetry: Any
) -> None:
    async with connect(f"{server.ws_url}{SPEECH}") as socket:
        await socket.send(create("a"))
        assert (await socket.receive())["result"]["contextCreated"] == {"voiceId": "narrator"}
        await socket.send(say("a", telemetry.canary))
        chunk = (await until(socket, "audioChunk"))["audioChunk"]
    assert len(base64.b64decode(chunk["audioContent"])) == 2048
    assert [json.loads(message) for message in server.requests[0].messages] == [
        create("a"),
        say("a", telemetry.canary),
    ]


async def test_a_message_in_pieces_is_left_alone(on: None, server: FakeServer, telemetry: Any) -> None:
    async with websockets.asyncio.client.connect(f"{server.ws_url}{SPEECH}") as socket:
        text = json.dumps(create("a"))
        await socket.send(iter([text[:9], text[9:]]))
        assert "contextCreated" in await socket.recv()
        await socket.send(json.dumps(say("a", telemetry.canary)))
        await socket.recv()
    assert telemetry.span().name == "text_to_speech"


async def test_a_key_in_the_address_is_nowhere(connect: Any, server: FakeServer, telemetry: Any) -> None:
    async with connect(f"{server.ws_url}{SPEECH}?authorization=Basic%20key-{telemetry.canary}") as socket:
        await socket.send(create("a"))
        await socket.receive()
    assert telemetry.span()
    assert telemetry.canary.encode() not in telemetry.wire()


@pytest.mark.parametrize(("path", "name"), [(SPEECH, "text_to_speech"), (TRANSCRIPTION, "speech_to_text")])
async def test_a_refused_handshake_is_a_span_with_an_error(
    connect: Any, server: FakeServer, telemetry: Any, path: str, name: str
) -> None:
    server.fail(f"{path.rpartition('/')[0]}/*", status=403)
    with pytest.raises(Exception) as caught:
        async with connect(f"{server.ws_url}{path}?said={telemetry.canary}"):
            pass
    span = telemetry.span()
    assert span.name == name
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == type(caught.value).__qualname__
    assert span.attributes["server.address"] == "127.0.0.1"
    assert telemetry.canary.encode() not in telemetry.wire()  # it was in the query
    assert KEY.encode() not in telemetry.wire()


async def test_a_host_that_cannot_be_reached_passes_through(connect: Any, telemetry: Any) -> None:
    with pytest.raises(OSError):
        async with connect(f"ws://127.0.0.1:9{SPEECH}"):
            pass


async def test_the_methods_of_connections_to_other_hosts_stay_as_they_are(
    connect: Any, server: FakeServer, telemetry: Any
) -> None:
    async with connect(f"{server.ws_url}/deepgram/v1/speak") as socket:
        assert (await socket.receive())["type"] == "Metadata"
        assert not {"recv", "send", "receive", "send_str"} & set(vars(socket.socket))
    assert telemetry.spans() == []


async def test_methods_that_outlive_the_connection_keep_it(
    on: None, server: FakeServer, telemetry: Any
) -> None:
    url = f"{server.ws_url}{SPEECH}"
    async with aiohttp.ClientSession() as session:
        aio = await session.ws_connect(url)
        aio_send, aio_close = aio.send_str, aio.close
        del aio
        await aio_send("{}")
        await aio_close()
    connection = await websockets.asyncio.client.connect(url)
    send, close = connection.send, connection.close
    del connection
    await send("{}")
    await close()
    threaded = websockets.sync.client.connect(url)
    threaded_send, threaded_close = threaded.send, threaded.close
    del threaded
    threaded_send("{}")
    threaded_close()


async def test_a_connection_that_is_watched_is_collected_when_it_is_dropped(
    connect: Any, server: FakeServer, telemetry: Any
) -> None:
    async with connect(f"{server.ws_url}{SPEECH}") as socket:
        await socket.send(create("a"))
        await until(socket, "contextCreated")
        held = weakref.ref(socket.socket)
    del socket
    for _ in range(20):
        gc.collect()
        if held() is None:
            break
        await asyncio.sleep(0.05)
    assert held() is None
    assert len(telemetry.spans()) == 1
