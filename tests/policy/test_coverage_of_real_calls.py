"""Rows of the specification through the real clients, redacted, judged by what is left on their spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import inworld_tts
import openai
import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_zdr
from otel_zdr.instrumentation.inworld import InworldInstrumentor
from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from otel_zdr.instrumentation.transports import InworldTransportInstrumentor
from otel_zdr.policy.coverage import coverage
from otel_zdr.policy.eligibility import Eligibility, judge
from otel_zdr.testing import canary
from tests.fakes.server import FakeServer

PROMPTS = {"prompt", "completion", "system_instructions", "tool_definition", "tool_arguments", "tool_result"}
STT_MODELS = [
    "inworld/inworld-stt-1",
    "assemblyai/universal-streaming",
    "groq/whisper-large-v3",
    "soniox/stt-rt-v4",
    "soniox/stt-rt-v5",
    "deepgram/flux-general-en",
    "deepgram/flux-general-multi",
]


class Calls:
    """A vendor on loopback, instrumented clients, and the judgement of the one span each call made."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self._spans = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._spans))

    def judged(self, *hosts: str) -> Eligibility:
        """By the address of the loopback server, or as if ``hosts`` were Inworld's."""
        (span,) = self._spans.get_finished_spans()
        found = judge(dict(span.attributes or {}), frozenset(hosts or (self.server.host,)))
        assert found is not None
        return found

    @property
    def attributes(self) -> dict[str, Any]:
        (span,) = self._spans.get_finished_spans()
        return dict(span.attributes or {})

    def post(self, path: str, body: dict[str, Any]) -> None:
        headers = {"Authorization": "Basic key"}
        requests.post(f"{self.server.url}{path}", json=body, headers=headers, timeout=10).raise_for_status()

    def chat(self, model: str) -> None:
        client = openai.OpenAI(api_key="key", base_url=f"{self.server.url}/v1", max_retries=0)
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": canary("prompt")}])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    otel_zdr.install(otel_zdr.Settings())
    with FakeServer() as server:
        monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", server.host)
        made = Calls(server)
        instrumentors = [InworldInstrumentor(), InworldTransportInstrumentor(), OpenAIInstrumentor()]
        for instrumentor in instrumentors:
            instrumentor.instrument(tracer_provider=made.provider)
        yield made
        for instrumentor in reversed(instrumentors):
            instrumentor.uninstrument()


def test_synthesis_is_covered_also_with_a_cloned_voice(calls: Calls) -> None:
    client = inworld_tts.InworldTTS(api_key="key", base_url=calls.server.url, max_retries=0)
    client.generate(canary("text"), voice="workspace-1__cloned")
    found = calls.judged()
    assert (found.product, found.coverage, found.reason, found.retained) == (
        "tts",
        "covered",
        "",
        frozenset(),
    )


def test_cloning_a_voice_is_not_covered(calls: Calls) -> None:
    sample = {"audioData": "AAAA" * 100, "transcription": canary("transcript")}
    calls.post("/voices/v1/voices:clone", {"displayName": "x", "langCode": "EN_US", "voiceSamples": [sample]})
    found = calls.judged()
    assert (found.product, found.coverage) == ("voice_cloning", "not_covered")
    assert (found.reason, found.retained) == ("voice-samples-are-not-eligible", {"voice_sample"})


def test_designing_a_voice_is_not_covered(calls: Calls) -> None:
    config = {"numberOfSamples": 1}
    body = {
        "designPrompt": canary("script"),
        "previewText": "x",
        "langCode": "EN_US",
        "voiceDesignConfig": config,
    }
    calls.post("/voices/v1/voices:design", body)
    found = calls.judged()
    assert (found.product, found.coverage) == ("voice_design", "not_covered")
    assert (found.reason, found.retained) == ("voice-descriptions-are-not-eligible", {"voice_description"})


@pytest.mark.parametrize("model", STT_MODELS)
def test_transcription_is_covered_with_every_model_and_its_usage_is_kept(calls: Calls, model: str) -> None:
    body = {"transcribeConfig": {"modelId": model}, "audioData": {"content": "AAAA"}}
    calls.post("/stt/v1/transcribe", body)
    found = calls.judged()
    assert (found.product, found.coverage, found.retained) == ("stt", "covered", frozenset())
    left = calls.attributes
    assert left["gen_ai.request.model"] == model
    assert left["otel_zdr.usage.audio_seconds"] > 0
    row = coverage(
        product=left["otel_zdr.product"],
        data="audio",
        provider=left["otel_zdr.provider"],
        model=model,
        mode=left["otel_zdr.mode"],
    )
    # AssemblyAI promises something for streaming only, and this was a file.
    assert bool(row.guarantee) == (not model.startswith("assemblyai/"))


@pytest.mark.parametrize("client", ["openai", "requests"])
@pytest.mark.parametrize(
    ("model", "status", "reason", "retained"),
    [
        ("inworld/fast", "covered", "", frozenset()),
        ("anthropic/claude-x", "not_covered", "third-party-model-provider", PROMPTS),
        # A hosted model was tried first and has had the prompt.
        ("auto", "not_covered", "third-party-model-provider", frozenset()),
    ],
)
def test_the_routers_answer_tells_whether_a_chat_is_covered(
    calls: Calls, client: str, model: str, status: str, reason: str, retained: frozenset[str]
) -> None:
    if client == "openai":
        calls.chat(model)
    else:
        message = {"role": "user", "content": canary("prompt")}
        calls.post("/v1/chat/completions", {"model": model, "messages": [message]})
    found = calls.judged()
    assert (found.product, found.coverage) == ("llm", status)
    assert (found.reason, found.retained) == (reason, retained)


def test_the_same_chat_elsewhere_is_a_direct_call_that_proves_nothing(calls: Calls) -> None:
    calls.chat("inworld/fast")
    found = calls.judged("api.inworld.ai")
    assert (found.coverage, found.reason, found.retained) == (
        "not_covered",
        "direct-vendor-call",
        frozenset(),
    )
