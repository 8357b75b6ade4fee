"""Beside other instrumentors of groq and anthropic: one span a call, and no content under ZDR.

Runs where they are installed; `test_neighbours_installed` makes an environment that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import anthropic
import groq
import pytest
from anthropic.resources import messages
from anthropic.resources.beta import messages as beta_messages
from groq.resources.chat import completions

from otel_zdr.instrumentation.anthropic import AnthropicInstrumentor
from otel_zdr.instrumentation.groq import GroqInstrumentor
from tests.fakes.server import FakeServer

GROQ = [
    pytest.param("opentelemetry.instrumentation.groq", id="traceloop"),
    pytest.param("openinference.instrumentation.groq", id="openinference"),
]
ANTHROPIC = [
    pytest.param("opentelemetry.instrumentation.anthropic", id="traceloop"),
    pytest.param("openinference.instrumentation.anthropic", id="openinference"),
]
below_1 = pytest.mark.skipif(
    int(version("anthropic").split(".")[0]) >= 1, reason="this version traces itself"
)


@pytest.fixture(autouse=True)
def nothing_is_left_wrapped() -> Iterator[None]:
    """Not every neighbour leaves as it came; layers would pile up from test to test."""
    modules = (messages, beta_messages, completions)
    classes = [cls for module in modules for cls in vars(module).values() if isinstance(cls, type)]
    before = [(cls, name, value) for cls in classes for name, value in vars(cls).items() if callable(value)]
    yield
    for cls, name, value in before:
        if vars(cls).get(name) is not value:
            setattr(cls, name, value)


@pytest.fixture(params=["ours_first", "theirs_first"])
def beside(
    request: pytest.FixtureRequest, telemetry: Any, instrument: Callable[[Any], Any]
) -> Iterator[Callable[[Any, str], None]]:
    """Switches both instrumentors of a client on, in either order."""
    on: list[Any] = []

    def switch(ours: Any, module: str) -> None:
        name = "GroqInstrumentor" if ours is GroqInstrumentor else "AnthropicInstrumentor"
        theirs = getattr(pytest.importorskip(module), name)()
        if request.param == "ours_first":
            instrument(ours)
        theirs.instrument(**telemetry.providers)
        on.append(theirs)
        if request.param == "theirs_first":
            instrument(ours)

    yield switch
    for theirs in on:
        theirs.uninstrument()


def assert_one(telemetry: Any, module: str) -> None:
    assert telemetry.span().instrumentation_scope.name.startswith(module.partition(".")[0])
    assert len(telemetry.points("gen_ai.client.operation.duration")) <= 1
    if telemetry.zdr:
        assert telemetry.canary.encode() not in telemetry.wire()


@pytest.mark.parametrize("module", GROQ)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_groq_chat_that_a_neighbour_covers_is_one_span(
    beside: Any, module: str, telemetry: Any, server: FakeServer, stream: bool
) -> None:
    beside(GroqInstrumentor, module)
    client = groq.Groq(api_key="k", base_url=f"{server.url}/groq", max_retries=0)
    said: Any = [{"role": "user", "content": telemetry.canary}]
    answer: Any = client.chat.completions.create(model="m", messages=said, stream=stream)
    if stream:
        assert list(answer)
    assert_one(telemetry, module)


@pytest.mark.parametrize("module", GROQ)
async def test_an_async_groq_chat_that_a_neighbour_covers_is_one_span(
    beside: Any, module: str, telemetry: Any, server: FakeServer
) -> None:
    beside(GroqInstrumentor, module)
    client = groq.AsyncGroq(api_key="k", base_url=f"{server.url}/groq", max_retries=0)
    await client.chat.completions.create(model="m", messages=[{"role": "user", "content": telemetry.canary}])
    assert_one(telemetry, module)


@pytest.mark.parametrize("module", GROQ)
def test_a_groq_transcription_that_no_neighbour_covers_is_ours(
    beside: Any, module: str, telemetry: Any, server: FakeServer
) -> None:
    beside(GroqInstrumentor, module)
    client = groq.Groq(api_key="k", base_url=f"{server.url}/groq", max_retries=0)
    client.audio.transcriptions.create(model="whisper", file=("a.wav", telemetry.canary.encode()))
    assert telemetry.span().name == "speech_to_text whisper"
    telemetry.assert_content("gen_ai.output.messages")


@below_1
@pytest.mark.parametrize("module", ANTHROPIC)
@pytest.mark.parametrize("how", ["whole", "streamed", "helper"])
def test_a_message_that_a_neighbour_covers_is_one_span(
    beside: Any, module: str, telemetry: Any, server: FakeServer, how: str
) -> None:
    beside(AnthropicInstrumentor, module)
    client = anthropic.Anthropic(api_key="k", base_url=f"{server.url}/anthropic", max_retries=0)
    asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": telemetry.canary}]}
    if how == "helper":
        with client.messages.stream(**asked) as stream:
            for _ in stream:
                pass
    elif how == "streamed":
        assert list(client.messages.create(**asked, stream=True))
    else:
        client.messages.create(**asked)
    assert_one(telemetry, module)


@below_1
@pytest.mark.parametrize("module", ANTHROPIC)
async def test_an_async_message_that_a_neighbour_covers_is_one_span(
    beside: Any, module: str, telemetry: Any, server: FakeServer
) -> None:
    beside(AnthropicInstrumentor, module)
    client = anthropic.AsyncAnthropic(api_key="k", base_url=f"{server.url}/anthropic", max_retries=0)
    asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": telemetry.canary}]}
    await client.messages.create(**asked)
    assert_one(telemetry, module)
