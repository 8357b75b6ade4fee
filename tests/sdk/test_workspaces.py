"""Who an item is for: union, strictest wins, no bleeding, no loosening."""

from __future__ import annotations

import asyncio
import functools
import gc
import io
import logging
import random
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import otel_zdr
from otel_zdr.testing import CapturingSpanExporter, canary
from otel_zdr.workspaces import UNIDENTIFIED, ambient, identify, normalise


class Probe:
    """A provider that tells of each span whether its canary was exported."""

    def __init__(self, resource: dict[str, Any] | None = None, *processors: SpanProcessor) -> None:
        self.exporter = CapturingSpanExporter()
        self.provider = TracerProvider(resource=Resource(resource or {}), shutdown_on_exit=False)
        for processor in processors:
            self.provider.add_span_processor(processor)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("t")

    def is_raw(self, **arguments: Any) -> bool:
        made = canary()
        attributes = {**arguments.pop("attributes", {}), "app.note": made}
        self.tracer.start_span("x", attributes=attributes, **arguments).end()
        return made.encode() in self.exporter.data


@pytest.fixture
def probe() -> Probe:
    """`clinic` is under ZDR, everything else named is not, unidentified is."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("Clinic", "7", "ward")))
    return Probe()


# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["clinic", " CLINIC ", "Clinic\n", "ｃｌｉｎｉｃ", "CLiNiC", ("studio", "clinic"), ["clinic"]]
)
def test_ids_are_compared_as_normalised_text(probe: Probe, value: Any) -> None:
    """NFKC, stripped, case-folded; a list names each of its elements."""
    assert not probe.is_raw(attributes={"workspace.id": value})
    assert probe.is_raw(attributes={"workspace.id": "studio"})


def test_numbers_are_ids_as_text(probe: Probe) -> None:
    """A tenant number is a tenant."""
    assert not probe.is_raw(attributes={"workspace.id": 7})
    assert probe.is_raw(attributes={"workspace.id": 8})


@pytest.mark.parametrize(
    "value", [b"studio", True, {"id": "studio"}, "", "  ", "x" * 300, [], [b"studio"], None]
)
def test_what_is_no_id_is_unidentified(probe: Probe, value: Any) -> None:
    """An unreadable id never identifies; the default redacts."""
    attributes = {} if value is None else {"workspace.id": value}
    assert not probe.is_raw(attributes=attributes)


def test_a_list_with_an_unreadable_element_is_as_strict_as_unidentified(probe: Probe) -> None:
    """Strictest wins inside a list, too."""
    assert not probe.is_raw(attributes={"workspace.id": ["studio", ""]})
    assert identify(["studio", b"x"]) == {"studio", UNIDENTIFIED}
    assert normalise(7.5) == "7.5"


def test_unidentified_is_retained_only_where_the_operator_says_so() -> None:
    """``OTEL_ZDR_UNIDENTIFIED=retain``."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",), unidentified="retain"))
    probe = Probe()
    assert probe.is_raw()
    assert not probe.is_raw(attributes={"workspace.id": "clinic"})


# --- union and strictness -------------------------------------------------------------------------


def test_the_strictest_of_all_sources_wins(probe: Probe) -> None:
    """Attribute, ambient, parent, resource: one of them under ZDR is enough."""
    with otel_zdr.workspace("clinic"):
        assert not probe.is_raw(attributes={"workspace.id": "studio"})
    with otel_zdr.workspace("studio"):
        assert not probe.is_raw(attributes={"workspace.id": "clinic"})
        assert probe.is_raw()
        with otel_zdr.workspace("clinic"):
            assert not probe.is_raw()
        assert probe.is_raw()
    assert not Probe({"workspace.id": "clinic"}).is_raw(attributes={"workspace.id": "studio"})


def test_a_child_inherits_from_its_parent_in_the_process(probe: Probe) -> None:
    """Under ZDR and not, and across an explicit context."""
    for workspace, raw in (("clinic", False), ("studio", True)):
        parent = probe.tracer.start_span("p", attributes={"workspace.id": workspace})
        context = trace_api.set_span_in_context(parent)
        assert probe.is_raw(context=context) is raw
        with trace_api.use_span(parent):
            assert probe.is_raw() is raw
        parent.end()


def test_a_child_that_inherits_is_stamped_so_that_others_know(probe: Probe) -> None:
    """The Collector only sees the item."""
    with otel_zdr.workspace("Studio"):
        probe.tracer.start_span("x").end()
    with otel_zdr.workspace("Clinic"):
        probe.tracer.start_span("y").end()
    stamps = [
        {item.key: item.value.string_value for item in span.attributes}["workspace.id"]
        for span in probe.exporter.spans
    ]
    assert stamps == ["Studio", "Clinic"]


def test_a_resource_alone_identifies_only_while_no_other_workspace_was_seen() -> None:
    """A process of several tenants: what only the resource names is unidentified."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    probe = Probe({"workspace.id": "studio"})
    assert probe.is_raw()
    assert probe.is_raw(attributes={"workspace.id": "atelier"})
    assert not probe.is_raw(), "another workspace was seen"
    assert probe.is_raw(attributes={"workspace.id": "studio"})


@pytest.mark.parametrize("value", [True, "true", "yes", 1, "", 0, "0"])
def test_a_resource_can_put_everything_of_it_under_zdr(value: Any) -> None:
    """``workspace.zdr`` other than an explicit false."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    assert not Probe({"workspace.zdr": value}).is_raw(attributes={"workspace.id": "studio"})
    assert Probe({"workspace.zdr": False}).is_raw(attributes={"workspace.id": "studio"})


def test_a_workspace_written_first_is_not_evicted_by_the_attribute_limit(probe: Probe) -> None:
    """Latched when written: 200 later attributes do not lift ZDR."""
    made = canary()
    span = probe.tracer.start_span("x", attributes={"workspace.id": "studio"})
    span.set_attribute("workspace.id", "clinic")
    for index in range(200):
        span.set_attribute(f"app.{index}", made)
    span.set_attribute("workspace.id", "studio")
    span.end()
    assert made.encode() not in probe.exporter.data


def test_content_does_not_use_up_the_attribute_limits(probe: Probe) -> None:
    """A thousand content attributes leave the usage that was written before and after them."""
    span = probe.tracer.start_span(
        "x",
        attributes={
            "workspace.id": "clinic",
            "gen_ai.usage.input_tokens": 1111,
            **{f"app.{i}": "a b" for i in range(500)},
        },
    )
    for index in range(500):
        span.set_attribute(f"late.{index}", "a b")
    span.set_attribute("gen_ai.usage.output_tokens", 222)
    span.end()
    keys = {item.key for item in probe.exporter.spans[-1].attributes}
    assert {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "workspace.id"} <= keys


# --- what a caller can influence ------------------------------------------------------------------


class CopyBaggage(SpanProcessor):
    """As the baggage span processor does: every entry becomes an attribute."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        for key, value in baggage.get_all(parent_context).items():
            span.set_attribute(key, value)


def test_a_request_with_baggage_cannot_loosen() -> None:
    """``baggage: workspace.id=studio``, copied to the attribute by another processor."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    probe = Probe({}, CopyBaggage())
    context = baggage.set_baggage("workspace.id", "studio")
    assert not probe.is_raw(context=context)
    token = context_api.attach(context)
    assert not probe.is_raw()
    context_api.detach(token)
    assert probe.is_raw(attributes={"workspace.id": "studio"})


def test_a_child_that_was_open_when_its_parent_named_a_workspace_names_it_too(probe: Probe) -> None:
    """Its usage is billed to somebody, and whoever looks at it later knows whose it is."""
    with probe.tracer.start_as_current_span("parent") as parent, probe.tracer.start_as_current_span("child"):
        with probe.tracer.start_as_current_span("grandchild"):
            parent.set_attribute("workspace.id", "clinic")
        with probe.tracer.start_as_current_span("own", attributes={"workspace.id": "Ward"}):
            pass
    named = [
        attribute.value.string_value
        for span in probe.exporter.spans
        for attribute in span.attributes
        if attribute.key == "workspace.id"
    ]
    assert named == ["clinic", "Ward", "clinic", "clinic"]


def test_baggage_tightens() -> None:
    """The entry that the operator names, and the workspace key itself."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",), baggage_key="tenant"))
    probe = Probe()
    for key in ("tenant", "workspace.id"):
        context = baggage.set_baggage(key, "clinic")
        assert not probe.is_raw(context=context, attributes={"workspace.id": "studio"})
    assert probe.is_raw(
        context=baggage.set_baggage("tenant", "studio"), attributes={"workspace.id": "atelier"}
    )


def test_a_remote_parent_identifies_nobody(probe: Probe) -> None:
    """A traceparent from outside says nothing."""
    remote = trace_api.SpanContext(1, 2, True, trace_api.TraceFlags(1))
    context = trace_api.set_span_in_context(trace_api.NonRecordingSpan(remote))
    assert not probe.is_raw(context=context)


# --- the ambient set ------------------------------------------------------------------------------


def test_leaving_never_raises_and_removes_only_its_own_entry() -> None:
    """Out of order, twice, or in another context."""
    first, second = otel_zdr.workspace("a"), otel_zdr.workspace("b")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert ambient() == {"b"}
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert ambient() == frozenset()
    stack = ExitStack()
    stack.enter_context(otel_zdr.workspace("c"))
    thread = threading.Thread(target=stack.close)
    thread.start()
    thread.join()
    assert ambient() == {"c"}
    context_api.attach(context_api.Context())


def test_a_suspended_generator_does_not_colour_its_caller() -> None:
    """Its own code is for the workspace, the code between its steps is not."""

    def items() -> Iterator[frozenset[str]]:
        with otel_zdr.workspace("clinic"):
            yield ambient()
            yield ambient()

    seen = []
    for inside in items():
        assert inside == {"clinic"}
        seen.append(ambient())
    assert seen == [frozenset(), frozenset()]
    abandoned = items()
    next(abandoned)
    assert ambient() == frozenset()
    del abandoned
    gc.collect()
    assert ambient() == frozenset()


def test_the_decorator_works_on_all_four_kinds_of_functions() -> None:
    """Functions, generators, coroutines, async generators."""

    @otel_zdr.workspace("clinic")
    def plain() -> frozenset[str]:
        return ambient()

    @otel_zdr.workspace("clinic")
    def generator() -> Iterator[frozenset[str]]:
        got = yield ambient()
        assert got == "sent"
        yield ambient()

    @otel_zdr.workspace("clinic")
    async def coroutine() -> frozenset[str]:
        await asyncio.sleep(0)
        return ambient()

    @otel_zdr.workspace("clinic")
    async def async_generator() -> AsyncIterator[frozenset[str]]:
        yield ambient()
        await asyncio.sleep(0)
        yield ambient()

    assert plain() == {"clinic"}
    steps = generator()
    assert next(steps) == {"clinic"}
    assert ambient() == frozenset()
    assert steps.send("sent") == {"clinic"}
    steps.close()
    assert ambient() == frozenset()

    async def use() -> None:
        assert await coroutine() == {"clinic"}
        async for inside in async_generator():
            assert inside == {"clinic"}
            assert ambient() == frozenset()

    asyncio.run(use())
    assert ambient() == frozenset()


def test_the_decorator_covers_what_a_plain_function_returns_and_runs_later() -> None:
    """Other decorators make plain functions of coroutines and generators, and context managers of these."""

    def timed(function: Any) -> Any:
        @functools.wraps(function)
        def plain(*args: Any) -> Any:
            return function(*args)

        return plain

    @otel_zdr.workspace("clinic")
    @timed
    def generator() -> Iterator[frozenset[str]]:
        yield ambient()

    @otel_zdr.workspace("clinic")
    @timed
    async def coroutine() -> frozenset[str]:
        return ambient()

    @otel_zdr.workspace("clinic")
    @timed
    async def async_generator() -> AsyncIterator[frozenset[str]]:
        yield ambient()

    @otel_zdr.workspace("clinic")
    @contextmanager
    def manager() -> Iterator[None]:
        yield

    @otel_zdr.workspace("clinic")
    @asynccontextmanager
    async def async_manager() -> AsyncIterator[None]:
        yield

    class Visit:
        async def __call__(self) -> frozenset[str]:
            return ambient()

    async def use() -> None:
        assert await coroutine() == {"clinic"}
        assert await otel_zdr.workspace("clinic")(Visit())() == {"clinic"}
        assert [inside async for inside in async_generator()] == [{"clinic"}]
        async with async_manager():
            assert ambient() == {"clinic"}
        assert ambient() == frozenset()

    asyncio.run(use())
    assert list(generator()) == [{"clinic"}]
    with manager():
        assert ambient() == {"clinic"}
    assert ambient() == frozenset()


class _Written:
    """Of a class that no id has; the SDK writes its text."""

    def __str__(self) -> str:
        return "Clinic"


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (uuid.UUID(int=7), {str(uuid.UUID(int=7))}),
        (type("int64", (int,), {"__repr__": lambda self: "no"})(7), {"7"}),
        (type("float64", (float,), {})(2.5), {"2.5"}),
        (_Written(), {"clinic", UNIDENTIFIED}),
        ([_Written(), 7], {"clinic", UNIDENTIFIED, "7"}),
        (True, {UNIDENTIFIED}),
        (b"clinic", {UNIDENTIFIED}),
    ],
)
def test_ids_of_other_classes(value: Any, ids: set[str]) -> None:
    """What the SDK would write of a value names somebody too."""
    assert identify(value) == ids


@pytest.mark.parametrize("value", [uuid.UUID(int=7), _Written()])
@pytest.mark.parametrize("listed", [True, False])
def test_an_id_of_another_class_decides(value: Any, listed: bool) -> None:
    listing = (str(value) if listed else "other",)
    otel_zdr.install(otel_zdr.Settings(workspaces=listing, unidentified="retain"))
    assert Probe().is_raw(attributes={"workspace.id": value}) is not listed


def test_a_context_manager_made_of_a_generator_covers_its_body() -> None:
    """``@contextmanager``: the generator is suspended exactly while the body runs."""

    @contextmanager
    def tenant(id_: str) -> Iterator[None]:
        with otel_zdr.workspace(id_):
            yield

    with tenant("clinic"):
        assert ambient() == {"clinic"}
    assert ambient() == frozenset()


def test_tasks_that_a_suspended_generator_started_stay_under_its_workspace() -> None:
    """A copy of the context belongs to the work that was started in it."""

    async def work() -> frozenset[str]:
        await asyncio.sleep(0.01)
        return ambient()

    async def produce() -> AsyncIterator[Any]:
        with otel_zdr.workspace("clinic"):
            yield asyncio.ensure_future(work())

    async def use() -> None:
        async for task in produce():
            assert ambient() == frozenset()
            assert await task == {"clinic"}

    asyncio.run(use())


def test_a_task_started_inside_stays_inside_after_the_block_was_left() -> None:
    """No loosening when the block ends before the task does."""

    async def work() -> frozenset[str]:
        await asyncio.sleep(0.01)
        return ambient()

    async def use() -> None:
        with otel_zdr.workspace("clinic"):
            task = asyncio.ensure_future(work())
        assert ambient() == frozenset()
        assert await task == {"clinic"}

    asyncio.run(use())


def test_executors_follow_where_threading_is_instrumented(probe: Probe) -> None:
    """``opentelemetry-instrumentation-threading`` carries the context to threads and pools."""
    from opentelemetry.instrumentation.threading import ThreadingInstrumentor

    ThreadingInstrumentor().instrument()
    try:
        with ThreadPoolExecutor(2) as pool:
            with otel_zdr.workspace("clinic"):
                inside = pool.submit(probe.is_raw)
            with otel_zdr.workspace("studio"):
                outside = pool.submit(probe.is_raw)
            assert inside.result() is False
            assert outside.result() is True
            assert pool.submit(ambient).result() == frozenset()
    finally:
        ThreadingInstrumentor().uninstrument()


def test_eight_threads_that_switch_workspaces_do_not_bleed(probe: Probe) -> None:
    """No span of one workspace is treated as one of another."""
    wrong: list[str] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(150):
            workspace, raw = rng.choice([("clinic", False), ("studio", True), ("ward", False), ("lab", True)])
            made = canary()
            with otel_zdr.workspace(workspace):
                span = probe.tracer.start_span("x", attributes={"app.note": made})
                if rng.random() < 0.3:
                    with otel_zdr.workspace("ward"):
                        inner = canary()
                        probe.tracer.start_span("y", attributes={"app.note": inner}).end()
                        if inner.encode() in probe.exporter.data:
                            wrong.append("nested")
                span.end()
            found = any(made.encode() in request for request in list(probe.exporter.requests))
            if found is not raw:
                wrong.append(workspace)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_hundred_tasks_that_switch_workspaces_do_not_bleed(probe: Probe) -> None:
    """Interleaved tasks, each with its own workspace and children."""
    wrong: list[str] = []

    async def work(index: int) -> None:
        workspace, raw = [("clinic", False), ("studio", True)][index % 2]
        with otel_zdr.workspace(workspace):
            made = canary()
            with probe.tracer.start_as_current_span("x", attributes={"app.note": made}):
                await asyncio.sleep(random.random() / 100)
                child = canary()
                with probe.tracer.start_as_current_span("y", attributes={"app.note": child}):
                    await asyncio.sleep(random.random() / 100)
        data = probe.exporter.data
        wrong.extend(workspace for text in (made, child) if (text.encode() in data) is not raw)

    async def use() -> None:
        await asyncio.gather(*(work(index) for index in range(100)))

    asyncio.run(use())
    assert not wrong


def test_ten_thousand_workspaces_are_decided_like_one() -> None:
    """The look-up does not depend on how many there are."""
    otel_zdr.install(otel_zdr.Settings(workspaces=tuple(f"clinic-{index}" for index in range(10_000))))
    probe = Probe()
    assert not probe.is_raw(attributes={"workspace.id": "clinic-9999"})
    assert probe.is_raw(attributes={"workspace.id": "clinic-10000"})


def test_an_unlisted_workspace_is_announced_once(probe: Probe, caplog: pytest.LogCaptureFixture) -> None:
    """Operators see tenants that nobody thought of."""
    for _ in range(3):
        probe.is_raw(attributes={"workspace.id": "Newcomer"})
        probe.is_raw(attributes={"workspace.id": "clinic"})
    assert len([record for record in caplog.records if "newcomer" in record.message]) == 1
    assert not [record for record in caplog.records if "'clinic'" in record.message]


def test_an_announcement_that_only_opentelemetry_would_log_goes_to_standard_error(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the pipeline its text is removed like any other; with another handler it is the handler's."""
    logger = logging.getLogger("otel_zdr")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [LoggingHandler(logger_provider=pipeline.logger_provider)])
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    said = "otel-zdr: workspace 'newcomer' is named by no list or policy: it is not under ZDR\n"
    pipeline.tracer.start_span("x", attributes={"workspace.id": "newcomer"}).end()
    pipeline.tracer.start_span("x", attributes={"workspace.id": "newcomer"}).end()
    assert capsys.readouterr().err.count(said) == 1
    assert b"newcomer" not in pipeline.log_exporter.data
    heard = io.StringIO()
    logger.addHandler(logging.StreamHandler(heard))
    pipeline.tracer.start_span("x", attributes={"workspace.id": "latecomer"}).end()
    assert "latecomer" in heard.getvalue()
    assert "latecomer" not in capsys.readouterr().err


def test_a_workspace_that_is_no_id_counts_as_unidentified(probe: Probe) -> None:
    """``workspace(None)`` neither raises nor loosens."""
    with otel_zdr.workspace(None):
        assert not probe.is_raw()


def test_what_is_no_id_in_code_is_said_once() -> None:
    """Whoever passes a list or bytes believes that something is covered; what was passed is not shown."""
    secret = canary()
    source = (
        "import logging, otel_zdr; logging.basicConfig()\n"
        f"for given in (None, b'clinic', ['clinic'], '', type({secret!r}, (), {{}})()) * 2:\n"
        "    with otel_zdr.workspace(given): pass"
    )
    ran = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    lines = [line for line in ran.stderr.splitlines() if "workspace()" in line]
    assert len(lines) == 5
    assert "clinic" not in ran.stderr
    assert secret not in ran.stderr


def test_a_class_is_not_decorated() -> None:
    """It would look covered, and only the making of its objects would be."""
    with pytest.raises(TypeError, match="methods"):

        @otel_zdr.workspace("clinic")
        class Visit:
            pass


@pytest.mark.parametrize(("setting", "said"), [("", True), ("otel_zdr.install();", False)])
def test_a_workspace_that_no_gate_hears_of_is_said(setting: str, said: bool) -> None:
    """Whoever writes ``with workspace(...)`` believes that something is covered."""
    source = (
        f"import logging, opentelemetry.sdk.trace, otel_zdr; logging.basicConfig(); {setting}\n"
        "for _ in range(2):\n"
        "    with otel_zdr.workspace('clinic'): pass"
    )
    ran = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stderr.count("is not installed in this process") == said


LIMIT = 12
CUT_KEYS = ("error.type", "gen_ai.request.model", "gen_ai.tool.name", "server.address")


@pytest.mark.parametrize("retain", [True, False])
def test_the_beginning_that_a_length_limit_leaves_of_a_text_is_not_taken_for_a_token(
    monkeypatch: pytest.MonkeyPatch, retain: bool
) -> None:
    """The SDK cuts before it is known whose the span is; under ZDR from the start it is judged whole."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", str(LIMIT))

    def write(probe: Probe, workspace: str) -> str:
        start = "x" + canary().rpartition(" ")[2][: LIMIT - 1]
        text = start + " has an illness that nobody may know of"
        link = trace_api.Link(trace_api.SpanContext(1, 2, True), dict.fromkeys(CUT_KEYS, text))
        for at_start in (True, False):
            given = dict.fromkeys(CUT_KEYS, text)
            with probe.tracer.start_as_current_span(
                "x", attributes=given if at_start else {}, links=[link]
            ) as span:
                if not at_start:
                    span.set_attributes(given)
                    span.set_attribute("gen_ai.response.finish_reasons", [text])
                span.add_event("e", given)
                with probe.tracer.start_as_current_span("child") as child:
                    child.set_attributes(given)
                    span.set_attribute("workspace.id", workspace)
        return start

    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",), unidentified="retain" if retain else "redact"))
    probe = Probe()
    assert write(probe, "clinic").encode() not in probe.exporter.data
    assert len(probe.exporter.spans) == 4
    assert write(probe, "studio").encode() in probe.exporter.data
