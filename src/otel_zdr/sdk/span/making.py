"""Making spans whose storages are the gate's, in the place of the SDK's own constructors.

Those make storages which would have to be replaced, and look at each value once more. As long as they, and what
they call, are what is known here, what they set is set directly; any other is called.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span, _Span
from opentelemetry.trace.status import Status, StatusCode

from otel_zdr.catalogue.words import word_set
from otel_zdr.sdk.signatures import names_of
from otel_zdr.sdk.storage import ARE_KNOWN

# All that the constructors of SDK 1.40 to 1.45 call and set.
_NAMES_OF_SPAN = word_set(
    "BoundedAttributes Lock Resource __init__ _attributes _events _limits _links _lock _new_events _new_links"
    " _record_end_metrics _record_exception _sampler _set_status_on_exception _span_processor _trace_config"
    " append attributes create max_attribute_length max_event_attributes max_span_attribute_length"
    " max_span_attributes super threading"
)
_NAMES_OF_READABLE = word_set(
    "Resource _attributes _context _end_time _events _instrumentation_info _instrumentation_scope _kind _links"
    " _name _parent _resource _start_time _status create"
)
_NAMES_OF_READING = word_set(
    "ReadableSpan _attributes _context _end_time _events _instrumentation_info _instrumentation_scope _links"
    " _name _parent _resource _start_time _status kind"
)
_UNSET = Status(StatusCode.UNSET)
_init_of_readable = ReadableSpan.__init__
#: Whether what :func:`readable` sets is all that a readable span has.
READABLE_IS_KNOWN = names_of(_init_of_readable) == _NAMES_OF_READABLE
_events_of_span, _links_of_span = Span._new_events, Span._new_links


def is_known(constructor: Any) -> bool:
    """Whether ``Span.__init__`` as found does what :func:`fill` does in its place."""
    return names_of(constructor) == _NAMES_OF_SPAN and READABLE_IS_KNOWN and ARE_KNOWN


def can_read(span: Any) -> bool:
    """Whether it is a span as the SDK's tracer makes them, and nobody has changed how one is read."""
    return type(span) is _Span and ReadableSpan.__init__ is _init_of_readable


def can_fill(span: Any) -> bool:
    """Whether it is a span as the SDK's tracer makes them, and nobody has changed how it is made."""
    return can_read(span) and Span._new_events is _events_of_span and Span._new_links is _links_of_span


def fill(
    span: Any,
    name: str,
    context: Any,
    parent: Any,
    sampler: Any,
    trace_config: Any,
    resource: Any,
    kind: Any,
    span_processor: Any,
    instrumentation_info: Any,
    record_exception: Any,
    set_status_on_exception: Any,
    limits: Any,
    instrumentation_scope: Any,
    record_end_metrics: Any,
    attributes: Any,
    events: Any,
    links: Any,
) -> None:
    """Set what the constructor sets, with storages that are made already."""
    span._name = name
    span._context = context
    span._kind = kind
    span._instrumentation_info = instrumentation_info
    span._instrumentation_scope = instrumentation_scope
    span._parent = parent
    span._start_time = None
    span._end_time = None
    span._attributes = attributes
    span._events = events
    span._links = links
    span._resource = resource
    span._status = _UNSET
    span._sampler = sampler
    span._trace_config = trace_config
    span._record_exception = record_exception
    span._set_status_on_exception = set_status_on_exception
    span._span_processor = span_processor
    span._limits = limits
    span._lock = Lock()
    span._record_end_metrics = record_end_metrics


def is_known_reading(method: Any) -> bool:
    """Whether ``Span._readable_span`` as found does what :func:`readable` does in its place."""
    return names_of(method) == _NAMES_OF_READING and READABLE_IS_KNOWN


def readable(span: Any) -> ReadableSpan:
    """What processors and exporters get of a span."""
    made: Any = ReadableSpan.__new__(ReadableSpan)
    made._name = span._name
    made._context = span._context
    made._kind = span._kind
    made._instrumentation_info = span._instrumentation_info
    made._instrumentation_scope = span._instrumentation_scope
    made._parent = span._parent
    made._start_time = span._start_time
    made._end_time = span._end_time
    made._attributes = span._attributes
    made._events = span._events
    made._links = span._links
    made._resource = span._resource
    made._status = span._status
    return made  # type: ignore[no-any-return]
