"""The second wall: before the OTLP encoders, what did not pass the gate is cleaned.

A span built by hand, a copy that a vendor made, ``export()`` called directly, an item queued before the
gate was put in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status

from otel_zdr.policy.evidence import FAILSAFE, REDACTED
from otel_zdr.sdk import failure, gate, identity, log, metric, patches, shared
from otel_zdr.sdk.span import making
from otel_zdr.sdk.span.cleaning import bare_context
from otel_zdr.sdk.span.copying import cleaned_copy
from otel_zdr.sdk.span.passed import has_passed
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import RedactingAttributes
from otel_zdr.workspaces import NOBODY


def patched_encode_spans(original: Callable[..., Any]) -> Callable[..., Any]:
    """``_encode_resource_spans`` of the trace encoder."""

    def _encode_resource_spans(sdk_spans: Sequence[ReadableSpan]) -> Any:
        holding = gate.current
        if holding is None:
            return original(sdk_spans)
        if holding.closed:
            return original([])
        clean = []
        for item in sdk_spans:
            try:
                passed = has_passed(item)
            except Exception as error:
                failure.note("encoder", error)
                passed = False
            clean.append(item if passed else _span_behind_wall(holding, item))
        return original(clean)

    return _encode_resource_spans


_MAX_ENCODED = 2048


def patched_encode_span(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``_encode_span`` of the trace encoder: the evidence that all items of a kind share is encoded once.

    And put in as bytes: of a message that is put into another the encoder makes a copy, piece by piece.
    """
    #: Evidence that was encoded, by the identity of the attributes that all items of a kind share.
    encoded: dict[int, tuple[dict[str, Any], bytes]] = {}

    def _encode_span(sdk_span: Any) -> Any:
        attributes = sdk_span._attributes
        marks = attributes.marks if type(attributes) is RedactingAttributes else None
        if not marks or type(sdk_span) is not ReadableSpan or not making.READABLE_IS_KNOWN:
            return original(sdk_span)
        bare: Any = making.readable(sdk_span)
        known = encoded.get(id(marks))
        if known is None or known[0] is not marks:
            if len(encoded) >= _MAX_ENCODED:
                encoded.clear()
            bare._attributes = marks
            marked = original(bare)
            known = encoded[id(marks)] = (
                marks, type(marked)(attributes=marked.attributes).SerializeToString()
            )  # fmt: skip
        bare._attributes = attributes._dict
        made = original(bare)
        made.dropped_attributes_count = attributes.dropped
        made.MergeFromString(known[1])
        return made

    return _encode_span


def _span_behind_wall(holding: gate.Gate, item: Any) -> ReadableSpan:
    try:
        state = SpanState(holding, None, None)
        facts = state.facts = shared.facts_of(holding, item.resource)
        named, _ = identity.named_by(holding, item.attributes, NOBODY)
        if not identity.final(holding, identity.verdict(holding, named, NOBODY, facts)):
            return item  # type: ignore[no-any-return]
        state.workspaces = named
        state.redactor = holding.redactor_for(named)
        return cleaned_copy(item, state)
    except Exception as error:
        failure.note("span", error)
        return _span_skeleton(holding, item)


def _span_skeleton(holding: gate.Gate, item: Any) -> ReadableSpan:
    kept = _figures(holding, item.attributes)
    kept[REDACTED] = kept[FAILSAFE] = True
    attributes = BoundedAttributes(None, None, immutable=True)
    attributes._dict = kept
    kind = item.kind if isinstance(item.kind, SpanKind) else SpanKind.INTERNAL
    return ReadableSpan(
        name=kind.name.lower(),
        context=bare_context(item.context),
        parent=bare_context(item.parent) if item.parent is not None else None,
        resource=shared.bare_resource(holding, item.resource),
        attributes=attributes,
        events=BoundedList(0),
        links=BoundedList(0),
        kind=kind,
        status=Status(item.status.status_code),
        start_time=item.start_time,
        end_time=item.end_time,
        instrumentation_scope=shared.EMPTY_SCOPE,
    )


def _figures(holding: gate.Gate, attributes: Any) -> dict[str, Any]:
    try:
        return holding.redactor.skeleton(attributes)
    except Exception as error:
        failure.note("skeleton", error)
        return {}


def patched_encode_logs(original: Callable[..., Any]) -> Callable[..., Any]:
    """``_encode_resource_logs`` of the log encoder."""

    def _encode_resource_logs(batch: Sequence[ReadableLogRecord]) -> Any:
        holding = gate.current
        if holding is None:
            return original(batch)
        if holding.closed:
            return original([])
        clean = []
        for item in batch:
            try:
                passed = log.has_passed(item)
            except Exception as error:
                failure.note("encoder", error)
                passed = False
            clean.append(item if passed else _log_behind_wall(holding, item))
        return original(clean)

    return _encode_resource_logs


def _log_behind_wall(holding: gate.Gate, item: Any) -> Any:
    try:
        facts = shared.facts_of(holding, item.resource)
        record = item.log_record
        named, _ = identity.named_by(holding, record.attributes, NOBODY)
        if not identity.final(holding, identity.verdict(holding, named, NOBODY, facts)):
            return item
        return log.cleaned_copy(item, holding, facts, named)
    except Exception as error:
        failure.note("log", error)
        made = LogRecord(
            timestamp=item.log_record.timestamp,
            observed_timestamp=item.log_record.observed_timestamp,
            severity_number=item.log_record.severity_number,
            attributes={**_figures(holding, item.log_record.attributes), REDACTED: True, FAILSAFE: True},
        )
        made.trace_id, made.span_id = item.log_record.trace_id, item.log_record.span_id
        made.trace_flags = item.log_record.trace_flags
        return ReadableLogRecord(made, shared.bare_resource(holding, item.resource), shared.EMPTY_SCOPE)


def patched_encode_metrics(original: Callable[..., Any]) -> Callable[..., Any]:
    """``_encode_resource_metrics`` of the metrics encoder (one resource at a time)."""

    def _encode_resource_metrics(resource_metrics: Any, resource_metrics_dict: Any) -> Any:
        holding = gate.current
        if holding is None:
            return original(resource_metrics, resource_metrics_dict)
        if holding.closed:
            return None
        try:
            passed = metric.has_passed(resource_metrics)
        except Exception as error:
            failure.note("encoder", error)
            passed = False
        clean = resource_metrics if passed else _metrics_behind_wall(holding, resource_metrics)
        return original(clean, resource_metrics_dict)

    return _encode_resource_metrics


def patched_encode_metrics_to_json(original: Callable[..., Any]) -> Callable[..., Any]:
    """``_encode_resource_metrics`` of the JSON encoder, which must return something for each resource."""

    def _encode_resource_metrics(resource_metrics: Any) -> Any:
        holding = gate.current
        if holding is None:
            return original(resource_metrics)
        if holding.closed:
            return original(ResourceMetrics(resource=Resource({}), scope_metrics=[], schema_url=""))
        try:
            passed = metric.has_passed(resource_metrics)
        except Exception as error:
            failure.note("encoder", error)
            passed = False
        return original(resource_metrics if passed else _metrics_behind_wall(holding, resource_metrics))

    return _encode_resource_metrics


def _metrics_behind_wall(holding: gate.Gate, resource_metrics: Any) -> ResourceMetrics:
    data = MetricsData(resource_metrics=[resource_metrics])
    try:
        cleaned = metric.clean_data(holding, data, passed=False)
    except Exception as error:
        cleaned = metric.skeleton(holding, data, error, passed=False)
    (made,) = cleaned.resource_metrics
    return made


patches.loaded(__name__)
