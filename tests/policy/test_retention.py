"""`OTEL_ZDR_INELIGIBLE=retain`: what the specification's "No" rows let stay, and nothing beside it.

Spans and log records as any instrumentation writes them, through real providers to exported OTLP.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

import otel_zdr
from otel_zdr.testing import CapturingSpanExporter, assert_no_content, canary
from tests.policy.otlp import attributes_of

CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-x", "gen_ai.usage.input_tokens": 3}
THIRD = {**CALL, "gen_ai.provider.name": "openai", "server.address": "api.openai.com"}
ROUTER = {**CALL, "gen_ai.provider.name": "openai", "server.address": "api.inworld.ai"}
HOSTED = {**CALL, "gen_ai.provider.name": "inworld", "server.address": "api.inworld.ai"}
#: As the conventions, OpenInference, traceloop and others write what was said.
KEYS = [
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "llm.input_messages.0.message.content",
    "llm.output_messages.3.message.content",
    "gen_ai.prompt.0.content",
    "gen_ai.completion.1.content",
]
#: Content of no "No" row, and keys nobody knows.
OTHERS = [
    "gen_ai.retrieval.documents",
    "exception.message",
    "db.query.text",
    "url.full",
    "user.id",
    "acme.prompt",
    "gen_ai.prompt_of_acme",
    "prompt.gen_ai.prompt.0.content",
    "unknown",
]


def messages(text: str) -> str:
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}])


def the_span(pipeline: Any) -> dict[str, Any]:
    (span,) = pipeline.span_exporter.spans
    return attributes_of(span)


def write_at_start(pipeline: Any, attributes: dict[str, Any]) -> None:
    with pipeline.tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=attributes):
        pass


def write_later(pipeline: Any, attributes: dict[str, Any]) -> None:
    with pipeline.tracer.start_as_current_span("chat", kind=SpanKind.CLIENT) as span:
        for key, value in attributes.items():
            span.set_attribute(key, value)


def write_content_first(pipeline: Any, attributes: dict[str, Any]) -> None:
    content = {key: value for key, value in attributes.items() if key in KEYS + OTHERS}
    rest = {key: value for key, value in attributes.items() if key not in content}
    with pipeline.tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=content) as span:
        span.set_attributes(rest)


def write_before_the_workspace(pipeline: Any, attributes: dict[str, Any]) -> None:
    with pipeline.tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=attributes) as span:
        span.set_attribute("workspace.id", "clinic")


def write_under_another_workspace(pipeline: Any, attributes: dict[str, Any]) -> None:
    open_at_first = {**attributes, "workspace.id": "studio"}
    with pipeline.tracer.start_as_current_span(
        "chat", kind=SpanKind.CLIENT, attributes=open_at_first
    ) as span:
        span.set_attribute("workspace.id", "clinic")


ALL = otel_zdr.Settings(ineligible="retain")
LISTED = otel_zdr.Settings(ineligible="retain", workspaces=("clinic",), unidentified="retain")
ways = pytest.mark.parametrize(
    ("settings", "write"),
    [
        (ALL, write_at_start),
        (ALL, write_later),
        (ALL, write_content_first),
        (LISTED, write_before_the_workspace),
        (LISTED, write_under_another_workspace),
    ],
    ids=["at start", "later", "content first", "workspace last", "workspace that changes"],
)


@ways
def test_what_was_said_to_a_third_party_stays_whoever_writes_it_and_when(
    pipeline: Any, settings: otel_zdr.Settings, write: Any
) -> None:
    otel_zdr.install(settings)
    said = {key: messages(canary(key)) for key in KEYS}
    write(pipeline, {**THIRD, **said})
    left = the_span(pipeline)
    assert {key: left.get(key) for key in KEYS} == said
    assert (left["zdr.redacted"], left["zdr.coverage"]) == (True, "not_covered")
    assert left["zdr.coverage.reason"] == "third-party-model-provider"
    assert "zdr.removed" not in left


@ways
def test_nothing_else_of_the_same_span_stays(pipeline: Any, settings: otel_zdr.Settings, write: Any) -> None:
    otel_zdr.install(settings)
    others = {key: canary(key) for key in OTHERS}
    prompt = canary("prompt")
    write(pipeline, {**THIRD, **others, "gen_ai.input.messages": prompt})
    assert the_span(pipeline)["gen_ai.input.messages"] == prompt
    assert_no_content(pipeline.collect(), others.values())


def test_names_events_links_status_and_exceptions_do_not_stay(pipeline: Any) -> None:
    otel_zdr.install(ALL)
    said = {place: canary(place) for place in ("name", "event", "event attribute", "error", "status", "link")}
    prompt = canary("prompt")
    context = trace.SpanContext(7, 7, is_remote=True)
    link = trace.Link(context, {"gen_ai.input.messages": said["link"]})
    span = pipeline.tracer.start_span(said["name"], kind=SpanKind.CLIENT, attributes=THIRD, links=[link])
    span.set_attribute("gen_ai.input.messages", prompt)
    span.add_event(said["event"], {"gen_ai.input.messages": said["event attribute"]})
    span.record_exception(ValueError(said["error"]))
    span.set_status(Status(StatusCode.ERROR, said["status"]))
    span.end()
    assert the_span(pipeline)["gen_ai.input.messages"] == prompt
    assert_no_content(pipeline.collect(), said.values())


UNPROVEN = {
    "hosted": HOSTED,
    "router, as a library names it": ROUTER,
    "no host": {**CALL, "gen_ai.provider.name": "openai"},
    "no provider": {**CALL, "server.address": "api.openai.com"},
    "provider and host disagree": {**THIRD, "gen_ai.provider.name": "anthropic"},
    "hosts disagree": {**THIRD, "net.peer.name": "api.inworld.ai"},
    "providers disagree": {**THIRD, "gen_ai.system": "inworld"},
    "a host that looks like one": {**THIRD, "server.address": "api.openai.com.example"},
    "no operation": {key: value for key, value in THIRD.items() if key != "gen_ai.operation.name"},
    "another operation": {**THIRD, "gen_ai.operation.name": "execute_tool"},
    "attempts written by anybody": {
        **ROUTER,
        "otel_zdr.attempts": ("openai",),
        "otel_zdr.provider": "openai",
    },
    "evidence written by anybody": {**ROUTER, "zdr.coverage": "not_covered", "zdr.product": "llm"},
    "another product": {**THIRD, "otel_zdr.product": "tts"},
}


@ways
@pytest.mark.parametrize("attributes", UNPROVEN.values(), ids=UNPROVEN)
def test_without_proof_nothing_stays(
    pipeline: Any, settings: otel_zdr.Settings, write: Any, attributes: dict[str, Any]
) -> None:
    otel_zdr.install(settings)
    said = {key: messages(canary(key)) for key in KEYS}
    write(pipeline, {**attributes, **said})
    left = the_span(pipeline)
    assert left["zdr.redacted"] is True
    assert left["gen_ai.usage.input_tokens"] == 3
    assert_no_content(
        pipeline.collect(), [json.loads(text)[0]["parts"][0]["content"] for text in said.values()]
    )


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
def test_a_server_does_not_prove_whom_it_called(pipeline: Any, kind: SpanKind) -> None:
    otel_zdr.install(ALL)
    prompt = canary("prompt")
    pipeline.tracer.start_span("x", kind=kind, attributes={**THIRD, "gen_ai.input.messages": prompt}).end()
    assert_no_content(pipeline.collect(), [prompt])


@pytest.mark.parametrize("proof", [{"server.address": "api.inworld.ai"}, {"gen_ai.provider.name": "inworld"}])
def test_proof_that_is_taken_back_before_the_end_is_none(pipeline: Any, proof: dict[str, str]) -> None:
    otel_zdr.install(ALL)
    prompt = canary("prompt")
    span = pipeline.tracer.start_span("chat", attributes={**THIRD, "gen_ai.input.messages": prompt})
    span.set_attributes(proof)
    span.end()
    assert_no_content(pipeline.collect(), [prompt])


def test_an_early_reader_never_sees_what_may_stay_in_the_end(pipeline: Any) -> None:
    otel_zdr.install(ALL)
    prompt = canary("prompt")
    span = pipeline.tracer.start_span("chat", attributes={**THIRD, "gen_ai.input.messages": prompt})
    assert prompt not in str(dict(span.attributes))
    assert prompt not in span.to_json()
    span.end()
    assert the_span(pipeline)["gen_ai.input.messages"] == prompt


def test_what_is_replaced_or_limited_is_what_stays(pipeline: Any) -> None:
    otel_zdr.install(ALL)
    exporter = CapturingSpanExporter()
    provider = TracerProvider(span_limits=SpanLimits(max_span_attribute_length=64), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    first, second = canary("first"), canary("second") + "x" * 100
    span = provider.get_tracer("t").start_span("chat", attributes={**THIRD, "gen_ai.input.messages": first})
    span.set_attribute("gen_ai.input.messages", second)
    span.end()
    (exported,) = exporter.spans
    assert attributes_of(exported)["gen_ai.input.messages"] == second[:64]
    assert_no_content(exporter.data, [first])


def test_content_that_was_deleted_does_not_come_back(pipeline: Any) -> None:
    otel_zdr.install(ALL)
    prompt = canary("prompt")
    span = pipeline.tracer.start_span("chat", attributes={**THIRD, "gen_ai.input.messages": prompt})
    del span._attributes["gen_ai.input.messages"]
    span.end()
    assert_no_content(pipeline.collect(), [prompt])


# log records


def emit(pipeline: Any, attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    pipeline.logger.emit(
        event_name="gen_ai.client.inference.operation.details", attributes=attributes, **more
    )
    return attributes_of(pipeline.log_exporter.records[-1])


def test_a_log_record_about_a_third_party_keeps_its_attributes_not_its_body(pipeline: Any) -> None:
    otel_zdr.install(ALL)
    said = {key: messages(canary(key)) for key in KEYS}
    others = {key: canary(key) for key in OTHERS}
    body = canary("body")
    left = emit(pipeline, {**THIRD, **said, **others}, body={"gen_ai.input.messages": body, "text": body})
    assert {key: left.get(key) for key in KEYS} == said
    assert left["zdr.coverage.reason"] == "third-party-model-provider"
    assert_no_content(pipeline.collect(), [body, *others.values()])


@pytest.mark.parametrize("attributes", UNPROVEN.values(), ids=UNPROVEN)
def test_without_proof_nothing_stays_of_a_log_record(pipeline: Any, attributes: dict[str, Any]) -> None:
    otel_zdr.install(ALL)
    prompt = canary("prompt")
    # Written while a call of a third party is open: its proof is not theirs.
    with pipeline.tracer.start_as_current_span("chat", attributes=THIRD):
        left = emit(pipeline, {**attributes, "gen_ai.input.messages": prompt})
    assert left["zdr.redacted"] is True
    assert_no_content(pipeline.collect(), [prompt])


# the policy file

POLICY = """
version = 3
[organisation]
zdr = true
ineligible = "redact"
[workspaces.lab]
ineligible = "retain"
[workspaces."lab-*"]
ineligible = "retain"
[workspaces.lab-strict]
ineligible = "redact"
[workspaces.studio]
zdr = false
"""


def install_policy(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    file.chmod(0o600)
    otel_zdr.install(otel_zdr.Settings(policy_file=str(file)))


@pytest.mark.parametrize(
    ("workspaces", "stays"),
    [
        (["lab"], True),
        (["Lab "], True),
        (["lab-7"], True),
        (["lab-strict"], False),
        (["clinic"], False),
        (["lab", "clinic"], False),
        (["lab", "lab-7"], True),
        (["lab", "studio"], True),
        ([], False),
        (["studio"], True),
    ],
    ids=str,
)
@pytest.mark.parametrize("signal", ["span", "log"])
def test_each_workspace_has_its_own_answer_and_the_strictest_wins(
    pipeline: Any, tmp_path: Path, signal: str, workspaces: list[str], stays: bool
) -> None:
    install_policy(tmp_path, POLICY)
    prompt = canary("prompt")
    attributes: dict[str, Any] = {**THIRD, "gen_ai.input.messages": prompt}
    if workspaces:
        attributes["workspace.id"] = workspaces
    if signal == "span":
        write_at_start(pipeline, attributes)
    else:
        emit(pipeline, attributes)
    assert (prompt.encode() in pipeline.data) is stays


@pytest.mark.parametrize("where", ["resource", "ambient", "parent", "later"])
def test_a_stricter_workspace_counts_wherever_it_is_named(
    make_pipeline: Any, tmp_path: Path, where: str
) -> None:
    install_policy(tmp_path, POLICY)
    pipeline = make_pipeline({"workspace.id": "clinic"} if where == "resource" else None)
    prompt = canary("prompt")
    attributes = {**THIRD, "gen_ai.input.messages": prompt, "workspace.id": "lab"}
    if where == "ambient":
        with otel_zdr.workspace("clinic"):
            write_at_start(pipeline, attributes)
    elif where == "parent":
        with pipeline.tracer.start_as_current_span("parent", attributes={"workspace.id": "clinic"}):
            write_at_start(pipeline, attributes)
    elif where == "later":
        with pipeline.tracer.start_as_current_span("chat", attributes=attributes) as span:
            span.set_attribute("workspace.id", "clinic")
    else:
        write_at_start(pipeline, attributes)
    assert_no_content(pipeline.collect(), [prompt])


def test_a_workspace_named_by_the_resource_alone_has_its_own_answer(
    make_pipeline: Any, tmp_path: Path
) -> None:
    install_policy(tmp_path, POLICY)
    for workspace, stays in (("lab", True), ("clinic", False)):
        pipeline = make_pipeline({"workspace.id": workspace})
        prompt = canary("prompt")
        write_at_start(pipeline, {**THIRD, "gen_ai.input.messages": prompt})
        assert (prompt.encode() in pipeline.data) is stays


def test_a_product_that_the_policy_redacts_keeps_nothing(pipeline: Any, tmp_path: Path) -> None:
    install_policy(tmp_path, POLICY + '[products.llm]\nineligible = "redact"\n')
    prompt, script = canary("prompt"), canary("script")
    write_at_start(pipeline, {**THIRD, "gen_ai.input.messages": prompt, "workspace.id": "lab"})
    design = {"gen_ai.operation.name": "design_voice", "server.address": "api.inworld.ai"}
    design |= {"settings.description": script, "workspace.id": "lab"}
    write_at_start(pipeline, design)
    assert_no_content(pipeline.data, [prompt])
    assert script.encode() in pipeline.data


def test_a_product_under_zdr_is_so_for_workspaces_that_are_not(pipeline: Any, tmp_path: Path) -> None:
    install_policy(tmp_path, POLICY + "[products.llm]\nzdr = true\n")
    prompt, other = canary("prompt"), canary("other")
    write_later(pipeline, {"workspace.id": "studio", "gen_ai.prompt.0.content": prompt, **HOSTED})
    write_later(pipeline, {"workspace.id": "studio", "acme.text": other})
    assert_no_content(pipeline.data, [prompt])
    assert other.encode() in pipeline.data
