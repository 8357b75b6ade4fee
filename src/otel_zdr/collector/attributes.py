"""Cleaning one map of attributes: keys, types and shapes.

The map is copied once for each shape, reduced to the keys of that shape (a hash set that is built at start),
filtered by the condition of the shape, and the map is put together again from what is left. What nobody
copied is gone: default deny is the structure, not a rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_zdr.catalogue import shapes
from otel_zdr.collector import spellings, values
from otel_zdr.collector.keys import PRUNED, Keys
from otel_zdr.collector.ottl import all_of, any_of, match, text, texts, words

#: What the SDK's gate writes; on items that it did not mark, and from senders nobody trusts, it goes.
_EVIDENCE = (
    "zdr.redacted",
    "zdr.removed",
    "zdr.policy.version",
    "zdr.product",
    "zdr.coverage",
    "zdr.coverage.reason",
    "zdr.failsafe",
    "zdr.exception.fingerprint",
)
_PLAIN = (shapes.SCALAR, shapes.TOKENS, shapes.TOKEN, shapes.USAGE, shapes.TIMING)


def clean_attributes(target: str, cache: str, keys: Keys, server: str | None = None, unlisted: bool = True, trusted: bool = False) -> Iterator[str]:
    """Statements that clean the map ``target`` with ``cache`` of the same context.

    ``server``: a condition under which keys that the caller fills in are removed too.
    """
    raw = f'{cache}["raw"]'
    yield f"set({raw}, {target})"
    for shape in _PLAIN:
        part = f'{cache}["{shape}"]'
        yield f"set({part}, {raw})"
        yield f"keep_keys({part}, {texts(_keys_of(shape, keys))})"
        yield f"set({part}, Filter({part}, (_, v) => ({values.CONDITIONS[shape]('v')})))"
    yield f'set({cache}["closed"], {raw})'
    yield f'keep_keys({cache}["closed"], {texts(_closed_keys(keys))})'
    yield f'set({cache}["closed"], Filter({cache}["closed"], (k, v) => {_closed(keys)}))'
    yield f"set({target}, {cache}[\"{_PLAIN[0]}\"])"
    for shape in (*_PLAIN[1:], "closed"):
        yield f'merge_maps({target}, {cache}["{shape}"], "insert")'
    other = shapes.ENUM_OTHER["http_method"]
    for key in keys.by_shape.get(shapes.ENUM_PREFIX + "http_method", ()):
        yield f"set({target}[{text(key)}], {text(other)}) where IsString({raw}[{text(key)}]) and {target}[{text(key)}] == nil"
    if unlisted:
        yield f'set({cache}["spelt"], Filter({raw}, (k, v) => {_unlisted(target, keys)}))'
        yield f'merge_maps({target}, {cache}["spelt"], "insert")'
        yield f'merge_maps({target}, {raw}["{PRUNED}"], "upsert") where IsMap({raw}["{PRUNED}"])'
    elif keys.kept_prefixes:
        yield f'set({cache}["spelt"], Filter({raw}, (k, v) => ({_kept(keys)})))'
        yield f'merge_maps({target}, {cache}["spelt"], "insert")'
    if server is not None and keys.caller:
        yield f"delete_matching_keys({target}, {text('^' + words(keys.caller) + '$')}) where {server}"
    if trusted:
        part = f'{cache}["evidence"]'
        yield f"set({part}, {raw})"
        yield f"keep_keys({part}, {texts(_EVIDENCE)})"
        items = all_of("IsList(v)", "Len(v) <= 64", f"All(v, (_, e) => ({values.token('e')}))")
        yield f"set({part}, Filter({part}, (_, v) => {any_of('IsBool(v)', values.token('v'), items)}))"
        yield f'merge_maps({target}, {part}, "insert") where {raw}["zdr.redacted"] == true'


def _keys_of(shape: str, keys: Keys) -> tuple[str, ...]:
    found = keys.by_shape.get(shape, ())
    return (*found, *keys.by_shape.get(shapes.NUMBER, ())) if shape == shapes.TIMING else found


def _closed_keys(keys: Keys) -> list[str]:
    return [
        key
        for shape, found in keys.by_shape.items()
        if shape in (shapes.BOOL, shapes.ROUTE, shapes.QUALNAME) or shape.startswith(shapes.ENUM_PREFIX)
        for key in found
    ]


def _closed(keys: Keys) -> str:
    patterns = {
        shape: [words(found)]
        for shape, found in keys.by_shape.items()
        if shape in values.CLOSED and shape != shapes.TOKEN
    }
    flags = keys.by_shape.get(shapes.BOOL, ())
    return any_of(
        values.closed("k", "v", patterns),
        all_of("IsBool(v)", match("k", f"^{words(flags)}$")) if flags else "false",
    )


def _unlisted(target: str, keys: Keys) -> str:
    """Keys with an index, below a kept prefix, or spelt in words of the vocabulary."""
    new = f"{target}[k] == nil"
    figures = all_of(values.usage("v"), new, any_of(spellings.figure("k"), spellings.below_kept_prefix("k")))
    closed = match("k", "(?i)reasons?$")
    finish = match("v", f"^{values.CLOSED[shapes.ENUM_PREFIX + 'finish_reason']}$")
    reason = all_of("IsString(v)", "Len(v) <= 40", closed, finish)
    named = all_of(any_of(all_of(values.tokens("v"), f"not {closed}"), reason), new, spellings.named("k"))
    indexed = all_of("IsString(v)", "Len(v) <= 128", match("k", r"\.[0-9]+\."), values.closed("k", "v", keys.indexed))
    spelt = all_of("Len(k) <= 200", any_of(figures, named), f"not {match('k', keys.denied)}")
    alternatives = [spelt, indexed]
    if keys.kept_prefixes:
        alternatives.append(all_of(new, _kept(keys)))
    return any_of(*alternatives)


def _kept(keys: Keys) -> str:
    return all_of(values.scalar("v"), match("k", f"^{words(keys.kept_prefixes)}"))
