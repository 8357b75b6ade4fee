"""JSON that may hold usage is reduced to metadata leaves; hostile JSON costs no more than a look."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from otel_zdr.redaction import Redactor

redactor = Redactor()


def prune(key: str, value: object) -> object:
    text = value if isinstance(value, str) else json.dumps(value)
    out = redactor.attributes({key: text}, {}).get(key)
    return json.loads(out) if isinstance(out, str) else out


def canary() -> str:
    return f"CANARY-{uuid.uuid4()}"


def test_usage_details_survive_whole() -> None:
    usage = {"input": 1, "output": 2, "input_cached_tokens": 3, "total": 6}
    assert prune("langfuse.observation.usage_details", usage) == usage
    nested = {"prompt_tokens": 1, "completion_tokens_details": {"audio_tokens": 4, "reasoning_tokens": 5}}
    assert prune("gen_ai.usage.raw", nested) == nested


def test_voice_metrics_keep_figures_model_and_request() -> None:
    secret = canary()
    metrics = {
        "type": "tts_metrics",
        "label": secret + " label",
        "request_id": "req_1",
        "ttfb": 0.1,
        "audio_duration": 1.5,
        "characters_count": 30,
        "streamed": False,
        "metadata": {"model_name": "tts-1", "note": secret},
        "text": secret,
    }
    assert prune("lk.tts_metrics", metrics) == {
        "type": "tts_metrics",
        "request_id": "req_1",
        "ttfb": 0.1,
        "audio_duration": 1.5,
        "characters_count": 30,
        "streamed": False,
        "metadata": {"model_name": "tts-1"},
    }


def test_a_response_keeps_usage_model_and_ids_and_nothing_of_its_choices() -> None:
    secret = canary()
    response = {
        "id": "chatcmpl-1",
        "model": "gpt-4o",
        "choices": [{"message": {"content": secret, "usage": {"total_tokens": 9}}}],
        "usage": {
            "prompt_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 1},
            secret: 4,
            "note": secret,
        },
        "text": secret,
    }
    assert prune("output.value", response) == {
        "id": "chatcmpl-1",
        "model": "gpt-4o",
        "usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}},
    }


def test_answers_of_a_model_that_look_like_metadata_do_not_survive() -> None:
    for answer in (
        {"model": "Glock-19", "id": "patient-4711", "name": "Anna"},
        {"duration": 30, "characters": 7, "cost": 12, "tokens": 3},
        {"model": "Glock-19", "finish_reason": "stop"},
        {"id": "call_me-maybe", "text": "token usage"},
        {"usage": {"type": "diabetes", "dose": 5, "model": "x"}},
        {"usage": "twice-daily"},
        [{"usage": [1, 2, 3]}],
        {"phone": 4111111111111111},
    ):
        assert prune("output.value", answer) is None, answer


def test_a_response_without_usage_is_known_by_its_id() -> None:
    secret = canary()
    moderation = {
        "id": "modr-1",
        "model": "omni-moderation-1",
        "results": [{"flagged": True, "category": secret}],
    }
    assert prune("output.value", moderation) == {"id": "modr-1", "model": "omni-moderation-1"}


def test_request_parameters_keep_the_model_and_numbers() -> None:
    secret = canary()
    parameters = {
        "model": "m-1",
        "temperature": 0.5,
        "stream": True,
        "stop": secret,
        "user": secret,
        "messages": [secret],
    }
    assert prune("llm.invocation_parameters", parameters) == {
        "model": "m-1",
        "temperature": 0.5,
        "stream": True,
    }


def test_usage_under_unlisted_keys_is_pruned_too() -> None:
    secret = canary()
    value = {"usage": {"input_tokens": 5}, "model": "m", "text": secret}
    assert prune("llm.usage_and_text", value) == {"usage": {"input_tokens": 5}, "model": "m"}
    assert prune("acme.token_usage", {"promptTokens": 5, "note": secret}) == {"promptTokens": 5}


def test_aggregated_metrics_on_a_span_keep_their_attributes() -> None:
    total = {
        "gen_ai.client.token.usage": {
            "details": [
                {"attributes": {"gen_ai.request.model": "m", "gen_ai.token.type": "input"}, "total": 5}
            ],
            "total": 5,
        }
    }
    assert prune("logfire.metrics", total) == total


def test_structures_are_pruned_like_text() -> None:
    out = redactor.attributes({"gen_ai.usage.raw": {"prompt_tokens": 3, "text": canary()}}, {})
    assert out == {"gen_ai.usage.raw": {"prompt_tokens": 3}}


@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 10_000_000,
        "[" * 60_000,
        '{"usage":' * 5_000 + "1" + "}" * 5_000,
        '{"usage":' * 1000 + "1" + "}" * 1000,
        '{"usage":{"total_tokens":' + "9" * 60_000 + "}}",
        '{"usage":{"total_tokens":1e999}}',
        '{"usage":{"total_tokens":NaN}}',
        '{"usage":{"total_tokens":Infinity}}',
        '{"usage":{"total_tokens":1',
        '{"usage":"\\ud800"}',
        "{" + ",".join(f'"k{n}":{{"usage":1}}' for n in range(4000)) + "}",
        "{'usage': {'total_tokens': 3}}",
        " " * 70_000 + "{}",
        "\x00{",
    ],
)
def test_hostile_json_is_dropped_at_little_cost(hostile: str) -> None:
    for key in ("output.value", "gen_ai.usage.raw", "acme.usage"):
        removed: dict[str, int] = {}
        started = time.perf_counter()
        assert redactor.attributes({key: hostile}, removed) == {}
        assert time.perf_counter() - started < 0.5
        assert sum(removed.values()) == 1


def test_depth_and_size_have_bounds_and_what_is_within_them_survives() -> None:
    def nested(depth: int) -> str:
        return '{"usage":' * depth + '{"total_tokens":1}' + "}" * depth

    assert prune("gen_ai.usage.raw", nested(5)) is not None
    assert prune("gen_ai.usage.raw", nested(40)) is None
    padded = json.dumps({"usage": {"total_tokens": 1}, "text": "x" * 60_000})
    assert prune("output.value", padded) == {"usage": {"total_tokens": 1}}
    assert prune("output.value", padded.replace("x" * 100, "x" * 9_000)) is None


def test_the_last_of_duplicate_keys_counts_once() -> None:
    assert prune("gen_ai.usage.raw", '{"total_tokens":1,"total_tokens":2}') == {"total_tokens": 2}
