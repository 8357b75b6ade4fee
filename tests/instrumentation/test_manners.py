"""What every instrumentor owes the application and its neighbours."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import io
import logging
import threading
from collections.abc import Callable
from typing import Any

import groq
import openai
import pytest
import wrapt
from openai.resources.chat.completions import AsyncCompletions, Completions
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import otel_zdr
from otel_zdr.instrumentation.groq import GroqInstrumentor
from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from otel_zdr.testing import uninstall
from tests.fakes.server import FakeServer

INPUT = "gen_ai.input.messages"
CREATE = "create"


@pytest.fixture
def client(server: FakeServer) -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test", base_url=f"{server.url}/openai/v1", max_retries=0)


def ask(client: openai.OpenAI, telemetry: Any, **more: Any) -> Any:
    return client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": telemetry.canary}], **more
    )


# the application notices nothing


def test_arguments_reach_the_client_as_they_were(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any, server: FakeServer
) -> None:
    messages = [{"role": "user", "content": telemetry.canary}]
    arguments = {"model": "gpt-4o-mini", "messages": messages, "temperature": 0.1, "user": "u"}
    client.chat.completions.create(**arguments)
    instrument(OpenAIInstrumentor)
    client.chat.completions.create(**arguments)
    assert messages == [{"role": "user", "content": telemetry.canary}]
    bare, traced = server.requests
    assert traced.json == bare.json
    assert set(traced.headers) == set(bare.headers)


def test_an_iterator_among_the_arguments_is_not_consumed(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any, server: FakeServer
) -> None:
    instrument(OpenAIInstrumentor)
    messages = ({"role": "user", "content": word} for word in ["one", telemetry.canary])
    client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    assert len(server.requests[0].json["messages"]) == 2


def test_a_method_keeps_its_name_signature_and_kind(instrument: Callable[[Any], Any], telemetry: Any) -> None:
    names = Completions.create.__name__, Completions.create.__qualname__
    signature = inspect.signature(Completions.create)
    instrument(OpenAIInstrumentor)
    assert (Completions.create.__name__, Completions.create.__qualname__) == names
    assert inspect.signature(Completions.create) == signature


def test_one_call_makes_one_request(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any, server: FakeServer
) -> None:
    instrument(OpenAIInstrumentor)
    ask(client, telemetry)
    list(ask(client, telemetry, stream=True))
    assert len(server.requests) == 2


def test_a_retried_call_is_one_span(
    instrument: Callable[[Any], Any], telemetry: Any, server: FakeServer
) -> None:
    instrument(OpenAIInstrumentor)
    server.fail("/openai/*", status=500, headers={"retry-after-ms": "1"})
    client = openai.OpenAI(api_key="sk-test", base_url=f"{server.url}/openai/v1", max_retries=1)
    ask(client, telemetry)
    assert len(server.requests) == 2
    assert telemetry.span().status.is_unset


def test_wrong_arguments_raise_what_the_client_raises(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    instrument(OpenAIInstrumentor)
    with pytest.raises(TypeError, match="Missing required arguments"):
        client.chat.completions.create(model="gpt-4o-mini")  # type: ignore[call-overload]


def test_an_answer_of_another_shape_costs_attributes_but_no_exception(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    instrument(OpenAIInstrumentor)
    odd = client.with_options(base_url=str(client.base_url).replace("/openai/v1/", "/odd/v1/"))
    assert len(ask(odd, telemetry).choices) == 3
    assert telemetry.span().status.is_unset
    telemetry.assert_content(INPUT)


def test_a_span_processor_that_raises_does_not_reach_the_application(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    class Broken(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise RuntimeError("on_start")

        def on_end(self, span: Any) -> None:
            raise RuntimeError("on_end")

    telemetry.tracer_provider.add_span_processor(Broken())
    instrument(OpenAIInstrumentor)
    assert ask(client, telemetry).id == "chatcmpl-1"
    assert list(ask(client, telemetry, stream=True))


def test_the_key_is_nowhere_in_telemetry(
    instrument: Callable[[Any], Any], telemetry: Any, server: FakeServer
) -> None:
    instrument(OpenAIInstrumentor)
    client = openai.OpenAI(
        api_key=telemetry.canary, base_url=f"{server.url}/openai/v1", max_retries=0, organization="org"
    )
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}])
    assert telemetry.canary.encode() not in telemetry.wire()


def test_secrets_in_the_base_url_are_nowhere_in_telemetry(
    instrument: Callable[[Any], Any], telemetry: Any, server: FakeServer
) -> None:
    instrument(OpenAIInstrumentor)
    client = openai.OpenAI(
        api_key="sk-test",
        base_url=f"http://{telemetry.canary}:{telemetry.canary}@{server.host}/openai/v1",
        default_query={"signature": telemetry.canary},
        max_retries=0,
    )
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}])
    assert telemetry.span().attributes["server.address"] == "127.0.0.1"
    assert telemetry.canary.encode() not in telemetry.wire()


def test_the_content_of_a_file_is_not_read_by_telemetry(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    instrument(OpenAIInstrumentor)

    class Counting(io.BytesIO):
        reads = 0

        def read(self, *args: Any) -> bytes:
            Counting.reads += 1
            return super().read(*args)

    def reads() -> int:
        Counting.reads = 0
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", Counting(b"audio")))
        return Counting.reads

    traced = reads()
    OpenAIInstrumentor().uninstrument()
    assert traced == reads()
    OpenAIInstrumentor().instrument(**telemetry.providers)


# context


def test_the_span_is_a_child_of_the_current_one_and_current_only_during_the_request(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    instrument(OpenAIInstrumentor)
    tracer = telemetry.tracer_provider.get_tracer("app")
    with tracer.start_as_current_span("app") as parent:
        before = context_api.get_current()
        stream = ask(client, telemetry, stream=True)
        assert trace.get_current_span() is parent
        for _ in stream:
            assert trace.get_current_span() is parent
        assert context_api.get_current() == before
    span = next(s for s in telemetry.spans() if s.kind is trace.SpanKind.CLIENT)
    assert span.parent.span_id == parent.get_span_context().span_id


async def test_concurrent_calls_keep_their_parents_apart(
    instrument: Callable[[Any], Any], telemetry: Any, server: FakeServer
) -> None:
    instrument(OpenAIInstrumentor)
    client = openai.AsyncOpenAI(api_key="sk-test", base_url=f"{server.url}/openai/v1", max_retries=0)
    tracer = telemetry.tracer_provider.get_tracer("app")
    parents = {}

    async def one(number: int) -> None:
        with tracer.start_as_current_span("app") as parent:
            parents[f"model-{number}"] = parent.get_span_context().span_id
            stream = await client.chat.completions.create(
                model=f"model-{number}", messages=[{"role": "user", "content": telemetry.canary}], stream=True
            )
            async for _ in stream:
                await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(8)))
    calls = [s for s in telemetry.spans() if s.kind is trace.SpanKind.CLIENT]
    assert {s.attributes["gen_ai.request.model"]: s.parent.span_id for s in calls} == parents


def test_a_stream_read_in_another_thread_ends_there(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    instrument(OpenAIInstrumentor)
    stream = ask(client, telemetry, stream=True)
    reader = threading.Thread(target=lambda: [None for _ in stream])
    reader.start()
    reader.join(10)
    assert telemetry.span().attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_a_stream_ended_by_two_threads_at_once_is_one_span(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any, caplog: pytest.LogCaptureFixture
) -> None:
    instrument(OpenAIInstrumentor)
    for _ in range(10):
        stream = ask(client, telemetry, stream=True)
        next(stream)
        barrier = threading.Barrier(4)

        def close(stream: Any = stream, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            stream.close()

        threads = [threading.Thread(target=close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(telemetry.spans()) == 10
    assert "ended span" not in caplog.text


def test_streams_dropped_while_the_sdk_holds_its_locks_do_not_block(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    instrument(OpenAIInstrumentor)
    streams = [ask(client, telemetry, stream=True)]

    class Collecting(SpanProcessor):
        """Collects garbage inside the SDK, where its locks may be held."""

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            streams.clear()
            gc.collect()

        def on_end(self, span: Any) -> None: ...

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return True

    telemetry.tracer_provider.add_span_processor(Collecting())
    ask(client, telemetry)
    ask(client, telemetry)
    assert len(telemetry.spans()) == 3


# suppression and nesting


def test_suppressed_instrumentation_makes_no_span(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    instrument(OpenAIInstrumentor)
    with suppress_instrumentation():
        ask(client, telemetry)
        list(ask(client, telemetry, stream=True))
    assert telemetry.spans() == []
    assert telemetry.points("gen_ai.client.operation.duration") == []


def test_the_key_of_other_language_model_instrumentations_suppresses_too(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    instrument(OpenAIInstrumentor)
    token = context_api.attach(context_api.set_value("suppress_language_model_instrumentation", True))
    try:
        ask(client, telemetry)
    finally:
        context_api.detach(token)
    assert telemetry.spans() == []


def test_a_call_inside_a_call_of_ours_makes_no_second_span(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any, server: FakeServer
) -> None:
    """A client built on another one: the outer call is the one that counts."""
    instrument(OpenAIInstrumentor)
    instrument(GroqInstrumentor)
    inner = groq.Groq(api_key="k", base_url=f"{server.url}/groq", max_retries=0)

    class Bridge(openai.OpenAI):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            inner.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
            return super().request(*args, **kwargs)

    ask(Bridge(api_key="k", base_url=str(client.base_url), max_retries=0), telemetry)
    assert telemetry.span().attributes["gen_ai.provider.name"] == "openai"


def test_a_call_made_while_a_stream_is_read_is_a_call_of_its_own(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    instrument(OpenAIInstrumentor)
    for number, _ in enumerate(ask(client, telemetry, stream=True)):
        if number == 0:
            ask(client, telemetry)
    assert len(telemetry.spans()) == 2


async def test_a_task_started_during_a_call_may_make_calls_of_its_own(
    instrument: Callable[[Any], Any], telemetry: Any, server: FakeServer
) -> None:
    """Its context is a copy from inside the request; that must not silence it for ever."""
    instrument(OpenAIInstrumentor)
    started: list[asyncio.Task[Any]] = []

    async def later(client: openai.AsyncOpenAI) -> None:
        await asyncio.sleep(0.2)
        await client.chat.completions.create(model="later", messages=[{"role": "user", "content": "x"}])

    class Starting(openai.AsyncOpenAI):
        async def request(self, *args: Any, **kwargs: Any) -> Any:
            if not started:
                started.append(asyncio.create_task(later(self)))
            return await super().request(*args, **kwargs)

    client = Starting(api_key="k", base_url=f"{server.url}/openai/v1", max_retries=0)
    await client.chat.completions.create(model="first", messages=[{"role": "user", "content": "x"}])
    await started[0]
    assert sorted(s.attributes["gen_ai.request.model"] for s in telemetry.spans()) == ["first", "later"]


# switching on and off


def test_uninstrument_restores_the_methods(telemetry: Any, client: openai.OpenAI) -> None:
    before = {cls: vars(cls)[CREATE] for cls in (Completions, AsyncCompletions)}
    OpenAIInstrumentor().instrument(**telemetry.providers)
    assert vars(Completions)[CREATE] is not before[Completions]
    OpenAIInstrumentor().uninstrument()
    assert {cls: vars(cls)[CREATE] for cls in before} == before
    ask(client, telemetry)
    assert telemetry.spans() == []


def test_uninstrument_works_under_a_foreign_wrapper_that_stays(telemetry: Any, client: openai.OpenAI) -> None:
    original = vars(Completions)[CREATE]
    seen = []

    def foreign(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append(1)
        return wrapped(*args, **kwargs)

    OpenAIInstrumentor().instrument(**telemetry.providers)
    wrapt.wrap_function_wrapper(Completions, CREATE, foreign)
    try:
        ask(client, telemetry)
        assert len(telemetry.spans()) == 1
        OpenAIInstrumentor().uninstrument()
        ask(client, telemetry)
        assert (len(telemetry.spans()), len(seen)) == (1, 2)
        assert vars(Completions)[CREATE].__wrapped__ is original
        OpenAIInstrumentor().instrument(**telemetry.providers)
        ask(client, telemetry)
        assert (len(telemetry.spans()), len(seen)) == (2, 3)
        OpenAIInstrumentor().uninstrument()
    finally:
        setattr(Completions, CREATE, original)


def test_uninstrument_works_under_a_wrapper_that_keeps_ours_in_a_closure(
    telemetry: Any, client: openai.OpenAI
) -> None:
    original = vars(Completions)[CREATE]
    OpenAIInstrumentor().instrument(**telemetry.providers)
    ours = Completions.create

    @functools.wraps(ours)
    def closure(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours.__get__(self, Completions)(*args, **kwargs)

    setattr(Completions, CREATE, closure)
    try:
        ask(client, telemetry)
        OpenAIInstrumentor().uninstrument()
        ask(client, telemetry)
        assert len(telemetry.spans()) == 1
    finally:
        setattr(Completions, CREATE, original)


def test_a_method_bound_before_instrumenting_still_works(telemetry: Any, client: openai.OpenAI) -> None:
    early = client.chat.completions.create
    OpenAIInstrumentor().instrument(**telemetry.providers)
    late = client.chat.completions.create
    OpenAIInstrumentor().uninstrument()
    for create in (early, late):
        assert create(model="m", messages=[{"role": "user", "content": "x"}]).id == "chatcmpl-1"
    assert telemetry.spans() == []


def test_a_client_that_is_not_installed_is_passed_over_quietly(
    telemetry: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Missing(OpenAIInstrumentor):
        _instance = None
        client = "missing"
        requires = ("otel-zdr-no-such-client >=1",)

    with caplog.at_level(logging.INFO):
        Missing().instrument(**telemetry.providers)
    assert not Missing().is_instrumented_by_opentelemetry
    assert caplog.text == ""


def test_a_version_out_of_range_is_skipped_with_a_clear_line(
    telemetry: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Old(OpenAIInstrumentor):
        _instance = None
        requires = ("openai <1",)

    before = vars(Completions)[CREATE]
    Old().instrument(**telemetry.providers, raise_exception_on_conflict=True)
    assert not Old().is_instrumented_by_opentelemetry
    assert vars(Completions)[CREATE] is before
    assert (
        "openai is not instrumented: this version works with openai <1, installed is openai " in caplog.text
    )


# who is under ZDR


def test_two_workspaces_in_one_process_are_told_apart(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    uninstall()
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",), unidentified="retain"))
    instrument(OpenAIInstrumentor)
    for name in ("clinic", "studio"):
        with otel_zdr.workspace(name):
            stream = client.chat.completions.create(
                model=f"model-{name}", messages=[{"role": "user", "content": telemetry.canary}], stream=True
            )
        list(stream)
    content = {s.attributes["gen_ai.request.model"]: s.attributes.get(INPUT, "") for s in telemetry.spans()}
    assert "canary" not in content["model-clinic"].lower()
    assert telemetry.canary in content["model-studio"]


def test_under_zdr_content_is_never_serialised(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any, server: FakeServer
) -> None:
    instrument(OpenAIInstrumentor)

    class Message(dict[str, Any]):
        """Counts who looks at its content."""

        looks = 0

        def get(self, key: str, default: Any = None) -> Any:
            Message.looks += key == "content"
            return super().get(key, default)

    client.chat.completions.create(
        model="gpt-4o-mini", messages=[Message(role="user", content=telemetry.canary)]
    )
    assert (Message.looks > 0) is not telemetry.zdr


def test_a_call_that_is_sampled_out_is_still_measured(
    instrument: Callable[[Any], Any], client: openai.OpenAI, telemetry: Any
) -> None:
    telemetry.tracer_provider.sampler = ALWAYS_OFF
    instrument(OpenAIInstrumentor)
    list(ask(client, telemetry, stream=True, stream_options={"include_usage": True}))
    assert telemetry.spans() == []
    (duration,) = telemetry.points("gen_ai.client.operation.duration")
    assert duration.count == 1
    assert {point.sum for point in telemetry.points("gen_ai.client.token.usage")} == {19, 11}
