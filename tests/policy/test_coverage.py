"""Every row of the specification's tables, and what lies beside them."""

from __future__ import annotations

import dataclasses

import pytest

from otel_zdr.policy.coverage import all_rows, coverage, retained_classes, table

IN_MEMORY = "Processed in memory; redacted from logs after completion"
NONE_RETAINED = "No customer inputs or outputs retained by default"
NO_AUDIO = "No customer audio retained by default"

#: One entry a row of the specification, in its order.
ROWS = [
    ("tts", "text", None, None, None, "covered", ""),
    ("tts", "audio", None, None, None, "covered", ""),
    ("voice_cloning", "voice_sample", None, None, None, "not_covered", ""),
    ("voice_design", "voice_description", None, None, None, "not_covered", ""),
    ("stt", "audio", None, None, None, "covered", ""),
    ("stt", "transcript", None, None, None, "covered", ""),
    ("stt", "usage", None, None, None, "kept", ""),
    ("stt", "audio", "inworld", "inworld/inworld-stt-1", "sync", "covered", IN_MEMORY),
    ("stt", "audio", "inworld", "inworld/inworld-stt-1", "streaming", "covered", IN_MEMORY),
    (
        "stt",
        "audio",
        "assemblyai",
        "assemblyai/universal-streaming",
        "streaming",
        "covered",
        "ZDR enabled for streaming",
    ),
    ("stt", "audio", "assemblyai", "assemblyai/best", "sync", "covered", ""),
    ("stt", "transcript", "groq", "groq/whisper-large-v3", "sync", "covered", NONE_RETAINED),
    ("stt", "transcript", "soniox", "soniox/stt-rt-v4", "streaming", "covered", IN_MEMORY),
    ("stt", "transcript", "soniox", "soniox/stt-rt-v5", "streaming", "covered", IN_MEMORY),
    ("stt", "audio", "deepgram", "deepgram/flux-general-en", "streaming", "covered", NO_AUDIO),
    ("stt", "audio", "deepgram", "deepgram/flux-general-multi", "streaming", "covered", NO_AUDIO),
    ("llm", "prompt", "inworld", None, None, "covered", ""),
    ("llm", "completion", "inworld", None, None, "covered", ""),
    ("llm", "system_instructions", "inworld", None, None, "covered", ""),
    ("llm", "tool", "inworld", None, None, "covered", ""),
    ("llm", "prompt", "openai", None, None, "not_covered", ""),
    ("llm", "completion", "anthropic", None, None, "not_covered", ""),
    ("llm", "system_instructions", "a-provider-of-next-year", None, None, "not_covered", ""),
    ("llm", "tool", "groq", "llama-3", "streaming", "not_covered", ""),
]


@pytest.mark.parametrize(("product", "data", "provider", "model", "mode", "status", "guarantee"), ROWS)
def test_a_row_of_the_specification(
    product: str,
    data: str,
    provider: str | None,
    model: str | None,
    mode: str | None,
    status: str,
    guarantee: str,
) -> None:
    row = coverage(product=product, data=data, provider=provider, model=model, mode=mode)
    assert (row.status, row.guarantee) == (status, guarantee)
    assert row.reason.endswith(".")
    assert "Zero Data Retention" in row.source


@pytest.mark.parametrize(("product", "data", "provider", "model", "mode", "status", "guarantee"), ROWS)
def test_a_direct_vendor_call_is_never_covered_and_keeps_the_vendors_own_guarantee(
    product: str,
    data: str,
    provider: str | None,
    model: str | None,
    mode: str | None,
    status: str,
    guarantee: str,
) -> None:
    row = coverage(product=product, data=data, provider=provider, model=model, mode=mode, via="direct")
    assert (row.status, row.guarantee, row.code) == ("not_covered", guarantee, "direct-vendor-call")


@pytest.mark.parametrize(
    "asked",
    [
        {"product": "video", "data": "prompt"},
        {"product": "", "data": ""},
        {"product": "tts", "data": "prompt"},
        {"product": "tts", "data": "text", "provider": "elevenlabs"},
        {"product": "voice_cloning", "data": "voice_sample", "provider": "cartesia"},
        {"product": "stt", "data": "audio", "provider": "whisperfactory"},
        {"product": "stt", "data": "audio", "model": "whisperfactory/x"},
        {"product": "stt", "data": "audio", "provider": "groq", "mode": "batch"},
        {"product": "llm", "data": "prompt"},
        {"product": "llm", "data": "prompt", "model": "inworld/my-router"},
        {"product": "llm", "data": "prompt", "model": "openai/gpt-5"},
        {"product": "llm", "data": "prompt", "provider": "auto"},
        {"product": "llm", "data": "embedding", "provider": "openai"},
    ],
)
def test_what_the_specification_does_not_name_is_unknown_and_treated_as_eligible(
    asked: dict[str, str],
) -> None:
    row = coverage(**asked)
    assert row.status == "unknown"
    assert "treated as eligible" in row.reason
    assert row.guarantee == ""


def test_an_stt_call_without_a_provider_has_that_of_its_model() -> None:
    assert coverage(product="stt", data="audio", model="groq/whisper-large-v3").guarantee == NONE_RETAINED
    direct = coverage(product="stt", data="audio", provider="deepgram", model="flux-general-en", via="direct")
    assert direct.guarantee == NO_AUDIO


def test_a_model_that_a_provider_says_nothing_about_has_no_guarantee_but_is_covered() -> None:
    row = coverage(product="stt", data="audio", provider="groq", model="groq/whisper-large-v3-turbo")
    assert (row.status, row.guarantee) == ("covered", "")
    contradiction = coverage(product="stt", data="audio", provider="groq", model="deepgram/flux-general-en")
    assert contradiction.guarantee == ""


def test_case_and_outer_spaces_do_not_matter_and_nor_do_spellings_of_a_provider() -> None:
    row = coverage(
        product=" STT ", data="Audio", provider="Assembly-AI", model="AssemblyAI/Best", mode="Streaming"
    )
    assert (row.status, row.guarantee) == ("covered", "ZDR enabled for streaming")


def test_via_is_one_of_two_words() -> None:
    with pytest.raises(ValueError, match="allowed: 'inworld', 'direct'"):
        coverage(product="tts", data="text", via="proxy")


def test_an_answer_cannot_be_changed() -> None:
    row = coverage(product="tts", data="text")
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.status = "not_covered"  # type: ignore[misc]


def test_exactly_the_no_rows_name_content_that_may_be_retained() -> None:
    with_classes = {(row["product"], row["data"]) for row in table()["rows"] if row.get("classes")}
    no_rows = {(row["product"], row["data"]) for row in table()["rows"] if row["status"] == "not_covered"}
    assert with_classes == no_rows
    assert retained_classes("llm", "openai") >= {"prompt", "completion"}
    assert retained_classes("voice_cloning", "inworld") == {"voice_sample"}
    assert retained_classes("voice_design", "inworld") == {"voice_description"}
    for product, provider in (
        ("llm", "inworld"),
        ("tts", "inworld"),
        ("stt", "groq"),
        ("voice_cloning", "cartesia"),
    ):
        assert retained_classes(product, provider) == frozenset()


def test_the_whole_table_answers_for_every_row_and_every_provider() -> None:
    rows = all_rows()
    assert {(row.product, row.data) for row in rows} == {
        (row["product"], row["data"]) for row in table()["rows"]
    }
    assert {row.provider for row in rows if row.product == "stt"} >= {
        "inworld",
        "assemblyai",
        "groq",
        "soniox",
        "deepgram",
    }
    assert all(row.status in ("covered", "not_covered", "kept") for row in rows)
