"""JSON that holds usage beside content, pruned to its metadata leaves (`otel_zdr.redaction.json_pruning`).

OTTL has no recursion. A parsed text is flattened to dotted paths, one condition decides over every path and
its leaf, and the nested form is then built again from the leaves that passed: a leaf of the nested form
stays when the flat one has the same value under its path. What lies deeper than `DEPTH` is dropped, and so
are keys with a dot in them, which could pretend to be a path.

``ParseJSON`` fails on text that is not JSON, and nothing can ask before; so these statements stand in a
group of their own where a failure means that nothing is written, and the raw text goes all the same,
because only the pruned copy is put back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from otel_zdr.catalogue import lookup, shapes, vocabulary
from otel_zdr.collector import values
from otel_zdr.collector.keys import JSON, PRUNED, Keys
from otel_zdr.collector.ottl import all_of, any_of, expression, match, text, texts, unless, words
from otel_zdr.redaction import json_pruning as p

#: Levels of nesting that are built again.
DEPTH = 6
#: How many texts of one item are read, by kind. More than that is not telemetry.
SLOTS = {shapes.USAGE: 4, shapes.PARAMETERS: 2, shapes.JSON: 4}
_LETTERS = {shapes.USAGE: "u", shapes.JSON: "r", shapes.PARAMETERS: "p"}
_BODY = "b"

_F = words(vocabulary._FIGURE_WORDS)
_ITEM = "(?:[0-9]{1,3}_)?"
_PLAIN = f"(?:_{_ITEM}{_F})+"
_COUNTING = words(vocabulary._COUNTING)
_PART = (
    "(?:usage|tokens|billed_(?:.*_)?units|units_(?:.*_)?billed|"
    f"{_COUNTING}_(?:.*_)?(?:token|cost)|(?:token|cost)_(?:.*_)?{_COUNTING})"
)
_SIDE = words(vocabulary._SIDES)
_COUNT = "(?:tokens|token_(?:.*_)?count|count_(?:.*_)?token)"
_MEASURED = words(
    vocabulary._UNITS | vocabulary._LOOSE_UNITS | vocabulary._TIMES | vocabulary._LENGTHS | {"time", "token"}
)
_PARTS = words(p._PARTS)
_SNAKE_PARTS = words({"response", "llm_output", "response_metadata", "meta", "raw_response", "result"})
_BEFORE = "(?:_[0-9]{1,3})?(?:_(?:metrics|timings?))?"
_TEXT_ITEM = r"(?:[0-9]{1,3}\.)?"
_VENDOR_ID = expression(p.VENDOR_ID_PATTERN)
_RESPONSE_ID = expression(p._RESPONSE_ID)
_FINISH = f"(?:finish_reason|stop_reason|finishReason|stopReason)={words(p._FINISH)}"
_TYPE = f"type={words(p._TYPES)}"
_MODEL = f"{words(p._MODEL_KEYS)}={values.MODEL}"
_TIED = f"{_MODEL}|{words(p._TIED_TEXT)}={values.TOKEN}"

#: Paths of numbers in snake case, by letter: all of these have to match.
_NUMBERS = {
    _LETTERS[shapes.USAGE]: (f"^u_[0-9](?:(?:_metadata)?{_PLAIN}|_timestamp)$",),
    _LETTERS[shapes.JSON]: (
        f"^r_[0-9](?:_{_ITEM}{_SNAKE_PARTS})*{_BEFORE}{_PLAIN}$",
        f"_{_PART}_.|_{_COUNT}.*_{_SIDE}(?:_|$)|_{_SIDE}_(?:.*_)?{_COUNT}(?:_|$)|_(?:metrics|timings?)_(?:.*_)?{_MEASURED}(?:_|$)",
    ),
    _LETTERS[shapes.PARAMETERS]: (),
    _BODY: (
        f"^b_[0-9](?:_message|_tool_calls(?:_[0-9]{{1,3}})?)*(?:{_BEFORE}{_PLAIN}|_index)$",
        f"_index$|_{_PART}_.|_{_COUNT}.*_{_SIDE}(?:_|$)|_{_SIDE}_(?:.*_)?{_COUNT}(?:_|$)|_(?:metrics|timings?)_(?:.*_)?{_MEASURED}(?:_|$)",
    ),
}
#: Paths of texts with their value, by letter.
_TEXTS = {
    _LETTERS[shapes.USAGE]: (
        rf"u[0-9]\.{_TEXT_ITEM}(?:metadata\.)?(?:{_FINISH}|id={_VENDOR_ID}|{_TIED}"
        rf"|[A-Za-z_]*(?:request|response)_?[iI]ds?={values.TOKEN}"
        rf"|[A-Za-z_]*{words(vocabulary._PROVIDED)}_provider(?:_name)?={values.TOKEN})"
    ),
    _LETTERS[shapes.JSON]: (
        rf"r[0-9]\.{_TEXT_ITEM}(?:{_PARTS}\.{_TEXT_ITEM})*"
        rf"(?:{_FINISH}|(?:id|response_id|request_id|responseId|requestId)={_VENDOR_ID}|{_TIED})"
        rf"|[ur][0-9]\.(?:[A-Za-z0-9_-]+\.)*{_TYPE}"
    ),
    _LETTERS[shapes.PARAMETERS]: (
        rf"p[0-9]\.(?:{words(p._PARAMETER_TOKENS - p._MODEL_KEYS)}={values.TOKEN}|{_MODEL})"
    ),
    _BODY: (
        rf"b[0-9]\.(?:message\.|tool_calls\.{_TEXT_ITEM})*"
        rf"(?:{_FINISH}|id={_VENDOR_ID}|role={words(p._ROLES)}|type=function)"
    ),
}
_FLAGS = rf"^(?:u[0-9]\.{words(p._FLAGS)}|p[0-9]\.{words(p._PARAMETER_NUMBERS)})$"
#: Figures that count neither tokens nor characters though one of the words stands in their path.
_TIME = "_time_to_first_"
_UNBOUND = rf"^p|\.{words(p._NUMBERS_BESIDE_USAGE)}$"
_PARAMETER = rf"^p[0-9]\.{words(p._PARAMETER_NUMBERS)}$"


def _leaf(letters: Iterable[str]) -> str:
    """Whether a flat leaf stays: ``k`` its path, behind a letter of ``letters`` that says what it is a part of."""
    snake = "ToSnakeCase(k)"
    numbers = [match("k", _PARAMETER)] if _LETTERS[shapes.PARAMETERS] in letters else []
    numbers += [
        all_of(*(match(snake, pattern) for pattern in _NUMBERS[letter]))
        for letter in letters
        if _NUMBERS[letter]
    ]
    told = "|".join(_TEXTS[letter] for letter in letters)
    counted = match(snake, f"_{words(vocabulary.COUNTED)}(?:_|$)")
    large = all_of(values.below("v", shapes.MAX_FIGURE), any_of(f"not {counted}", match(snake, _TIME)))
    sized = any_of(
        values.below("v", shapes.MAX_COUNT), large, all_of(values.number("v"), match("k", _UNBOUND))
    )
    return any_of(
        all_of(sized, "Len(k) <= 255", any_of(*numbers)),
        all_of(
            "IsString(v)",
            "Len(v) <= 128",
            "Len(k) <= 255",
            match('Concat([k, v], "=")', f"^(?:{told})$"),
        ),
        *([] if _BODY in letters else [all_of("IsBool(v)", match("k", _FLAGS))]),
    )


def _tells(value: str) -> str:
    """Whether a pruned response holds a part with at least two figures, as usage always does.

    An id that only a vendor's API makes, beside a model, is evidence too. Without either its texts go: alone,
    a key called ``model`` may hold anything.
    """
    figures = "Len(Filter({0}, (_, y) => not IsString(y))) > 1"
    items = f"IsList(z) and Any(z, (_, i) => ({figures.format('i')}))"
    identified = all_of('k == "id"', match("z", f"^{_RESPONSE_ID}$"))
    return any_of(
        f"Any({value}, (_, z) => (IsMap(z) and {figures.format('z')} or {items}))",
        f"Any({value}, (k, z) => ({identified})) and Any({value}, (k, _) => {match('k', f'^{words(p._MODEL_KEYS)}$')})",
    )


def _container(value: str) -> str:
    return any_of(f"IsMap({value})", f"IsList({value})")


def _rebuild(source: str, path: list[str], flat: str, depth: int) -> str:
    """The container ``source``, which stands under ``path``, with the leaves that ``flat`` holds."""
    if depth == 0:
        return f"Filter({source}, (_, z) => false)"
    key, value = f"k{'abcdefgh'[depth]}", f"v{'abcdefgh'[depth]}"
    here = [*path, key]
    # A null must not come through: a mapper that returns nothing fails.
    leaf = all_of(f"{value} != nil", f'{flat}[Concat([{", ".join(here)}], ".")] == {value}')
    kept = f"Filter({source}, ({key}, {value}) => {any_of(_container(value), leaf)})"
    inner = f"When(() => {_container(value)}, {_rebuild(value, here, flat, depth - 1)}, {value})"
    told = f"MapEach(MapEach({kept}, ({key}, {value}) => {inner}), (_, {value}) => {_told(value, path[0])})"
    return f"Filter({told}, (_, {value}) => {unless(all_of(_container(value), f'Len({value}) == 0'))})"


def _told(value: str, slot: str) -> str:
    """``value``, or of the mapping of a response that tells nothing of use what is not text."""
    mute = all_of(f"IsMap({value})", match(slot, "^r"), unless(_tells(value)))
    return f'When(() => ({mute}), Filter({value}, (k, z) => (not IsString(z) or k == "type")), {value})'


def _pruned(parsed: str, flat: str, letters: Iterable[str]) -> Iterator[str]:
    """Statements that prune every entry of the map ``parsed``."""
    yield f"set({flat}, {parsed})"
    # A key with a dot could stand for a path: nested keys are looked at one by one when the form is rebuilt.
    yield f"flatten({flat}, depth={DEPTH + 1})"
    yield f"set({flat}, Filter({flat}, (k, v) => {_leaf(letters)}))"
    yield f"set({parsed}, Filter({parsed}, (_, v) => {_container('v')}))"
    yield f"set({parsed}, MapEach({parsed}, (slot, v) => {_rebuild('v', ['slot'], flat, DEPTH)}))"
    yield f"set({parsed}, MapEach({parsed}, (slot, v) => {_told('v', 'slot')}))"
    yield f"set({parsed}, Filter({parsed}, (_, v) => Len(v) > 0))"


def prune_body(body: str, cache: str) -> Iterator[str]:
    """Statements that leave a structured log body, pruned, in ``cache["parsed"]["b0"]``, or nothing."""
    parsed = f'{cache}["parsed"]'
    yield f'set({parsed}["b0"], {body})'
    yield from _pruned(parsed, f'{cache}["flat"]', (_BODY,))


_OPENS = values.opens("v")
_JSON = any_of("IsMap(v)", "IsList(v)", _OPENS)


def _hinted(keys: Keys) -> str:
    """Whether an unlisted key ``k`` with JSON as its value ``v`` speaks of usage."""
    hint = match("k", f"(?:{expression(lookup._JSON_HINT)})[^.]{{0,48}}$")
    return all_of(_OPENS, hint, f"not {match('k', keys.denied)}")


def set_aside(place: str, raw: str, cache: str, keys: Keys, figures: tuple[str, ...]) -> Iterator[str]:
    """Statements that write the JSON of the map ``raw`` to ``place``, by kind, if there is any to be pruned.

    ``figures``: maps of keys that are usage; what of their values is JSON is a usage structure.
    """
    part = {shape: f'{cache}["{letter}"]' for shape, letter in _LETTERS.items()}
    all_ = f'{cache}["json"]'
    yield f"set({all_}, Filter({raw}, (_, v) => ({_JSON})))"
    some = f"where Len({all_}) > 0"
    for shape in SLOTS:
        yield f"set({part[shape]}, {all_}) {some}"
    usage = all_of(*(f"{each}[k] == nil" for each in figures))
    yield f"set({part[shapes.USAGE]}, Filter({all_}, (k, _) => not ({usage}))) {some}"
    yield f"keep_keys({part[shapes.PARAMETERS]}, {texts(keys.structured.get(shapes.PARAMETERS, ()))}) {some}"
    # Responses, and unlisted keys that speak of usage, which are read as responses.
    others = all_of(*(f"{part[other]}[k] == nil" for other in SLOTS if other != shapes.JSON))
    listed = match("k", f"^{words(keys.structured.get(shapes.JSON, ()))}$")
    chosen = all_of(others, any_of(listed, _hinted(keys)))
    yield f"set({part[shapes.JSON]}, Filter({all_}, (k, v) => ({chosen}))) {some}"
    any_left = " + ".join(f"Len({each})" for each in part.values())
    for shape, letter in _LETTERS.items():
        yield f'set({place}["{letter}"], {part[shape]}) {some} and {any_left} > 0'


def prune_json(target: str, cache: str) -> Iterator[str]:
    """Statements that prune what was set aside in the map ``target`` and write it to its entry ``PRUNED``."""
    parsed = f'{cache}["parsed"]'
    for shape, slots in SLOTS.items():
        letter = _LETTERS[shape]
        part, names = f'{cache}["{letter}"]', f'{cache}["{letter}_keys"]'
        yield f'set({part}, {target}["{JSON}"]["{letter}"])'
        yield f"set({names}, Keys({part}))"
        for slot in range(slots):
            value = f"{part}[{names}[{slot}]]"
            yield f'set({parsed}["{letter}{slot}"], ParseJSON({value})) where Len({part}) > {slot} and IsString({value})'
            yield f'set({parsed}["{letter}{slot}"], {value}) where Len({part}) > {slot} and not IsString({value})'
    yield from (
        f"{statement} where {parsed} != nil"
        for statement in _pruned(parsed, f'{cache}["flat"]', _LETTERS.values())
    )
    for shape, slots in SLOTS.items():
        letter = _LETTERS[shape]
        part, names = f'{cache}["{letter}"]', f'{cache}["{letter}_keys"]'
        for slot in range(slots):
            value, done = f"{part}[{names}[{slot}]]", f'{parsed}["{letter}{slot}"]'
            given = f"where Len({part}) > {slot} and {parsed} != nil and {done} != nil"
            yield f"set({target}[{text(PRUNED)}][{names}[{slot}]], {done}) {given} and not IsString({value})"
            yield f"set({target}[{text(PRUNED)}][{names}[{slot}]], String({done})) {given} and IsString({value})"
