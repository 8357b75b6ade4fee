"""Names of spans, events, scopes, instruments; bodies; the small texts of an item."""

from __future__ import annotations

import uuid

import pytest

from otel_zdr.redaction import Redactor

redactor = Redactor(module_known=lambda name: name in {"shop", "shop.cart"})


def canary() -> str:
    return f"CANARY-{uuid.uuid4()}"


CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024",
}


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("chat gpt-4o", CHAT),
        ("chat gpt-4o-2024", CHAT),
        ("chat", CHAT),
        ("execute_tool look_up", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up"}),
        ("POST /say/{who}", {"http.request.method": "POST", "http.route": "/say/{who}"}),
        ("GET", {"http.request.method": "GET"}),
        ("llm_node", {}),
        ("agent run", {}),
        ("SELECT", {}),
        ("SELECT shop", {"db.namespace": "shop"}),
        ("planner.agent", {"traceloop.entity.name": "planner", "traceloop.span.kind": "agent"}),
        ("internal", {}),
    ],
)
def test_span_names_that_are_known_or_made_of_clean_attributes_survive(
    name: str, attributes: dict[str, object]
) -> None:
    removed: dict[str, int] = {}
    assert redactor.span_name(name, "client", attributes, removed) == name
    assert removed == {}


@pytest.mark.parametrize(
    ("attributes", "kind", "expected"),
    [
        (CHAT, "client", "chat gpt-4o"),
        ({"http.request.method": "POST", "http.route": "/say/{who}"}, "server", "POST /say/{who}"),
        ({"http.request.method": "POST"}, "server", "POST"),
        ({}, "producer", "producer"),
        ({}, canary(), "internal"),
    ],
    ids=["operation and model", "method and route", "method", "kind", "unknown kind"],
)
def test_other_span_names_are_built_from_clean_attributes(
    attributes: dict[str, object], kind: str, expected: str
) -> None:
    for name in (canary(), f"chat {canary()}", f"POST /{canary()}", f"say {canary()}", f"{canary()} gpt-4o"):
        removed: dict[str, int] = {}
        assert redactor.span_name(name, kind, attributes, removed) == expected
        assert removed == {"free_text": 1}


def test_a_name_that_is_not_text_is_replaced() -> None:
    assert redactor.span_name(None, "client", {}, {}) == "client"
    assert redactor.span_name(["x"], "client", CHAT, {}) == "chat gpt-4o"


def test_listed_names_survive_as_tokens() -> None:
    mine = Redactor(keep_names=["nightly-sync", "shop.*"])
    secret = canary()
    assert mine.span_name("nightly-sync", "internal", {}, {}) == "nightly-sync"
    assert mine.span_name("shop.checkout", "internal", {}, {}) == "shop.checkout"
    assert mine.span_name(f"shop.said {secret}", "internal", {}, {}) == "internal"
    assert mine.span_name("shopping", "internal", {}, {}) == "internal"
    assert mine.event_name("shop.paid", {}) == "shop.paid"
    assert mine.knows_instrument("shop.baskets")


def test_event_names_survive_when_known() -> None:
    removed: dict[str, int] = {}
    assert redactor.event_name("exception", removed) == "exception"
    assert redactor.event_name("gen_ai.choice", removed) == "gen_ai.choice"
    assert removed == {}
    assert redactor.event_name(canary(), removed) == "event"
    assert redactor.log_event_name("gen_ai.client.inference.operation.details", removed) is not None
    assert redactor.log_event_name(None, removed) is None
    assert redactor.log_event_name(canary(), removed) is None
    assert removed == {"free_text": 2}


def test_scopes_survive_when_a_module_of_the_process_or_known() -> None:
    for name in ("shop", "shop.cart.items", "opentelemetry.instrumentation.openai_v2", "logfire.openai", ""):
        assert redactor.scope_name(name, {}) == name
    for name in (
        canary(),
        f"shop.{canary()}",
        f"scope {canary()}",
        "unknown.module",
        f"opentelemetry.{canary()}",
    ):
        removed: dict[str, int] = {}
        assert redactor.scope_name(name, removed) == ""
        assert removed == {"free_text": 1}


def test_instruments_are_known_by_name_or_by_words() -> None:
    for name in (
        "http.client.request.duration",
        "gen_ai.client.token.usage",
        "process.cpu.utilization",
        "db.client.operation.duration",
        "otel.sdk.span.live",
        "llm.openai.chat_completions.exceptions",
        "acme.tokens",
        "acme.usage.prompt_tokens",
        "tts.characters",
    ):
        assert redactor.knows_instrument(name), name
    for name in (canary(), f"tokens.{canary()}", "patient.weight", "orders", f"{canary()}.tokens", 5, None):
        assert not redactor.knows_instrument(name), name


def test_text_bodies_go_and_structured_bodies_keep_their_frame() -> None:
    removed: dict[str, int] = {}
    secret = canary()
    assert redactor.body(f"user said {secret}", None, removed) is None
    assert redactor.body([secret], None, removed) is None
    assert redactor.body(5, None, removed) is None
    assert removed == {"free_text": 3}
    body = {
        "index": 0,
        "finish_reason": "tool_calls",
        "message": {
            "role": "assistant",
            "content": secret,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": secret, "arguments": secret}}
            ],
            secret: 1,
        },
    }
    removed = {}
    clean = redactor.body(body, "gen_ai.choice", removed)
    assert clean == {
        "index": 0,
        "finish_reason": "tool_calls",
        "message": {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function"}]},
    }
    assert removed == {"completion": 1}
    assert redactor.body(clean, "gen_ai.choice", {}) == clean
    assert redactor.body({"content": secret}, "gen_ai.user.message", {}) is None
    assert redactor.body(None, None, {}) is None


def test_severity_texts_are_levels() -> None:
    for text in ("INFO", "Error", "WARN2", "CRITICAL"):
        assert redactor.severity_text(text, {}) == text
    assert redactor.severity_text(f"INFO {canary()}", {}) is None
    assert redactor.severity_text(canary(), {}) is None


def test_versions_units_and_schemas_have_their_shapes() -> None:
    for text in ("1.2.3", "{token}", "By/s", "%", "{request}/s"):
        assert redactor.token(text, {}, "free_text") == text
    assert redactor.token(f"unit {canary()}", {}, "free_text") is None
    url = "https://opentelemetry.io/schemas/1.37.0"
    assert redactor.schema_url(url, {}) == url
    for bad in (f"https://opentelemetry.io/schemas/{canary()}", f"{url}?q={canary()}", url + "\n"):
        assert redactor.schema_url(bad, {}) is None


def test_only_the_sampling_entry_of_a_trace_state_survives() -> None:
    secret = canary().lower()
    assert redactor.trace_state([("ot", "th:8;rv:0123456789abcd")], {}) == [("ot", "th:8;rv:0123456789abcd")]
    assert redactor.trace_state({"ot": "p:8;r:62"}, {}) == [("ot", "p:8;r:62")]
    removed: dict[str, int] = {}
    assert (
        redactor.trace_state([("vendor", secret), ("ot", f"th:8;x:{secret}"), ("ot", "th:8;")], removed) == []
    )
    assert removed == {"caller": 3}
    assert redactor.trace_state(object(), {}) == []
