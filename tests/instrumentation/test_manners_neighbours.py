"""Beside other instrumentors of the openai client: one span a call, and no content under ZDR.

Runs where they are installed: opentelemetry-instrumentation-genai-openai (contrib),
openinference-instrumentation-openai, opentelemetry-instrumentation-openai (Traceloop).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai.resources import completions, embeddings, images
from openai.resources.chat import completions as _chat
from openai.resources.responses import responses

from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from tests.fakes.server import FakeServer

NEIGHBOURS = [
    pytest.param("opentelemetry.instrumentation.genai.openai", id="contrib"),
    pytest.param("openinference.instrumentation.openai", id="openinference"),
    pytest.param("opentelemetry.instrumentation.openai", id="traceloop"),
]


@pytest.fixture(autouse=True)
def nothing_is_left_wrapped() -> Iterator[None]:
    """Traceloop leaves `create` wrapped when it goes; layers would pile up from test to test."""
    modules = (_chat.completions, completions, responses, embeddings, images)
    classes = [cls for module in modules for cls in vars(module).values() if isinstance(cls, type)]
    before = [(cls, name, value) for cls in classes for name, value in vars(cls).items() if callable(value)]
    yield
    for cls, name, value in before:
        if vars(cls).get(name) is not value:
            setattr(cls, name, value)


@pytest.fixture(params=["ours_first", "theirs_first"])
def neighbour(
    request: pytest.FixtureRequest, telemetry: Any, instrument: Callable[[Any], Any], module: str
) -> Iterator[str]:
    """Both instrumentors on, in either order."""
    theirs = pytest.importorskip(module).OpenAIInstrumentor()
    if request.param == "ours_first":
        instrument(OpenAIInstrumentor)
    theirs.instrument(**telemetry.providers)
    if request.param == "theirs_first":
        instrument(OpenAIInstrumentor)
    yield module
    theirs.uninstrument()


@pytest.fixture
def client(server: FakeServer) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test", base_url=f"{server.url}/openai/v1", max_retries=0)


def ask(client: openai.OpenAI, telemetry: Any, **more: Any) -> Any:
    return client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": telemetry.canary}], **more
    )


def assert_no_leak(telemetry: Any) -> None:
    if telemetry.zdr:
        assert telemetry.canary.encode() not in telemetry.wire()


@pytest.mark.parametrize("module", NEIGHBOURS)
def test_a_chat_that_a_neighbour_covers_is_one_span(
    neighbour: str, client: openai.OpenAI, telemetry: Any
) -> None:
    ask(client, telemetry)
    assert telemetry.span().instrumentation_scope.name.startswith(neighbour.partition(".")[0])
    assert len(telemetry.points("gen_ai.client.operation.duration")) <= 1
    assert_no_leak(telemetry)


@pytest.mark.parametrize("module", NEIGHBOURS)
def test_a_streamed_chat_that_a_neighbour_covers_is_one_span(
    neighbour: str, client: openai.OpenAI, telemetry: Any
) -> None:
    list(ask(client, telemetry, stream=True))
    assert len(telemetry.spans()) == 1
    assert_no_leak(telemetry)


@pytest.mark.parametrize("module", NEIGHBOURS)
async def test_an_async_chat_that_a_neighbour_covers_is_one_span(
    neighbour: str, server: FakeServer, telemetry: Any
) -> None:
    client = openai.AsyncOpenAI(api_key="sk-test", base_url=f"{server.url}/openai/v1", max_retries=0)
    await ask(client, telemetry)
    assert len(telemetry.spans()) == 1
    assert_no_leak(telemetry)


@pytest.mark.parametrize("module", NEIGHBOURS)
def test_a_stream_helper_is_one_span(neighbour: str, client: openai.OpenAI, telemetry: Any) -> None:
    with client.chat.completions.stream(
        model="gpt-4o-mini", messages=[{"role": "user", "content": telemetry.canary}]
    ) as stream:
        for _ in stream:
            pass
    assert len(telemetry.spans()) == 1
    assert_no_leak(telemetry)


@pytest.mark.parametrize("module", NEIGHBOURS)
@pytest.mark.parametrize("method", ["create", "parse"])
def test_a_response_is_one_span(neighbour: str, client: openai.OpenAI, telemetry: Any, method: str) -> None:
    getattr(client.responses, method)(model="gpt-4o-mini", input=telemetry.canary)
    assert len(telemetry.spans()) == 1
    assert_no_leak(telemetry)


@pytest.mark.parametrize("module", NEIGHBOURS)
def test_speech_is_one_span_whoever_covers_it(neighbour: str, client: openai.OpenAI, telemetry: Any) -> None:
    client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input=telemetry.canary)
    assert len(telemetry.spans()) == 1
    assert_no_leak(telemetry)


@pytest.mark.parametrize("module", NEIGHBOURS)
def test_an_error_is_one_span(
    neighbour: str, client: openai.OpenAI, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/openai/*", status=400)
    with pytest.raises(openai.BadRequestError):
        ask(client, telemetry)
    assert len(telemetry.spans()) == 1
    assert_no_leak(telemetry)


@pytest.mark.parametrize("module", NEIGHBOURS)
def test_ours_covers_the_call_again_once_the_neighbour_has_left(
    telemetry: Any,
    instrument: Callable[[Any], Any],
    client: openai.OpenAI,
    module: str,
    request: pytest.FixtureRequest,
) -> None:
    theirs = pytest.importorskip(module)
    theirs.OpenAIInstrumentor().instrument(**telemetry.providers)
    theirs.OpenAIInstrumentor().uninstrument()
    instrument(OpenAIInstrumentor)
    ask(client, telemetry)
    scope = telemetry.span().instrumentation_scope.name
    # Traceloop leaves the method wrapped, and its wrapper goes on making spans.
    assert scope == "otel_zdr.instrumentation.openai" or "traceloop" in request.node.name
