"""Attacks that got through once: each with a control that shows what it would have carried out."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import types
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace.status import Status, StatusCode

import otel_zdr
from otel_zdr.testing import CapturingLogExporter, assert_no_content
from otel_zdr.workspaces import ambient

EVERYTHING = otel_zdr.Settings()
LISTED = otel_zdr.Settings(workspaces=("clinic",))
RETAINING = otel_zdr.Settings(workspaces=("clinic",), unidentified="retain")


def made_now() -> str:
    """A canary that is a token, so that its shape does not save it."""
    return "CANARY" + uuid.uuid4().hex


def leaked(data: bytes, text: str) -> bool:
    try:
        assert_no_content(data, [text])
    except AssertionError:
        return True
    return False


# --- what vendors write past the storages --------------------------------------------------------


def _name(span: Any, text: str) -> None:
    span._name = text


def _status(span: Any, text: str) -> None:
    span._status = Status(StatusCode.ERROR, text)


def _resource(span: Any, text: str) -> None:
    span._resource = span._resource.merge(Resource({"note": text}))


def _scope(span: Any, text: str) -> None:
    span._instrumentation_scope = InstrumentationScope(text)


def _attributes(span: Any, text: str) -> None:
    span._attributes._dict["note"] = text


def _all_attributes(span: Any, text: str) -> None:
    span._attributes = type(span._attributes)(None, {"note": text})


def _new_event(span: Any, text: str) -> None:
    span._events._dq.append(Event(text, {}))


def _event_name(span: Any, text: str) -> None:
    span.events[0]._name = text


def _event_attributes(span: Any, text: str) -> None:
    span.events[0]._attributes = {"note": text}


WRITES = [_name, _status, _resource, _scope, _attributes, _new_event, _event_name, _event_attributes]


@pytest.mark.parametrize("write", WRITES)
def test_what_is_written_into_an_open_span_past_its_methods_is_cleaned(
    make_pipeline: Any, write: Callable[[Any, str], None]
) -> None:
    def run() -> bytes:
        pipeline = make_pipeline()
        span = pipeline.tracer.start_span("chat")
        span.add_event("gen_ai.choice", {"index": 1})
        write(span, text)
        span.end()
        return pipeline.data

    text = made_now()
    assert leaked(run(), text)
    otel_zdr.install(EVERYTHING)
    assert not leaked(run(), text)


class Writer(SpanProcessor):
    """A vendor's processor that writes into the ended span before the next one exports it."""

    def __init__(self, write: Callable[[Any, str], None], text: str) -> None:
        self.write, self.text = write, text

    def on_end(self, span: ReadableSpan) -> None:
        self.write(span, self.text)


@pytest.mark.parametrize(
    "write", [_name, _status, _resource, _scope, _attributes, _all_attributes, _new_event]
)
def test_what_is_written_into_an_ended_span_meets_the_second_wall(
    make_pipeline: Any, write: Callable[[Any, str], None]
) -> None:
    def run() -> Any:
        pipeline = make_pipeline()
        multi = pipeline.tracer_provider._active_span_processor
        multi._span_processors = (Writer(write, text), *multi._span_processors)
        pipeline.tracer.start_span("chat", attributes={"gen_ai.usage.input_tokens": 7}).end()
        return pipeline.span_exporter

    text = made_now()
    assert leaked(run().data, text)
    otel_zdr.install(EVERYTHING)
    exporter = run()
    assert not leaked(exporter.data, text)
    if write is not _all_attributes:
        assert b"gen_ai.usage.input_tokens" in exporter.data


class Early(SpanProcessor):
    """Exports partial spans at the start."""

    def __init__(self, exporter: Any) -> None:
        self.exporter = exporter

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.exporter.export([span._readable_span()])


@pytest.mark.parametrize("settings", [EVERYTHING, LISTED])
def test_a_partial_span_carries_no_tracestate_of_the_caller(make_pipeline: Any, settings: Any) -> None:
    def run() -> Any:
        pipeline = make_pipeline()
        pipeline.tracer_provider.add_span_processor(Early(pipeline.span_exporter))
        state = trace.TraceState([("vendor", text)])
        parent = trace.NonRecordingSpan(trace.SpanContext(1, 2, True, trace.TraceFlags(1), state))
        span = pipeline.tracer.start_span("chat", context=trace.set_span_in_context(parent))
        # Propagation is not the gate's: the live span still has it.
        assert span.get_span_context().trace_state.get("vendor") == text
        return pipeline.span_exporter

    text = made_now()
    assert leaked(run().data, text)
    otel_zdr.install(settings)
    exporter = run()
    assert exporter.spans
    assert not leaked(exporter.data, text)


# --- keys that carry data ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gen_ai.completion.{digits}.role", "user"),
        ("gen_ai.aggregated_usage.{word}.tokens", 5),
        ("gen_ai.usage", '{{"{word} tokens":5,"prompt_tokens":7}}'),
        ("output.value", '{{"usage":{{"{word} tokens":5,"prompt_tokens":7}}}}'),
    ],
)
def test_an_allowed_key_has_no_room_for_data(make_pipeline: Any, key: str, value: Any) -> None:
    digits = str(uuid.uuid4().int)
    # Letters of other scripts are no separators between the words of the vocabulary.
    word = "".join(chr(0x4E00 + int(digit) * 7) for digit in digits[:12])
    given = {key.format(digits=digits, word=word): value.format(word=word) if type(value) is str else value}
    searched = [digits.encode(), word.encode(), json.dumps(word)[1:-1].encode()]

    def run() -> bytes:
        pipeline = make_pipeline()
        pipeline.tracer.start_span("chat", attributes=given).end()
        pipeline.logger.emit(LogRecord(attributes=given))
        return pipeline.data  # type: ignore[no-any-return]

    assert any(form in run() for form in searched)
    otel_zdr.install(EVERYTHING)
    data = run()
    assert not any(form in data for form in searched)
    if "prompt_tokens" in str(value):
        assert b"prompt_tokens" in data


@pytest.mark.parametrize("key", ["zdr.coverage", "zdr.product", "zdr.removed", "zdr.failsafe"])
def test_nobody_but_the_gate_writes_evidence(make_pipeline: Any, key: str) -> None:
    def run() -> bytes:
        pipeline = make_pipeline()
        span = pipeline.tracer.start_span("chat", attributes={key: text})
        span.set_attribute(key, text)
        span.add_event("gen_ai.choice", {key: text})
        span.end()
        pipeline.logger.emit(LogRecord(attributes={key: text}))
        pipeline.meter.create_counter("gen_ai.client.token.usage").add(1, {key: text})
        return pipeline.collect()  # type: ignore[no-any-return]

    text = made_now()
    assert leaked(run(), text)
    otel_zdr.install(EVERYTHING)
    assert not leaked(run(), text)


# --- who an item is for --------------------------------------------------------------------------


def test_the_attributes_of_a_measurement_name_its_workspace_in_any_mapping(make_pipeline: Any) -> None:
    def run(settings: Any) -> bytes:
        otel_zdr.install(settings)
        pipeline = make_pipeline()
        attributes = types.MappingProxyType({"workspace.id": "clinic", "note": text})
        pipeline.meter.create_counter("gen_ai.client.token.usage").add(1, attributes)
        return pipeline.collect()  # type: ignore[no-any-return]

    text = made_now()
    assert leaked(run(otel_zdr.Settings(workspaces=("none",))), text)
    otel_zdr.testing.uninstall()
    assert not leaked(run(RETAINING), text)


@pytest.mark.parametrize("settings", [EVERYTHING, LISTED])
def test_a_measurement_tells_whose_usage_it_is(make_pipeline: Any, settings: Any) -> None:
    otel_zdr.install(settings)
    pipeline = make_pipeline()
    with otel_zdr.workspace("clinic"):
        pipeline.meter.create_counter("gen_ai.client.token.usage").add(1, {"gen_ai.token.type": "input"})
    assert b"clinic" in pipeline.collect()


def test_a_tree_of_open_spans_that_is_deeper_than_the_stack_tightens_as_a_whole(make_pipeline: Any) -> None:
    def run(settings: Any) -> bytes:
        otel_zdr.testing.uninstall()
        otel_zdr.install(settings)
        pipeline = make_pipeline()
        spans: list[Any] = []
        context = None
        for _ in range(sys.getrecursionlimit() + 200):
            spans.append(pipeline.tracer.start_span("chat", context, attributes={"note": text}))
            context = trace.set_span_in_context(spans[-1])
        spans[0].set_attribute("workspace.id", "clinic")
        for span in reversed(spans):
            span.end()
        assert len(pipeline.span_exporter.spans) == len(spans)
        return pipeline.data  # type: ignore[no-any-return]

    text = made_now()
    assert leaked(run(otel_zdr.Settings(workspaces=("other",), unidentified="retain")), text)
    assert not leaked(run(RETAINING), text)


def test_work_that_a_finished_request_started_stays_with_its_workspace() -> None:
    """A later task may get the address of the one that entered the workspace."""
    found: list[frozenset[str]] = []

    async def leaf() -> None:
        found.append(ambient())

    async def worker() -> None:
        for _ in range(200):
            await asyncio.sleep(0)
            await asyncio.create_task(leaf())

    async def stream() -> Any:
        with otel_zdr.workspace("clinic"):
            yield asyncio.create_task(worker())

    kept: list[Any] = []

    async def request() -> Any:
        kept.append(stream())
        return await kept[0].__anext__()

    async def main() -> None:
        await (await asyncio.create_task(request()))
        await kept[0].aclose()

    asyncio.run(main())
    assert found == [frozenset(("clinic",))] * 200


def test_a_generator_without_a_caller_is_for_its_workspace() -> None:
    found: list[frozenset[str]] = []
    ended = threading.Event()

    @otel_zdr.workspace("clinic")
    def work() -> Any:
        found.append(ambient())
        ended.set()
        yield

    # The very first frame of its thread, as it is of a greenlet.
    running = work()
    _thread.start_new_thread(running.__next__, ())
    assert ended.wait(10)
    assert found == [frozenset(("clinic",))]


def test_one_workspace_object_may_be_entered_by_several_threads_at_once() -> None:
    shared = otel_zdr.workspace("clinic")
    both = threading.Barrier(2, timeout=10)
    inside: list[frozenset[str]] = []
    after: list[frozenset[str]] = []

    def first() -> None:
        with shared:
            both.wait()  # the other one enters now
            both.wait()
            inside.append(ambient())
        after.append(ambient())
        both.wait()

    def second() -> None:
        both.wait()
        with shared:
            both.wait()
            both.wait()  # the first has left
            inside.append(ambient())
        after.append(ambient())

    threads = [threading.Thread(target=target) for target in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == [frozenset(("clinic",))] * 2
    assert after == [frozenset()] * 2


# --- the application -----------------------------------------------------------------------------


def test_what_is_thrown_into_a_decorated_asynchronous_generator_reaches_it() -> None:
    found: list[str] = []

    @contextlib.asynccontextmanager
    @otel_zdr.workspace("clinic")
    async def transaction() -> Any:
        try:
            yield
        except ValueError:
            found.extend(ambient())

    async def main() -> None:
        async with transaction():
            raise ValueError("handled inside")

    asyncio.run(main())
    assert found == ["clinic"]


@pytest.mark.parametrize("key", [1, None, b"key", ["a", "list"], ""])
@pytest.mark.parametrize("workspace", ["clinic", "studio", None])
def test_a_key_that_is_no_text_raises_nothing(make_pipeline: Any, key: Any, workspace: str | None) -> None:
    otel_zdr.install(LISTED)
    span = make_pipeline().tracer.start_span("chat")
    if workspace is not None:
        span.set_attribute("workspace.id", workspace)
    span.set_attribute(key, "value")
    span.end()


_WRITES_TO_THE_SPAN = """
import faulthandler, logging, sys
faulthandler.dump_traceback_later(20, exit=True)
import otel_zdr
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

class Events(logging.Handler):
    def emit(self, record):
        trace.get_current_span().add_event("log", {"message": record.getMessage()})
        print("announced", flush=True)

otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
logging.getLogger().addHandler(Events())
with TracerProvider().get_tracer("t").start_as_current_span("chat") as span:
    span.set_attribute("workspace.id", "studio")
"""

_SIGNAL = """
import faulthandler, signal, time
faulthandler.dump_traceback_later(20, exit=True)
import otel_zdr
from opentelemetry.sdk.trace import TracerProvider

otel_zdr.install(otel_zdr.Settings())
tracer = TracerProvider().get_tracer("t")
count = 0

def interrupt(*_):
    global count
    count += 1
    tracer.start_span("chat", attributes={"note %d" % (count % 50): "some text"}).end()

signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
until = time.monotonic() + 3
kinds = 0
while time.monotonic() < until:
    kinds += 1
    for _ in range(20):
        from otel_zdr.sdk import evidence
        evidence.count_removed("span", {"prompt": 1})
        evidence.totals()
signal.setitimer(signal.ITIMER_REAL, 0)
assert count, "never interrupted"
print("alive")
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [(_WRITES_TO_THE_SPAN, "announced"), (_SIGNAL, "alive")],
    ids=["log handler", "signal"],
)
def test_nothing_waits_for_itself(program: str, said: str) -> None:
    """A handler that writes to the span whose workspace is announced; a signal in the middle of our work."""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert said in result.stdout


# --- parents that are not the SDK's own spans ----------------------------------------------------


def emit_below(pipeline: Any, parent: Any, text: str) -> bytes:
    """A span, a log record and a measurement with content, all inside ``parent``."""
    with trace.use_span(parent):
        pipeline.tracer.start_span("chat", attributes={"note": text}).end()
        pipeline.logger.emit(LogRecord(body=text))
        pipeline.meter.create_counter("gen_ai.client.token.usage").add(1, {"note": text})
    return pipeline.collect()  # type: ignore[no-any-return]


@pytest.mark.parametrize("late", [False, True])
def test_a_parent_that_is_not_sampled_still_says_whom_its_children_are_for(
    make_pipeline: Any, late: bool
) -> None:
    def run(workspace: str) -> bytes:
        provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
        named = {"workspace.id": workspace}
        parent = provider.get_tracer("t").start_span("chat", attributes=None if late else named)
        assert not parent.is_recording()
        if late:
            parent.set_attributes(named)
        return emit_below(make_pipeline(), parent, text)

    text = made_now()
    otel_zdr.install(RETAINING)
    assert leaked(run("studio"), text)
    assert not leaked(run("clinic"), text)
    otel_zdr.testing.uninstall()
    otel_zdr.install(LISTED)
    assert leaked(run("studio"), text), "content of a workspace that is not under ZDR is kept"
    assert not leaked(run("clinic"), text)


class Wrapped(trace.NonRecordingSpan):
    """As vendors hand spans out: an object of their own that holds the SDK's."""

    def __init__(self, span: Any) -> None:
        super().__init__(span.get_span_context())
        self.inner = span

    def is_recording(self) -> bool:
        return True


def test_a_parent_that_a_vendor_wraps_still_says_whom_its_children_are_for(make_pipeline: Any) -> None:
    def run(workspace: str) -> bytes:
        pipeline = make_pipeline()
        parent = Wrapped(pipeline.tracer.start_span("chat", attributes={"workspace.id": workspace}))
        return emit_below(pipeline, parent, text)

    text = made_now()
    otel_zdr.install(RETAINING)
    assert leaked(run("studio"), text)
    assert not leaked(run("clinic"), text)


# --- log records that processors write into ------------------------------------------------------


def _record_body(item: Any, text: str) -> None:
    item.log_record.body = text


def _record_attribute(item: Any, text: str) -> None:
    item.log_record.attributes._dict["note"] = text


def _record_attributes(item: Any, text: str) -> None:
    item.log_record.attributes = {**item.log_record.attributes, "note": text}


def _record_resource(item: Any, text: str) -> None:
    item.resource = Resource({"note": text})


def _record_scope(item: Any, text: str) -> None:
    item.instrumentation_scope = InstrumentationScope(text)


class RecordWriter(LogRecordProcessor):
    def __init__(self, write: Callable[[Any, str], None], text: str) -> None:
        self.write, self.text = write, text

    def on_emit(self, log_record: Any) -> None:
        self.write(log_record, self.text)

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


@pytest.mark.parametrize("settings", [EVERYTHING, RETAINING])
@pytest.mark.parametrize(
    "write", [_record_body, _record_attribute, _record_attributes, _record_resource, _record_scope]
)
def test_what_a_processor_writes_into_a_log_record_meets_the_second_wall(
    write: Callable[[Any, str], None], settings: Any
) -> None:
    def run() -> Any:
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(RecordWriter(write, text))
        exporter = CapturingLogExporter()
        batch = BatchLogRecordProcessor(exporter)
        provider.add_log_record_processor(batch)
        given = {"workspace.id": "clinic", "gen_ai.usage.input_tokens": 7}
        provider.get_logger("t").emit(LogRecord(attributes=given))
        batch.force_flush()
        provider.shutdown()
        return exporter

    text = made_now()
    assert leaked(run().data, text)
    otel_zdr.install(settings)
    exporter = run()
    assert not leaked(exporter.data, text)
    assert b"gen_ai.usage.input_tokens" in exporter.data
