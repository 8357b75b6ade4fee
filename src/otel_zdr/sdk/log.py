"""Log records: decided and cleaned in ``Logger.emit``, which every record goes through.

The caller's own record is never edited: what goes on is a new record with cleaned parts.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context, get_current
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.trace import propagation

from otel_zdr import catalogue
from otel_zdr.policy.evidence import FAILSAFE, REDACTED
from otel_zdr.redaction import REMOVED, Redactor
from otel_zdr.sdk import (
    debugging,
    eligibility,
    evidence,
    failure,
    gate,
    identity,
    making_records,
    patches,
    shared,
)
from otel_zdr.sdk.span.state import state_of
from otel_zdr.sdk.state import ItemState
from otel_zdr.sdk.storage import (
    RedactingAttributes,
    StoredValues,
    TouchedValues,
    WatchingAttributes,
    set_value,
    whole,
)
from otel_zdr.workspaces import NOBODY

PASSED = "_otel_zdr_passed"
_NO_CONTEXT = Context()
#: Where the API keeps the span in a context; None: not where it is known to.
_SPAN_KEY: Any = getattr(propagation, "_SPAN_KEY", None)


class LogState(ItemState):
    """The state of one log record on its way through the processors."""

    __slots__ = ("record",)
    signal = "log"

    def __init__(self, holding: gate.Gate, facts: shared.ResourceFacts | None) -> None:
        super().__init__(holding, facts)
        self.record: weakref.ref[Any] | None = None

    def tighten(self) -> None:
        """A processor wrote a workspace under ZDR on a record that was raw so far."""
        self.verdict = identity.UNDER_ZDR
        written = self.record() if self.record is not None else None
        if written is not None:
            _redact_written(written, self)

    def clean_anew(self, before: Redactor) -> None:
        """A processor named one more workspace."""
        written = self.record() if self.record is not None else None
        if written is None:
            return
        record = written.log_record
        stored = record.attributes._dict
        for key, value in list(stored.items()):
            listed = key[:4] != "zdr." and catalogue.find(key) is None
            if listed and self.redactor.attribute(key, value, {}) is REMOVED:
                stored.pop(key, None)
        name = self.redactor.log_event_name(record.event_name, {})
        if name != record.event_name and before.log_event_name(record.event_name, {}) == record.event_name:
            record.event_name = name
        mark_passed(written)

    def release(self) -> None:
        """Records are decided at once; there is nothing to give back."""


def _identify(state: LogState, attributes: Mapping[str, Any] | None, context: Context | None) -> None:
    holding = state.gate
    surrounding = get_current()
    if holding.policy.everything:
        state.verdict = identity.UNDER_ZDR
        if attributes:
            state.workspaces = identity.named_by(holding, attributes, state.caller)[0]
        if surrounding:
            ambient, state.stamp = identity.ambient_of(None)
            state.workspaces |= ambient
        return
    if surrounding or context:
        if _identify_by_context(state, attributes, context):
            return
    elif attributes:
        # Nothing surrounds it: it is for whom its attributes and its resource name.
        state.workspaces = identity.named_by(holding, attributes, NOBODY)[0]
    if (
        holding.policy.products_matter
        and attributes
        and eligibility.is_product_under_zdr(holding, attributes)
    ):
        state.verdict = identity.UNDER_ZDR
        return
    decided = identity.verdict(holding, state.workspaces, state.hints, state.facts)
    state.verdict = identity.UNDER_ZDR if identity.final(holding, decided) else identity.OPEN


def _identify_by_context(
    state: LogState, attributes: Mapping[str, Any] | None, context: Context | None
) -> bool:
    """Whom the record is for by what surrounds it too. True: its span is under ZDR, and so is it."""
    holding = state.gate
    caller, hints = identity.from_baggage(holding, context)
    state.caller = caller
    named, more = identity.named_by(holding, attributes, caller)
    ambient, stamp = identity.ambient_of(None)
    if context is not None:
        given, given_stamp = identity.ambient_of(context)
        ambient |= given
        stamp = stamp or given_stamp
    state.hints = hints | more
    state.workspaces = named | ambient
    span = trace_api.get_current_span(context)
    above: ItemState | None = state_of(span)
    if above is not None:
        if not state.workspaces and above.workspaces:
            stamp = above.passed_on
        state.workspaces |= above.workspaces
        state.hints |= above.hints
    if not named:
        state.stamp = stamp
    if above is not None and above.verdict == identity.UNDER_ZDR:
        state.verdict = identity.UNDER_ZDR
        return True
    return False


def _clean_attributes(state: LogState, attributes: Any, limits: Any) -> RedactingAttributes:
    clean = state.redactor.attributes(whole(attributes), state.removed) if attributes else {}
    made = RedactingAttributes.fresh(state, clean, *_limits_of(limits))
    made.dropped += _dropped_of(attributes)
    return made


def _limits_of(limits: Any) -> tuple[int | None, int | None]:
    """The number of attributes and the length of their values; None, no limit, where an SDK names it otherwise."""
    return (
        getattr(limits, "max_log_record_attributes", None),
        getattr(limits, "max_log_record_attribute_length", None),
    )


def _dropped_of(attributes: Any) -> int:
    """How many attributes were lost before, where an SDK's storage was handed in."""
    return attributes.dropped if isinstance(attributes, BoundedAttributes) else 0


def _redacted(logger: Any, record: Any, state: LogState, limits: Any) -> ReadWriteLogRecord:
    """A new record with the cleaned parts of ``record``."""
    holding, removed = state.gate, state.removed
    if holding.policy.uniform is None:
        state.redactor = holding.redactor_for(state.everyone)
    redactor = state.redactor
    raw_attributes = record.attributes
    if raw_attributes and holding.retains:
        eligibility.hold(state, raw_attributes)
        state.served = eligibility.served_in(record.context)
    attributes = _clean_attributes(state, raw_attributes, limits)
    debugging.describe_exception(
        getattr(record, "exception", None), raw_attributes, attributes._dict, removed
    )
    made = making_records.log_record(
        record,
        _span_only(record.context),
        redactor.severity_text(record.severity_text, removed),
        redactor.log_event_name(record.event_name, removed),
        debugging.log_body(holding, record, removed),
    )
    written = making_records.read_write_over(
        attributes,
        made,
        state.facts.clean if state.facts else _resource(logger),
        shared.scope_of(holding, logger._instrumentation_scope),
        limits,
    )
    state.record = weakref.ref(written)
    _finish(written, state)
    return written


def _resource(logger: Any) -> Any:
    return shared.clean_resource(_holding(), logger._resource)


def _holding() -> gate.Gate:
    holding = gate.current
    if holding is None:
        raise RuntimeError("the gate was removed while a log record was emitted")
    return holding


def _span_only(context: Context | None) -> Context:
    """The record's context without what else stands in it: baggage is the caller's."""
    if not context:
        return _NO_CONTEXT
    if len(context) == 1 and type(context) is Context and _SPAN_KEY in context:
        return context
    span = trace_api.get_current_span(context)
    return trace_api.set_span_in_context(span, _NO_CONTEXT)


def _finish(written: Any, state: LogState) -> None:
    attributes = written.log_record.attributes._dict
    key = state.gate.stamp_key
    if state.stamp is not None and key not in attributes:
        clean = state.redactor.attributes({key: state.stamp}, {})
        if clean:
            set_value(attributes, key, clean[key])
    found = eligibility.describe(state, attributes)
    evidence.mark(state.gate, attributes, state.removed, "log", failed=state.failed, found=found)
    mark_passed(written)


def _redact_written(written: Any, state: LogState) -> None:
    """Clean a raw record in place: it is the gate's own copy, not the caller's."""
    record = written.log_record
    try:
        redactor = state.redactor = state.gate.redactor_for(state.everyone)
        removed = state.removed
        record.severity_text = redactor.severity_text(record.severity_text, removed)
        record.event_name = redactor.log_event_name(record.event_name, removed)
        record.body = redactor.body(record.body, record.event_name, removed)
        record.attributes = _clean_attributes(state, record.attributes, None)
        if getattr(record, "exception", None) is not None:
            record.exception = None
        record.context = _span_only(record.context)
        written.resource = (
            state.facts.clean if state.facts else shared.clean_resource(state.gate, written.resource)
        )
        written.instrumentation_scope = shared.scope_of(state.gate, written.instrumentation_scope)
        _finish(written, state)
    except Exception as error:
        _skeletonise(written, state, error)


class _Skeleton:
    """What :func:`_skeletonise` asks of a state, where none could be made."""

    def __init__(self, holding: gate.Gate) -> None:
        self.gate, self.redactor = holding, holding.redactor


def _skeletonise(written: Any, state: LogState | _Skeleton, error: BaseException) -> None:
    failure.note("log", error)
    record = written.log_record
    kept: dict[str, Any] = {}
    try:
        kept = state.redactor.skeleton(record.attributes or {})
    except Exception as again:
        failure.note("skeleton", again)
    kept[REDACTED] = True
    if state.gate.evidence:
        kept[FAILSAFE] = True
    attributes = BoundedAttributes(None, None, immutable=False)
    attributes._dict = StoredValues(kept)  # which tells when a processor writes into it
    record.attributes = attributes
    record.body = record.event_name = record.severity_text = None
    if hasattr(record, "exception"):
        record.exception = None
    record.context = _NO_CONTEXT
    written.resource = shared.bare_resource(state.gate, written.resource)
    written.instrumentation_scope = shared.EMPTY_SCOPE
    try:
        mark_passed(written)
    except Exception as again:
        # Not marked: the second wall looks at it once more.
        failure.note("log", again)


def cleaned_copy(
    item: Any, holding: gate.Gate, facts: shared.ResourceFacts, workspaces: frozenset[str]
) -> Any:
    """A cleaned copy of a readable record that did not pass the gate."""
    state = LogState(holding, facts)
    state.verdict = identity.UNDER_ZDR
    state.workspaces = workspaces
    source = _Source(item)
    written = _redacted(source, item.log_record, state, None)
    return ReadableLogRecord(written.log_record, written.resource, written.instrumentation_scope)  # type: ignore[arg-type]


class _Source:
    """Stands in for the logger of a record that is only known by its parts."""

    def __init__(self, item: Any) -> None:
        self._resource = item.resource
        self._instrumentation_scope = item.instrumentation_scope


def mark_passed(written: Any) -> None:
    """Remember which parts of a record passed the gate."""
    record = written.log_record
    attributes = record.attributes
    record._otel_zdr_passed = (
        attributes,
        record.body,
        record.event_name,
        record.severity_text,
        written.resource,
        written.instrumentation_scope,
    )
    stored = getattr(attributes, "_dict", None)
    if type(stored) is TouchedValues:
        made: Any = stored
        made.__class__ = StoredValues  # so far it was the gate that wrote into it


def has_passed(item: Any) -> bool:
    """Whether the record of this item came out of the gate with these very parts."""
    record = item.log_record
    passed = getattr(record, PASSED, None)
    if passed is None:
        return False
    attributes, body, event_name, severity_text, resource, scope = passed
    if type(getattr(attributes, "_dict", None)) is TouchedValues:
        return False
    return (
        body is record.body
        and event_name is record.event_name
        and severity_text is record.severity_text
        and resource is item.resource
        and scope is item.instrumentation_scope
        and (attributes is record.attributes or _same_values(attributes, record.attributes))
    )


def _same_values(passed: Any, now: Any) -> bool:
    """The batch processor copies records; the attributes it copies hold the very same values."""
    try:
        if len(passed) != len(now):
            return False
        return all(now.get(key) is value for key, value in passed.items())
    except Exception:
        return False


# --- the patched method ------------------------------------------------------------------------


def patched_emit(original: Callable[..., None]) -> Callable[..., None]:
    """``Logger.emit``."""

    def emit(self: Any, record: Any = None, **parts: Any) -> None:
        holding = gate.current
        if holding is None:
            original(self, record, **parts)
            return
        if holding.closed:
            return
        untouched = False
        written: ReadWriteLogRecord | None = None
        try:
            if not _is_enabled(self):
                return
            given = record if record is not None else None
            facts = shared.facts_of(holding, _resource_of(self, given))
            if holding.policy.nothing and not facts.forced:
                untouched = True
            else:
                written = _pass(self, LogRecord(**parts) if given is None else given, holding, facts)
        except Exception as error:
            written = _skeleton(self, record, parts, holding, error)
        if untouched:
            original(self, record, **parts)
        elif written is not None:
            original(self, written)
        if identity.seen.pending:
            with contextlib.suppress(Exception):
                identity.seen.announce_pending()

    return emit


def _is_enabled(logger: Any) -> bool:
    check = getattr(logger, "_is_enabled", None)
    return bool(check()) if check is not None else True


def _resource_of(logger: Any, record: Any) -> Any:
    resource = record.resource if isinstance(record, ReadWriteLogRecord) else None
    return resource if resource is not None else logger._resource


def _pass(logger: Any, given: Any, holding: gate.Gate, facts: shared.ResourceFacts) -> ReadWriteLogRecord:
    readwrite = given if isinstance(given, ReadWriteLogRecord) else None
    record = readwrite.log_record if readwrite is not None else given
    state = LogState(holding, facts)
    _identify(state, record.attributes, record.context)
    limits = readwrite.limits if readwrite is not None else getattr(logger, "_log_record_limits", None)
    if state.verdict == identity.UNDER_ZDR:
        return _redacted(logger, record, state, limits)
    return _raw(logger, record, state, limits, readwrite)


def _raw(
    logger: Any, record: Any, state: LogState, limits: Any, given: ReadWriteLogRecord | None
) -> ReadWriteLogRecord:
    """The record as it is, on a copy, watched for a processor that names another workspace."""
    resource = state.facts.unmarked if state.facts is not None else logger._resource
    scope = given.instrumentation_scope if given is not None else logger._instrumentation_scope
    exception = getattr(record, "exception", None)
    watching = _watching(record.attributes, state, limits) if exception is None else None
    if watching is not None:
        copied = making_records.log_record(
            record, record.context, record.severity_text, record.event_name, record.body
        )
        written = making_records.read_write_over(watching, copied, resource, scope, limits)
    else:
        written = _raw_by_the_sdk(record, exception, resource, scope, limits)
        watching = written.log_record.attributes = WatchingAttributes.over(
            written.log_record.attributes, state
        )
        watching.drop_marks()
    if state.stamp is not None and state.gate.stamp_key not in watching._dict:
        watching._dict[state.gate.stamp_key] = state.stamp
    watching.dropped += _dropped_of(record.attributes)
    state.record = weakref.ref(written)
    mark_passed(written)
    return written


def _watching(attributes: Any, state: LogState, limits: Any) -> WatchingAttributes | None:
    """Storage of the attributes, where it takes none of what the SDK does with odd ones."""
    if limits is None:
        return None
    return WatchingAttributes.of_plain(state, attributes, *_limits_of(limits))


def _raw_by_the_sdk(
    record: Any, exception: BaseException | None, resource: Any, scope: Any, limits: Any
) -> ReadWriteLogRecord:
    parts: dict[str, Any] = {
        "timestamp": record.timestamp,
        "observed_timestamp": record.observed_timestamp,
        "context": record.context,
        "severity_text": record.severity_text,
        "severity_number": record.severity_number,
        "body": record.body,
        "attributes": debugging.with_exception(record.attributes, exception),
        "event_name": record.event_name,
    }
    if exception is not None:
        parts["exception"] = exception
    copied = LogRecord(**parts)
    copied.trace_id, copied.span_id, copied.trace_flags = record.trace_id, record.span_id, record.trace_flags
    return making_records.read_write(copied, resource, scope, limits)


def _skeleton(
    logger: Any, record: Any, parts: dict[str, Any], holding: gate.Gate, error: Exception
) -> ReadWriteLogRecord | None:
    """The least that can be said of a record: times, severity number, ids of its span."""
    try:
        given = record.log_record if isinstance(record, ReadWriteLogRecord) else record
        source = given if given is not None else None
        made = LogRecord(
            timestamp=source.timestamp if source is not None else parts.get("timestamp"),
            observed_timestamp=source.observed_timestamp
            if source is not None
            else parts.get("observed_timestamp"),
            severity_number=source.severity_number if source is not None else parts.get("severity_number"),
            context=_NO_CONTEXT,
            attributes=source.attributes if source is not None else parts.get("attributes"),
        )
        if source is not None:
            made.trace_id, made.span_id, made.trace_flags = (
                source.trace_id,
                source.span_id,
                source.trace_flags,
            )
        written = ReadWriteLogRecord(made, logger._resource, logger._instrumentation_scope)
        _skeletonise(written, _Skeleton(holding), error)
        return written
    except Exception as again:
        failure.note("log", again)
        return None


patches.loaded(__name__)
