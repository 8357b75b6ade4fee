"""Exceptions end to end: where it failed stays, what it failed on does not."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.trace import Status, StatusCode

import otel_zdr
from otel_zdr.redaction.frames import LINE
from otel_zdr.settings import Settings
from otel_zdr.testing import assert_no_content, canary
from tests.conftest import RECORDS_HOLD_EXCEPTIONS

THIS = Path(__file__).name


@pytest.fixture
def secret() -> str:
    return canary()


@pytest.fixture
def gate() -> None:
    otel_zdr.install(Settings())


class PaymentError(Exception):
    """An exception of an application."""


def charge(text: str) -> None:
    try:
        raise ConnectionError(text)
    except ConnectionError as error:
        raise PaymentError(f"charging {text} failed") from error


def exception_of(span: Any) -> dict[str, str]:
    (event,) = [event for event in span.events if event.name == "exception"]
    return {attribute.key: attribute.value.string_value for attribute in event.attributes}


def assert_frames(attributes: dict[str, str], *functions: str) -> None:
    lines = attributes["exception.stacktrace"].split("\n")
    assert all(re.fullmatch(LINE, line) for line in lines), lines
    for function in functions:
        assert any(re.fullmatch(rf"{re.escape(THIS)}:\d+ {re.escape(function)}", line) for line in lines), (
            lines
        )


def record(pipeline: Any, text: str) -> None:
    with pipeline.tracer.start_as_current_span("a span") as span:
        try:
            charge(text)
        except PaymentError as error:
            span.record_exception(error)


def test_without_the_gate_the_message_is_exported(pipeline: Any, secret: str) -> None:
    record(pipeline, secret)

    assert secret.encode() in pipeline.data  # the control of every test below


def test_record_exception_exports_frames(gate: None, pipeline: Any, secret: str) -> None:
    record(pipeline, secret)

    attributes = exception_of(pipeline.span_exporter.spans[0])
    assert attributes["exception.type"] == f"{__name__}.PaymentError"
    assert "exception.message" not in attributes
    assert_frames(attributes, "record", "charge")
    assert "cause: builtins.ConnectionError" in attributes["exception.stacktrace"]
    assert re.fullmatch("[0-9a-f]{16}", attributes["zdr.exception.fingerprint"])
    assert_no_content(pipeline.data, [secret])


def test_the_span_context_manager_exports_frames(gate: None, pipeline: Any, secret: str) -> None:
    def fail() -> None:
        with pipeline.tracer.start_as_current_span("a span"):
            charge(secret)

    with pytest.raises(PaymentError) as info:
        fail()

    assert secret in str(info.value)  # the application's own exception is untouched
    (span,) = pipeline.span_exporter.spans
    assert_frames(exception_of(span), "charge")
    assert span.status.code == StatusCode.ERROR.value
    assert span.status.message == ""
    assert_no_content(pipeline.data, [secret])


def test_the_same_failure_has_the_same_fingerprint(gate: None, pipeline: Any) -> None:
    for _ in range(2):
        record(pipeline, canary())

    first, second = (exception_of(span) for span in pipeline.span_exporter.spans)
    assert first["zdr.exception.fingerprint"] == second["zdr.exception.fingerprint"]


@pytest.mark.parametrize("unusual", ["attributes", "text only"])
def test_text_is_removed_and_never_parsed(gate: None, pipeline: Any, secret: str, unusual: str) -> None:
    formatted = f'Traceback:\n  File "app.py", line 3, in main\n{THIS}:3 {secret}\nValueError: {secret}'
    with pipeline.tracer.start_as_current_span("a span") as span:
        if unusual == "attributes":
            span.record_exception(
                PaymentError(secret),
                attributes={"exception.stacktrace": formatted, "exception.message": secret, secret: secret},
            )
        else:
            span.add_event("exception", {"exception.type": "ValueError", "exception.stacktrace": formatted})
        span.set_status(Status(StatusCode.ERROR, formatted))

    assert_no_content(pipeline.data, [secret])
    attributes = exception_of(pipeline.span_exporter.spans[0])
    assert attributes["exception.type"]
    assert "Traceback" not in attributes.get("exception.stacktrace", "")


def test_log_records_with_exc_info_export_frames(gate: None, pipeline: Any, secret: str) -> None:
    logger = logging.Logger("acme")
    logger.addHandler(LoggingHandler(logger_provider=pipeline.logger_provider))
    try:
        charge(secret)
    except PaymentError:
        logger.exception("charging %s failed", secret)
        logger.error(secret, exc_info=True)

    for exported in pipeline.log_exporter.records:
        attributes = {attribute.key: attribute.value.string_value for attribute in exported.attributes}
        assert attributes["exception.type"].endswith("PaymentError")
        assert_frames(attributes, "charge")
    assert len(pipeline.log_exporter.records) == 2
    assert_no_content(pipeline.data, [secret])


@pytest.mark.skipif(
    not RECORDS_HOLD_EXCEPTIONS,
    reason="this version of the API has no exception on log records",
)
def test_the_exception_object_of_a_log_record_exports_frames(gate: None, pipeline: Any, secret: str) -> None:
    try:
        charge(secret)
    except PaymentError as error:
        pipeline.logger.emit(LogRecord(body=secret, exception=error))

    (exported,) = pipeline.log_exporter.records
    attributes = {attribute.key: attribute.value.string_value for attribute in exported.attributes}
    assert_frames(attributes, "charge")
    assert_no_content(pipeline.data, [secret])


class HostileError(Exception):
    def _never(self, *_args: object) -> Any:
        raise RuntimeError("code of the exception was run")

    __str__ = __repr__ = _never  # type: ignore[assignment]
    __cause__ = property(_never)  # type: ignore[assignment]
    __class__ = property(_never)  # type: ignore[assignment]
    __traceback__ = property(_never)  # type: ignore[assignment]


def errors(secret: str) -> list[BaseException]:
    tag = secret.rsplit(" ", 1)[-1]
    made = type(f"Error{tag}", (PaymentError,), {})
    cyclic = ValueError(secret)
    cyclic.__cause__ = KeyError(secret)
    cyclic.__cause__.__cause__ = cyclic
    found: list[BaseException] = [
        HostileError(secret),
        made(secret),
        type(secret, (LookupError,), {"__module__": secret})(),
        cyclic,
        UnicodeDecodeError("utf-8", secret.encode(), 0, 1, secret),
        SyntaxError(secret, (f"{secret}.py", 1, 1, secret)),
    ]
    if sys.version_info >= (3, 11):
        found.append(ExceptionGroup(secret, [ValueError(secret) for _ in range(300)]))  # noqa: F821
        noted = PaymentError()
        noted.add_note(secret)
        found.append(noted)
    return found


def test_hostile_exceptions_leak_nothing_and_break_nothing(gate: None, pipeline: Any, secret: str) -> None:
    tag = secret.rsplit(" ", 1)[-1]
    count = len(errors(secret))
    for error in errors(secret):
        with pipeline.tracer.start_as_current_span("a span") as span:
            try:
                raise error
            except BaseException as caught:
                span.record_exception(caught)

    assert len(pipeline.span_exporter.spans) == count
    for exported in pipeline.span_exporter.spans:
        assert_frames(exception_of(exported), "test_hostile_exceptions_leak_nothing_and_break_nothing")
    assert_no_content(pipeline.data, [secret, tag])


def test_a_hostile_exception_in_the_context_manager_leaks_nothing(
    gate: None, pipeline: Any, secret: str
) -> None:
    raised: list[type] = []
    try:
        with pipeline.tracer.start_as_current_span("a span"):
            raise HostileError(secret)
    except BaseException as caught:
        raised.append(type(caught))

    # The API itself formats the exception for the status, and lets what that raises out (raw too).
    assert raised[0] in (HostileError, RuntimeError)
    assert exception_of(pipeline.span_exporter.spans[0])["exception.type"] == f"{__name__}.HostileError"
    assert_no_content(pipeline.data, [secret])


def test_a_deep_recursion_is_short(gate: None, pipeline: Any, secret: str) -> None:
    def recurse(depth: int) -> None:
        if depth:
            recurse(depth - 1)
        charge(secret)

    with pipeline.tracer.start_as_current_span("a span") as span:
        try:
            recurse(700)
        except PaymentError as error:
            span.record_exception(error)

    assert len(exception_of(pipeline.span_exporter.spans[0])["exception.stacktrace"].split("\n")) < 20
    assert_no_content(pipeline.data, [secret])


def test_code_made_at_run_time_is_not_shown(gate: None, pipeline: Any, secret: str) -> None:
    name = "f" + uuid.uuid4().hex
    exec(compile(f"def {name}(f, t):\n    f(t)", f"/{secret}.py", "exec"), scope := {"__name__": __name__})
    with pipeline.tracer.start_as_current_span("a span") as span:
        try:
            scope[name](charge, secret)  # type: ignore[operator]
        except PaymentError as error:
            span.record_exception(error)

    assert "+1 frames" in exception_of(pipeline.span_exporter.spans[0])["exception.stacktrace"]
    assert_no_content(pipeline.data, [secret, name])


def test_a_coroutine_shows_its_frames(gate: None, pipeline: Any, secret: str) -> None:
    async def work() -> None:
        with pipeline.tracer.start_as_current_span("a span"):
            await asyncio.sleep(0)
            charge(secret)

    with pytest.raises(PaymentError):
        asyncio.run(work())

    assert_frames(exception_of(pipeline.span_exporter.spans[0]), "charge")
    assert_no_content(pipeline.data, [secret])


def test_other_workspaces_keep_their_messages(pipeline: Any, secret: str) -> None:
    otel_zdr.install(Settings(workspaces=("clinic",), unidentified="retain"))
    with pipeline.tracer.start_as_current_span("a span", attributes={"workspace.id": "studio"}) as span:
        span.record_exception(PaymentError(secret))

    assert exception_of(pipeline.span_exporter.spans[0])["exception.message"] == secret
