"""The short way for ordinary items: known keys with values of the plain shapes.

Most items hold nothing that needs more than a hash look-up and one look at each value. For them a group of a
dozen statements does it all. Whatever is not ordinary (a key nobody listed, JSON, a wrong type) puts the
raw attributes back and marks the item as odd, and the long way (`otel_zdr.collector.attributes`) cleans it.
The short way never decides that something odd may stay.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_zdr.catalogue import shapes
from otel_zdr.collector import json_values, values
from otel_zdr.collector.attributes import EVIDENCE, put_other_methods, unlisted
from otel_zdr.collector.keys import FIGURES, KEPT, ODD, PLAIN, Keys
from otel_zdr.collector.ottl import all_of, any_of, match, text, texts, words

_TEXTUAL = (shapes.SCALAR, shapes.TOKENS, shapes.TOKEN)
#: Beginnings of removed keys that are common enough to be worth their place in the file; the look at unlisted
#: keys drops the others all the same.
_COMMON = (
    *("gen_ai.input", "gen_ai.output", "gen_ai.prompt", "gen_ai.completion", "gen_ai.system_instructions"),
    *(
        "gen_ai.tool.",
        "gen_ai.conversation",
        "gen_ai.request.",
        "gen_ai.content",
        "gen_ai.user",
        "gen_ai.agent.d",
    ),
    *("input.", "output.", "llm.", "exception.", "error.", "http.", "url.", "net", "db.", "user", "client."),
    *("enduser.", "session.", "thread.", "traceloop.", "langfuse.observation.", "code.", "message"),
)
_NUMERIC = (shapes.USAGE, shapes.TIMING, shapes.NUMBER)


def clean_ordinary(
    target: str, cache: str, keys: Keys, server: str | None = None, trusted: bool = False
) -> Iterator[str]:
    """Statements that clean ``target`` if it is ordinary, and else leave it raw with the mark ``ODD``."""
    raw, odd = f'{cache}["raw"]', f'{cache}["odd"]'
    dropped, new, kept = f'{cache}["dropped"]', f'{cache}["new"]', f'{cache}["kept"]'
    plain = {key for shape in (*_TEXTUAL, *_NUMERIC) for key in keys.by_shape.get(shape, ())}
    numeric = {key for shape in _NUMERIC for key in keys.by_shape.get(shape, ())}
    never = {key for key in keys.dropped if key.startswith(_COMMON)} | (set() if trusted else set(EVIDENCE))
    yield f"set({raw}, {target})"
    yield f"set({dropped}, {raw})"
    yield f"keep_keys({dropped}, {texts(never)})"
    yield f"keep_keys({target}, {texts(plain)})"
    # Keys that are neither kept by their type alone nor dropped: mostly the application's own.
    others = f"Len({target}) + Len({dropped}) != Len({raw})"
    yield f"set({new}, Filter({raw}, (k, _) => ({target}[k] == nil and {dropped}[k] == nil))) where {others}"
    yield f"set({kept}, Filter({new}, (k, v) => {unlisted(keys)})) where {new} != nil"
    # Keys that are figures by their words, but with JSON as their value.
    pruned = f'{cache}["structures"]'
    yield f"set({pruned}, Filter({kept}, (_, v) => ({values.structure('v')}))) where {new} != nil"
    yield f"set({kept}, Filter({kept}, (k, _) => {pruned}[k] == nil)) where {new} != nil"
    yield f"set({odd}, true) where {new} != nil and Len({pruned}) > 0"
    yield f"set({odd}, true) where {new} != nil and Any({new}, (k, v) => {_long_way(keys, trusted)})"
    items = all_of("IsList(v)", f"Len(v) <= {shapes.MAX_TOKENS}", f"All(v, (_, e) => ({values.token('e')}))")
    # Most texts have no slash: for them one look with an expression of one pass is enough.
    short = all_of("IsString(v)", match("v", "^[A-Za-z0-9._:@+-]{1,128}$"))
    fits = any_of(short, "IsInt(v)", "IsDouble(v)", "IsBool(v)", values.token("v"), items)
    yield f"set({odd}, true) where {odd} == nil and not All({target}, (_, v) => {fits})"
    yield f'set({cache}["figures"], {target})'
    yield f'keep_keys({cache}["figures"], {texts(numeric)})'
    yield f'merge_maps({cache}["figures"], {pruned}, "insert") where {new} != nil'
    yield f'set({odd}, true) where {odd} == nil and not All({cache}["figures"], (_, v) => {values.number("v")})'
    known = f"{odd} == nil and {new} != nil"
    yield f'merge_maps({target}, {kept}, "insert") where {known}'
    yield from (f"{statement} and {known}" for statement in put_other_methods(target, raw, keys))
    if server is not None and keys.caller:
        yield f"delete_matching_keys({target}, {text('^' + words(keys.caller) + '$')}) where {server}"
    yield f'set({cache}["plain"], {target}) where {odd} == true'
    yield f"set({target}, {raw}) where {odd} == true"
    # What arrived under the names of the long way must not be taken for its own.
    yield f"delete_matching_keys({target}, {text('^zdr[.]collector[.]')}) where {odd} == true"
    yield f'set({target}["{PLAIN}"], {cache}["plain"]) where {odd} == true'
    yield f'set({target}["{FIGURES}"], {cache}["figures"]) where {odd} == true'
    yield f'set({target}["{KEPT}"], {kept}) where {odd} == true and {new} != nil'
    yield f'set({target}["{ODD}"], true) where {odd} == true'


def _long_way(keys: Keys, trusted: bool) -> str:
    """Whether a key that is not plain needs more than a look at its value."""
    pruned = [key for shape in (shapes.JSON, shapes.PARAMETERS) for key in keys.structured.get(shape, ())]
    return any_of(
        match("k", f"^{words({*pruned, 'exception.stacktrace', *(EVIDENCE if trusted else ())})}$"),
        json_values.hinted(keys),
    )
