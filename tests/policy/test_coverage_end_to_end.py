"""Every row of the specification: real clients, real servers, the real gate, and what is exported of it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

pytest.importorskip("assemblyai")
pytest.importorskip("cartesia")
pytest.importorskip("deepgram")
pytest.importorskip("elevenlabs")
pytest.importorskip("soniox")

from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import otel_zdr
from otel_zdr.instrumentation.assemblyai import AssemblyAIInstrumentor
from otel_zdr.instrumentation.cartesia import CartesiaInstrumentor
from otel_zdr.instrumentation.deepgram import DeepgramInstrumentor
from otel_zdr.instrumentation.elevenlabs import ElevenLabsInstrumentor
from otel_zdr.instrumentation.groq import GroqInstrumentor
from otel_zdr.instrumentation.inworld import InworldInstrumentor
from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from otel_zdr.instrumentation.soniox import SonioxInstrumentor
from otel_zdr.instrumentation.transports import InworldTransportInstrumentor
from otel_zdr.policy.coverage import Coverage, all_rows
from otel_zdr.testing import CapturingLogExporter, CapturingSpanExporter, assert_no_content, canary, forms
from otel_zdr.verify.fake_vendors.inworld import AUDIO
from tests.fakes.server import FakeServer
from tests.policy.calls import (
    CASES,
    CHARACTERS,
    Case,
    Site,
    chat,
    speak,
    speak_plainly,
    vendor_deepgram,
    vendor_deepgram_with_its_hint,
    vendor_elevenlabs,
    vendor_elevenlabs_with_its_hint,
)
from tests.policy.otlp import attributes_of

INSTRUMENTORS = (
    InworldInstrumentor,
    InworldTransportInstrumentor,
    OpenAIInstrumentor,
    GroqInstrumentor,
    DeepgramInstrumentor,
    AssemblyAIInstrumentor,
    SonioxInstrumentor,
    ElevenLabsInstrumentor,
    CartesiaInstrumentor,
)
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def site(server: FakeServer) -> Iterator[Site]:
    yield Site(server)
    server.reset()


@pytest.fixture
def install(site: Site, pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`install(**settings)` puts the gate on, then instruments every client; content is asked for."""
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", site.inworld)
    monkeypatch.setenv(CAPTURE, "SPAN_AND_EVENT")
    used: list[Any] = []

    def start(**settings: Any) -> None:
        otel_zdr.install(otel_zdr.Settings(inworld_hosts=(site.inworld,), **settings))
        for kind in INSTRUMENTORS:
            instrumentor = kind()
            instrumentor.instrument(
                tracer_provider=pipeline.tracer_provider,
                meter_provider=pipeline.meter_provider,
                logger_provider=pipeline.logger_provider,
            )
            used.append(instrumentor)

    yield start
    for instrumentor in reversed(used):
        instrumentor.uninstrument()


def the_span(pipeline: Any) -> dict[str, Any]:
    (span,) = pipeline.span_exporter.spans
    return attributes_of(span)


def retained_kinds(case: Case) -> tuple[str, ...]:
    """The kinds that stay when what is not eligible may: those of the "No" rows that telemetry shows."""
    if case.reason == "third-party-model-provider" or case.product == "voice_design":
        return case.shown
    return ()


def are_in(data: bytes, texts: list[str]) -> list[bool]:
    return [any(form in data for form in forms(text)) for text in texts]


cases = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@cases
def test_a_row_is_judged_counted_and_without_content(
    case: Case, site: Site, pipeline: Any, install: Callable[..., None]
) -> None:
    install()
    case.call(site)
    left = the_span(pipeline)
    assert left["zdr.redacted"] is True
    assert (left["zdr.product"], left["zdr.coverage"]) == (case.product, case.coverage)
    assert left.get("zdr.coverage.reason", "") == case.reason
    assert left["otel_zdr.mode"] == case.mode
    for key, value in case.left.items():
        assert left[key] == value or (value is ... and left[key] > 0), key
    assert set(site.texts) == set(case.sent)
    data = pipeline.collect()
    assert b"gen_ai.client.operation.duration" in data
    assert_no_content(data, site.texts.values())
    # It really was sent, so it could have been seen.
    arrived = b"".join(
        request.body + "".join(str(message) for message in request.messages).encode()
        for request in site.server.requests
    )
    assert all(are_in(arrived, list(site.texts.values())))
    assert_the_table_says(case, left)


def assert_the_table_says(case: Case, left: dict[str, Any]) -> None:
    """`otel_zdr.coverage` gives the same answer for each kind of data of the call."""
    for data in case.data:
        row = otel_zdr.coverage(
            product=left["otel_zdr.product"],
            data=data,
            provider=case.provider or left.get("otel_zdr.provider"),
            model=case.model,
            mode=left["otel_zdr.mode"],
            via=case.via,
        )
        assert row.status == left["zdr.coverage"], data
        if case.model is not None:
            # AssemblyAI promises something for streaming only; all others for both.
            promised = case.mode == "streaming" or not case.model.startswith("assemblyai/")
            assert bool(row.guarantee) is promised
    if case.product == "stt" and case.via == "inworld":
        row = otel_zdr.coverage(product="stt", data="usage", model=case.model, mode=case.mode)
        assert row.status == "kept"


def answers_for(row: Coverage) -> list[Case]:
    """The cases that are calls of this row of the specification."""
    return [
        case
        for case in CASES
        if case.product == row.product
        and case.via == "inworld"
        and (row.data in case.data or row.data == "usage")
        and (row.product != "llm" or (row.provider == "inworld") == (case.provider == "inworld"))
        and (row.model is None or fnmatchcase(case.model or "", row.model))
        and row.mode in (None, case.mode)
    ]


def test_every_row_of_the_specification_is_a_call_of_a_real_client() -> None:
    for row in all_rows():
        found = answers_for(row)
        assert found, row
        if row.status != "kept":
            assert {case.coverage for case in found} == {row.status}, row


@pytest.mark.parametrize("call", [speak("Dennis"), speak_plainly("/tts/v1/voice")], ids=["client", "HTTP"])
def test_what_was_spoken_is_not_in_the_telemetry(
    call: Callable[[Site], Any], site: Site, pipeline: Any, install: Callable[..., None]
) -> None:
    install(ineligible="retain")
    heard = call(site)
    data = pipeline.collect()
    forms_of_audio = (AUDIO[32:96], b64encode(AUDIO)[:64], AUDIO.hex()[:64].encode())
    # The caller did get it.
    assert any(form in bytes(heard) for form in forms_of_audio)
    assert the_span(pipeline)[CHARACTERS] == len(site.texts["text"])
    assert not [form for form in forms_of_audio if form in data]


@cases
def test_without_zdr_the_same_call_shows_its_content(
    case: Case, site: Site, pipeline: Any, install: Callable[..., None]
) -> None:
    install(workspaces=())
    case.call(site)
    left = the_span(pipeline)
    assert not [key for key in left if key.startswith("zdr.")]
    shown = are_in(pipeline.collect(), [site.texts[kind] for kind in case.shown])
    assert shown == [True] * len(case.shown)


@cases
def test_what_is_not_eligible_stays_where_the_policy_retains_it_and_nothing_else(
    case: Case, site: Site, pipeline: Any, install: Callable[..., None]
) -> None:
    install(ineligible="retain")
    case.call(site)
    kept = retained_kinds(case)
    left = the_span(pipeline)
    assert left["zdr.redacted"] is True
    assert left["zdr.coverage"] == case.coverage
    for data in (pipeline.span_exporter.data, pipeline.log_exporter.data):
        found = dict(zip(site.texts, are_in(data, list(site.texts.values())), strict=True))
        assert found == {kind: kind in kept for kind in case.sent}
    assert not any(are_in(pipeline.metric_exporter.data, list(site.texts.values())))


def test_a_hosted_model_that_was_tried_first_had_the_prompt_too(
    site: Site, pipeline: Any, install: Callable[..., None]
) -> None:
    install(ineligible="retain")
    chat("auto")(site)
    left = the_span(pipeline)
    assert (left["zdr.coverage"], left["zdr.coverage.reason"]) == (
        "not_covered",
        "third-party-model-provider",
    )
    assert_no_content(pipeline.collect(), site.texts.values())


ADVICE = {
    "deepgram": (vendor_deepgram, vendor_deepgram_with_its_hint, "deepgram: mip_opt_out=true"),
    "elevenlabs": (vendor_elevenlabs, vendor_elevenlabs_with_its_hint, "elevenlabs: enable_logging=false"),
}


@pytest.mark.parametrize(("without", "with_hint", "advice"), ADVICE.values(), ids=ADVICE)
def test_a_call_without_its_privacy_hint_is_said_once_and_marked_each_time(
    site: Site,
    pipeline: Any,
    install: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    without: Callable[[Site], None],
    with_hint: Callable[[Site], None],
    advice: str,
) -> None:
    install(workspaces=("clinic",), unidentified="retain")

    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if "privacy hint" in record.getMessage()]

    with otel_zdr.workspace("studio"):
        without(site)
    with otel_zdr.workspace("clinic"):
        with_hint(site)
        assert said() == []
        without(site)
        without(site)
    (line,) = said()
    assert line.endswith(advice)
    assert not any(text in line for text in site.texts.values())
    reasons = [attributes_of(span).get("zdr.coverage.reason") for span in pipeline.span_exporter.spans]
    missing = "direct-vendor-call-without-no-retention-hint"
    assert reasons == [None, "direct-vendor-call", missing, missing]


def test_what_may_stay_gets_through_batches_and_second_exporters(
    site: Site, pipeline: Any, install: Callable[..., None]
) -> None:
    second, third = CapturingSpanExporter(), CapturingLogExporter()
    pipeline.tracer_provider.add_span_processor(BatchSpanProcessor(second))
    pipeline.logger_provider.add_log_record_processor(BatchLogRecordProcessor(third))
    install(ineligible="retain")
    chat("anthropic/claude-x")(site)
    hosted = Site(site.server)
    chat("inworld/fast")(hosted)
    pipeline.tracer_provider.force_flush()
    pipeline.logger_provider.force_flush()
    for exporter in (second, third, pipeline.span_exporter, pipeline.log_exporter):
        assert site.texts["prompt"].encode() in exporter.data
        assert_no_content(exporter.data, hosted.texts.values())


def test_only_the_call_itself_keeps_what_was_said_to_a_third_party(
    site: Site, pipeline: Any, install: Callable[..., None]
) -> None:
    install(ineligible="retain")
    other = canary("prompt of another call")
    note = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": other}
    with pipeline.tracer.start_as_current_span("agent", attributes=note):
        chat("anthropic/claude-x")(site)
        pipeline.logger.emit(attributes=note)
    data = pipeline.collect()
    assert site.texts["prompt"].encode() in data
    assert_no_content(data, [other])
