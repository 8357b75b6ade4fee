"""Which rule wins, for whatever is written: against a reference of a few lines, and through the real SDK."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import otel_zdr
from otel_zdr.policy.decision import Policy
from otel_zdr.policy.document import parse_policy
from otel_zdr.testing import CapturingSpanExporter, canary, uninstall

ids = st.text("ab", min_size=1, max_size=4)
patterns = st.from_regex(r"[ab]{0,2}\*[ab]{0,2}|[ab]{0,2}\*[ab]{1,2}\*", fullmatch=True)
tables = st.dictionaries(ids | patterns, st.booleans(), max_size=6)


def written(default: bool, workspaces: dict[str, bool]) -> str:
    lines = ["version = 1", "[organisation]", f"zdr = {str(default).lower()}"]
    for id_, under in workspaces.items():
        lines += [f"[workspaces.{json.dumps(id_)}]", f"zdr = {str(under).lower()}"]
    return "\n".join(lines)


def wanted(default: bool, workspaces: dict[str, bool], id_: str) -> bool:
    """The rule as the documentation has it: exact, then the longest patterns, the strictest of them."""
    if id_ in workspaces:
        return workspaces[id_]
    matching = [pattern for pattern in workspaces if "*" in pattern and fnmatchcase(id_, pattern)]
    longest = max(map(len, matching), default=0)
    found = [workspaces[pattern] for pattern in matching if len(pattern) == longest]
    return any(found) if found else default


@settings(max_examples=300, deadline=None)
@given(st.booleans(), tables, st.lists(ids, max_size=4))
def test_an_exact_id_wins_then_the_longest_pattern_then_the_strictest(
    default: bool, workspaces: dict[str, bool], asked: list[str]
) -> None:
    held = Policy(parse_policy(written(default, workspaces)).rules())
    every = {*asked, *(id_ for id_ in workspaces if "*" not in id_)}
    for id_ in every:
        assert held.is_under_zdr(id_) == wanted(default, workspaces, id_), id_
    # Several workspaces of one item: the strictest. None: the safe answer.
    assert held.decide(every) == (any(wanted(default, workspaces, id_) for id_ in every) if every else True)


@settings(max_examples=150, deadline=None)
@given(st.booleans(), tables, st.randoms(use_true_random=False))
def test_the_order_of_the_tables_decides_nothing(
    default: bool, workspaces: dict[str, bool], random: Any
) -> None:
    shuffled = list(workspaces.items())
    random.shuffle(shuffled)
    one = Policy(parse_policy(written(default, workspaces)).rules())
    other = Policy(parse_policy(written(default, dict(shuffled))).rules())
    for id_ in ("a", "b", "ab", "ba", "aab", "abab", "bbbb"):
        assert one.is_under_zdr(id_) == other.is_under_zdr(id_)


STRICT, FREE, ALSO_FREE = "clinic", "studio", "atelier"
SOURCES = ("resource", "own", "own later", "ambient", "parent", "parent later", "baggage")
#: Baggage names another one: an id that stands there too may have been copied from there, and identifies nobody.
whose = st.fixed_dictionaries(
    {
        source: st.sampled_from([None, None, ALSO_FREE if source == "baggage" else FREE, STRICT])
        for source in SOURCES
    }
)


@contextlib.contextmanager
def inside(workspace: str | None) -> Iterator[None]:
    with otel_zdr.workspace(workspace) if workspace else contextlib.nullcontext():
        yield


def exported(named: dict[str, str | None], unidentified: str, text: str) -> bytes:
    """What the exporter gets of a child span with ``text`` under a key that is no metadata."""
    uninstall()
    otel_zdr.install(otel_zdr.Settings(workspaces=(STRICT,), unidentified=unidentified, baggage_key="tenant"))
    try:
        exporter = CapturingSpanExporter()
        resource = {"workspace.id": named["resource"]} if named["resource"] else {}
        provider = TracerProvider(resource=Resource(resource), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracer = provider.get_tracer("test")
        above = {"workspace.id": named["parent"]} if named["parent"] else {}
        parent = tracer.start_span("parent", attributes=above)
        with inside(named["ambient"]):
            context = trace.set_span_in_context(parent)
            if named["baggage"]:
                context = baggage.set_baggage("tenant", named["baggage"], context)
            own = {"workspace.id": named["own"]} if named["own"] else {}
            child = tracer.start_span("child", context, attributes={**own, "note": text})
            child.add_event("event", {"note": text})
            if named["parent later"]:
                parent.set_attribute("workspace.id", named["parent later"])
            if named["own later"]:
                child.set_attribute("workspace.id", named["own later"])
            child.set_attribute("another note", text)
            child.end()
        return exporter.data
    finally:
        uninstall()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(whose, st.sampled_from(["redact", "retain"]))
def test_the_strictest_of_all_who_name_an_item_wins(named: dict[str, str | None], unidentified: str) -> None:
    text = canary()
    found = exported(named, unidentified, text).count(text.encode())
    # What comes after the start of a child, and what a caller can write, only tightens.
    identified = any(named[source] for source in SOURCES if source not in ("baggage", "parent later"))
    under = STRICT in named.values() or (not identified and unidentified == "redact")
    event(f"under ZDR: {under}")
    # In all three places or in none.
    assert found == (0 if under else 3)


@pytest.mark.parametrize("header", ["tenant=clinic", "a=b,tenant=%20CLINIC;property=1", "tenant=atelier"])
def test_the_baggage_of_a_request_tightens_every_signal_and_loosens_none(
    header: str, pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_ZDR_WORKSPACES", STRICT)
    monkeypatch.setenv("OTEL_ZDR_BAGGAGE_KEY", "tenant")
    otel_zdr.install()
    context = W3CBaggagePropagator().extract({"baggage": header})
    counter = pipeline.meter_provider.get_meter("test").create_counter("gen_ai.client.token.usage")

    def written(workspace: dict[str, str]) -> list[bool]:
        """Whether what is written with that baggage arrives, by signal."""
        text = canary()
        attributes = {**workspace, "note": text}
        pipeline.tracer.start_span("x", context, attributes=attributes).end()
        pipeline.logger.emit(body=text, context=context, attributes=attributes)
        counter.add(1, attributes, context)
        pipeline.collect()
        exporters = (pipeline.span_exporter, pipeline.log_exporter, pipeline.metric_exporter)
        return [text.encode() in exporter.data for exporter in exporters]

    assert written({"workspace.id": FREE}) == [STRICT not in header.casefold()] * 3
    # Who is known from nothing but baggage is not known.
    assert written({}) == [False] * 3
