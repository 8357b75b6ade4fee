"""``otel-zdr redact``: stored OTLP becomes clean, in the format it had, all or nothing."""

from __future__ import annotations

import json
import os
import threading
import uuid
from pathlib import Path

import pytest

from otel_zdr.verify import otlp
from otel_zdr.verify.otlp_files import stored_format

from .stored import attributes, logs, run, span, traces, write


@pytest.fixture
def secret() -> str:
    return f"the patient of room {uuid.uuid4().hex}"


def content(secret: str) -> tuple[dict[str, object], dict[str, object]]:
    return (
        traces(
            span(
                1,
                secret,
                attributes=attributes(gen_ai__prompt=secret, gen_ai__usage__input_tokens=1111),
                status={"code": 2, "message": secret},
            )
        ),
        logs({"body": {"stringValue": secret}, "timeUnixNano": "5"}),
    )


def test_json_lines_become_clean_json_lines(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"

    assert run("redact", write(tmp_path / "in.json", *content(secret)), "-o", str(out)) == 0

    first, second = otlp.read_items(out)
    assert isinstance(first, otlp.Span)
    assert first.attributes["gen_ai.usage.input_tokens"] == 1111
    assert first.attributes["zdr.redacted"] is True
    assert isinstance(second, otlp.LogRecord)
    assert secret not in out.read_text()
    assert "prompt 1" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["protobuf", "protobuf-delimited", "protobuf-fixed"])
def test_protobuf_stays_protobuf(tmp_path: Path, secret: str, form: str) -> None:
    first, second = tmp_path / "in.bin", tmp_path / "out.bin"
    document = content(secret)[0]
    source = write(tmp_path / "in.json", document)

    # The first command makes the file whose form the second one has to keep.
    assert run("redact", source, "-o", str(first), "--format", form) == 0
    assert run("redact", str(first), "-o", str(second)) == 0

    assert stored_format(first) == stored_format(second) == form
    (item,) = otlp.read_items(second)
    assert isinstance(item, otlp.Span)
    assert item.attributes["gen_ai.usage.input_tokens"] == 1111
    assert secret.encode() not in second.read_bytes()


def test_protobuf_with_content_becomes_clean(tmp_path: Path, secret: str) -> None:
    source, out = tmp_path / "in.bin", tmp_path / "out.bin"
    source.write_bytes(otlp.encode_protobuf(content(secret)[0]))

    assert secret.encode() in source.read_bytes()  # positive control
    assert run("redact", str(source), "-o", str(out)) == 0
    assert secret.encode() not in out.read_bytes()


def test_several_requests_cannot_be_one_protobuf_request(tmp_path: Path, secret: str) -> None:
    source = write(tmp_path / "in.json", *content(secret))
    out = tmp_path / "out.bin"

    assert run("redact", source, "-o", str(out), "--format", "protobuf") == 2
    assert not out.exists()
    assert run("redact", source, "-o", str(out), "--format", "protobuf-fixed") == 0


def test_a_file_that_breaks_off_leaves_no_output(tmp_path: Path, secret: str) -> None:
    source = tmp_path / "in.json"
    source.write_text(json.dumps(content(secret)[0]) + "\n" + '{"resourceSpans": [')
    out = tmp_path / "out.json"
    out.write_text("what was there")

    assert run("redact", str(source), "-o", str(out)) == 2
    assert out.read_text() == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.json", "out.json"]


def test_a_file_can_be_cleaned_in_place(tmp_path: Path, secret: str) -> None:
    path = write(tmp_path / "t.json", *content(secret))

    assert run("redact", path, "-o", path) == 0
    assert secret not in Path(path).read_text()


def test_standard_output_and_figures_for_machines(
    tmp_path: Path, secret: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run("redact", write(tmp_path / "t.json", *content(secret)), "-o", "-", "--json") == 0
    printed = capfdbinary.readouterr()

    assert json.loads(printed.out.splitlines()[0])["resourceSpans"]
    assert json.loads(printed.err)["removed"]["prompt"] == 1
    assert secret.encode() not in printed.out + printed.err


@pytest.mark.parametrize("name", ["missing/in.json", "in.json"])
def test_what_cannot_be_read_or_written_is_two(tmp_path: Path, name: str, secret: str) -> None:
    write(tmp_path / "in.json", *content(secret))

    assert run("redact", str(tmp_path / name), "-o", str(tmp_path / "none" / "out.json")) == 2


def test_what_is_not_understood_is_left_out_and_counted(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = span(1, "chat", attributes={"note": secret}, events=secret, customField=secret)
    source, out = write(tmp_path / "in.json", {**traces(odd), "extra": secret}), tmp_path / "out.json"
    document = json.loads(Path(source).read_text())
    document["resourceSpans"][0]["scopeSpans"][0]["scope"] = {}
    write(tmp_path / "in.json", document)

    assert run("redact", source, "-o", str(out)) == 0
    said = capsys.readouterr().err
    assert "free_text 4" in said
    assert "not understood and left out: 4" in said
    assert secret not in out.read_text() + said
    (item,) = otlp.read_items(out)
    assert "free_text:3" in item.attributes["zdr.removed"]  # type: ignore[union-attr,operator]
    assert run("redact", source, "-o", str(out), "--json") == 0
    assert json.loads(capsys.readouterr().err)["not_understood"] == 4
    assert run("scan", str(out)) == 0


def test_what_the_output_cannot_carry_of_others_is_counted(
    tmp_path: Path, secret: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_ZDR_WORKSPACES", "clinic")
    studio = span(1, "chat", attributes=attributes(workspace__id="studio"), customField=secret)
    source, out = write(tmp_path / "in.json", traces(studio)), tmp_path / "out"

    assert run("redact", source, "-o", str(out)) == 0
    assert secret in out.read_text()
    assert "left out" not in capsys.readouterr().err
    assert run("redact", source, "-o", str(out), "--format", "protobuf") == 0
    assert "as the output has no place for it: 1" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_file_with_nothing_in_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    source, out = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(content)

    assert run("redact", str(source), "-o", str(out)) == 0
    assert "nothing in it" in capsys.readouterr().err
    assert list(otlp.read_items(out)) == []


def test_two_signals_in_one_request_cannot_be_protobuf_and_the_file_is_named(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = content(secret)
    source = write(tmp_path / "in.json", {**first, **second})

    assert run("redact", source, "-o", str(tmp_path / "out"), "--format", "protobuf") == 2
    said = capsys.readouterr().err
    assert f"{source}: holds traces and logs in one request" in said
    assert "--format json" in said


def test_a_pipe_is_written_and_not_replaced(tmp_path: Path, secret: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()

    assert run("redact", write(tmp_path / "in.json", *content(secret)), "-o", str(pipe)) == 0
    reader.join(10)
    assert pipe.is_fifo()
    assert len(read[0].splitlines()) == 2


def test_a_link_and_the_mode_of_a_file_stay(tmp_path: Path, secret: str) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    write(target, *content(secret))
    target.chmod(0o640)
    link.symlink_to(target)

    assert run("redact", str(link), "-o", str(link)) == 0
    assert link.is_symlink()
    assert secret not in target.read_text()
    assert target.stat().st_mode & 0o777 == 0o640
