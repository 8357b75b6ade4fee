"""``otel-zdr report``: counts from stored OTLP, as JSON, and as a page in a real browser."""

from __future__ import annotations

import argparse
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_zdr.cli import report as command
from otel_zdr.verify.otlp import encode_protobuf
from tests.cli.browser import Page

START = 1_780_000_000


def attribute(key: str, value: object) -> dict[str, Any]:
    def wrap(inner: object) -> dict[str, Any]:
        if isinstance(inner, bool):
            return {"boolValue": inner}
        if isinstance(inner, int):
            return {"intValue": str(inner)}
        if isinstance(inner, list):
            return {"arrayValue": {"values": [wrap(each) for each in inner]}}
        return {"stringValue": str(inner)}

    return {"key": key, "value": wrap(value)}


def span(seconds: int = 0, **attributes: object) -> dict[str, Any]:
    time = str((START + seconds) * 10**9)
    return {
        "traceId": "01" * 16,
        "spanId": "02" * 8,
        "name": "chat",
        "startTimeUnixNano": time,
        "endTimeUnixNano": time,
        "attributes": [attribute(key.replace("__", "."), value) for key, value in attributes.items()],
    }


def traces(*spans: dict[str, Any], **resource: object) -> dict[str, Any]:
    attributes = [attribute(key.replace("__", "."), value) for key, value in resource.items()]
    return {
        "resourceSpans": [
            {"resource": {"attributes": attributes}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}
        ]
    }


def redacted(seconds: int = 0, **more: object) -> dict[str, Any]:
    return span(
        seconds,
        **{
            "workspace__id": "clinic",
            "zdr__redacted": True,
            "zdr__policy__version": "7",
            "zdr__removed": ["prompt:2", "completion:1"],
            "zdr__product": "llm",
            "zdr__coverage": "covered",
            **more,
        },
    )


def metric(*points: tuple[int, int, str]) -> dict[str, Any]:
    data = [
        {
            "startTimeUnixNano": str(start),
            "timeUnixNano": str(START * 10**9),
            "asInt": str(value),
            "attributes": [
                attribute("zdr.class", name),
                attribute("zdr.signal", "span"),
                attribute("zdr.product", "llm"),
            ],
        }
        for start, value, name in points
    ]
    counted = {
        "name": "zdr.removed.values",
        "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": data},
    }
    return {"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"scope": {}, "metrics": [counted]}]}]}


class Command:
    """Runs the command on documents written to files."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.page = folder / "page.html"
        self._capsys = capsys

    def write(self, *documents: dict[str, Any], name: str = "stored.jsonl") -> str:
        path = self.folder / name
        path.write_text("".join(json.dumps(document) + "\n" for document in documents))
        return str(path)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        code = command.run(parser.parse_args(arguments))
        output, errors = self._capsys.readouterr()
        return code, output, errors

    def json(self, *documents: dict[str, Any], arguments: tuple[str, ...] = ()) -> dict[str, Any]:
        code, output, errors = self.run(self.write(*documents), "--json", *arguments)
        assert (code, errors) == (0, "")
        found: dict[str, Any] = json.loads(output)
        return found


@pytest.fixture
def report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


def test_counts_are_summed_up_by_workspace_and_product(report: Command) -> None:
    found = report.json(
        traces(
            redacted(),
            redacted(5, zdr__coverage="not_covered", zdr__coverage__reason="third-party-model-provider"),
            redacted(9, zdr__policy__version="8", zdr__failsafe=True),
            redacted(zdr__product="tts", zdr__removed=["tts_text:1"]),
            span(workspace__id="studio", prompt="raw"),
            span(),
        )
    )
    assert found["items"] == 6
    assert (found["redacted"], found["failsafe"], found["not_covered"], found["values_removed"]) == (
        4,
        1,
        1,
        10,
    )
    llm, tts, studio, unidentified = found["groups"]
    assert llm == {
        "workspace": "clinic",
        "product": "llm",
        "seen": {"span": 3},
        "redacted": 3,
        "not_redacted": 0,
        "failsafe": 1,
        "removed": {"prompt": 6, "completion": 3},
        "coverage": {"covered": 2, "not_covered": 1},
        "not_covered_because": {"third-party-model-provider": 1},
        "policy_versions": {"7": 2, "8": 1},
    }
    assert (tts["product"], tts["removed"]) == ("tts", {"tts_text": 1})
    assert (studio["workspace"], studio["redacted"], studio["not_redacted"]) == ("studio", 0, 1)
    assert (unidentified["workspace"], unidentified["seen"]) == (None, {"span": 1})
    assert found["policy_versions"] == {
        "7": {"first_seen": START, "last_seen": START + 5},
        "8": {"first_seen": START + 9, "last_seen": START + 9},
    }


def test_log_records_and_the_mark_of_the_collector_count_too(report: Command) -> None:
    record = {
        "timeUnixNano": str(START * 10**9),
        "attributes": [attribute("workspace.id", "clinic"), attribute("zdr.collector.redacted", True)],
    }
    logs = {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": [record]}]}]}
    (group,) = report.json(logs)["groups"]
    assert (group["seen"], group["redacted"]) == ({"log": 1}, 1)


def test_an_item_of_several_workspaces_counts_for_each_but_once_in_all(report: Command) -> None:
    found = report.json(traces(redacted(workspace__id=["Clinic", "ward"]), workspace__id="house"))
    assert [group["workspace"] for group in found["groups"]] == ["clinic", "house", "ward"]
    assert (found["items"], found["values_removed"]) == (1, 3)


def test_cumulative_points_count_by_their_highest_and_restarts_and_deltas_by_their_sum(
    report: Command,
) -> None:
    found = report.json(metric((1, 3, "prompt"), (1, 9, "prompt"), (2, 4, "prompt"), (1, 1, "url")))
    assert found["measured"] == [
        {"class": "prompt", "signal": "span", "product": "llm", "values": 13},
        {"class": "url", "signal": "span", "product": "llm", "values": 1},
    ]


def test_protobuf_gives_the_same_counts_as_json(report: Command) -> None:
    document = traces(redacted(), span(workspace__id="studio"))
    path = report.folder / "stored.traces.pb"
    path.write_bytes(encode_protobuf(document))
    code, output, _ = report.run(str(path), "--signal", "traces", "--json")
    assert code == 0
    assert json.loads(output)["groups"] == report.json(document)["groups"]


def test_each_workspace_that_no_list_names_has_a_line(
    report: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_ZDR_WORKSPACES", "clinic")
    monkeypatch.setenv("OTEL_ZDR_UNIDENTIFIED", "retain")
    path = report.write(traces(redacted(), span(workspace__id="Studio"), span()))
    code, output, _ = report.run(path, "-o", str(report.page))
    assert code == 0
    assert "workspace studio is named by no list or policy: it is not under ZDR" in output
    assert "clinic" not in output
    assert "<b>studio</b> is named by no list or policy; it is not under ZDR" in report.page.read_text()


def test_each_workspace_that_no_policy_names_has_a_line_and_so_has_what_lacks_the_mark(
    report: Command,
) -> None:
    policy = report.folder / "policy.toml"
    policy.write_text('version = 3\n[workspaces."clinic-*"]\nzdr = true\n[workspaces.studio]\nzdr = false\n')
    document = traces(
        redacted(workspace__id="clinic-1"),
        span(workspace__id="studio"),
        redacted(workspace__id="other"),
        span(workspace__id="clinic-2"),
    )
    found = report.json(document, arguments=("--policy", str(policy)))
    assert found["workspaces_no_list_or_policy_names"] == [{"workspace": "other", "under_zdr": True}]
    assert found["under_zdr_now_without_mark"] == {"clinic-2": 1}
    assert found["policy_version_now"] == "3"
    _, output, _ = report.run(report.write(document), "--policy", str(policy), "-o", str(report.page))
    assert "workspace other is named by no list or policy: it is under ZDR" in output
    assert "workspace clinic-2 is under ZDR, and 1 of its items carry no mark" in output


def test_what_cannot_be_read_or_written_is_one_plain_line_and_exit_code_2(
    report: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = report.write(traces(redacted()))
    bad = report.folder / "bad.json"
    bad.write_text("{")
    for arguments in (
        (str(report.folder / "missing.json"),),
        (str(bad),),
        (path, "-o", str(report.folder / "no" / "page.html")),
        (path, "--json", "-o", "-"),
        (path, "--policy", str(bad)),
    ):
        code, output, errors = report.run(*arguments)
        assert (code, output) == (2, "")
        assert errors.startswith("otel-zdr: ")
        assert errors.count("\n") == 1
    monkeypatch.setenv("OTEL_ZDR_UNIDENTIFIED", "maybe")
    code, _, errors = report.run(path)
    assert code == 2
    assert "OTEL_ZDR_UNIDENTIFIED" in errors


def test_a_file_without_items_gives_a_page_that_says_so(report: Command) -> None:
    code, _, _ = report.run(report.write(traces()), "-o", str(report.page))
    assert code == 0
    assert "no spans or log records" in report.page.read_text()


def test_many_made_up_workspaces_and_times_are_bounded(report: Command) -> None:
    spans = [span(i * 50_000, workspace__id=f"w{i}") for i in range(6_000)]
    spans += [span(-START + 5), span(10**13), span(zdr__removed=[f"c{i}:1" for i in range(200)])]
    code, output, _ = report.run(report.write(traces(*spans)), "--json", "-o", str(report.page))
    assert code == 0
    found = json.loads(output)
    assert found["items"] == 6_003
    assert len(found["groups"]) <= 2_001
    assert sum(group["seen"]["span"] for group in found["groups"]) == 6_003
    assert report.page.stat().st_size < 2_000_000
    assert report.page.read_text().count("<rect") < 1_000


# --- the page in a browser

HOSTILE = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "'><svg/onload=document.title='owned'>",
    "</style><script>document.title='owned'</script>",
    "</title></textarea><iframe srcdoc='<script>parent.document.title=1</script>'>",
    "javascript:document.title='owned'",
    "<a href=javascript:alert(1)>click</a>",
    "\u202egnp.exe\u2066\x00\x1b[31m\r\n",
    "&lt;b&gt;&#60;script&#62;",
    "]]><!--",
    "<style>*{display:none}</style>",
    "x" * 5000,
]


@pytest.fixture
def open_page(report: Command) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []

    def make(*documents: dict[str, Any], name: str = "stored.jsonl") -> Page:
        code, _, errors = report.run(report.write(*documents, name=name), "-o", str(report.page))
        assert (code, errors) == (0, "")
        page = Page(report.page)
        pages.append(page)
        return page

    yield make
    for page in pages:
        page.close()


def test_the_page_shows_counts_and_plots_and_loads_nothing(
    report: Command, open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_ZDR_WORKSPACES", "clinic")
    spans = [redacted(i * 60) for i in range(50)] + [span(i * 60, workspace__id="studio") for i in range(25)]
    spans.append(
        redacted(
            1500,
            zdr__policy__version="8",
            zdr__coverage="not_covered",
            zdr__coverage__reason="direct-vendor-call",
        )
    )
    page = open_page(traces(*spans), metric((1, 3, "prompt")))
    text = page.evaluate("document.body.innerText")
    for wanted in (
        "clinic",
        "studio",
        "102 prompt",
        "51 completion",
        "1 not covered: direct vendor call",
        "7 (50)",
        "8 (1)",
    ):
        assert wanted in text, wanted
    assert "studio is named by no list or policy" in text
    assert page.evaluate("document.querySelectorAll('figure > svg rect').length") > 50
    assert page.evaluate("document.querySelectorAll('figure > svg .change').length") == 4
    heights = page.evaluate(
        "[...document.querySelectorAll('figure > svg rect')].map(r => r.getBoundingClientRect().height)"
    )
    assert all(height > 0 for height in heights)
    # The style is in force, although the policy of the page allows nothing but it.
    assert page.evaluate("getComputedStyle(document.querySelector('.figures')).display") == "grid"
    green = page.evaluate("getComputedStyle(document.querySelector('figure rect.redacted')).fill")
    assert green not in ("rgb(0, 0, 0)", "")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.console == []
    assert page.requests == [report.page.as_uri()]


def test_hostile_text_in_every_field_stays_text(
    report: Command, open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name not under ZDR, so that the line about unnamed workspaces is on the page as well.
    monkeypatch.setenv("OTEL_ZDR_WORKSPACES", "clinic")
    spans = []
    for i, hostile in enumerate(HOSTILE):
        fields = {
            "workspace__id": hostile[:256],
            "zdr__redacted": True,
            "zdr__policy__version": hostile,
            "zdr__removed": [f"{hostile}:3", hostile, "prompt:1"],
            "zdr__product": hostile,
            "zdr__coverage": "not_covered",
            "zdr__coverage__reason": hostile,
        }
        spans += [redacted(i * 60, **{key: value}) for key, value in fields.items()]
        spans.append(redacted(i * 60, **fields, **{hostile: hostile}))
        spans.append(
            {**redacted(i * 60, zdr__coverage=hostile), "name": hostile, "events": [{"name": hostile}]}
        )
    page = open_page(
        traces(*spans, service__name=HOSTILE[0]),
        *(metric((1, 3, hostile)) for hostile in HOSTILE),
        name="<img src=x onerror=document.title='owned'>.jsonl",
    )
    assert page.evaluate("document.title") == "Zero data retention: evidence"
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "h1",
        "h2",
        "p",
        "dl",
        "div",
        "dt",
        "dd",
    }
    allowed |= {"ul", "li", "b", "span", "figure", "figcaption", "svg", "rect", "line", "text", "footer"}
    allowed |= {"table", "thead", "tbody", "tr", "th", "td"}
    tags = page.evaluate(
        "[...new Set([...document.querySelectorAll('*')].map(e => e.tagName.toLowerCase()))]"
    )
    assert set(tags) <= allowed
    names = page.evaluate(
        "[...new Set([...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()))].sort()"
    )
    assert not [
        name
        for name in names
        if name.startswith("on") or name in ("href", "src", "style", "srcdoc", "action")
    ]
    text = page.evaluate("document.body.textContent")
    # Positive control: the hostile texts did reach the page, as text.
    assert "<script>document.title='owned'</script>" in text
    assert "&lt;b&gt;&#60;script&#62;" in text
    assert "x" * 150 not in text.replace("x" * 129, "")
    assert not [sign for sign in text if sign in "\u202e\u2066\x00\x1b"]
    assert page.console == []
    assert page.requests == [report.page.as_uri()]


def test_values_of_the_telemetry_never_reach_the_page(report: Command) -> None:
    canary = f"CANARY-{uuid.uuid4()}"
    document = traces(
        {
            **span(workspace__id="clinic", **{canary: canary, "gen_ai__prompt": canary}),
            "name": canary,
            "events": [{"name": canary, "attributes": [attribute("exception.message", canary)]}],
            "status": {"message": canary},
        }
    )
    path = report.write(document)
    _, output, _ = report.run(path, "--json", "-o", str(report.page))
    assert canary not in output
    assert canary not in report.page.read_text()
    # Positive control: a workspace's name does.
    report.run(report.write(traces(span(workspace__id=canary))), "-o", str(report.page))
    assert canary.lower() in report.page.read_text()
