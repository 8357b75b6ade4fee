"""The short way for ordinary items: well-known keys with values of the plain shapes.

Most items hold nothing that needs more than a hash look-up and one look at each value: for them a dozen
statements do it all, on one copy of the map. Whatever is not ordinary (a key outside the short list, JSON, a
wrong type) leaves the map as it came and marks the item as odd, and the long way
(`otel_zdr.collector.attributes`) cleans it. The short way never decides that something odd may stay.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_zdr.catalogue import shapes
from otel_zdr.collector import values
from otel_zdr.collector.keys import EVIDENCE, ODD, ORDINARY_ENUMS, STATE, Keys
from otel_zdr.collector.ottl import all_of, any_of, exactly, match, text, texts, words

#: Beginnings of removed keys that are common enough not to make an item odd.
_DROPPED = (
    *("gen_ai.input", "gen_ai.output", "gen_ai.prompt", "gen_ai.completion", "gen_ai.system_instructions"),
    *("gen_ai.tool.", "gen_ai.conversation", "gen_ai.request.", "gen_ai.user", "gen_ai.agent.d"),
    *("input.", "output.", "exception.message", "http.", "url.", "net", "db.statement", "db.query", "user"),
    *("client.", "enduser.", "session.", "thread.", "traceloop.", "message"),
)


#: Of these, beginnings of those whose values are JSON or a URL, which has no space in it.
_JSON_OR_URL = (
    *(
        "gen_ai.input.m",
        "gen_ai.output.m",
        "gen_ai.prompt",
        "gen_ai.completion",
        "gen_ai.system_instructions",
    ),
    *("gen_ai.tool.call.", "gen_ai.tool.definitions", "input.value", "output.value", "traceloop.entity."),
    *("url.full", "url.path", "url.query", "http.url", "http.target"),
)


def content_that_looks_kept(keys: Keys) -> tuple[str, ...]:
    """Removed keys of most instrumentations whose values alone do not tell that they have to go."""
    # Not those with an index, whose number stands in its place in no key.
    return tuple(key for key in keys.dropped if key.startswith(_JSON_OR_URL) and ".N." not in key)


def clean_ordinary(
    target: str,
    cache: str,
    keys: Keys,
    server: str | None = None,
    *,
    trusted: bool = False,
    decided: bool = False,
) -> Iterator[str]:
    """Statements that clean ``target`` if it is ordinary, and else leave it raw with the mark ``ODD``.

    ``server``: a condition under which keys that the caller fills in are removed too. ``trusted``: the SDK's
    evidence is looked at, else it goes. ``decided``: who the item is for is written in ``target``.
    """
    known, odd = f'{cache}["known"]', f'{cache}["odd"]'
    plain = [key for found in keys.common.values() for key in found]
    numeric = [key for shape in values.NUMERIC for key in keys.common.get(shape, ())]
    never = [key for key in keys.dropped if key.startswith(_DROPPED)]
    never += () if trusted else EVIDENCE
    if decided:
        yield f"delete_key({target}, {text(STATE)})"
    yield f"set({known}, {target})"
    yield f"keep_keys({known}, {texts((*plain, *never))})"
    yield f"set({odd}, true) where Len({known}) != Len({target})"
    # Dropped keys are dropped either way: an item may still turn out odd.
    yield f"keep_keys({target}, {texts(plain)}) where {odd} == nil"
    yield f"set({odd}, true) where {odd} == nil and not All({target}, (_, v) => {_fits()})"
    yield f"keep_keys({known}, {texts(numeric)}) where {odd} == nil"
    yield f"set({odd}, true) where {odd} == nil and not All({known}, (_, v) => (v <= 0 or v > 0))"
    closed, told = _closed(keys)
    yield f"set({known}, {target}) where {odd} == nil"
    yield f"keep_keys({known}, {texts(closed)}) where {odd} == nil"
    yield f"set({odd}, true) where {odd} == nil and not All({known}, (k, v) => ({told}))"
    if server is not None and keys.caller:
        yield f"delete_matching_keys({target}, {_exactly(keys.caller)}) where {odd} == nil and {server}"
    # What arrived under names of our own must not be taken for ours.
    yield f"delete_matching_keys({target}, {text('^zdr[.]collector[.]')}) where {odd} == true"
    yield f'set({target}["{ODD}"], true) where {odd} == true'


def _exactly(keys: tuple[str, ...]) -> str:
    return text(f"^{words(keys)}$")


def _closed(keys: Keys) -> tuple[list[str], str]:
    """(keys whose values are words, the condition under which all is well with one of them)."""
    flags = keys.common.get(shapes.FLAG, ())
    enums = {shape: keys.common.get(shape, ()) for shape in ORDINARY_ENUMS}
    pairs = [f"{words(found)}={values.CLOSED[shape]}" for shape, found in enums.items() if found]
    # A flag is no text, and what is compared with one has to be one: types are never equal.
    told = any_of(
        *((all_of("(v == true or v == false)", match("k", f"^{words(flags)}$")),) if flags else ()),
        all_of('v >= ""', match('Concat([k, v], "=")', exactly(*pairs))),
    )
    return [*flags, *(key for found in enums.values() for key in found)], told


def _fits() -> str:
    """Whether ``v`` is of a plain shape.

    Types are told by comparing, which is never true between types; a function that asks for a type makes
    an error of every value of another, which costs more than all else here.
    """
    # Most texts have no slash: for them one look with an expression of one pass is enough.
    one_pass = match("v", "^[A-Za-z0-9._:@+-]{1,128}$")
    token = any_of(one_pass, all_of(f"Len(v) <= {shapes.MAX_TOKEN}", match("v", f"^{values.TOKEN}$")))
    element = all_of('e >= ""', f"Len(e) <= {shapes.MAX_TOKEN}", match("e", f"^{values.TOKEN}$"))
    items = all_of("IsList(v)", f"Len(v) <= {shapes.MAX_TOKENS}", f"All(v, (_, e) => {element})")
    return any_of(all_of('v >= ""', token), "v <= 0", "v > 0", "v == true", "v == false", items)
