"""The policy file flips while spans are made: nothing leaks in between, and no span is half of each."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import otel_zdr
from otel_zdr.testing import canary

FLIPS = 50
WRITERS = 2
SPANS_PER_SECOND = 1_000
PLACES = 5

POLICY = """\
version = {version}
[organisation]
zdr = false
[workspaces.clinic]
zdr = true
[workspaces.studio]
zdr = false
[workspaces.flips]
zdr = {flips}
"""


@dataclass
class Made:
    """One span as it was asked for; ``begun`` before its start, ``ended`` after its end, in seconds."""

    workspace: str
    canary: str
    begun: float
    ended: float = 0.0


@dataclass
class Load:
    """Threads that make spans in three workspaces."""

    tracer: Any
    made: list[Made] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(WRITERS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _run(self, seed: int) -> None:
        choose = random.Random(seed)
        pause = WRITERS / SPANS_PER_SECOND
        due = time.perf_counter()
        while not self.stop.is_set():
            try:
                self._span(
                    choose.choices(("flips", "clinic", "studio"), (6, 1, 1))[0], choose.random() < 0.05
                )
            except BaseException as error:
                self.errors.append(error)
            due += pause
            time.sleep(max(0.0, due - time.perf_counter()))

    def _span(self, workspace: str, slow: bool) -> None:
        text = canary()
        made = Made(workspace, text, time.perf_counter())
        span = self.tracer.start_span(
            "chat", attributes={"workspace.id": workspace, "gen_ai.input.messages": text, "unknown.key": text}
        )
        if slow:
            time.sleep(0.05)
        span.add_event("gen_ai.content", {"gen_ai.output.messages": text})
        span.set_attribute("gen_ai.completion.0.content", text)
        try:
            raise ValueError(text)
        except ValueError as error:
            span.record_exception(error)
        span.end()
        made.ended = time.perf_counter()
        self.made.append(made)


@dataclass
class File:
    """The policy file; written badly on purpose: in place, in pieces, with a cut file in between."""

    path: Path
    version: int = 1

    def flip(self, on: bool, choose: random.Random) -> None:
        self.version += 1
        text = POLICY.format(version=self.version, flips=str(on).lower())
        how = choose.choice(("replaced", "in place", "in pieces"))
        if how == "replaced":
            beside = self.path.with_suffix(".new")
            beside.write_text(text)
            os.replace(beside, self.path)
        elif how == "in place":
            self.path.write_text(text)
        else:
            cut = choose.randrange(len(text))
            with self.path.open("w") as file:
                file.flush()
                time.sleep(0.005)
                file.write(text[:cut])
                file.flush()
                time.sleep(0.02)
                file.write(text[cut:])


def is_redacted(pipeline: Any) -> bool:
    """What a span for the flipping workspace becomes right now."""
    text = canary()
    pipeline.tracer.start_span("probe", attributes={"workspace.id": "flips", "unknown.key": text}).end()
    return text.encode() not in pipeline.span_exporter.requests[-1]


def wait_until(pipeline: Any, wanted: bool, seconds: float) -> float:
    """The moment from which on the workspace is (not) under ZDR."""
    deadline = time.perf_counter() + seconds
    while is_redacted(pipeline) != wanted:
        assert time.perf_counter() < deadline, f"the change did not take effect within {seconds} s"
        time.sleep(0.02)
    return time.perf_counter()


@pytest.fixture
def file(tmp_path: Path) -> File:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY.format(version=1, flips="false"))
    path.chmod(0o644)
    return File(path)


def test_nothing_leaks_and_no_span_is_half_of_two_policies(
    pipeline: Any, make_pipeline: Any, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_ZDR_POLICY_FILE", str(file.path))
    probe = make_pipeline()
    otel_zdr.install()
    choose = random.Random(7)
    #: From when it was seen to be on until the first byte that was to turn it off was written.
    windows: list[tuple[float, float]] = []
    on_since = 0.0
    on = False
    with Load(pipeline.tracer) as load:
        for number in range(FLIPS):
            on = not on
            if not on and on_since:
                windows.append((on_since, time.perf_counter()))
            on_since = 0.0
            file.flip(on, choose)
            if number % 6 == 0:
                # Long enough to be seen through, and to see what is sent meanwhile.
                moment = wait_until(probe, on, 2.0)
                if on:
                    on_since = moment
                time.sleep(0.3)
            elif number % 6 == 1:
                wait_until(probe, on, 2.5)
                time.sleep(0.1)
            else:
                time.sleep(choose.uniform(0.01, 0.2))
    assert load.errors == []
    assert len(load.made) > 1_000
    assert len(windows) >= 3

    exported = {}
    for request, span in zip(pipeline.span_exporter.requests, pipeline.span_exporter.spans, strict=True):
        exported[span.span_id] = (request, span)
    assert len(exported) == len(load.made)
    by_canary = {made.canary: made for made in load.made}
    raw: dict[str, int] = {}
    marked = Counter[bool]()
    for request, span in exported.values():
        attributes = {item.key: item.value for item in span.attributes}
        is_marked = "zdr.redacted" in attributes
        marked[is_marked] += 1
        found = [text for text in (attributes.get("unknown.key"),) if text is not None]
        # No mixed decision: marked and without content, or unmarked and whole.
        assert is_marked != bool(found)
        if is_marked:
            assert b"CANARY" not in request
        else:
            text = found[0].string_value
            raw[text] = request.count(text.encode())
    assert set(raw) <= set(by_canary)
    # In the exception's message and in its stack trace, too.
    assert all(count >= PLACES for count in raw.values())
    workspaces = Counter(by_canary[text].workspace for text in raw)
    assert workspaces["clinic"] == 0
    assert workspaces["studio"] == sum(made.workspace == "studio" for made in load.made)
    assert workspaces["flips"] > 100  # positive control: outside the windows there was something to leak
    checked = 0
    for made in load.made:
        if made.workspace == "flips" and any(
            begin < made.begun and made.ended < end for begin, end in windows
        ):
            checked += 1
            assert made.canary not in raw
    assert checked > 100
    assert marked[True] > 100
