"""Metrics: measurements are cleaned when they are made, what tenants share when it is collected.

A measurement's attributes decide the series it goes to and are what exemplars keep, so they are cleaned
in ``Measurement.__init__``, before an exemplar filter or an aggregation sees them. An instrument that is
not known loses its measurements under ZDR in ``MetricReaderStorage.consume_measurement``, which every
measurement of every provider goes through.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics

from otel_zdr.catalogue import CONTENT_CLASSES, METADATA_CLASSES
from otel_zdr.policy import evidence as shapes
from otel_zdr.sdk import evidence, failure, gate, identity, patches, shared
from otel_zdr.sdk.gate import say
from otel_zdr.sdk.span.state import state_of
from otel_zdr.sdk.state import everyone_of
from otel_zdr.workspaces import NOBODY

_VERDICT = "_otel_zdr_under"
_KNOWN = "_otel_zdr_known"
_PROVEN = "_otel_zdr_proven"
_PASSED = "_otel_zdr_passed"

_RAW = 0
_CLEAN = 1
_DROPPED = 2

_MAX_ANNOUNCED = 256
_announced: set[int] = set()
#: Instruments that were said to lose an attribute, and how often each is looked at until one is found.
_merging: set[int] = set()
_LOOKS = "_otel_zdr_looks"
_MAX_LOOKS = 16
_storages: weakref.WeakSet[Any] = weakref.WeakSet()
#: The evidence's own instruments: an application that writes under their names is held to their vocabularies.
_OWN = frozenset((shapes.REMOVED_VALUES, shapes.FAILSAFE_ITEMS, shapes.POLICY_CHANGES))
_OWN_VALUES = {
    shapes.CLASS: CONTENT_CLASSES | METADATA_CLASSES,
    shapes.SIGNAL: shapes.SIGNALS,
    shapes.PRODUCT: shapes.PRODUCTS,
    shapes.CHANGE: shapes.CHANGES,
}


def _is_under_zdr(holding: gate.Gate, measurement: Any) -> tuple[bool, frozenset[str], Any]:
    """(under ZDR, the workspaces on whose terms it is kept, text to stamp) of a measurement."""
    instrument = measurement.instrument
    facts = _facts_of(holding, instrument)
    everything = holding.policy.everything or (facts is not None and facts.forced)
    if everything and holding.policy.uniform is not None:
        # Nothing is to be decided, but whose usage it is has to be told.
        _, stamp = identity.ambient_of(None)
        if stamp is not None and identity.named_by(holding, _mapping_of(measurement), NOBODY)[0]:
            stamp = None
        return True, NOBODY, stamp
    if holding.policy.nothing and not everything:
        return False, NOBODY, None
    context = measurement.context
    caller, hints = identity.from_baggage(holding, context)
    named, more = identity.named_by(holding, _mapping_of(measurement), caller)
    ambient, stamp = identity.ambient_of(None)
    if context is not None:
        given, given_stamp = identity.ambient_of(context)
        ambient |= given
        stamp = stamp or given_stamp
    workspaces = named | ambient
    above = state_of(trace_api.get_current_span(context))
    if above is not None:
        if not workspaces and above.workspaces:
            texts = tuple(sorted(id_ for id_ in above.workspaces if id_))
            stamp = above.stamp or (texts[0] if len(texts) == 1 else texts or None)
        workspaces |= above.workspaces
        hints |= above.hints
        everything = everything or above.verdict == identity.UNDER_ZDR
    hints |= more
    everyone = everyone_of(workspaces, hints, facts)
    stamp = None if named else stamp
    if everything:
        return True, everyone, stamp
    return identity.final(holding, identity.verdict(holding, workspaces, hints, facts)), everyone, stamp


def _mapping_of(measurement: Any) -> Mapping[str, object] | None:
    attributes = measurement.attributes
    return attributes if isinstance(attributes, Mapping) else None


def _facts_of(holding: gate.Gate, instrument: Any) -> shared.ResourceFacts | None:
    consumer = getattr(instrument, "_measurement_consumer", None)
    config = getattr(consumer, "_sdk_config", None)
    resource = getattr(config, "resource", None)
    return shared.facts_of(holding, resource) if resource is not None else None


def _is_known(holding: gate.Gate, instrument: Any) -> bool:
    """Whether an instrument's name is known, listed or a proven literal; decided once an instrument."""
    remembered = instrument.__dict__.get(_KNOWN)
    if remembered is not None and remembered[0] is holding:
        return bool(remembered[1])
    name = instrument.name
    known = holding.redactor.knows_instrument(name) or (
        holding.literals != "none" and bool(instrument.__dict__.get(_PROVEN))
    )
    instrument.__dict__[_KNOWN] = (holding, known)
    if not known:
        _announce(name)
    return known


def _is_own(instrument: Any) -> bool:
    return instrument.name in _OWN and instrument.instrumentation_scope.name == "otel_zdr"


def _announce(name: str) -> None:
    if hash(name) in _announced or len(_announced) >= _MAX_ANNOUNCED:
        return
    _announced.add(hash(name))
    say(
        "an instrument whose name is neither known nor listed loses its measurements under ZDR "
        f"(name of {len(name)} characters); list it in OTEL_ZDR_KEEP_NAMES to keep it"
    )


def _announce_merging(redactor: Any, instrument: Any, attributes: Any, clean: Mapping[str, object]) -> None:
    """Say once that series of an instrument merge, because they differ in what nobody knows the key of."""
    looks = instrument.__dict__.get(_LOOKS, 0)
    if looks >= _MAX_LOOKS:
        return
    instrument.__dict__[_LOOKS] = looks + 1
    if all(key in clean or redactor.knows_key(key) for key in list(attributes)):
        return
    instrument.__dict__[_LOOKS] = _MAX_LOOKS
    name = instrument.name
    if hash(name) in _merging or len(_merging) >= _MAX_ANNOUNCED:
        return
    _merging.add(hash(name))
    say(
        f"measurements of the instrument {name!r} lose an attribute under ZDR whose key nobody knows: series that "
        "differ only there become one; list the key in OTEL_ZDR_KEEP_KEYS to keep it"
    )


def _clean(holding: gate.Gate, measurement: Any) -> None:
    attributes = measurement.attributes
    instrument = measurement.instrument
    if _is_own(instrument):
        own = {
            key: value
            for key, value in (attributes or {}).items()
            if type(value) is str and value in _OWN_VALUES.get(key, ())
        }
        object.__setattr__(measurement, "attributes", own)
        measurement.__dict__[_VERDICT] = _CLEAN
        return
    under, workspaces, stamp = _is_under_zdr(holding, measurement)
    if not under:
        if attributes is not None and any(type(key) is str and key[:4] == "zdr." for key in attributes):
            attributes = {key: value for key, value in attributes.items() if not str(key).startswith("zdr.")}
            object.__setattr__(measurement, "attributes", attributes)
        if stamp is not None:
            stamped = dict(attributes or {})
            stamped.setdefault(holding.stamp_key, stamp)
            object.__setattr__(measurement, "attributes", stamped)
        measurement.__dict__[_VERDICT] = _RAW
        return
    removed: dict[str, int] = {}
    if not _is_known(holding, instrument):
        evidence.count_removed("metric", {"free_text": 1})
        object.__setattr__(measurement, "attributes", None)
        measurement.__dict__[_VERDICT] = _DROPPED
        return
    redactor = holding.redactor_for(workspaces)
    clean = redactor.measurement_attributes(attributes, removed, instrument.name) if attributes else None
    if removed and clean is not None:
        _announce_merging(redactor, instrument, attributes, clean)
    if stamp is not None:
        clean = clean or {}
        clean.update(holding.redactor.attributes({holding.stamp_key: stamp}, {}))
    object.__setattr__(measurement, "attributes", clean)
    measurement.__dict__[_VERDICT] = _CLEAN
    evidence.count_removed("metric", removed)


# --- the patched methods -----------------------------------------------------------------------


def patched_measurement_init(original: Callable[..., None]) -> Callable[..., None]:
    """``Measurement.__init__``."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        holding = gate.current
        if holding is None:
            return
        try:
            if holding.closed:
                self.__dict__[_VERDICT] = _DROPPED
                object.__setattr__(self, "attributes", None)
            else:
                _clean(holding, self)
        except Exception as error:
            failure.note("metric", error)
            # The figure is kept, and nothing else: a measurement without attributes is its skeleton.
            object.__setattr__(self, "attributes", None)
            self.__dict__[_VERDICT] = _CLEAN if _is_known_safely(self) else _DROPPED
        if identity.seen.pending:
            with contextlib.suppress(Exception):
                identity.seen.announce_pending()

    return __init__


def _is_known_safely(measurement: Any) -> bool:
    try:
        holding = gate.current
        return holding is not None and holding.redactor.knows_instrument(measurement.instrument.name)
    except Exception:
        return False


def patched_consume(original: Callable[..., None]) -> Callable[..., None]:
    """``MetricReaderStorage.consume_measurement``."""

    def consume_measurement(self: Any, measurement: Any, *args: Any, **kwargs: Any) -> None:
        holding = gate.current
        if holding is not None:
            try:
                _storages.add(self)
                if holding.closed:
                    return
                verdict = getattr(measurement, "__dict__", {}).get(_VERDICT)
                if verdict is None:
                    # Made before the gate, or by hand.
                    _clean(holding, measurement)
                    verdict = measurement.__dict__[_VERDICT]
                if verdict == _DROPPED:
                    return
            except Exception as error:
                failure.note("metric", error)
                return
        original(self, measurement, *args, **kwargs)

    return consume_measurement


def patched_collect(original: Callable[..., Any]) -> Callable[..., Any]:
    """``MetricReaderStorage.collect``: what all tenants share is cleaned for all."""

    def collect(self: Any) -> Any:
        holding = gate.current
        if holding is None:
            return original(self)
        if holding.closed:
            return None
        passed = True
        try:
            _forget_stale_series(self, holding)
        except Exception as error:
            failure.note("metric", error)
            # What is stored may be raw: each point is looked at.
            passed = False
        data = original(self)
        if data is None:
            return None
        try:
            return clean_data(holding, data, passed=passed)
        except Exception as error:
            return skeleton(holding, data, error, passed=passed)

    return collect


_GATE_OF_SERIES = "_otel_zdr_gate"


def _forget_stale_series(storage: Any, holding: gate.Gate) -> None:
    """Drop stored series that a tightened policy would have cleaned, before they are collected again."""
    before = storage.__dict__.get(_GATE_OF_SERIES)
    if before is holding:
        return
    if holding.policy.nothing:
        storage.__dict__[_GATE_OF_SERIES] = holding
        return
    with storage._lock:
        matches = list(storage._instrument_view_instrument_matches.items())
    for instrument, views in matches:
        if _is_own(instrument):
            continue
        facts = shared.facts_of(holding, storage._sdk_config.resource)
        for view in views:
            with view._lock:
                series = view._attributes_aggregation
                for key, aggregation in list(series.items()):
                    attributes = dict(aggregation._attributes or {})
                    named, _ = identity.named_by(holding, attributes, NOBODY)
                    decided = identity.verdict(holding, named, NOBODY, facts)
                    if not identity.final(holding, decided):
                        continue
                    removed: dict[str, int] = {}
                    redactor = holding.redactor_for(everyone_of(named, NOBODY, facts))
                    redactor.measurement_attributes(attributes, removed, instrument.name)
                    if removed or not _is_known(holding, instrument):
                        del series[key]
    # Last: what failed half-way is done again.
    storage.__dict__[_GATE_OF_SERIES] = holding


def clean_data(holding: gate.Gate, data: MetricsData, *, passed: bool) -> MetricsData:
    """``data`` with its shared parts cleaned.

    Args:
        passed: its points came out of the gate; if not, they are cleaned too.
    """
    if holding.policy.nothing and not any(
        shared.facts_of(holding, item.resource).forced for item in data.resource_metrics
    ):
        return data
    resource_metrics = []
    for item in data.resource_metrics:
        facts = shared.facts_of(holding, item.resource)
        cleaned = ResourceMetrics(
            resource=facts.clean,
            scope_metrics=[_clean_scope_metrics(holding, part, facts, passed) for part in item.scope_metrics],
            schema_url=facts.clean.schema_url,
        )
        object.__setattr__(cleaned, _PASSED, True)
        resource_metrics.append(cleaned)
    return MetricsData(resource_metrics=resource_metrics)


def skeleton(holding: gate.Gate, data: MetricsData, error: Exception, *, passed: bool) -> MetricsData:
    """What is left where :func:`clean_data` failed: the figures of known instruments, so no batch is lost."""
    failure.note("metric", error)
    return MetricsData(resource_metrics=[_skeleton(holding, item, passed) for item in data.resource_metrics])


def _skeleton(holding: gate.Gate, item: Any, passed: bool) -> ResourceMetrics:
    resource = shared.bare_resource(holding, item.resource)
    scopes = []
    for part in item.scope_metrics:
        metrics = []
        for metric in part.metrics:
            try:
                if passed or holding.redactor.knows_instrument(metric.name):
                    points = [
                        _skeleton_point(holding, metric.name, point) for point in metric.data.data_points
                    ]
                    data = replace(metric.data, data_points=points)
                    metrics.append(replace(metric, description="", unit="", data=data))
            except Exception as error:
                failure.note("metric", error)
        scopes.append(ScopeMetrics(scope=shared.EMPTY_SCOPE, metrics=metrics, schema_url=""))
    made = ResourceMetrics(resource=resource, scope_metrics=scopes, schema_url="")
    object.__setattr__(made, _PASSED, True)
    return made


def _skeleton_point(holding: gate.Gate, name: str, point: Any) -> Any:
    try:
        clean = holding.redactor.measurement_attributes(dict(point.attributes or {}), {}, name)
    except Exception as error:
        failure.note("metric", error)
        clean = {}
    return replace(point, attributes=clean, exemplars=[])


def has_passed(resource_metrics: Any) -> bool:
    """Whether this very object came out of the gate."""
    return bool(getattr(resource_metrics, _PASSED, False))


def _clean_scope_metrics(
    holding: gate.Gate, part: Any, facts: shared.ResourceFacts, passed: bool
) -> ScopeMetrics:
    scope = shared.scope_of(holding, part.scope)
    metrics = []
    for metric in part.metrics:
        removed: dict[str, int] = {}
        unit = holding.redactor.token(metric.unit, removed, "free_text") if metric.unit else metric.unit
        cleaned = replace(metric, description=_description(holding, metric), unit=_unit(metric.unit, unit))
        if not passed:
            clean_points = _clean_points(holding, cleaned, facts)
            if clean_points is None:
                continue
            cleaned = clean_points
        metrics.append(cleaned)
    return ScopeMetrics(scope=scope, metrics=metrics, schema_url=scope.schema_url if scope else "")  # type: ignore[arg-type]


def _description(holding: gate.Gate, metric: Any) -> str:
    return metric.description if metric.description in _DESCRIPTIONS.get(metric.name, ()) else ""


#: Descriptions are free text; only our own are known.
_DESCRIPTIONS: dict[str, tuple[str, ...]] = {
    shapes.REMOVED_VALUES: ("Values removed under ZDR",),
    shapes.FAILSAFE_ITEMS: ("Items reduced to a skeleton",),
    shapes.POLICY_CHANGES: ("Changes of the policy file that were met",),
}


def _unit(raw: str, clean: str | None) -> str:
    if clean:
        return clean
    # UCUM annotations such as {token} and {request}/s are units, not text.
    if (
        raw
        and len(raw) <= 63
        and all(character.isascii() and (character.isalnum() or character in "{}_/.%*") for character in raw)
    ):
        inner = raw.replace("{", "").replace("}", "")
        return raw if inner and len(inner) <= 32 else ""
    return ""


def _clean_points(holding: gate.Gate, metric: Any, facts: shared.ResourceFacts) -> Any:
    """The points of a metric that did not come through the gate."""
    known = holding.redactor.knows_instrument(metric.name)
    points = []
    for point in metric.data.data_points:
        attributes = dict(point.attributes or {})
        named, _ = identity.named_by(holding, attributes, NOBODY)
        if not identity.final(holding, identity.verdict(holding, named, NOBODY, facts)):
            points.append(point)
            continue
        if not known:
            continue
        redactor = holding.redactor_for(everyone_of(named, NOBODY, facts))
        clean = redactor.measurement_attributes(attributes, {}, metric.name)
        exemplars = [
            replace(
                exemplar, filtered_attributes=holding.redactor.attributes(exemplar.filtered_attributes, {})
            )
            for exemplar in point.exemplars or ()
        ]
        points.append(replace(point, attributes=clean, exemplars=exemplars))
    return replace(metric, data=replace(metric.data, data_points=points)) if points else None


def forget() -> None:
    """Let unknown instruments be announced again (between tests)."""
    _announced.clear()
    _merging.clear()


patches.loaded(__name__)
