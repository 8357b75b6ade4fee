"""Telemetry of made-up but plausible instrumentations that the catalogue has no row for.

The rules were written from the recorded corpus; this is what they were not written from.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from otel_zdr.redaction import Redactor

redactor = Redactor(module_known=lambda name: False)


def said() -> str:
    return f"the caller said CANARY-{uuid.uuid4()} today"


#: (name, metadata that must survive, content made at run time)
SPANS: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "a dotted language-model gateway",
        {
            "acmegate.request.model": "acme-large-2",
            "acmegate.response.model": "acme-large-2-0612",
            "acmegate.response.id": "gen-01HX",
            "acmegate.usage.prompt_tokens": 1111,
            "acmegate.usage.completion_tokens": 222,
            "acmegate.usage.cached_prompt_tokens": 777,
            "acmegate.usage.total_cost": 0.0123,
            "acmegate.latency_ms": 812.5,
            "acmegate.time_to_first_token": 0.21,
            "acmegate.finish_reason": "stop",
        },
        ["acmegate.prompt", "acmegate.messages.0.content", "acmegate.completion.text", "acmegate.user.note"],
    ),
    (
        "camel case",
        {
            "usage.promptTokens": 1111,
            "usage.completionTokens": 222,
            "acme.tokenUsage.cacheReadInputTokens": 777,
            "acme.modelId": "acme-1",
            "acme.requestId": "req_0001",
            "acme.stopReason": "end_turn",
        },
        ["acme.inputText", "acme.outputText", "acme.systemPrompt"],
    ),
    (
        "a voice pipeline",
        {
            "voxy.stt.model": "vox-2",
            "voxy.stt.audio_duration_seconds": 12.5,
            "voxy.tts.model": "vox-tts-1",
            "voxy.tts.characters": 555,
            "voxy.tts.billed_characters": 444,
            "voxy.tts.ttfb_ms": 120,
            "voxy.llm.tokens.input": 1111,
            "voxy.llm.tokens.output": 222,
        },
        ["voxy.stt.transcript", "voxy.tts.text", "voxy.llm.reply", "voxy.voice.description"],
    ),
    (
        "snake case without dots",
        {
            "prompt_tokens": 1111,
            "completion_tokens": 222,
            "total_tokens": 1333,
            "reasoning_tokens": 133,
            "llm_model_name": "acme-1",
            "request_id": "r-1",
            "tool_call_id": "call_1",
        },
        ["prompt_text", "completion_text", "user_message", "tool_call_arguments"],
    ),
    (
        "an agent framework",
        {
            "roboto.agent.name": "planner",
            "roboto.tool.name": "look_up",
            "roboto.tool_call.id": "call_7",
            "roboto.llm.token_count.input": 1111,
            "roboto.llm.token_count.output": 222,
            "gen_ai.usage.details.image_input_tokens": 999,
            "gen_ai.usage.details.ephemeral_1h_input_tokens": 888,
        },
        [
            "roboto.agent.goal",
            "roboto.tool.arguments",
            "roboto.tool.result",
            "roboto.memory",
            "roboto.thought",
        ],
    ),
]


@pytest.mark.parametrize(("name", "metadata", "content"), SPANS, ids=[span[0] for span in SPANS])
def test_metadata_of_an_unseen_instrumentation_survives_and_content_does_not(
    name: str, metadata: dict[str, Any], content: list[str]
) -> None:
    secret = said()
    attributes = metadata | dict.fromkeys(content, secret) | {f"{content[0]}.{secret}": 1}
    assert redactor.attributes(attributes, {}) == metadata


@pytest.mark.parametrize(
    "key", ["acmegate.usage", "voxy.metrics", "roboto.token_usage", "weave.usage_summary"]
)
def test_usage_inside_json_of_an_unseen_instrumentation_survives(key: str) -> None:
    secret = said()
    value = {
        "usage": {"promptTokens": 1111, "outputTokens": 222, "note": secret},
        "answer": secret,
        secret: 5,
    }
    out = redactor.attributes({key: json.dumps(value)}, {})
    assert json.loads(str(out[key])) == {"usage": {"promptTokens": 1111, "outputTokens": 222}}


@pytest.mark.parametrize(
    "attributes",
    [
        {"acmegate.phone": 4915112345678, "acmegate.age": 47, "acmegate.pin": 4711, "otp.token": 482913},
        {"acmegate.scores": [0.1, 0.2], "acmegate.embedding": [0.5] * 3, "acmegate.samples": (1, 2, 3)},
        {"acmegate.sentiment": "negative", "acmegate.language": "de", "acmegate.topic": "diabetes"},
        {"acmegate.user_id": "anna", "acmegate.session_id": "s-1", "acmegate.conversation.id": "c-1"},
        {"acmegate.tags": ["vip", "hiv"], "acmegate.flag": True, "acmegate.category": "oncology"},
        {"acmegate.url": "https://x/y", "acmegate.host": "x.example", "acmegate.email": "a@b.example"},
    ],
)
def test_numbers_words_and_ids_of_an_unseen_instrumentation_that_prove_nothing_go(
    attributes: dict[str, Any],
) -> None:
    removed: dict[str, int] = {}
    assert redactor.attributes(attributes, removed) == {}
    assert sum(removed.values()) == len(attributes)
