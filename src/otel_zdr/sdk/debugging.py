"""What is provably code stays readable: frames of exception objects, literals of the application's code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_zdr.redaction import frames, literals
from otel_zdr.sdk import handlers

if TYPE_CHECKING:
    from otel_zdr.sdk.gate import Gate


def exception_attributes(exception: BaseException) -> dict[str, Any]:
    """Type, frames and fingerprint of an exception: built from the object, never from formatted text."""
    kind, stacktrace, fingerprint = frames.describe(exception)
    return {
        "exception.type": kind,
        "exception.stacktrace": stacktrace,
        "zdr.exception.fingerprint": fingerprint,
    }


def is_proven_name(gate: Gate, name: object) -> bool:
    """Whether ``name`` is a literal of the application's code and the settings let those stay."""
    return gate.literals != "none" and literals.proven_name(name)


def log_body(gate: Gate, record: Any, removed: dict[str, int]) -> Any:
    """The body that stays: a structured one pruned, a text only as a proven template."""
    template = handlers.template(gate, record.body)
    if template is not None:
        if template != record.body:  # the arguments are gone
            removed["free_text"] = removed.get("free_text", 0) + 1
        return template
    return gate.redactor.body(record.body, record.event_name, removed)


def describe_exception(
    exception: BaseException | None, raw: Any, attributes: dict[str, Any], removed: dict[str, int]
) -> None:
    """Put what holds no data of a log record's exception object among its cleaned attributes."""
    if exception is None:
        exception = handlers.exception()  # the handlers of `logging` hand over its text only
    if exception is None:
        return
    if not raw or "exception.message" not in raw:
        removed["error_text"] = removed.get("error_text", 0) + 1
    attributes.update(exception_attributes(exception))


def with_exception(attributes: Any, exception: BaseException | None) -> Any:
    """The attributes as the SDK's own emit would make them, for a record that stays raw."""
    if exception is None:
        return attributes
    from opentelemetry.sdk._logs._internal._exceptions import _get_attributes_with_exception

    return _get_attributes_with_exception(attributes, exception)
