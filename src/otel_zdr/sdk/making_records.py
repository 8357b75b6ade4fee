"""Making a log record whose storage is the gate's: as :mod:`otel_zdr.sdk.span.making` does for spans.

Apart from it: a signal's modules import that signal of the SDK only, as any may be half imported.
"""

from __future__ import annotations

from typing import Any

from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadWriteLogRecord

from otel_zdr.catalogue.words import word_set
from otel_zdr.sdk.signatures import names_of

_NAMES_OF_RECORD = word_set(
    "attributes body context event_name exception get_current get_current_span get_span_context"
    " observed_timestamp severity_number severity_text span_id time_ns timestamp trace_flags trace_id"
)
_NAMES_OF_READ_WRITE = word_set(
    "BoundedAttributes LogRecordDroppedAttributesWarning attributes dropped_attributes limits log_record"
    " max_log_record_attribute_length max_log_record_attributes warn warnings"
)
_init_of_record: Any = LogRecord.__init__
_init_of_read_write: Any = getattr(ReadWriteLogRecord, "__post_init__", None)
_KNOWN_RECORD = names_of(_init_of_record) == _NAMES_OF_RECORD
_KNOWN_READ_WRITE = names_of(_init_of_read_write) == _NAMES_OF_READ_WRITE and tuple(
    ReadWriteLogRecord.__dataclass_fields__
) == ("log_record", "resource", "instrumentation_scope", "limits")


def log_record(record: Any, context: Any, severity_text: Any, event_name: Any, body: Any) -> LogRecord:
    """A log record with the times, ids and severity number of ``record``, and with these parts."""
    if _KNOWN_RECORD and LogRecord.__init__ is _init_of_record:
        made = LogRecord.__new__(LogRecord)
        made.timestamp = record.timestamp
        made.observed_timestamp = record.observed_timestamp
        made.context = context
        made.severity_text = severity_text
        made.severity_number = record.severity_number
        made.body = body
        made.attributes = None
        made.event_name = event_name
        made.exception = None
    else:
        made = LogRecord(
            timestamp=record.timestamp,
            observed_timestamp=record.observed_timestamp,
            severity_number=record.severity_number,
            severity_text=severity_text,
            event_name=event_name,
            body=body,
            attributes=None,
            context=context,
        )
    made.trace_id, made.span_id, made.trace_flags = record.trace_id, record.span_id, record.trace_flags
    return made


def read_write(record: LogRecord, resource: Any, scope: Any, limits: Any) -> ReadWriteLogRecord:
    """What processors get of a log record, as the SDK makes it; with its own limits where these are None."""
    if limits is None:
        return ReadWriteLogRecord(record, resource, scope)
    return ReadWriteLogRecord(record, resource, scope, limits)


def read_write_over(
    attributes: Any, record: LogRecord, resource: Any, scope: Any, limits: Any
) -> ReadWriteLogRecord:
    """As :func:`read_write`, for a record that gets these attributes: a storage of the gate's."""
    if (
        _KNOWN_READ_WRITE
        and limits is not None
        and getattr(ReadWriteLogRecord, "__post_init__", None) is _init_of_read_write
    ):
        made: Any = ReadWriteLogRecord.__new__(ReadWriteLogRecord)
        made.log_record = record
        made.resource = resource
        made.instrumentation_scope = scope
        made.limits = limits
    else:
        made = read_write(record, resource, scope, limits)
    record.attributes = attributes
    return made  # type: ignore[no-any-return]
