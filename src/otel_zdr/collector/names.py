"""Names of spans, events, scopes and instruments: known, listed, or made of the item's clean attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from otel_zdr.catalogue import names
from otel_zdr.collector import spellings, values
from otel_zdr.collector.ottl import all_of, any_of, is_one_of, match, text, texts, unless, words
from otel_zdr.redaction import naming

#: What the SDK's gate measures of itself.
_OWN = {"zdr.removed.values", "zdr.failsafe.items", "zdr.policy.changes"}
_LEAF = "[A-Za-z_][A-Za-z0-9_]{0,47}"
_METHODS = words(naming.METHODS)
_SERVER_PART = words(naming._SERVER_PARTS)


def _listed(keep_names: tuple[str, ...]) -> list[str]:
    """Expressions of the operator's names; still token-shaped."""
    exact = [name for name in keep_names if not name.endswith(".*")]
    prefixes = [
        re.escape(name[:-1]) + "(?:/?[A-Za-z0-9._:@+-])+/?" for name in keep_names if name.endswith(".*")
    ]
    return [words(exact)] * bool(exact) + prefixes


def span_name(keep_names: tuple[str, ...], trusted: bool) -> Iterator[str]:
    """Statements for the name of a span whose attributes are clean already."""
    cache, name = "span.cache", "span.name"
    plain = "|".join(
        (
            words(names.SPANS | naming.METHODS | naming.KINDS | naming._OPERATIONS),
            f"(?i:{words(naming._SQL)})",
            *_listed(keep_names),
        )
    )
    first = f"^(?:{words(naming._OPERATIONS)}|(?i:{words(naming._SQL)})) "
    subjects, operations, routes = f'{cache}["subjects"]', f'{cache}["operations"]', f'{cache}["routes"]'
    yield f"set({subjects}, span.attributes)"
    yield f"keep_keys({subjects}, {texts((*naming._SUBJECT_KEYS, *naming.OPERATION_KEYS))})"
    yield f"set({subjects}, Filter({subjects}, (_, v) => IsString(v)))"
    yield f"set({operations}, {subjects})"
    yield f"keep_keys({operations}, {texts(naming.OPERATION_KEYS)})"
    yield f"delete_matching_keys({subjects}, {text('^' + words(key for key in naming.OPERATION_KEYS) + '$')}) where false"
    yield f"set({routes}, span.attributes)"
    yield f'keep_keys({routes}, ["http.route", "url.template"])'
    short = f"Len({name}) <= 256"
    rest = f'{cache}["rest"]'
    yield f'set({rest}, "")'
    yield f"set({rest}, {name}) where {short}"
    yield f'replace_pattern({rest}, "^[^ ]* ", "")'
    yield f'replace_pattern({rest}, {text(_SERVER_PART + "$")}, "") where {match(name, f"^{_METHODS} ")}'
    entity, kind = 'span.attributes["traceloop.entity.name"]', 'span.attributes["traceloop.span.kind"]'
    known = any_of(
        f'{name} == ""',
        match(name, f"^(?:{plain})$"),
        f"Any({subjects}, (_, v) => v == {name})",
        all_of(match(name, first), f"Any({subjects}, (_, v) => v == {rest})"),
        all_of(match(name, f"^{_METHODS} "), f"Any({routes}, (_, v) => v == {rest})"),
        f'Any({operations}, (_, o) => Any({subjects}, (_, v) => {name} == Concat([o, v], " ")))',
        all_of(f"IsString({entity})", f"IsString({kind})", f'{name} == Concat([{entity}, {kind}], ".")'),
        *([trusted_name(name, "span.attributes")] if trusted else []),
    )
    yield f'set({cache}["name"], {name}) where {short} and {known}'
    renamed = f'where {cache}["name"] == nil'
    yield f'set({cache}["made"], ToLowerCase(span.kind.string)) {renamed}'
    yield f'set({cache}["made"], "internal") {renamed} and span.kind == SPAN_KIND_UNSPECIFIED'
    for method in ("http.method", "http.request.method"):
        attribute = f'span.attributes["{method}"]'
        yield f'set({cache}["made"], {attribute}) {renamed} and IsString({attribute})'
        for route in ("url.template", "http.route"):
            given = f'span.attributes["{route}"]'
            yield (
                f'set({cache}["made"], Concat([{attribute}, {given}], " ")) {renamed} and IsString({attribute})'
                f" and IsString({given})"
            )
    models = ", ".join(f"{subjects}[{text(key)}]" for key in naming.MODEL_KEYS)
    operation = ", ".join(f"{operations}[{text(key)}]" for key in naming.OPERATION_KEYS)
    yield f'set({cache}["operation"], Coalesce([{operation}])) {renamed}'
    yield f'set({cache}["model"], Coalesce([{models}])) {renamed}'
    yield f'set({cache}["made"], {cache}["operation"]) {renamed} and {cache}["operation"] != nil'
    yield (
        f'set({cache}["made"], Concat([{cache}["operation"], {cache}["model"]], " ")) {renamed}'
        f' and {cache}["operation"] != nil and {cache}["model"] != nil'
    )
    yield f'set({name}, {cache}["made"]) {renamed}'


def event_name(path: str, keep_names: tuple[str, ...], otherwise: str, trusted: str = "false") -> str:
    known = "|".join((words(names.EVENTS), *_listed(keep_names)))
    condition = unless(all_of(f"Len({path}) <= 128", any_of(match(path, f"^(?:{known})$"), trusted)))
    return f"set({path}, {text(otherwise)}) where {path} != {text(otherwise)} and {condition}"


def scope_name(keep_names: tuple[str, ...]) -> str:
    """Whether a scope is a module of the sender's process cannot be known here: known and listed only."""
    known = "|".join((f"{words(names.SCOPES)}(?:\\.{_LEAF})*", *_listed(keep_names)))
    return (
        f'set(scope.name, "") where scope.name != "" and'
        f" {unless(all_of('Len(scope.name) <= 128', match('scope.name', f'^(?:{known})$')))}"
    )


def is_instrument(path: str, keep_names: tuple[str, ...]) -> str:
    token = match(path, f"^{values.TOKEN}$")
    return all_of(
        f"Len({path}) <= 128",
        any_of(
            is_one_of(path, names.INSTRUMENTS | _OWN),
            *(match(path, f"^{listed}$") for listed in _listed(keep_names)),
            all_of(token, any_of(spellings.figure(path), spellings.operational(path))),
        ),
    )


def trusted_name(name: str, attributes: str) -> str:
    """A name on an item that the SDK has marked: its gate proved it, here only its shape is seen."""
    shape = match(name, "^[A-Za-z0-9._:/@+{}<>*-]+(?: [A-Za-z0-9._:/@+{}<>*-]+){0,3}$")
    return all_of(f'{attributes}["zdr.redacted"] == true', f"Len({name}) <= 64", shape)
