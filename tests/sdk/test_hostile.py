"""Values, keys, exceptions, processors and exporters that misbehave: no leak, no raise, no item lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanContext

import otel_zdr
from otel_zdr.testing import CapturingLogExporter, CapturingSpanExporter, assert_no_content, canary
from tests.conftest import RECORDS_HOLD_EXCEPTIONS

CONTEXT = SpanContext(0xA1, 0xB2, True)
MODEL = "gen_ai.request.model"


class Angry(str):
    """A text whose every method raises."""

    def _no(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError(str.__str__(self))

    __eq__ = __len__ = __str__ = __repr__ = __contains__ = __iter__ = __getitem__ = __format__ = _no  # type: ignore
    encode = lower = strip = startswith = partition = split = replace = _no  # type: ignore[assignment]
    __hash__ = _no  # type: ignore[assignment]


class Liar(str):
    """A text that says it is another."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("gen_ai.request.model")

    def __len__(self) -> int:
        return 3

    def __str__(self) -> str:
        return "gpt"


class LyingNumber(int):
    """A number that is written as a text."""

    text = ""

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class AngryMapping(Mapping[str, Any]):
    """A mapping that cannot be read."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __getitem__(self, key: str) -> Any:
        raise KeyError(self.text)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError(self.text)

    def __len__(self) -> int:
        return 1

    def items(self) -> Any:
        raise RuntimeError(self.text)

    __repr__ = __str__ = lambda self: self.text  # type: ignore[assignment]


class ArrayLike:
    """What looks like an array of numpy."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.dtype, self.shape = "uint8", (len(text),)

    def __array__(self, *_: Any) -> Any:
        return list(self.text.encode())

    tolist = __array__

    def __iter__(self) -> Iterator[int]:
        return iter(self.text.encode())

    def __len__(self) -> int:
        return len(self.text)

    def __eq__(self, other: object) -> Any:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return self.text


class Impostor:
    """An object that says it is a text."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def __class__(self) -> Any:
        return str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def endless_list(text: str) -> Any:
    made: list[Any] = [text]
    made.append(made)
    return made


def endless_mapping(text: str) -> Any:
    made: dict[str, Any] = {"text": text}
    made["usage"] = made
    return made


def deep(text: str) -> Any:
    made: Any = text
    for _ in range(3_000):
        made = {"usage": made}
    return made


def lying_number(text: str) -> Any:
    made = LyingNumber(3)
    made.text = text
    return made


VALUES: dict[str, Callable[[str], Any]] = {
    "angry text": Angry,
    "lying text": Liar,
    "lying number": lying_number,
    "angry mapping": AngryMapping,
    "array": ArrayLike,
    "impostor": Impostor,
    "generator": lambda text: (letter for letter in text),
    "iterator": lambda text: iter([text]),
    "set": lambda text: {text},
    "bytes": lambda text: text.encode(),
    "bytearray": lambda text: bytearray(text.encode()),
    "memoryview": lambda text: memoryview(text.encode()),
    "code points": lambda text: [ord(letter) for letter in text],
    "vector": lambda text: [ord(letter) / 256 for letter in text],
    "long integer": lambda text: int.from_bytes(text.encode(), "big"),
    "complex": lambda text: complex(len(text), 1),
    "type": lambda text: type(text.replace(" ", "_"), (), {}),
    "exception": ValueError,
    "lone surrogate": lambda text: text + "\ud800",
    "nul": lambda text: "\0" + text,
    "list in itself": endless_list,
    "mapping in itself": endless_mapping,
    "deep": deep,
    "list of angry texts": lambda text: [Angry(text)],
    "list of lying texts": lambda text: ["stop", Liar(text)],
    "mapping of angry keys": lambda text: {"x": {"y": {1: text, None: text, (1,): text, b"b": text}}},
    "brackets": lambda text: "[" * 1_000_000 + text,
    "ten megabytes": lambda text: text * (10_000_000 // len(text)),
    "many keys": lambda text: {f"{text} {index}": index for index in range(100_000)},
}
KEYS: dict[str, Callable[[str], Any]] = {
    "empty": lambda text: "",
    "none": lambda text: None,
    "number": lambda text: 1,
    "bytes": lambda text: text.encode(),
    "unhashable": lambda text: [text],
    "angry text": Angry,
    "lying text": Liar,
    "impostor": Impostor,
    "long": lambda text: text * 10_000,
    "below usage": lambda text: f"gen_ai.usage.{text}",
    "token below usage": lambda text: f"gen_ai.usage.{text.replace(' ', '_')}",
}
SETTINGS = pytest.mark.parametrize(
    "settings",
    [otel_zdr.Settings(), otel_zdr.Settings(workspaces=("clinic",))],
    ids=["everything", "listed"],
)


def searched(text: str) -> list[str]:
    return [text, text.replace(" ", "_")]


def breaks_the_sdk(value: Any) -> bool:
    """Whether the SDK itself raises when it copies the value into a link or measurement, with or without the gate."""
    try:
        BoundedAttributes(None, {"x": value})
    except Exception:
        return True
    return False


def write(p: Any, key: Any, value: Any) -> int:
    """Write ``value`` wherever a value can stand; returns how many spans were made."""
    pairs = {}
    try:
        pairs = {key: value}
    except Exception:
        pairs = {}
    p.tracer.start_span("x", attributes={**pairs, "gen_ai.usage.input_tokens": 1}).end()
    span = p.tracer.start_span("x", attributes={"gen_ai.usage.input_tokens": 1})
    span.set_attribute(key, value)
    span.set_attributes(pairs)
    span.set_attribute("gen_ai.usage.details", value)
    span.add_event("exception", pairs)
    if not breaks_the_sdk(value):
        span.add_link(CONTEXT, pairs)
    span.set_attribute("workspace.id", value)
    span.end()
    links = [] if breaks_the_sdk(value) else [Link(CONTEXT, pairs)]
    p.tracer.start_span("x", links=links, attributes={"gen_ai.usage.input_tokens": 1}).end()
    p.logger.emit(LogRecord(body=value, attributes=pairs))
    p.logger.emit(
        LogRecord(body={"message": value, "usage": value}, attributes={"gen_ai.usage.details": value})
    )
    p.meter.create_counter("gen_ai.client.token.usage").add(1, {} if breaks_the_sdk(value) else pairs)
    return 3


@SETTINGS
@pytest.mark.parametrize("kind", VALUES, ids=str)
def test_a_hostile_value_neither_leaks_nor_raises_nor_costs_an_item(
    make_pipeline: Any, kind: str, settings: otel_zdr.Settings
) -> None:
    """Under an allowed key and under others, in every place that takes a value."""
    otel_zdr.install(settings)
    p = make_pipeline({"service.name": "test", "workspace.id": "clinic"})
    text = canary()
    for key in (MODEL, "app.note"):
        write(p, key, VALUES[kind](text))
    data = p.collect()
    assert_no_content(data, searched(text))
    assert len(p.span_exporter.spans) == 6
    assert len(p.log_exporter.records) == 4
    assert p.metric_exporter.metrics
    figures = [{item.key: item.value.int_value for item in span.attributes} for span in p.span_exporter.spans]
    assert all(figure["gen_ai.usage.input_tokens"] == 1 for figure in figures)


@SETTINGS
@pytest.mark.parametrize("kind", KEYS, ids=str)
def test_a_hostile_key_neither_leaks_nor_raises_nor_costs_an_item(
    make_pipeline: Any, kind: str, settings: otel_zdr.Settings
) -> None:
    """Keys that the SDK would refuse, and keys that are content."""
    otel_zdr.install(settings)
    p = make_pipeline({"service.name": "test", "workspace.id": "clinic"})
    text = canary()
    for value in (1, text):
        write(p, KEYS[kind](text), value)
    assert_no_content(p.collect(), searched(text))
    assert len(p.span_exporter.spans) == 6
    assert len(p.log_exporter.records) == 4


@pytest.mark.parametrize("kind", ["ten megabytes", "many keys", "brackets", "deep"])
def test_size_costs_no_more_than_a_look(make_pipeline: Any, kind: str) -> None:
    """Content of any size is dropped without being walked through."""
    otel_zdr.install()
    p = make_pipeline()
    value = VALUES[kind](canary())
    span = p.tracer.start_span("x")
    began = time.perf_counter()
    for _ in range(20):
        span.set_attribute("app.note", value)
        span.set_attribute("output.value", value)
    taken = (time.perf_counter() - began) / 40
    span.end()
    # A thousand keys are looked at, however many there are; no megabyte is walked through.
    assert taken < (0.1 if kind == "many keys" else 0.005), f"{taken * 1e3:.1f} ms a value"


class Silent(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Boobytrapped(Exception):
    """An exception whose attributes raise."""

    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no cause")

    @property
    def __notes__(self) -> Any:
        raise RuntimeError("no notes")


def looped(text: str) -> BaseException:
    first, second = ValueError(text), KeyError(text)
    first.__cause__, second.__context__ = second, first
    return first


def noted(text: str) -> BaseException:
    made = ValueError(text)
    made.__notes__ = [text]  # type: ignore[attr-defined]
    return made


def renamed(text: str) -> BaseException:
    kind = type(text, (Exception,), {"__module__": text, "__qualname__": text})
    return kind(text)  # type: ignore[no-any-return]


EXCEPTIONS: dict[str, Callable[[str], BaseException]] = {
    "silent": Silent,
    "boobytrapped": Boobytrapped,
    "looped": looped,
    "noted": noted,
    "named by content": renamed,
    "key error": KeyError,
    "exit": SystemExit,
    "unicode": lambda text: UnicodeDecodeError("utf-8", text.encode(), 0, 1, text),
    "file": lambda text: FileNotFoundError(2, text, text),
}


@SETTINGS
@pytest.mark.parametrize("kind", EXCEPTIONS, ids=str)
def test_a_hostile_exception_reaches_the_application_as_it_was_and_leaks_nothing(
    make_pipeline: Any, kind: str, settings: otel_zdr.Settings
) -> None:
    """Escaping from a span, recorded by hand, and on a log record."""
    otel_zdr.install(settings)
    p = make_pipeline()
    text = canary()
    made = EXCEPTIONS[kind](text)
    # The API formats an escaping exception itself: one without a text breaks it with or without the gate.
    status = kind != "silent"
    with (
        pytest.raises(type(made)) as caught,
        p.tracer.start_as_current_span("x", set_status_on_exception=status),
    ):
        raise made
    assert caught.value is made
    span = p.tracer.start_span("x")
    span.record_exception(made, {"app.note": text})
    span.end()
    record = LogRecord(body=text)
    if RECORDS_HOLD_EXCEPTIONS:
        record.exception = made
    p.logger.emit(record)
    data = p.collect()
    assert_no_content(data, searched(text))
    assert len(p.span_exporter.spans) == 2
    assert len(p.log_exporter.records) == 1


class Raising(SpanProcessor):
    """A vendor's processor that raises in one hook."""

    def __init__(self, hook: str, text: str) -> None:
        self.hook, self.text = hook, text

    def _fail(self, hook: str) -> None:
        if hook == self.hook:
            raise RuntimeError(self.text)

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._fail("on_start")

    def _on_ending(self, span: Any) -> None:
        self._fail("_on_ending")

    def on_end(self, span: Any) -> None:
        self._fail("on_end")


class RaisingLogs(LogRecordProcessor):
    """The same for log records."""

    def __init__(self, text: str) -> None:
        self.text = text

    def on_emit(self, log_record: Any) -> None:
        raise RuntimeError(self.text)

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


@pytest.mark.parametrize("gate", [True, False], ids=["zdr", "raw"])
@pytest.mark.parametrize("hook", ["on_start", "_on_ending", "on_end"])
def test_a_raising_vendors_processor_behaves_as_with_the_sdk_alone(hook: str, gate: bool) -> None:
    """Its exception reaches the application either way; what is exported before it is clean."""
    if gate:
        otel_zdr.install()
    text = canary()
    exporter = CapturingSpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.add_span_processor(Raising(hook, text))
    with pytest.raises(RuntimeError, match=text):
        provider.get_tracer("t").start_span(text, attributes={"app.note": text}).end()
    assert (text.encode() in exporter.data) is (not gate and hook == "on_end")
    assert bool(exporter.spans) is (hook == "on_end")


@pytest.mark.parametrize("gate", [True, False], ids=["zdr", "raw"])
def test_a_raising_log_processor_behaves_as_with_the_sdk_alone(make_pipeline: Any, gate: bool) -> None:
    """Once, and not twice: its exception reaches the application, the record was exported before."""
    if gate:
        otel_zdr.install()
    p, text = make_pipeline(), canary()
    p.logger_provider.add_log_record_processor(RaisingLogs(text))
    with pytest.raises(RuntimeError, match=text):
        p.logger.emit(LogRecord(body=text))
    assert len(p.log_exporter.records) == 1
    assert (text.encode() in p.log_exporter.data) is not gate


def test_an_exporter_that_raises_loses_its_own_batch_only() -> None:
    """The application and the other exporters do not notice."""

    class Broken(CapturingSpanExporter):
        def export(self, spans: Any) -> Any:
            raise RuntimeError("no network")

    class BrokenLogs(CapturingLogExporter):
        def export(self, batch: Any) -> Any:
            raise RuntimeError("no network")

    otel_zdr.install()
    text = canary()
    exporter = CapturingSpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Broken()))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("t").start_span(text).end()
    assert len(exporter.spans) == 1
    assert_no_content(exporter.data, [text])
    from opentelemetry.sdk._logs import LoggerProvider

    logs = CapturingLogExporter()
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(BrokenLogs()))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    loggers.get_logger("t").emit(LogRecord(body=text))
    assert len(logs.records) == 1
