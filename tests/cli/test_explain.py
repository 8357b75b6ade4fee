"""``otel-zdr explain``: a person at three in the morning sees what failed, where, and what was removed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from .stored import TRACE_ID, attributes, logs, run, span, traces, write

EVIDENCE = attributes(
    zdr__redacted=True,
    zdr__removed=["prompt:2", "completion:1"],
    zdr__policy__version="7",
    zdr__product="llm",
    zdr__coverage="not_covered",
    zdr__coverage__reason="third-party-provider",
)
STACKTRACE = (
    "httpx.ReadTimeout\napp.py:12 main\nclient.py:88 Client.send\ncause: builtins.TimeoutError\n+2 frames"
)


@pytest.fixture
def stored(tmp_path: Path) -> str:
    return write(
        tmp_path / "t.json",
        traces(
            span(1, "checkout", kind=2, status={"code": 2}),
            span(
                2,
                "chat gpt-5",
                parent=1,
                kind=3,
                status={"code": 2},
                attributes=[
                    *EVIDENCE,
                    *attributes(
                        gen_ai__usage__input_tokens=1111,
                        gen_ai__usage__output_tokens=222,
                        gen_ai__request__model="gpt-5",
                        error__type="rate_limit_exceeded",
                        http__response__status_code=429,
                        openai__request_id="req_123",
                    ),
                ],
                events=[
                    {
                        "name": "exception",
                        "attributes": attributes(
                            exception__type="httpx.ReadTimeout",
                            exception__stacktrace=STACKTRACE,
                            zdr__exception__fingerprint="0123456789abcdef",
                        ),
                    }
                ],
            ),
            span(3, "tidy", parent=99),
        ),
        logs(
            {
                "timeUnixNano": "1700000000500000000",
                "severityText": "ERROR",
                "body": {"stringValue": "charge failed for %s"},
                "traceId": TRACE_ID,
                "spanId": f"{2:016x}",
                "attributes": attributes(zdr__redacted=True, zdr__removed=["free_text:1"]),
            },
            {
                "timeUnixNano": "1700000000600000000",
                "severityText": "INFO",
                "body": {"stringValue": "started"},
            },
        ),
    )


def test_a_trace_is_a_tree_in_words(stored: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", stored) == 0
    out = capsys.readouterr().out

    assert f"trace {TRACE_ID}  3 spans · 1 log record · 1.50 s · policy 7" in out
    lines = out.splitlines()
    depth = {
        name: next(line.index(name) for line in lines if name in line) for name in ("checkout", "chat gpt-5")
    }
    assert depth["checkout"] < depth["chat gpt-5"]
    for text in (
        "chat gpt-5 (client) 1.50 s ERROR",
        "usage    input_tokens 1111, output_tokens 222",
        "error.type rate_limit_exceeded",
        "http.response.status_code 429",
        "httpx.ReadTimeout (fingerprint 0123456789abcdef)",
        "app.py:12 main",
        "client.py:88 Client.send",
        "cause: builtins.TimeoutError",
        "removed 2 prompts, 1 answer of a model, because its workspace is under Zero Data Retention"
        " (policy version 7)",
        "coverage not covered (llm): the specification makes no promise for this request: third party",
        "ERROR charge failed for %s",
        "removed 1 value not known to be metadata",
        "not redacted: its workspace is not under Zero Data Retention, or it did not pass otel-zdr",
        "log records of no trace",
        "INFO started",
    ):
        assert text in out, text


def test_json_has_the_same_for_machines(stored: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", stored, "--json") == 0
    report = json.loads(capsys.readouterr().out)

    trace = report["traces"][0]
    chat = next(item for item in trace["items"] if item["name"] == "chat gpt-5")
    assert (trace["trace_id"], trace["spans"], trace["policy_versions"]) == (TRACE_ID, 3, ["7"])
    assert chat["depth"] == 1
    assert chat["removed"] == {"prompt": 2, "completion": 1}
    assert chat["usage"]["gen_ai.usage.input_tokens"] == 1111
    assert chat["failures"][0]["frames"] == STACKTRACE.split("\n")
    assert chat["why"]


def test_one_trace_can_be_asked_for(stored: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", stored, "--trace", TRACE_ID[:6].upper()) == 0
    assert "no trace" not in capsys.readouterr().out
    assert run("explain", stored, "--trace", "ffff") == 2


def test_control_characters_never_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\r\n\u202eevil\u200b\x9b31m\ud800"
    path = write(
        tmp_path / "t.json",
        traces(
            span(
                1,
                evil,
                kind=3,
                status={"code": 2},
                attributes=[
                    *attributes(
                        error__type=evil,
                        gen_ai__request__model=evil,
                        zdr__redacted=True,
                        zdr__removed=[evil + ":1"],
                        zdr__policy__version=evil,
                        zdr__coverage=evil,
                        zdr__coverage__reason=evil,
                        zdr__product=evil,
                    ),
                    {"key": "gen_ai.usage." + evil, "value": value_of(1)},
                ],
                events=[
                    {"name": evil},
                    {
                        "name": "exception",
                        "attributes": attributes(exception__type=evil, exception__stacktrace=evil),
                    },
                ],
            )
        ),
        logs({"severityText": evil, "body": {"stringValue": evil}, "timeUnixNano": str(2**63)}),
    )

    assert run("explain", path) == 0
    out = capsys.readouterr().out

    assert "evil" in out
    assert not {char for char in out if char != "\n" and (ord(char) < 32 or 127 <= ord(char) < 160)}
    assert not {"\u202e", "\u200b", "\ud800", "\r"} & set(out)


def value_of(number: int) -> dict[str, str]:
    return {"intValue": str(number)}


def test_content_in_a_stack_trace_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = {
        "name": "exception",
        "attributes": attributes(
            exception__type="E", exception__message="of a patient", exception__stacktrace="E: x y"
        ),
    }
    path = write(tmp_path / "t.json", traces(span(1, "a", events=[event])))

    assert run("explain", path) == 0
    out = capsys.readouterr().out

    assert "patient" not in out
    assert "x y" not in out
    assert "(a stack trace that is more than frames: not shown)" in out


def test_loops_orphans_and_double_ids_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(
        tmp_path / "t.json",
        traces(
            span(1, "one", parent=2),
            span(2, "two", parent=1),
            span(3, "three", parent=3),
            span(4, "four", parent=77),
            span(4, "double", parent=4),
        ),
    )

    assert run("explain", path) == 0
    out = capsys.readouterr().out
    for name in ("one", "two", "three", "four", "double"):
        assert out.count(f"─ {name} ") == 1


def test_a_chain_of_thousands_is_drawn_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "t.json", traces(*(span(n, f"s{n}", parent=n - 1) for n in range(1, 3001))))
    started = time.monotonic()

    assert run("explain", path) == 0

    out = capsys.readouterr().out
    assert "s3000" in out
    assert max(map(len, out.splitlines())) < 300
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("content", ["no otlp", '{"a": 1}', "{"])
def test_what_cannot_be_read_is_wrong_usage(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    path.write_text(content)

    assert run("explain", str(path)) == 2
    assert run("explain", str(tmp_path / "missing")) == 2
    assert "Traceback" not in capsys.readouterr().err
