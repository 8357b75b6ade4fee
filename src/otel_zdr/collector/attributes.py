"""Cleaning one map of attributes the long way: keys, types and shapes.

The map is copied once for each shape, reduced to the keys of that shape (a hash set that is built at start,
or for rare keys an expression), filtered by the condition of the shape, and the map is put together again
from what is left. What nobody copied is gone: default deny is the structure, not a rule.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from otel_zdr.catalogue import shapes
from otel_zdr.collector import json_values, spellings, values
from otel_zdr.collector.keys import EVIDENCE, JSON, NAME, ODD, PLAIN_SHAPES, PRUNED, Keys
from otel_zdr.collector.ordinary import content_that_looks_kept
from otel_zdr.collector.ottl import all_of, any_of, is_one_of, match, text, texts, words


def clean_odd(
    target: str,
    cache: str,
    keys: Keys,
    server: str | None = None,
    *,
    trusted: bool = False,
    json: bool = True,
) -> Iterator[str]:
    """Statements that clean an item's map ``target`` which the short way has found odd.

    ``json``: JSON that has to be pruned is left in it, under a name of our own, for `json_values`; else it
    goes.
    ``server``: a condition under which keys that the caller fills in are removed too.
    """
    raw, rest, kept = f'{cache}["raw"]', f'{cache}["rest"]', f'{cache}["kept"]'
    # Our own marks would be asked for in every expression below, like keys that nobody knows.
    for mark in (ODD, NAME):
        yield f"delete_key({target}, {text(mark)})"
    yield f"set({raw}, {target})"
    parts = yield from _by_shape(raw, rest, cache, keys)
    for shape, part in parts.items():
        fitting = f"Filter({part}, (_, v) => ({values.CONDITIONS[shape]('v')}))"
        yield (
            f'merge_maps({kept}, {fitting}, "insert")'
            if shape != shapes.SCALAR
            else f"set({kept}, {fitting})"
        )
    new, structures = f'{cache}["new"]', f'{cache}["structures"]'
    yield from _unlisted(new, rest, cache, keys)
    # Keys that are figures by their words, but with JSON as their value.
    yield f"set({structures}, Filter({new}, (_, v) => ({values.structure('v')})))"
    yield f'merge_maps({kept}, Filter({new}, (k, _) => {structures}[k] == nil), "insert")'
    yield f"set({target}, {kept})"
    yield from put_other_methods(target, raw, keys)
    if server is not None and keys.caller:
        yield f"delete_matching_keys({target}, {text('^' + words(keys.caller) + '$')}) where {server}"
    if json:
        figures = (parts[shapes.USAGE], structures)
        yield from json_values.set_aside(f'{target}["{JSON}"]', raw, cache, keys, figures)
    if trusted:
        part = f'{cache}["evidence"]'
        items = all_of("IsList(v)", "Len(v) <= 64", f"All(v, (_, e) => ({values.token('e')}))")
        yield f"set({part}, {raw})"
        yield f"keep_keys({part}, {texts(EVIDENCE)})"
        yield f"set({part}, Filter({part}, (_, v) => {any_of('IsBool(v)', values.token('v'), items)}))"
        yield f'merge_maps({target}, {part}, "insert") where {raw}["zdr.redacted"] == true'


def _by_shape(raw: str, rest: str, cache: str, keys: Keys) -> Generator[str, None, dict[str, str]]:
    """Statements that take the map ``raw`` apart; gives the maps of listed keys by shape.

    ``rest`` is what is not listed.
    """
    parts = {shape: f'{cache}["{shape}"]' for shape in PLAIN_SHAPES}
    listed, found = f'{cache}["listed"]', f'{cache}["found"]'
    for shape, part in parts.items():
        often = keys.common.get(shape, ())
        yield f"set({part}, {raw})" if often else f"set({part}, Filter({listed}, (_, v) => false))"
        if often:
            yield f"keep_keys({part}, {texts(often)})"
            merge = f'merge_maps({listed}, {part}, "insert")'
            yield merge if shape != shapes.SCALAR else f"set({listed}, {part})"
    # What no shape takes, and content that most spans carry, is not asked for every expression below.
    wanted = all_of(
        f"{listed}[k] == nil",
        values.may_survive("v"),
        f"not {match('k', f'^{words(content_that_looks_kept(keys))}$')}",
    )
    yield f"set({rest}, Filter({raw}, (k, v) => {wanted}))"
    for shape, part in parts.items():
        if keys.rare.get(shape):
            rare = is_one_of("k", keys.rare[shape])
            yield f"set({found}, Filter({rest}, (k, _) => {rare}))"
            yield f'merge_maps({part}, {found}, "insert") where Len({found}) > 0'
            yield f"set({rest}, Filter({rest}, (k, _) => {found}[k] == nil)) where Len({found}) > 0"
    return parts


def put_pruned(target: str, cache: str) -> Iterator[str]:
    """Statements that put pruned JSON in the place of what was set aside for it."""
    pruned = f'{cache}["pruned"]'
    yield f'set({pruned}, {target}["{PRUNED}"])'
    yield f"delete_matching_keys({target}, {text(f'^{words((JSON, PRUNED))}$')})"
    yield f'merge_maps({target}, {pruned}, "insert") where IsMap({pruned})'


def clean_shared(maps: dict[str, str], cache: str, keys: Keys) -> Iterator[str]:
    """Statements that clean the attributes of a scope and of its resource. ``maps``: each with its condition.

    There are few of them, so keys are expressions here, written once for both. Figures and spellings that
    nobody listed do not describe who sends: here they go.
    """
    both, raw = f'{cache}["both"]', f'{cache}["raw"]'
    for target in maps:
        yield f"set({both}[{text(target)}], {target})"
    yield f"set({raw}, {both})"
    yield f"set({both}, MapEach({both}, (_, m) => Filter(m, (k, v) => {_shared(keys)})))"
    for target, condition in maps.items():
        yield f"set({target}, {both}[{text(target)}]) where {condition}"
        for statement in put_other_methods(target, f"{raw}[{text(target)}]", keys):
            yield f"{statement} and {condition}"


def put_other_methods(target: str, raw: str, keys: Keys) -> Iterator[str]:
    """Statements that write the placeholder of the conventions for an unknown method."""
    other = shapes.ENUM_OTHER["http_method"]
    for key in keys.by_shape.get(shapes.ENUM_PREFIX + "http_method", ()):
        given = f"{target}[{text(key)}]"
        yield f"set({given}, {text(other)}) where IsString({raw}[{text(key)}]) and {given} == nil"


#: Enumerations of what is asked and answered, none of which describes who sends.
_OF_CALLS = frozenset(
    shapes.ENUM_PREFIX + name
    for name in (
        *("db_operation", "mcp_method", "finish_reason", "role", "tool_choice", "input_type"),
        *("graphql_type", "token_type", "output_type", "kind", "own"),
    )
)


def closed_condition(keys: Keys, without: frozenset[str] = frozenset()) -> str:
    patterns = {
        shape: [words(found)]
        for shape, found in keys.by_shape.items()
        if shape in values.CLOSED and shape != shapes.TOKEN and shape not in without
    }
    flags = keys.by_shape.get(shapes.BOOL, ())
    return any_of(
        values.closed("k", "v", patterns),
        all_of("IsBool(v)", match("k", f"^{words(flags)}$")) if flags else "false",
    )


def _unlisted(new: str, rest: str, cache: str, keys: Keys) -> Iterator[str]:
    """Statements that take into ``new`` what may stay of the keys in ``rest``.

    These are keys of a closed shape, of one word, with an index, below a kept prefix, or spelt in words of the
    vocabulary.
    """
    given = f"where Len({rest}) > 0"
    bare = (_listed(keys, shape, fits("v")) for shape, fits in values.BOUNDED.items())
    yield f"set({new}, Filter({rest}, (k, v) => {any_of(closed_condition(keys), *bare)}))"
    indexed = all_of(
        "IsString(v)", "Len(v) <= 128", match("k", r"\.[0-9]+\."), values.closed("k", "v", keys.indexed)
    )
    yield f'merge_maps({new}, Filter({rest}, (k, v) => {indexed}), "insert") {given}'
    if keys.kept_prefixes:
        yield f'merge_maps({new}, Filter({rest}, (k, v) => {_kept(keys)}), "insert") {given}'
    free, spelt = f'{cache}["free"]', f'{cache}["spelt"]'
    allowed = all_of("Len(k) <= 200", f"not {match('k', keys.denied)}")
    yield f"set({free}, Filter({rest}, (k, _) => {allowed})) {given}"
    figures = any_of(
        values.count("v"), spellings.may_be_large("k", values.figure("v")), values.structure("v")
    )
    below = all_of(spellings.below_kept_prefix("k"), figures)
    yield f'merge_maps({new}, Filter({free}, (k, v) => {below}), "insert") {given}'
    yield f"set({spelt}, Filter({free}, (k, _) => {spellings.may_be_spelt('k')})) {given}"
    yield f"set({spelt}, Filter({spelt}, (k, _) => {spellings.is_spelt('k')})) {given}"
    times = all_of(spellings.tells_a_time("k"), values.elapsed("v"))
    told = all_of(any_of(figures, times), spellings.tells_a_figure("k"))
    yield f'merge_maps({new}, Filter({spelt}, (k, v) => {told}), "insert") {given}'
    reason = match("k", "(?i)reasons?$")
    finish = match("v", f"^{values.CLOSED[shapes.ENUM_PREFIX + 'finish_reason']}$")
    stopped = all_of("IsString(v)", "Len(v) <= 40", reason, finish)
    fits = any_of(f"not {spellings.tells_a_model('k')}", values.may_name_a_model("v"))
    named = any_of(all_of(values.tokens("v"), f"not {reason}", fits), stopped)
    told = any_of(
        all_of(spellings.tells_a_name("k"), named),
        all_of(values.small("v"), spellings.tells_a_parameter("k")),
    )
    yield f'merge_maps({new}, Filter({spelt}, (k, v) => {told}), "insert") {given}'


def _shared(keys: Keys) -> str:
    listed = (
        _listed(keys, shape, values.CONDITIONS[shape]("v"))
        for shape in (shapes.SCALAR, shapes.TOKENS, shapes.TOKEN, shapes.DECIMAL, shapes.FLAG)
    )
    model = _listed(keys, shapes.MODEL, values.model("v"))
    return any_of(
        *listed, model, closed_condition(keys, _OF_CALLS), *([_kept(keys)] if keys.kept_prefixes else [])
    )


def _listed(keys: Keys, shape: str, fits: str) -> str:
    return all_of(is_one_of("k", keys.by_shape[shape]), fits)


def _kept(keys: Keys) -> str:
    return all_of(values.scalar("v"), match("k", f"^{words(keys.kept_prefixes)}"))
