"""``otel-zdr scan``: leaks in stored OTLP are found and named, and never repeated."""

from __future__ import annotations

import base64
import io
import json
import uuid
from pathlib import Path

import pytest

from otel_zdr.verify import otlp

from .stored import attributes, logs, run, span, traces, write


@pytest.fixture
def secret() -> str:
    return f"the patient of room {uuid.uuid4().hex}"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("OTEL_ZDR_"):
            monkeypatch.delenv(name)


def clean_span() -> dict[str, object]:
    return span(
        1,
        "chat gpt-5",
        attributes=attributes(
            gen_ai__operation__name="chat", gen_ai__request__model="gpt-5", gen_ai__usage__input_tokens=7
        ),
    )


def test_a_clean_file_is_clean(tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = traces(clean_span())
    document["resourceSpans"][0]["scopeSpans"][0]["scope"] = {}

    assert run("scan", write(tmp_path / "t.json", document), "--text", secret) == 0
    assert "clean" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["json", "protobuf"])
@pytest.mark.parametrize(
    "hide",
    [
        str,
        lambda text: json.dumps({"a": [text]}),
        lambda text: base64.b64encode(b"ab" + text.encode()).decode(),
        lambda text: text[:25],
    ],
    ids=["plain", "json", "base64", "truncated"],
)
def test_a_leak_is_found_and_named_and_not_repeated(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str], hide: object, form: str
) -> None:
    document = traces(span(1, "chat", attributes=attributes(gen_ai__prompt=hide(secret))))  # type: ignore[operator]
    path = tmp_path / "t"
    path.write_bytes(json.dumps(document).encode() if form == "json" else otlp.encode_protobuf(document))

    assert run("scan", str(path), "--text", "another text altogether", "--text", secret, "--texts-only") == 1
    printed = capsys.readouterr()

    assert "text 2" in printed.out
    assert "traces attribute gen_ai.prompt" in printed.out
    assert secret[:25] not in printed.out + printed.err


def test_a_leak_in_a_key_is_named_without_the_key(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = logs(
        {"body": {"stringValue": "x"}, "attributes": [{"key": secret, "value": {"stringValue": secret}}]}
    )

    assert run("scan", write(tmp_path / "l.json", document), "--text", secret, "--texts-only") == 1
    out = capsys.readouterr().out
    assert "attribute key" in out
    assert secret not in out


def test_a_leak_in_a_field_that_otlp_has_not_is_found(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = traces({**clean_span(), "extra": secret})

    assert run("scan", write(tmp_path / "t.json", document), "--text", secret, "--texts-only") == 1
    assert "outside every known field" in capsys.readouterr().out


@pytest.mark.parametrize(
    "odd",
    [
        {"attributes": {"note": "SECRET"}},
        {"attributes": ["SECRET"]},
        {"attributes": [{"key": "note", "value": "SECRET"}]},
        {"attributes": [{"key": "note", "value": {"boolValue": True, "SECRET": 1}}]},
        {"events": "SECRET"},
        {"events": ["SECRET"]},
        {"status": "SECRET"},
        {"name": ["SECRET"]},
        {"startTimeUnixNano": "SECRET"},
        {"spanId": "SECRET"},
        {"customField": "SECRET"},
        {"SECRET": True},
    ],
    ids=str,
)
def test_content_where_nobody_looks_is_no_clean_file(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str], odd: dict[str, object]
) -> None:
    document = traces({**clean_span(), **odd})
    document["resourceSpans"][0]["scopeSpans"][0]["scope"] = {}
    path = tmp_path / "t.json"
    path.write_text(json.dumps(document).replace("SECRET", secret))

    assert run("scan", str(path)) == 1
    out = capsys.readouterr().out
    assert "1 value not understood" in out
    assert "NOT UNDERSTOOD  traces span" in out
    assert secret not in out
    assert run("scan", str(path), "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["clean"], report["files"][0]["clean"]) == (False, False)
    assert report["files"][0]["not_understood"][0]["place"].startswith("span")


def test_a_field_that_protobuf_does_not_define_is_no_clean_file(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    document = traces(clean_span())
    document["resourceSpans"][0]["scopeSpans"][0]["scope"] = {}
    request = ExportTraceServiceRequest.FromString(otlp.encode_protobuf(document))
    path = tmp_path / "traces.pb"
    path.write_bytes(request.SerializeToString())
    assert run("scan", str(path)) == 0
    span_ = request.resource_spans[0].scope_spans[0].spans[0]
    span_.MergeFromString(b"\xfa\x07" + bytes([len(secret)]) + secret.encode())
    path.write_bytes(request.SerializeToString())

    assert run("scan", str(path)) == 1
    assert "field 127 of protobuf, a value, outside every known field" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "\n\n", "[]", "{}", '{"resourceSpans": []}'])
def test_a_file_with_nothing_in_it_is_not_called_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "t.json"
    path.write_text(content)

    assert run("scan", str(path)) == 2
    assert run("scan", str(path), "--text", "a patient", "--texts-only") == 2
    printed = capsys.readouterr()
    assert printed.out.count("nothing in it") == 2 or "neither OTLP JSON nor" in printed.err
    assert ": clean" not in printed.out
    assert run("scan", write(tmp_path / "other.json", traces(span(1, "a b c"))), str(path)) == 1


def test_a_file_that_breaks_off_hides_neither_what_stands_before_nor_other_files(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leak = traces(span(1, "chat", attributes=attributes(gen_ai__prompt=secret)))
    broken, whole = tmp_path / "broken.jsonl", write(tmp_path / "whole.json", leak)
    broken.write_text(json.dumps(leak) + "\n{ text of a patient\n" + json.dumps(leak) + "\n")

    assert run("scan", str(broken), whole, "--text", secret) == 1
    printed = capsys.readouterr()
    assert printed.out.count("LEAK") == 2
    assert f"{broken}: line 2 is not valid JSON" in printed.err
    assert "not clean: only 1 items could be read" not in printed.out.split("whole.json")[1]
    assert "patient" not in printed.out + printed.err
    assert run("scan", str(broken), "--json") == 1
    assert "line 2" in json.loads(capsys.readouterr().out)["files"][0]["problem"]


def test_what_would_not_have_survived_is_a_finding_without_any_text(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.json", traces(span(1, "chat", attributes=attributes(gen_ai__prompt=secret))))

    assert run("scan", path) == 1
    out = capsys.readouterr().out
    assert "attribute gen_ai.prompt would be removed as prompt" in out
    assert secret not in out


def test_workspaces_that_are_not_under_zdr_may_hold_content(
    tmp_path: Path, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_ZDR_WORKSPACES", "clinic")
    monkeypatch.setenv("OTEL_ZDR_UNIDENTIFIED", "retain")

    def stored(workspace: str) -> str:
        return write(
            tmp_path / f"{workspace}.json",
            traces(span(1, "chat", attributes=attributes(gen_ai__prompt=secret, workspace__id=workspace))),
        )

    assert run("scan", stored("studio")) == 0
    assert run("scan", stored("clinic")) == 1


def test_proven_names_of_marked_items_are_no_finding(tmp_path: Path) -> None:
    document = traces(
        span(
            1,
            "charge the card",
            attributes=attributes(
                zdr__redacted=True, exception__stacktrace="app.Error\napp.py:1 main", zdr__policy__version="7"
            ),
        )
    )
    document["resourceSpans"][0]["scopeSpans"][0]["scope"] = {}
    path = write(tmp_path / "t.json", document)

    assert run("scan", path) == 0
    assert run("scan", path, "--distrust-marks") == 1


def test_texts_come_from_files_and_standard_input(
    tmp_path: Path, secret: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "t.json", traces(span(1, secret)))
    texts = tmp_path / "texts"
    texts.write_text(f"not this one\n\n{secret}\n")

    assert run("scan", path, "--texts", str(texts), "--texts-only") == 1
    monkeypatch.setattr("sys.stdin", io.StringIO(secret + "\n"))
    assert run("scan", path, "--texts", "-", "--texts-only") == 1
    assert secret not in capsys.readouterr().out


def test_json_is_for_machines(tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "t.json", traces(span(1, secret)))

    assert run("scan", path, "--text", secret, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["clean"] is False
    assert report["files"][0]["leaks"][0]["place"] == "span name"
    assert secret not in json.dumps(report["files"][0]["leaks"])


@pytest.mark.parametrize(
    "arguments",
    [("--text", "ab"), ("--texts", "/no/such/file"), ("--texts-only",)],
    ids=["short", "missing", "none"],
)
def test_wrong_usage_is_two(
    tmp_path: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("scan", write(tmp_path / "t.json", traces(clean_span())), *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("otel-zdr: ")
    assert "/no/such/file" in said or "/no/such/file" not in arguments


def test_unreadable_files_and_settings_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("scan", str(tmp_path / "missing")) == 2
    monkeypatch.setenv("OTEL_ZDR_UNIDENTIFIED", "perhaps")
    assert run("scan", write(tmp_path / "t.json", traces(clean_span()))) == 2


def test_the_recorded_corpus_leaks_before_and_not_after_redaction(tmp_path: Path) -> None:
    recorded = sorted((Path(__file__).parents[1] / "corpus" / "recorded").glob("*/*.traces.json"))[:12]
    assert recorded
    leaking = 0
    for path in recorded:
        planted = [entry["canary"] for entry in json.loads(path.with_name(meta(path)).read_text())["planted"]]
        texts = tmp_path / "texts"
        texts.write_text("\n".join(planted))
        leaking += run("scan", str(path), "--texts", str(texts), "--texts-only", "--min-fragment", "20")
        clean = tmp_path / "clean.json"
        assert run("redact", str(path), "-o", str(clean)) == 0
        assert run("scan", str(clean), "--texts", str(texts), "--min-fragment", "20") == 0, path
    assert leaking


def meta(path: Path) -> str:
    return path.name.replace(".traces.json", ".meta.json")
