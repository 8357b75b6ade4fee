"""The shapes of the catalogue as conditions on one value.

Every condition looks at the type first and at the length before the characters, and none of them can fail
whatever the value is: a failing condition would refuse the whole batch and quote the value in the log.
"""

from __future__ import annotations

from otel_zdr.catalogue import shapes
from otel_zdr.collector.ottl import all_of, any_of, exactly, expression, match, words
from otel_zdr.redaction import json_pruning

_CHARACTER = "[A-Za-z0-9._:@+-]"
#: A token; ``//`` never occurs in an id, only in an address.
TOKEN = f"(?:(?:/?{_CHARACTER})+/?|/)"
#: A token with a letter in it, or of few characters.
MODEL = f"(?:{_CHARACTER}{{1,9}}|(?:/?{_CHARACTER})*/?[A-Za-z](?:/?{_CHARACTER})*/?)"
ROUTE = "(?:(?:/?[A-Za-z0-9._:@+{}<>*-])+/?|/)"
QUALNAME = f"(?:(?:/?(?:{_CHARACTER}|<(?:locals|lambda|module|genexpr)>))+/?|/)"
DECIMAL = expression(shapes.DECIMAL_PATTERN)
SHORT_DECIMAL = expression(shapes.SHORT_DECIMAL_PATTERN)
QUANTITY = expression(shapes.QUANTITY_PATTERN)
FLAG = words(shapes.FLAG_TEXTS)
TIMESTAMP = expression(shapes.TIMESTAMP_PATTERN)
TOKEN_LIST = rf'\[\s*"{TOKEN}"(?:\s*,\s*"{TOKEN}"){{0,{shapes.MAX_TOKENS - 1}}}\s*\]'


def _text(value: str, longest: int, pattern: str) -> str:
    return all_of(f"IsString({value})", f"Len({value}) <= {longest}", match(value, f"^{pattern}$"))


def number(value: str) -> str:
    return any_of(f"IsInt({value})", f"IsDouble({value})")


def token(value: str) -> str:
    return _text(value, shapes.MAX_TOKEN, TOKEN)


def tokens(value: str) -> str:
    """A token, a number, a list of tokens, or such a list as JSON text."""
    items = all_of(
        f"IsList({value})", f"Len({value}) <= {shapes.MAX_TOKENS}", f"All({value}, (_, e) => ({token('e')}))"
    )
    return any_of(token(value), number(value), items, _text(value, 2048, TOKEN_LIST))


def scalar(value: str) -> str:
    return any_of(tokens(value), f"IsBool({value})")


def may_survive(value: str) -> str:
    """Whether some shape may take the value: no text does that has a space in it, but for JSON."""
    shapes_of_text = match(value, r"^(?:[!-~]{1,192}$|\s*[\[{])")
    return any_of(f'not ({value} >= "")', shapes_of_text)


def opens(value: str) -> str:
    """Whether a text may be JSON, and is short enough to be read."""
    return all_of(f"IsString({value})", match(value, r"^\s*[\[{]"), f"Len({value}) <= {shapes.MAX_JSON}")


def structure(value: str) -> str:
    """What has to be pruned: a map, or JSON that is more than a list of tokens."""
    return any_of(f"IsMap({value})", all_of(opens(value), f"not {match(value, f'^{TOKEN_LIST}$')}"))


def usage(value: str) -> str:
    """A figure. JSON under a usage key is pruned elsewhere."""
    return any_of(number(value), _text(value, 38, DECIMAL))


def below(value: str, bound: int) -> str:
    """A number of that size. Comparing is never true between types, nor for what is not a number."""
    return all_of(f"{value} > -{bound}", f"{value} < {bound}")


def _figure_below(value: str, bound: int) -> str:
    digits = len(str(bound)) - 1
    decimal = rf"-?0{{0,{18 - digits}}}[0-9]{{1,{digits}}}(?:[.][0-9]{{1,18}})?"
    return any_of(below(value, bound), _text(value, 38, decimal))


def count(value: str) -> str:
    return _figure_below(value, shapes.MAX_COUNT)


def figure(value: str) -> str:
    return _figure_below(value, shapes.MAX_FIGURE)


def elapsed(value: str) -> str:
    epochs = (all_of(f"{value} >= {first}", f"{value} < {last}") for first, last in shapes.EPOCHS)
    return any_of(below(value, shapes.MAX_ELAPSED), *epochs)


def small(value: str) -> str:
    return any_of(below(value, shapes.MAX_COUNT), f"IsBool({value})")


def may_name_a_model(value: str) -> str:
    """Whether a text may be a model's id, if it is a token: without a letter and longer it may be a card."""
    return all_of(f"IsString({value})", any_of(f"Len({value}) < 10", match(value, "[A-Za-z]")))


def model(value: str) -> str:
    return all_of(token(value), may_name_a_model(value))


def timing(value: str) -> str:
    return any_of(number(value), _text(value, 48, f'(?:{TIMESTAMP}|"{TIMESTAMP}")'))


def decimal(value: str) -> str:
    return any_of(number(value), _text(value, 34, SHORT_DECIMAL))


def flag(value: str) -> str:
    return any_of(f"IsBool({value})", _text(value, 5, FLAG))


def quantity(value: str) -> str:
    """A number, a duration or a time, also in a list of texts."""
    items = all_of(
        f"IsList({value})",
        f"Len({value}) <= {shapes.MAX_TOKENS}",
        f"All({value}, (_, e) => ({_text('e', 40, QUANTITY)}))",
    )
    return any_of(number(value), _text(value, 40, QUANTITY), items)


#: Shapes of figures and times; texts are rare there or something else.
NUMERIC = (shapes.USAGE, shapes.TIMING, shapes.NUMBER, shapes.DECIMAL, shapes.QUANTITY)

#: What one condition decides for all keys of a shape.
CONDITIONS = {
    shapes.NUMBER: number,
    shapes.DECIMAL: decimal,
    shapes.FLAG: flag,
    shapes.QUANTITY: quantity,
    shapes.USAGE: usage,
    shapes.TIMING: timing,
    shapes.TOKEN: token,
    shapes.TOKENS: tokens,
    shapes.SCALAR: scalar,
}

#: Of the bounded shapes, which only keys of one word have.
BOUNDED = {
    shapes.COUNT: lambda value: any_of(count(value), structure(value)),
    shapes.SMALL: small,
    shapes.MODEL: model,
}

#: Texts of closed shapes, by shape.
CLOSED = {
    shapes.ROUTE: ROUTE,
    shapes.QUALNAME: QUALNAME,
    shapes.TOKEN: TOKEN,
    shapes.VENDOR_ID: expression(json_pruning.VENDOR_ID_PATTERN),
    **{shapes.ENUM_PREFIX + name: words(allowed) for name, allowed in shapes.ENUMS.items()},
}


def closed(key: str, value: str, patterns: dict[str, list[str]]) -> str:
    """A text whose shape depends on its key. ``patterns``: shape → expressions of the keys that have it."""
    pairs = [f"(?:{'|'.join(keys)})={CLOSED[shape]}" for shape, keys in sorted(patterns.items())]
    joined = f'Concat([{key}, {value}], "=")'
    half = len(pairs) // 2
    told = any_of(*(match(joined, exactly(*some)) for some in (pairs[:half], pairs[half:]) if some))
    return all_of(f"IsString({value})", f"Len({value}) <= 192", told)
