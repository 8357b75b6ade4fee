"""What the specification says of an item, by nothing but its cleaned attributes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_zdr.catalogue import CONTENT_CLASSES
from otel_zdr.policy.eligibility import RETAINABLE, judge

HOSTS = frozenset({"api.inworld.ai", "127.0.0.1:8443"})
PROMPTS = {"prompt", "completion", "system_instructions", "tool_definition", "tool_arguments", "tool_result"}


def chat(**more: object) -> dict[str, object]:
    names = {
        "host": "server.address",
        "port": "server.port",
        "said": "gen_ai.provider.name",
        "stated": "otel_zdr.provider",
    }
    return {"gen_ai.operation.name": "chat", **{names[name]: value for name, value in more.items()}}


@pytest.mark.parametrize(
    ("attributes", "coverage", "reason"),
    [
        (chat(host="api.inworld.ai", stated="inworld"), "covered", ""),
        (chat(host="API.Inworld.AI", stated=["inworld", "inworld"]), "covered", ""),
        (chat(host="127.0.0.1", port=8443, stated="inworld"), "covered", ""),
        (chat(host="127.0.0.1", port=8444, stated="inworld"), "not_covered", "direct-vendor-call"),
        (chat(host="127.0.0.1", stated="inworld"), "not_covered", "direct-vendor-call"),
        (chat(host="api.inworld.ai.evil.example", stated="inworld"), "not_covered", "direct-vendor-call"),
        (chat(host="api.inworld.ai", stated="openai"), "not_covered", "third-party-model-provider"),
        (
            chat(host="api.inworld.ai", stated=["inworld", "openai"]),
            "not_covered",
            "third-party-model-provider",
        ),
        (chat(host="api.inworld.ai", said="openai"), "unknown", "provider-is-not-known"),
        (chat(host="api.inworld.ai", said="inworld"), "unknown", "provider-is-not-known"),
        (chat(host="api.openai.com", said="openai"), "not_covered", "third-party-model-provider"),
        (chat(host="my.proxy.example", said="openai"), "not_covered", "direct-vendor-call"),
        (chat(said="openai"), "unknown", "host-is-not-known"),
        ({"otel_zdr.product": "tts", "server.address": "api.inworld.ai"}, "covered", ""),
        (
            {"otel_zdr.product": "stt", "server.address": "api.inworld.ai", "otel_zdr.provider": "groq"},
            "covered",
            "",
        ),
        ({"otel_zdr.product": "stt", "server.address": "api.groq.com"}, "not_covered", "direct-vendor-call"),
        (
            {"otel_zdr.product": "voice_cloning", "server.address": "api.inworld.ai"},
            "not_covered",
            "voice-samples-are-not-eligible",
        ),
        (
            {"gen_ai.operation.name": "design_voice", "server.address": "api.inworld.ai"},
            "not_covered",
            "voice-descriptions-are-not-eligible",
        ),
    ],
)
def test_coverage_follows_the_host_and_who_really_served_the_call(
    attributes: dict[str, object], coverage: str, reason: str
) -> None:
    found = judge(attributes, HOSTS)
    assert found is not None
    assert (found.coverage, found.reason) == (coverage, reason)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"gen_ai.operation.name": "execute_tool", "server.address": "api.openai.com"},
        {"gen_ai.operation.name": 7},
        {"otel_zdr.product": "video", "gen_ai.operation.name": "chat"},
        {"otel_zdr.product": ["tts"]},
        {"http.request.method": "POST", "server.address": "api.inworld.ai"},
    ],
)
def test_where_no_product_is_recognised_nothing_is_said(attributes: dict[str, object]) -> None:
    assert judge(attributes, HOSTS) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("openinference.span.kind", "LLM"), ("llm.request.type", "chat"), ("llm.request.type", "completion")],
)
def test_older_conventions_are_recognised_too(key: str, value: str) -> None:
    found = judge({key: value, "net.peer.name": "api.openai.com", "gen_ai.system": "OpenAI"}, HOSTS)
    assert found is not None
    assert (found.product, found.reason) == ("llm", "third-party-model-provider")


@pytest.mark.parametrize(
    ("said", "host"),
    [
        ("openai", "api.openai.com"),
        ("anthropic", "api.anthropic.com"),
        ("aws.bedrock", "bedrock-runtime.eu-central-1.amazonaws.com"),
        ("azure.ai.openai", "ward.openai.azure.com"),
        ("gcp.vertex_ai", "europe-west4-aiplatform.googleapis.com"),
        ("mistralai", "api.mistral.ai"),
    ],
)
def test_provider_and_host_that_agree_prove_a_third_party(said: str, host: str) -> None:
    found = judge(chat(host=host, said=said), HOSTS)
    assert found is not None
    assert found.retained == PROMPTS


@pytest.mark.parametrize(
    "attributes",
    [
        chat(host="api.openai.com"),
        chat(said="openai"),
        chat(host="api.openai.com", said="anthropic"),
        chat(host="evil-api.openai.com.example", said="openai"),
        chat(host="xapi.openai.com", said="openai"),
        chat(host="ec2-1-2-3-4.compute.amazonaws.com", said="aws.bedrock"),
        chat(host="127.0.0.1", said="openai"),
        chat(host="api.inworld.ai", said="openai"),
        chat(host="api.inworld.ai", stated="inworld"),
        chat(host="api.inworld.ai", stated=["openai", "inworld"]),
        chat(host="api.inworld.ai", stated=["openai", 7]),
        chat(host="api.inworld.ai", stated="auto"),
        chat(host="api.inworld.ai", stated=[]),
        {"otel_zdr.product": "voice_cloning", "server.address": "api.cartesia.ai"},
        {
            "otel_zdr.product": "voice_cloning",
            "server.address": "api.inworld.ai",
            "gen_ai.provider.name": "cartesia",
        },
        {
            "otel_zdr.product": "tts",
            "server.address": "api.elevenlabs.io",
            "gen_ai.provider.name": "elevenlabs",
        },
        {"otel_zdr.product": "stt", "server.address": "api.deepgram.com", "gen_ai.provider.name": "deepgram"},
    ],
)
def test_anything_less_than_positive_proof_retains_nothing(attributes: dict[str, object]) -> None:
    found = judge(attributes, HOSTS)
    assert found is not None
    assert found.retained == frozenset()


def test_the_responses_own_attempts_prove_a_third_party_behind_the_router() -> None:
    found = judge(chat(host="api.inworld.ai"), HOSTS, served=("groq", "openai"))
    assert found is not None
    assert (found.coverage, found.retained) == ("not_covered", PROMPTS)


@pytest.mark.parametrize(
    "stated", [{"otel_zdr.provider": "openai"}, {"otel_zdr.attempts": ("groq", "openai")}]
)
def test_attempts_that_only_attributes_speak_of_may_be_written_by_anybody(stated: dict[str, object]) -> None:
    found = judge({**chat(host="api.inworld.ai", said="openai"), **stated}, HOSTS)
    assert found is not None
    assert (found.coverage, found.retained) == ("not_covered", frozenset())


def test_what_the_response_says_counts_whatever_attributes_say() -> None:
    forged = {**chat(host="api.inworld.ai", stated="openai"), "otel_zdr.attempts": ("openai",)}
    found = judge(forged, HOSTS, served=("inworld",))
    assert found is not None
    assert (found.coverage, found.retained) == ("covered", frozenset())


def test_a_hosted_model_whose_attempt_failed_has_had_the_prompt_all_the_same() -> None:
    for served in (None, ("inworld", "openai")):
        item = {**chat(host="api.inworld.ai", stated="openai"), "otel_zdr.attempts": ("inworld", "openai")}
        found = judge(item, HOSTS, served=served)
        assert found is not None
        assert (found.coverage, found.retained) == ("not_covered", frozenset())


@pytest.mark.parametrize(
    "more",
    [
        {"net.peer.name": "api.inworld.ai"},
        {"net.peer.name": "api.anthropic.com"},
        {"gen_ai.system": "inworld"},
        {"llm.provider": "inworld_ai"},
        {"net.peer.name": 7},
    ],
)
def test_keys_that_contradict_each_other_prove_nothing(more: dict[str, object]) -> None:
    found = judge({**chat(host="api.openai.com", said="openai"), **more}, HOSTS)
    assert found is not None
    assert found.retained == frozenset()


def test_the_maker_of_a_model_may_be_named_beside_the_cloud_that_serves_it() -> None:
    item = {
        "openinference.span.kind": "LLM",
        "llm.provider": "azure",
        "llm.system": "openai",
        "server.address": "ward.openai.azure.com",
    }
    found = judge(item, HOSTS)
    assert found is not None
    assert found.retained == PROMPTS


def test_a_servers_own_address_is_no_proof_of_whom_it_called() -> None:
    found = judge(chat(host="api.openai.com", said="openai"), HOSTS, server=True)
    assert found is not None
    assert (found.coverage, found.retained) == ("unknown", frozenset())


@pytest.mark.parametrize(
    ("provider", "advice"),
    [("elevenlabs", "elevenlabs: enable_logging=false"), ("deepgram", "deepgram: mip_opt_out=true")],
)
def test_a_vendor_called_without_its_privacy_hint_is_reported(provider: str, advice: str) -> None:
    item = {
        "otel_zdr.product": "tts",
        "server.address": f"api.{provider}.example",
        "gen_ai.provider.name": provider,
    }
    for hint, reason, wanted in (
        (False, "direct-vendor-call-without-no-retention-hint", advice),
        (True, "direct-vendor-call", ""),
        (None, "direct-vendor-call", ""),
    ):
        given_hint = {} if hint is None else {"otel_zdr.request.no_retention_hint": hint}
        found = judge({**item, **given_hint}, HOSTS)
        assert found is not None
        assert (found.reason, found.advice) == (reason, wanted)


def test_only_content_classes_of_no_rows_can_ever_be_retained() -> None:
    assert RETAINABLE <= CONTENT_CLASSES
    assert not RETAINABLE & {
        "error_text",
        "free_text",
        "transcript",
        "tts_text",
        "audio",
        "identifier",
        "url",
        "caller",
    }


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.text(max_size=4), max_size=2)
)


#: Whom the response itself names, as the client instrumentation tells the gate.
servers = st.lists(
    st.sampled_from(["inworld", "openai", "groq", "auto", ""]) | st.text(max_size=4), max_size=3
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "otel_zdr.product",
                "otel_zdr.provider",
                "otel_zdr.attempts",
                "otel_zdr.request.no_retention_hint",
                "gen_ai.operation.name",
                "gen_ai.provider.name",
                "gen_ai.system",
                "llm.provider",
                "llm.system",
                "openinference.span.kind",
                "llm.request.type",
                "server.address",
                "net.peer.name",
                "server.port",
            ]
        ),
        scalars
        | st.sampled_from(["chat", "LLM", "tts", "llm", "voice_design", "voice_cloning", "clone_voice"])
        | st.sampled_from(["openai", "groq", "inworld", "api.openai.com", "api.groq.com", "api.inworld.ai"]),
    ),
    st.booleans(),
    st.none() | servers.map(tuple),
)
def test_no_attributes_make_it_raise_or_retain_more_than_no_rows(
    attributes: dict[str, object], server: bool, served: tuple[str, ...] | None
) -> None:
    found = judge(attributes, HOSTS, server=server, served=served)
    if found is not None:
        assert found.coverage in ("covered", "not_covered", "unknown")
        assert found.retained <= RETAINABLE
        if found.retained:
            assert found.coverage == "not_covered"
            # Never what a hosted model may have had, nor on the word of a server about itself.
            assert served is None or "inworld" not in served
            assert not server
