"""JSON that may hold usage is reduced to metadata leaves; hostile JSON costs no more than a look."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

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
    value = {"usage": {"input_tokens": 5, "output_tokens": 7}, "model": "m", "text": secret}
    assert prune("llm.usage_and_text", value) == {
        "usage": {"input_tokens": 5, "output_tokens": 7},
        "model": "m",
    }
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
        "{'usage': {'note': 'total_tokens'}}",
        "{'total_tokens': 3} or 'text'",
        "total_tokens=3 note=total_tokens",
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


def test_usage_that_python_printed_is_pruned_like_json() -> None:
    secret = canary()
    printed = {"input": 1111, "details": {"cache_read": 777, "audio": None}, "note": secret}
    assert prune("gen_ai.usage.input_token_details", str(printed)) == {
        "input": 1111,
        "details": {"cache_read": 777},
    }
    assert prune("crewai.crew.token_usage", "total_tokens=1333 cached_prompt_tokens=777 age=47") == {
        "total_tokens": 1333,
        "cached_prompt_tokens": 777,
    }


@pytest.mark.parametrize("key", ["output.value", "traceloop.entity.output", "langfuse.observation.output"])
@pytest.mark.parametrize("number", [4111111111111111, 4915112345678, -4111111111111111])
def test_numbers_that_no_operation_uses_are_data_whatever_they_are_called(key: str, number: int) -> None:
    secret = canary()
    value = {"usage": {"input_tokens": number, "total_tokens": number}, "model": secret, "tokens": number}
    assert prune(key, value) is None
    assert prune(key, {"result": value, "metrics": {"total_tokens": number}}) is None


def test_a_model_beside_a_lone_figure_is_not_proven_to_be_one() -> None:
    name = f"John-{uuid.uuid4().hex}"
    assert prune("output.value", {"usage": {"input_tokens": 5}, "model": name}) == {
        "usage": {"input_tokens": 5}
    }


def test_parameters_of_a_request_hold_no_usage() -> None:
    value = {"model": "m-1", "temperature": 0.5, "usage": {"input_tokens": 5, "output_tokens": 7}}
    assert prune("llm.invocation_parameters", value) == {"model": "m-1", "temperature": 0.5}


def test_usage_that_adds_up_is_found_below_names_of_the_application() -> None:
    secret = canary()
    usage = {"prompt_tokens": 1111, "completion_tokens": 222, "total_tokens": 1333, secret: 1}
    state = {
        secret: {"replies": [{"text": secret, "meta": {"model": "gpt-5", "usage": usage, "id": secret}}]}
    }
    expected = {
        "response": [
            {
                "model": "gpt-5",
                "usage": {"prompt_tokens": 1111, "completion_tokens": 222, "total_tokens": 1333},
            }
        ]
    }
    for key in ("traceloop.entity.input", "traceloop.entity.output", "gen_ai.task.input", "output.value"):
        assert prune(key, state) == expected
        assert prune(key, expected) == expected
        usage["total_tokens"] = 1334
        assert prune(key, state) is None
        usage["total_tokens"] = 1333


def test_what_a_step_was_given_survives_only_when_it_adds_up() -> None:
    for value in ({"usage": {"input_tokens": 5, "output_tokens": 7}}, {"total_tokens": 3, "model": "m"}):
        assert prune("traceloop.entity.input", value) is None


def test_a_token_in_json_quotes_is_a_token() -> None:
    kept = {"mlflow.llm.model": '"gpt-5"', "mlflow.spanType": '"LLM"'}
    assert redactor.attributes(kept, {}) == kept
    for text in ('"two words"', '""', '"', '"a"b"', '"a\\n"', '"' + "x" * 200 + '"'):
        assert redactor.attributes({"mlflow.llm.model": text}, {}) == {}


def test_a_bare_id_survives_only_when_spelt_as_a_vendors() -> None:
    assert redactor.attributes({"id": "call_abc123"}, {}) == {"id": "call_abc123"}
    for text in ("4711", f"{uuid.uuid4()}", "anna", "call_ anna", "patient_17"):
        assert redactor.attributes({"id": text}, {}) == {}


def test_the_first_word_of_a_statement_is_an_operation_only_when_known() -> None:
    for key in ("db.operation.name", "db.operation"):
        for word in ("SELECT", "select", "findAndModify", "HSET"):
            assert redactor.attributes({key: word}, {}) == {key: word}
        assert redactor.attributes({key: f"Anna{uuid.uuid4().hex[:4]}"}, {}) == {}


def test_a_method_that_a_caller_of_a_grpc_server_names_is_the_callers() -> None:
    called = {"rpc.service": "acme.Service", "rpc.method": "Get"}
    assert redactor.attributes(called, {}) == called
    removed: dict[str, int] = {}
    assert redactor.attributes(called, removed, server=True) == {}
    assert removed == {"caller": 2}


@pytest.mark.parametrize("key", ["llm.usage", "llm.invocation_parameters", "langfuse.observation.output"])
def test_a_model_inside_json_needs_a_letter(key: str) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    for model, kept in (("4111111111111111", False), ("gpt-4o", True), ("12", True)):
        answer = {"model": model, "temperature": 0.5, "usage": usage}
        text = json.dumps({**answer, **usage} if key == "llm.usage" else answer)
        left = Redactor().attributes({key: text}, {})
        assert len(str(left.get(key, ""))) > 10
        assert (model in str(left[key])) is kept


class _SaysItIs(str):
    """A text that is equal to another one."""

    def __new__(cls, text: str, claimed: str) -> _SaysItIs:
        made = super().__new__(cls, text)
        made.claimed = claimed
        return made

    claimed: str

    def __eq__(self, other: object) -> bool:
        return other == self.claimed

    def __hash__(self) -> int:
        return hash(self.claimed)


class _Longer(Mapping[str, object]):
    """A mapping that holds more than it says."""

    def __getitem__(self, key: str) -> object:
        raise KeyError(key)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        yield "index"

    def items(self) -> Any:
        return zip(itertools.repeat("index"), range(10_000), strict=False)


def test_a_key_that_equals_a_known_one_is_written_as_the_known_one() -> None:
    assert redactor.body({"index": 3}, "gen_ai.choice", {}) == {"index": 3}
    pruned: Any = redactor.body({_SaysItIs("the patient is in pain", "index"): 3}, "gen_ai.choice", {})
    assert [str.__str__(key) for key in pruned] == ["index"]


def test_no_more_of_a_mapping_is_read_than_a_value_may_have() -> None:
    assert redactor.body(_Longer(), "gen_ai.choice", {}) == {"index": 4_999}
