"""The statement groups of traces, logs and metrics: every place an item has, in order.

Each group is one walk over the items of a context. What arrives under the names that the configuration
uses for itself is removed first, so that nobody can decide or write anything from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from otel_zdr.catalogue import _compiled
from otel_zdr.collector import json_values, names, values
from otel_zdr.collector.attributes import clean_odd, clean_shared, put_pruned
from otel_zdr.collector.keys import JSON, NAME, ODD, REDACTED, STATE, Keys
from otel_zdr.collector.ordinary import clean_ordinary
from otel_zdr.collector.ottl import all_of, any_of, expression, match, text, texts, unless, words
from otel_zdr.collector.who import Who, decide_item, note_mixed, shared_is_clean
from otel_zdr.policy import evidence
from otel_zdr.redaction import frames, naming, redactor

#: The metric whose measurements nobody may see is renamed to this, and dropped by the filter processor.
DROPPED = "zdr.collector.dropped"
_SERVER = any_of("span.kind == SPAN_KIND_SERVER", "span.kind == SPAN_KIND_CONSUMER")
#: Of the lines of the grammar, those that no line of prose or code is: a single word could be content.
_TELLING = "^(?:.*:[0-9]+ .*|[+].*|.*(?:Error|Exception|Warning|Group|Interrupt|Exit|Iteration|Timeout|Cancelled|Failure))$"
_LINE = f"^{frames.LINE}$"
#: W3C `ot`: what a sampler writes (`otel_zdr.redaction.redactor`).
_UNIT = "|%|[{]?[A-Za-z0-9_.-]{1,32}[}]?(?:/[{]?[A-Za-z0-9_.-]{1,32}[}]?)?"
_ENTRY = "(?:th:[0-9a-f]{1,14}|rv:[0-9a-f]{14}|p:[0-9]{1,2}|r:[0-9]{1,2})"
_SAMPLING = f"{_ENTRY}(?:;{_ENTRY}){{0,3}}"
_OT = rf"(?s)^(?:.*,)?\s*(ot={_SAMPLING})\s*(?:,.*)?$"
_TEMPLATE = r"^[\x20-\x7e]{1,200}$"


@dataclass(frozen=True)
class Group:
    """Statements of one context. ``silent``: a failure writes nothing, and nothing depends on it."""

    context: str
    statements: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    silent: bool = False


@dataclass(frozen=True)
class Plan:
    """What the statements are made from."""

    keys: Keys
    who: Who
    trust_sdk_marks: bool


def trace_groups(plan: Plan) -> list[Group]:
    own = ("span.attributes", "scope.attributes", "resource.attributes")
    return [
        *_reset(plan, "span"),
        *_decision(plan, "span", own[1:]),
        _when(plan, "spanevent", "span", _ordinary_event(plan)),
        _odd("spanevent", _span_event(plan)),
        *_json("spanevent"),
        _when(plan, "span", "span", _ordinary_span(plan)),
        _odd("span", _span(plan)),
        *_json("span"),
        Group("span", tuple(_name(plan)), (f'span.attributes["{NAME}"] == true',)),
        *_shared(plan, always=False),
    ]


def log_groups(plan: Plan) -> list[Group]:
    return [
        *_reset(plan, "log"),
        *_decision(plan, "log", ("scope.attributes", "resource.attributes")),
        _when(plan, "log", "log", _log(plan)),
        _odd("log", _log_attributes(plan)),
        *_json("log"),
        *_shared(plan, always=False),
    ]


def metric_groups(plan: Plan) -> list[Group]:
    """Instrument, scope and resource are shared by all workspaces and cleaned for all of them."""
    return [
        *_reset(plan, "datapoint"),
        *_decision(plan, "datapoint", ()),
        _when(plan, "exemplar", "datapoint", ["keep_keys(exemplar.filtered_attributes, [])"]),
        _when(plan, "datapoint", "datapoint", _ordinary_point(plan)),
        _odd("datapoint", _data_point(plan)),
        Group("metric", tuple(_metric(plan))),
        *_shared(plan, always=True),
    ]


def _reset(plan: Plan, item: str) -> list[Group]:
    if plan.who.everything:
        return []  # nothing is decided, and every map is cleaned before anything is noted in it
    return [
        Group(context, tuple(_forget(f"{context}.attributes"))) for context in ("resource", "scope", item)
    ]


def _forget(attributes: str) -> Iterator[str]:
    # A sender may write the same key twice, and `delete_key` would take only the first.
    yield f"delete_matching_keys({attributes}, {text('^zdr[.]collector[.]')})"


def _decision(plan: Plan, context: str, shared: tuple[str, ...]) -> list[Group]:
    if plan.who.everything:
        return []
    return [
        Group(context, tuple(note_mixed(context, plan.who))),
        Group(context, tuple(decide_item(context, plan.who, shared))),
    ]


def _when(plan: Plan, context: str, item: str, statements: Iterable[str], silent: bool = False) -> Group:
    conditions = () if plan.who.everything else (f'{item}.attributes["{STATE}"] == true',)
    return Group(context, tuple(statements), conditions, silent)


def _odd(context: str, statements: Iterable[str]) -> Group:
    return Group(context, tuple(statements), (f'{context}.attributes["{ODD}"] == true',))


def _json(context: str) -> list[Group]:
    """JSON that was set aside is pruned where a failure writes nothing, and then goes in any case."""
    target, cache = f"{context}.attributes", f"{context}.cache"
    given = (f'{target}["{JSON}"] != nil',)
    return [
        Group(context, tuple(json_values.prune_json(target, cache)), given, silent=True),
        Group(context, tuple(put_pruned(target, cache)), given),
    ]


def _frames(attributes: str, cache: str) -> Iterator[str]:
    """Stack traces in the frame grammar pass line by line; everything else of an exception's text goes."""
    trace = f'{attributes}["exception.stacktrace"]'
    yield f'set({cache}["trace"], {trace}) where IsString({trace}) and Len({trace}) <= 32768'
    lines = f'Filter(Split({cache}["trace"], "\\n"), (_, l) => ({all_of(match("l", _LINE), match("l", _TELLING))}))'
    yield f'set({cache}["frames"], Concat({lines}, "\\n")) where {cache}["trace"] != nil'


def _put_frames(attributes: str, cache: str) -> str:
    kept = f'{cache}["frames"]'
    return (
        f'set({attributes}["exception.stacktrace"], {kept}) where {kept} != nil and {match(kept, ":[0-9]")}'
    )


def _ordinary_span(plan: Plan) -> Iterator[str]:
    target, cache = "span.attributes", "span.cache"
    yield from clean_ordinary(
        target, cache, plan.keys, _SERVER, trusted=plan.trust_sdk_marks, decided=not plan.who.everything
    )
    yield 'set(span.status.message, "") where span.status.message != ""'
    given = 'span.trace_state != ""'
    sampling = f'{cache}["ot"]'
    # Not `trace_state["ot"]`, which fails where the sender did not keep to the grammar.
    yield f'set({cache}["ot"], span.trace_state) where {given} and Len(span.trace_state) <= 4096'
    yield f'replace_pattern({cache}["ot"], {text(_OT)}, "$1") where {cache}["ot"] != nil'
    yield f'set(span.trace_state, "") where {given}'
    yield f'set(span.trace_state, {cache}["ot"]) where {cache}["ot"] != nil and {match(sampling, f"^ot={_SAMPLING}$")}'
    # The attributes of a single link cannot be reached, so links go whole.
    yield "set(span.links, nil)"
    yield f'set({target}["{REDACTED}"], true) where {cache}["odd"] == nil'
    operation, model = (f'{target}["gen_ai.{key}"]' for key in ("operation.name", "request.model"))
    usual = all_of(
        f'{cache}["odd"] == nil',
        f'span.name == Concat([{operation}, {model}], " ")',
        f"IsString({operation})",
        f"IsString({model})",
    )
    yield f'set({target}["{NAME}"], true) where {unless(usual)}'


def _span(plan: Plan) -> Iterator[str]:
    target, cache = "span.attributes", "span.cache"
    yield from _frames(target, cache)
    yield from clean_odd(target, cache, plan.keys, _SERVER, trusted=plan.trust_sdk_marks)
    yield _put_frames(target, cache)
    yield f'set({target}["{REDACTED}"], true)'
    yield f'set({target}["{NAME}"], true)'


def _name(plan: Plan) -> Iterator[str]:
    """The name is judged by the span's attributes once they are clean."""
    yield f'delete_key(span.attributes, "{NAME}")'
    yield from names.span_name(plan.who.keep_names, plan.trust_sdk_marks)


def _ordinary_event(plan: Plan) -> Iterator[str]:
    target, cache = "spanevent.attributes", "spanevent.cache"
    trusted = names.trusted_name("spanevent.name", "span.attributes") if plan.trust_sdk_marks else "false"
    yield names.event_name("spanevent.name", plan.who.keep_names, "event", trusted)
    yield from clean_ordinary(target, cache, plan.keys, _SERVER)


def _span_event(plan: Plan) -> Iterator[str]:
    target, cache = "spanevent.attributes", "spanevent.cache"
    yield from _frames(target, cache)
    yield from clean_odd(target, cache, plan.keys, _SERVER)
    yield _put_frames(target, cache)


def _log(plan: Plan) -> Iterator[str]:
    target, cache = "log.attributes", "log.cache"
    if plan.trust_sdk_marks:
        marked = f'{target}["zdr.redacted"] == true'
        template = all_of(marked, "IsString(log.body)", "Len(log.body) <= 200", match("log.body", _TEMPLATE))
        yield f'set({cache}["template"], log.body) where {template}'
    for statement in json_values.prune_body("log.body", cache):
        joined = "and" if " where " in statement else "where"
        yield f"{statement} {joined} IsMap(log.body)"
    pruned = f'{cache}["parsed"]["b0"]'
    yield 'set(log.body, "") where log.body != nil and not IsMap(log.body)'
    yield "keep_keys(log.body, []) where IsMap(log.body)"
    yield f'set(log.body, {pruned}) where IsMap(log.body) and {cache}["parsed"] != nil and IsMap({pruned})'
    yield 'set(log.body, "") where IsMap(log.body) and Len(log.body) == 0'
    if plan.trust_sdk_marks:
        yield f'set(log.body, {cache}["template"]) where {cache}["template"] != nil'
    trusted = names.trusted_name("log.event_name", target) if plan.trust_sdk_marks else "false"
    yield names.event_name("log.event_name", plan.who.keep_names, "", trusted)
    level = match("log.severity_text", f"^(?i:{words(naming._LEVELS)})[234]*$")
    yield f'set(log.severity_text, "") where log.severity_text != "" and not {level}'
    yield from clean_ordinary(
        target, cache, plan.keys, trusted=plan.trust_sdk_marks, decided=not plan.who.everything
    )
    yield f'set({target}["{REDACTED}"], true) where {cache}["odd"] == nil'


def _log_attributes(plan: Plan) -> Iterator[str]:
    target, cache = "log.attributes", "log.cache"
    yield from _frames(target, cache)
    yield from clean_odd(target, cache, plan.keys, trusted=plan.trust_sdk_marks)
    yield _put_frames(target, cache)
    yield f'set({target}["{REDACTED}"], true)'


def _ordinary_point(plan: Plan) -> Iterator[str]:
    target, cache = "datapoint.attributes", "datapoint.cache"
    yield from clean_ordinary(
        target, cache, _measured(plan), _SERVER_INSTRUMENT, decided=not plan.who.everything
    )
    yield f'set(metric.metadata["{STATE}"], true)'
    if not plan.who.everything:
        unknown = unless(names.is_instrument("metric.name", plan.who.keep_names))
        yield f'set({target}["{STATE}"], {text(DROPPED)}) where {cache}["odd"] == nil and {unknown}'


_SERVER_INSTRUMENT = match("metric.name", f"^{words(redactor._SERVER_INSTRUMENTS)}")


def _measured(plan: Plan) -> Keys:
    """The conventions define ``http.server_name`` on a measurement as the server's own configured name."""
    return replace(plan.keys, caller=tuple(key for key in plan.keys.caller if key != "http.server_name"))


def _data_point(plan: Plan) -> Iterator[str]:
    target, cache = "datapoint.attributes", "datapoint.cache"
    yield from clean_odd(target, cache, _measured(plan), _SERVER_INSTRUMENT, json=False)
    own = f'{cache}["own"]'
    yield f'set({own}, {cache}["raw"])'
    yield f"keep_keys({own}, {texts(evidence.METRIC_ATTRIBUTES)})"
    yield f"set({own}, Filter({own}, (_, v) => ({values.token('v')})))"
    yield f'merge_maps({target}, {own}, "insert") where {match("metric.name", "^zdr[.]")}'
    yield from _known_on_measurements(target, f'{cache}["raw"]', own)
    if not plan.who.everything:
        unknown = unless(names.is_instrument("metric.name", plan.who.keep_names))
        yield f'set(datapoint.attributes["{STATE}"], {text(DROPPED)}) where {unknown}'


def _known_on_measurements(target: str, raw: str, found: str) -> Iterator[str]:
    """Bare words that a standard instrumentation writes, for measurements of its instruments only."""
    by_prefix: dict[str, list[tuple[str, str]]] = {}
    for prefix, key, shape in _compiled.MEASURED:
        by_prefix.setdefault(prefix, []).append((key, shape))
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for prefix, known in by_prefix.items():
        alike.setdefault(tuple(known), []).append(prefix)
    for pairs, prefixes in alike.items():
        fitting = any_of(*(all_of(f"k == {text(key)}", _fits(shape)) for key, shape in pairs))
        where = f"where {match('metric.name', f'^{words(prefixes)}')}"
        yield f"set({found}, Filter({raw}, (k, v) => ({fitting}))) {where}"
        yield f'merge_maps({target}, {found}, "insert") {where}'


def _fits(shape: str) -> str:
    if shape in values.CONDITIONS:
        return values.CONDITIONS[shape]("v")
    return all_of("IsString(v)", "Len(v) <= 192", match("v", f"^{values.CLOSED[shape]}$"))


def _metric(plan: Plan) -> Iterator[str]:
    yield 'set(metric.description, "") where metric.description != ""'
    # Removing keys can leave points of one metric with the same attributes: they become one.
    summed = any_of(
        *(f"metric.type == METRIC_DATA_TYPE_{kind}" for kind in ("SUM", "HISTOGRAM", "EXPONENTIAL_HISTOGRAM"))
    )
    yield f'aggregate_on_attributes("sum") where metric.metadata["{STATE}"] == true and {summed}'
    yield "keep_keys(metric.metadata, [])"
    yield f'set(metric.unit, "") where metric.unit != "" and not ({_token("metric.unit", _UNIT)})'
    if plan.who.everything:
        yield f"set(metric.name, {text(DROPPED)}) where {unless(names.is_instrument('metric.name', plan.who.keep_names))}"


def _token(path: str, more: str = "") -> str:
    return all_of(f"Len({path}) <= 128", match(path, f"^(?:{values.TOKEN}{more})$"))


def _shared(plan: Plan, always: bool) -> list[Group]:
    """Scope and resource, in one walk over the scopes: a resource without any holds no item and goes."""
    everybody = always or plan.who.everything
    maps = {
        f"{context}.attributes": "true" if everybody else shared_is_clean(f"{context}.attributes")
        for context in ("scope", "resource")
    }
    statements = [*clean_shared(maps, "scope.cache", plan.keys)]
    url = expression(redactor._SCHEMA_URL)
    for context, condition in zip(("scope", "resource"), maps.values(), strict=True):
        path = f"{context}.schema_url"
        known = all_of(f"Len({path}) <= 64", match(path, f"^{url}$"))
        statements.append(f'set({path}, "") where {condition} and {path} != "" and {unless(known)}')
    condition = maps["scope.attributes"]
    statements.append(f"{names.scope_name(plan.who.keep_names)} and {condition}")
    version = f'scope.version != "" and not ({_token("scope.version")})'
    statements.append(f'set(scope.version, "") where {version} and {condition}')
    groups = [Group("scope", tuple(statements))]
    if not everybody:
        groups += [
            Group(context, tuple(_forget(f"{context}.attributes"))) for context in ("scope", "resource")
        ]
    return groups
