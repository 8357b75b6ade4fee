"""Cleaning one map of attributes the long way: keys, types and shapes.

The map is copied once for each shape, reduced to the keys of that shape (a hash set that is built at start),
filtered by the condition of the shape, and the map is put together again from what is left. What nobody
copied is gone: default deny is the structure, not a rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from otel_zdr.catalogue import shapes
from otel_zdr.collector import spellings, values
from otel_zdr.collector.keys import FIGURES, KEPT, PLAIN, PRUNED, Keys, times_of
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


def clean_odd(
    target: str, cache: str, keys: Keys, server: str | None = None, trusted: bool = False
) -> Iterator[str]:
    """Statements that clean an item's map ``target`` which the short way has found odd.

    The short way has left in it, under names of our own: the listed keys of plain shapes, those of them that
    are figures, what stays of keys that are not plain, and JSON, pruned.

    ``server``: a condition under which keys that the caller fills in are removed too.
    """
    raw = f'{cache}["raw"]'
    plain, figures, times = f'{cache}["plain"]', f'{cache}["figures"]', f'{cache}["times"]'
    yield f"set({raw}, {target})"
    yield f'set({plain}, {raw}["{PLAIN}"])'
    yield f'set({figures}, {raw}["{FIGURES}"])'
    yield f"set({times}, {figures})"
    yield f"keep_keys({times}, {texts(times_of(keys))})"
    shaped = {shapes.TIMING: times}
    for shape in (shapes.TOKENS, shapes.TOKEN):
        shaped[shape] = f'{cache}["{shape}"]'
        yield f"set({shaped[shape]}, {plain})"
        yield f"keep_keys({shaped[shape]}, {texts(keys.by_shape.get(shape, ()))})"
    others = " and ".join(
        f"{part}[k] == nil" for part in (figures, shaped[shapes.TOKENS], shaped[shapes.TOKEN])
    )
    yield f"set({plain}, Filter({plain}, (k, v) => ({others} and {values.scalar('v')})))"
    yield f"set({figures}, Filter({figures}, (k, v) => ({times}[k] == nil and {values.usage('v')})))"
    for shape, part in shaped.items():
        yield f"set({part}, Filter({part}, (_, v) => ({values.CONDITIONS[shape]('v')})))"
    yield f"set({target}, {plain})"
    for part in (figures, *shaped.values()):
        yield f'merge_maps({target}, {part}, "insert")'
    for name in (KEPT, PRUNED):
        yield f'merge_maps({target}, {raw}["{name}"], "insert") where IsMap({raw}["{name}"])'
    yield from put_other_methods(target, raw, keys)
    if server is not None and keys.caller:
        yield f"delete_matching_keys({target}, {text('^' + words(keys.caller) + '$')}) where {server}"
    if trusted:
        part = f'{cache}["evidence"]'
        items = all_of("IsList(v)", "Len(v) <= 64", f"All(v, (_, e) => ({values.token('e')}))")
        yield f"set({part}, {raw})"
        yield f"keep_keys({part}, {texts(EVIDENCE)})"
        yield f"set({part}, Filter({part}, (_, v) => {any_of('IsBool(v)', values.token('v'), items)}))"
        yield f'merge_maps({target}, {part}, "insert") where {raw}["zdr.redacted"] == true'


def clean_shared(target: str, cache: str, keys: Keys) -> Iterator[str]:
    """Statements that clean the attributes of a scope or resource.

    Figures and spellings that nobody listed do not describe who sends: here they go, which keeps the file
    a good deal shorter.
    """
    raw = f'{cache}["raw"]'
    found = (shapes.SCALAR, shapes.TOKENS, shapes.TOKEN)
    yield f"set({raw}, {target})"
    for shape in found:
        part = f'{cache}["{shape}"]'
        yield f"set({part}, {raw})"
        yield f"keep_keys({part}, {texts(keys.by_shape.get(shape, ()))})"
        yield f"set({part}, Filter({part}, (_, v) => ({values.CONDITIONS[shape]('v')})))"
    yield f'set({target}, {cache}["{found[0]}"])'
    for shape in found[1:]:
        yield f'merge_maps({target}, {cache}["{shape}"], "insert")'
    yield f'set({cache}["closed"], Filter({raw}, (k, v) => {_shared(keys)}))'
    yield f'merge_maps({target}, {cache}["closed"], "insert")'
    yield from put_other_methods(target, raw, keys)


def put_other_methods(target: str, raw: str, keys: Keys) -> Iterator[str]:
    """Statements that write the placeholder of the conventions for an unknown method."""
    other = shapes.ENUM_OTHER["http_method"]
    for key in keys.by_shape.get(shapes.ENUM_PREFIX + "http_method", ()):
        given = f"{target}[{text(key)}]"
        yield f"set({given}, {text(other)}) where IsString({raw}[{text(key)}]) and {given} == nil"


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
    figures = all_of(
        any_of(values.usage("v"), values.structure("v")),
        any_of(spellings.figure("k"), spellings.below_kept_prefix("k")),
    )
    reason = match("k", "(?i)reasons?$")
    finish = match("v", f"^{values.CLOSED[shapes.ENUM_PREFIX + 'finish_reason']}$")
    stopped = all_of("IsString(v)", "Len(v) <= 40", reason, finish)
    named = all_of(any_of(all_of(values.tokens("v"), f"not {reason}"), stopped), spellings.named("k"))
    indexed = all_of(
        "IsString(v)", "Len(v) <= 128", match("k", r"\.[0-9]+\."), values.closed("k", "v", keys.indexed)
    )
    spelt = all_of("Len(k) <= 200", any_of(figures, named), f"not {match('k', keys.denied)}")
    return any_of(closed_condition(keys), spelt, indexed, *([_kept(keys)] if keys.kept_prefixes else []))


def _shared(keys: Keys) -> str:
    return any_of(closed_condition(keys), *([_kept(keys)] if keys.kept_prefixes else []))


def _kept(keys: Keys) -> str:
    return all_of(values.scalar("v"), match("k", f"^{words(keys.kept_prefixes)}"))
