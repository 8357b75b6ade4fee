"""What a ``logging`` record says before a handler formats it: its template and its exception object.

By the time a record reaches ``Logger.emit`` its body is the formatted message and its exception a text.
The handlers of the SDK (deprecated) and of opentelemetry-instrumentation-logging are made to say which
``logging`` record they are about to emit, so that frames come from the exception object and a ``msg``
that is a proven literal may stay.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

from otel_zdr.import_hooks import when_imported
from otel_zdr.redaction import literals
from otel_zdr.sdk import failure, gate

_HANDLERS = (
    ("opentelemetry.sdk._logs._internal", "LoggingHandler"),
    ("opentelemetry.instrumentation.logging.handler", "LoggingHandler"),
)


class _Emitting(threading.local):
    """The ``logging`` record that this thread hands to OpenTelemetry."""

    #: Of the class: what a thread has not set is found without an error inside, which most records would pay for.
    record: Any = None


_emitting = _Emitting()
_hooked: set[str] = set()


def install() -> None:
    """Let the handlers say which record they emit, now or as they are imported. Idempotent."""
    for module, cls in _HANDLERS:
        if module not in _hooked:
            _hooked.add(module)
            when_imported(module, partial(_patch, class_name=cls))


def template(holding: gate.Gate, body: object) -> str | None:
    """The proven template of the record that is being emitted with this `body`, None if there is none.

    Only with ``OTEL_ZDR_LITERALS=all``. Must be called from ``Logger.emit``, below the application's
    log call. The arguments are never looked at.
    """
    if holding.literals != "all":
        return None
    record = _emitting.record
    if record is None:
        # No handler made it: structlog's own way to OpenTelemetry hands the event over as the body.
        return body if type(body) is str and literals.proven_event(body) else None
    message = vars(record).get("msg")
    if type(message) is dict:  # structlog's ProcessorFormatter.wrap_for_formatter
        message = message.get("event")
    return message if type(message) is str and literals.proven_template(message) else None


def exception() -> BaseException | None:
    """The exception object of the ``logging`` record that is being emitted, if it has one."""
    record = _emitting.record
    information = vars(record).get("exc_info") if record is not None else None
    if type(information) is tuple and len(information) == 3:
        found = information[1]
        # isinstance() would ask an object of another type for its __class__.
        return found if issubclass(type(found), BaseException) else None
    return None


def _patch(module: Any, class_name: str) -> None:
    owner = getattr(module, class_name, None)
    original = getattr(owner, "emit", None)
    if owner is not None and original is not None:
        owner.emit = _saying_emit(original)


def _saying_emit(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def emit(self: Any, record: Any) -> None:
        holding = gate.current
        if holding is None or holding.policy.nothing:
            original(self, record)
            return
        before = _emitting.record
        _emitting.record = record
        try:
            original(self, _unformatted(record) if holding.policy.everything else record)
        finally:
            _emitting.record = before

    emit.__wrapped__ = original  # type: ignore[attr-defined]
    return emit


def _unformatted(record: Any) -> Any:
    """The record without its exception: where everything is under ZDR nobody needs it as text."""
    try:
        if not record.exc_info and not record.exc_text:
            return record
        unformatted = copy(record)
        unformatted.exc_info = unformatted.exc_text = None
        return unformatted
    except Exception as error:  # a record of a class of its own
        failure.note("log", error)
        return record
