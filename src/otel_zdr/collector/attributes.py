"""Cleaning one map of attributes: keys, types and shapes.

The map is copied once for each shape, reduced to the keys of that shape (a hash set that is built at start),
filtered by the condition of the shape, and the map is put together again from what is left. What nobody
copied is gone: default deny is the structure, not a rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_zdr.catalogue import shapes
from otel_zdr.collector import spellings, values
from otel_zdr.collector.keys import KEPT, PRUNED, Keys
from otel_zdr.collector.ottl import all_of, any_of, match, text, texts, words

#: What the SDK's gate writes; on items that it did not mark, and from senders nobody trusts, it goes.
EVIDENCE = (
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


def clean_attributes(target: str, cache: str, keys: Keys, server: str | None = None, items: bool = True, trusted: bool = False) -> Iterator[str]:
    """Statements that clean the map ``target`` with ``cache`` of the same context.

    ``server``: a condition under which keys that the caller fills in are removed too.
    """
    raw = f'{cache}["raw"]'
    yield f"set({raw}, {target})"
    # Figures do not describe who sends; without their keys the file is a good deal shorter.
    plain = _PLAIN if items else _PLAIN[:3]
    for shape in plain:
        part = f'{cache}["{shape}"]'
        yield f"set({part}, {raw})"
        yield f"keep_keys({part}, {texts(_keys_of(shape, keys))})"
        yield f"set({part}, Filter({part}, (_, v) => ({values.CONDITIONS[shape]('v')})))"
    yield f"set({target}, {cache}[\"{_PLAIN[0]}\"])"
    for shape in plain[1:]:
        yield f'merge_maps({target}, {cache}["{shape}"], "insert")'
    if items:
        # Found by the short way: keys that are not plain, and JSON, pruned.
        for part in (KEPT, PRUNED):
            yield f'merge_maps({target}, {raw}["{part}"], "insert") where IsMap({raw}["{part}"])'
    else:
        yield f'set({cache}["closed"], Filter({raw}, (k, v) => {_shared(keys)}))'
        yield f'merge_maps({target}, {cache}["closed"], "insert")'
    yield from put_other_methods(target, raw, keys)
    if server is not None and keys.caller:
        yield f"delete_matching_keys({target}, {text('^' + words(keys.caller) + '$')}) where {server}"
    if trusted:
        part = f'{cache}["evidence"]'
        yield f"set({part}, {raw})"
        yield f"keep_keys({part}, {texts(EVIDENCE)})"
        items = all_of("IsList(v)", "Len(v) <= 64", f"All(v, (_, e) => ({values.token('e')}))")
        yield f"set({part}, Filter({part}, (_, v) => {any_of('IsBool(v)', values.token('v'), items)}))"
        yield f'merge_maps({target}, {part}, "insert") where {raw}["zdr.redacted"] == true'


def put_other_methods(target: str, raw: str, keys: Keys) -> Iterator[str]:
    """Statements that write the placeholder of the conventions for an unknown method."""
    other = shapes.ENUM_OTHER["http_method"]
    for key in keys.by_shape.get(shapes.ENUM_PREFIX + "http_method", ()):
        given = f"{target}[{text(key)}]"
        yield f"set({given}, {text(other)}) where IsString({raw}[{text(key)}]) and {given} == nil"


def _keys_of(shape: str, keys: Keys) -> tuple[str, ...]:
    found = keys.by_shape.get(shape, ())
    return (*found, *keys.by_shape.get(shapes.NUMBER, ())) if shape == shapes.TIMING else found


def closed_condition(keys: Keys) -> str:
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


def unlisted(keys: Keys) -> str:
    """What may stay of a key ``k`` that is not plain: of a closed shape, with an index, below a kept prefix,
    or spelt in words of the vocabulary."""
    figures = all_of(values.usage("v"), any_of(spellings.figure("k"), spellings.below_kept_prefix("k")))
    reason = match("k", "(?i)reasons?$")
    finish = match("v", f"^{values.CLOSED[shapes.ENUM_PREFIX + 'finish_reason']}$")
    stopped = all_of("IsString(v)", "Len(v) <= 40", reason, finish)
    named = all_of(any_of(all_of(values.tokens("v"), f"not {reason}"), stopped), spellings.named("k"))
    indexed = all_of("IsString(v)", "Len(v) <= 128", match("k", r"\.[0-9]+\."), values.closed("k", "v", keys.indexed))
    spelt = all_of("Len(k) <= 200", any_of(figures, named), f"not {match('k', keys.denied)}")
    return any_of(closed_condition(keys), spelt, indexed, *([_kept(keys)] if keys.kept_prefixes else []))


def _shared(keys: Keys) -> str:
    return any_of(closed_condition(keys), *([_kept(keys)] if keys.kept_prefixes else []))


def _kept(keys: Keys) -> str:
    return all_of(values.scalar("v"), match("k", f"^{words(keys.kept_prefixes)}"))
