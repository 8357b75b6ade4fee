"""What the catalogue says about keys."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
import uuid

import pytest

from otel_zdr import catalogue
from otel_zdr.catalogue import build, shapes


def kept(key: str) -> bool:
    rule = catalogue.find(key)
    return rule is not None and rule.keep


@pytest.mark.parametrize(
    ("key", "content_class"),
    [
        ("gen_ai.usage.input_tokens", "usage"),
        ("gen_ai.request.model", "model"),
        ("gen_ai.response.id", "reference"),
        ("gen_ai.tool.call.id", "reference"),
        ("gen_ai.response.time_to_first_chunk", "timing"),
        ("service.instance.id", "reference"),
        ("thread.id", "reference"),
        ("http.route", "other_metadata"),
        ("otel_zdr.usage.characters", "usage"),
        ("otel_zdr.usage.audio_seconds", "usage"),
        ("k8s.pod.name", "other_metadata"),
    ],
)
def test_metadata_keys_are_kept_with_their_class(key: str, content_class: str) -> None:
    rule = catalogue.find(key)
    assert rule is not None
    assert rule.keep
    assert rule.content_class == content_class


@pytest.mark.parametrize(
    ("key", "content_class"),
    [
        ("gen_ai.input.messages", "prompt"),
        ("gen_ai.moderation.flagged", "derived"),
        ("gen_ai.evaluation.score.value", "derived"),
        ("document.score", "derived"),
        ("prompt_length", "derived"),
        ("user_agent.original", "caller"),
        ("url.subdomain", "caller"),
        ("thread.name", "caller"),
        ("user.id", "identifier"),
        ("session.id", "identifier"),
        ("gen_ai.conversation.id", "identifier"),
        ("client.address", "identifier"),
        ("device.id", "identifier"),
        ("exception.message", "error_text"),
        ("gen_ai.openai.api_base", "url"),
        ("url.full", "url"),
    ],
)
def test_content_caller_derived_and_identifier_keys_are_removed(key: str, content_class: str) -> None:
    rule = catalogue.find(key)
    assert rule is not None
    assert not rule.keep
    assert rule.content_class == content_class


@pytest.mark.parametrize(
    "key",
    [
        "gen_ai.prompt.name",
        "gen_ai.prompt.version",
        "gen_ai.completion.0.finish_reason",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.token_count.prompt_details.cache_read",
        "langfuse.observation.completion_start_time",
        "gen_ai.output.type",
        "ai.raw_prompting",
        "pydantic_ai.variable_instructions",
    ],
)
def test_safe_keys_under_content_prefixes_are_kept(key: str) -> None:
    assert kept(key)


@pytest.mark.parametrize(
    "key",
    [
        "session.instructions",
        "session.options",
        "lk.sip.callID",
        "ai.settings.context.note",
        "gen_ai.prompt.0.content",
        "llm.input_messages.12.message.contents.3.message_content.text",
        "gen_ai.prompt.variable.model",
        "langfuse.trace.metadata.total_tokens",
        "http.request.header.x_tokens",
        "db.query.parameter.total_tokens",
        "traceloop.association.properties.model",
    ],
)
def test_content_under_safe_prefixes_and_free_tails_is_removed(key: str) -> None:
    assert not kept(key)


def test_host_header_keys_are_the_callers_on_a_server_and_metadata_on_a_client() -> None:
    for key in ("http.host", "net.host.name", "server.address"):
        rule = catalogue.find(key)
        assert rule is not None
        assert rule.keep
        assert rule.server_class == "caller"


def test_keys_match_by_whole_segments_and_by_case() -> None:
    assert not kept("xgen_ai.operation.kind")
    assert not kept("gen_ai.request.models")
    assert not kept("GEN_AI.REQUEST.MODEL.NOTE")
    assert not kept("gen_ai.promptname")


@pytest.mark.parametrize(
    "key",
    [
        "acme.usage.prompt_tokens",
        "acme.usage.promptTokens",
        "acmeai.usageMetadata.promptTokenCount",
        "x.tokens.input",
        "llm_tokens_total",
        "gen_ai.cost.original_cost",
        "gen_ai.cost.discount_percent",
        "gen_ai.cost.margin_fixed_amount",
        "tts.characters",
        "inworld.tts.processed_characters",
        "stt.audio_duration_seconds",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.aggregated_usage.details.audio_tokens",
        "com.acme.llm.usage.input_tokens",
        "haystack.meta.usage.prompt_tokens",
        "acme.ttft_ms",
        "acme.time_to_first_token",
    ],
)
def test_figures_in_spellings_that_nobody_listed_are_found_as_numbers(key: str) -> None:
    rule = catalogue.find(key)
    assert rule is not None
    assert rule.keep
    assert rule.shape in (shapes.COUNT, shapes.FIGURE, shapes.ELAPSED)


@pytest.mark.parametrize(
    "key",
    [
        "haystack.async",
        "smolagents.max_steps",
        "ai.settings.temperature",
        "ai.settings.maxRetries",
        "settings.temperature",
        "settings.top_p",
        "param.stream",
        "acme.request.frequencyPenalty",
        "acme.llm.parallel_tool_calls",
    ],
)
def test_parameters_of_requests_in_spellings_that_nobody_listed_are_found_as_small_numbers_and_flags(
    key: str,
) -> None:
    rule = catalogue.find(key)
    assert rule is not None
    assert rule.keep
    assert rule.shape == shapes.SMALL


@pytest.mark.parametrize(
    "key",
    [
        "user.phone",
        "user.age",
        "patient.weight",
        "order.total",
        "order.cost",
        "account.balance",
        "pregnancy.duration",
        "invoice.number",
        "card.number",
        "otp.code",
        "token",
        "auth.token",
        "password.pin",
        "count",
        "value",
        "score",
        "temperature",
        "room.temperature",
        "patient.temperature",
        "settings.patient.temperature",
        "reading.speed",
        "anna_schmidt.note.timeout",
        "settings.voice",
        "ai.settings.context",
        "geo.lat",
        "AnnaSchmidt.usage.tokens",
        "born_1970_anna.tokens",
        "patient.diabetes.tokens",
        "customer.notes.usage.tokens",
        "text.length",
    ],
)
def test_numbers_that_are_not_provably_usage_are_removed(key: str) -> None:
    assert not kept(key)


def test_a_key_made_of_content_is_not_usage_whatever_follows() -> None:
    canary = f"CANARY-{uuid.uuid4()}"
    for key in (
        f"{canary}.usage.total_tokens",
        f"x.{canary}.tokens",
        f"acme.usage.{canary}",
        f"{canary.lower()}.tokens",
    ):
        assert not kept(key)
    assert kept("acme.usage.total_tokens")


@pytest.mark.parametrize(
    "key", ["acme.llm.model", "tts.model", "acme.modelId", "param.model", "settings.model"]
)
def test_model_ids_in_unlisted_spellings_are_tokens(key: str) -> None:
    rule = catalogue.find(key)
    assert rule is not None
    assert rule.content_class == "model"
    assert rule.shape in (shapes.MODEL, shapes.TOKEN)


@pytest.mark.parametrize(
    "key", ["acme.request_id", "acme.response.id", "acme.toolCallId", "acme.tool_call.id"]
)
def test_ids_of_requests_and_tool_calls_are_references(key: str) -> None:
    rule = catalogue.find(key)
    assert rule is not None
    assert rule.content_class == "reference"


@pytest.mark.parametrize(
    "key", ["user_id", "acme.session_id", "acme.customer.id", "patient.record.id", "message_id"]
)
def test_ids_of_persons_and_sessions_are_not(key: str) -> None:
    assert not kept(key)


def test_content_classes_are_named_for_keys_and_prefixes() -> None:
    assert catalogue.content_class_of("gen_ai.input.messages") == "prompt"
    assert catalogue.content_class_of("output.value") == "completion"
    assert catalogue.content_class_of("gen_ai.*") is not None
    assert catalogue.content_class_of("gen_ai.prompt.*") is not None
    assert catalogue.content_class_of("*") is not None
    for allowed in ("user.id", "user.*", "acme.room", "acme.*", "gen_ai.usage.*", "acme.metrics"):
        assert catalogue.content_class_of(allowed) is None, allowed


def test_a_flood_of_unknown_keys_takes_no_memory() -> None:
    def flood(size: int) -> int:
        tracemalloc.start()
        before = tracemalloc.take_snapshot().compare_to(tracemalloc.Snapshot([], 1), "filename")
        start = sum(entry.size for entry in before)
        for number in range(size):
            catalogue.find(f"acme{number}.note{number}")
            catalogue.find(f"http.request.header.x{number}")
            catalogue.find(f"v{number % 7}x.usage.tokens{number}")
        current, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return current - start

    flood(10)
    assert flood(20_000) < 300_000


def test_what_stands_in_the_repository_is_what_the_sources_compile_to() -> None:
    assert build.main(["--check"]) == 0


def test_every_row_says_where_it_comes_from() -> None:
    rows = catalogue.rows()
    assert len(rows) > 3000
    assert all(row["source"] and row["source_ref"] for row in rows)


def test_a_type_names_keys_that_are_kept_and_none_twice() -> None:
    rows = list(build._read("types.tsv"))
    keys = [key for row in rows for key in row["keys"].split()]
    assert len(keys) == len(set(keys))
    rules = catalogue.exact_rules()
    for key in keys:
        ends = tuple(lead + key[1:] for lead in "._:")
        listed = key in rules or (key[0] == "*" and any(k.endswith(ends) or k == key[1:] for k in rules))
        assert listed, key
    assert all(row["source"] for row in rows)


def test_no_content_class_is_kept_but_as_pruned_json() -> None:
    for key, rule in catalogue.exact_rules().items():
        if rule.keep and rule.content_class in catalogue.CONTENT_CLASSES:
            assert rule.shape in (shapes.JSON, shapes.EVIDENT, shapes.PARAMETERS), key


def test_the_core_imports_nothing_of_opentelemetry() -> None:
    code = (
        "import sys, otel_zdr.redaction; sys.exit('opentelemetry' in {n.split('.')[0] for n in sys.modules})"
    )
    probe = (
        "import sys, types; package = types.ModuleType('otel_zdr');"
        "import importlib.util as u; package.__path__ = u.find_spec('otel_zdr').submodule_search_locations;"
        "sys.modules['otel_zdr'] = package;" + code
    )
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


@pytest.mark.parametrize(
    "key",
    [
        "car.model",
        "vehicle.model_name",
        "travel.agent.name",
        "patient.operation.name",
        "order.request_id",
        "order.total_cost",
        "account.credits",
        "phone.tokens",
    ],
)
def test_what_other_things_call_a_model_an_agent_or_a_cost_is_not_ours(key: str) -> None:
    assert not kept(key)


@pytest.mark.parametrize("head", ["arguments", "kwargs", "args", "tool_result", "state", "payload"])
@pytest.mark.parametrize("tail", ["model", "tokens", "usage.input_tokens", "request_id", "agent.name"])
def test_arguments_and_results_written_flat_are_removed_whatever_they_are_called(
    head: str, tail: str
) -> None:
    assert not kept(f"{head}.{tail}")
