"""Does a value fit the shape that its rule asks for?

Only values of exactly the built-in types are looked at: a subclass may lie about its length, its
equality or its text. A ``str`` subclass (a member of a text enumeration) counts as its plain text.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping

from otel_zdr.catalogue import shapes
from otel_zdr.catalogue.shapes import is_token
from otel_zdr.redaction import json_pruning
from otel_zdr.redaction.removed import REMOVED

_MAX_INT = 2**63 - 1
_MIN_INT = -(2**63)
_MAX_QUALNAME = 192
_MAX_LIST_TEXT = 2048

Shaper = Callable[[object], object]


def plain_text(value: object) -> str | None:
    """The text of a ``str``, a subclass's without calling its methods; None for anything else."""
    if type(value) is str:
        return value
    if issubclass(type(value), str):  # isinstance() would believe what an object says of itself
        return str.__str__(value)
    return None


_PLAIN_TYPES = frozenset((str, int, float, bool, bytes, list, tuple, dict, type(None)))


def plain_value(value: object) -> object:
    """The plain number or text of a value whose class the SDK takes for one, or writes as its text.

    Numbers of numpy and of other subclasses, Decimal, UUID. Anything else as it is.
    """
    kind = type(value)
    if kind in _PLAIN_TYPES or issubclass(kind, str):
        return value
    if issubclass(kind, int):
        return int.__int__(value)  # type: ignore[arg-type]
    if issubclass(kind, float):
        return float.__float__(value)  # type: ignore[arg-type]
    # Not imported for it: where there is a value of the class there is its module.
    for module, name in (("uuid", "UUID"), ("decimal", "Decimal")):
        written = getattr(sys.modules.get(module), name, None)
        if written is not None and issubclass(kind, written):
            return written.__str__(value)
    numbers = sys.modules.get("numbers")
    if numbers is not None and issubclass(kind, numbers.Integral):
        return operator.index(value)  # type: ignore[arg-type]
    if numbers is not None and issubclass(kind, numbers.Real):
        return float(value)  # type: ignore[arg-type]
    return value


def is_number(value: object) -> bool:
    """A float, or an int that OTLP can carry (64 bits): a longer one can spell text."""
    kind = type(value)
    if kind is float:
        return True
    return kind is int and _MIN_INT <= value <= _MAX_INT  # type: ignore[operator]


def number(value: object) -> object:
    return value if is_number(value) else REMOVED


def elapsed(value: object) -> object:
    if not is_number(value):
        return REMOVED
    if _is_below(value, shapes.MAX_ELAPSED):
        return value
    return value if any(first <= value < last for first, last in shapes.EPOCHS) else REMOVED  # type: ignore[operator]


def small(value: object) -> object:
    """A flag, or a number of the size that parameters have."""
    if type(value) is bool:
        return value
    return value if is_number(value) and _is_below(value, shapes.MAX_COUNT) else REMOVED


def _is_below(number: object, bound: int) -> bool:
    # NaN is below nothing, and infinity below no bound.
    return -bound < number < bound  # type: ignore[operator]


def decimal(value: object) -> object:
    """A number, also as text; a member of a number enumeration counts as its number."""
    if is_number(value):
        return value
    text = plain_text(value)
    if text is not None:
        fits = len(text) <= 34 and shapes.compiled(shapes.SHORT_DECIMAL_PATTERN).fullmatch(text)
        return text if fits else REMOVED
    kind = type(value)
    if kind is not bool and issubclass(kind, int):
        plain = int.__int__(value)  # type: ignore[arg-type]
        return plain if is_number(plain) else REMOVED
    return REMOVED


def quantity(value: object) -> object:
    """A number, a duration or a time, also in a list of texts: as headers are written down."""
    if type(value) is list or type(value) is tuple:
        return value if len(value) <= shapes.MAX_TOKENS and all(map(_is_quantity, value)) else REMOVED
    return value if is_number(value) or _is_quantity(value) else REMOVED


def _is_quantity(value: object) -> bool:
    if type(value) is not str or len(value) > 40:
        return False
    return shapes.compiled(shapes.QUANTITY_PATTERN).fullmatch(value) is not None


def boolean(value: object) -> object:
    return value if type(value) is bool else REMOVED


def flag(value: object) -> object:
    if type(value) is bool:
        return value
    text = plain_text(value)
    return text if text is not None and len(text) <= 5 and text in shapes.FLAG_TEXTS else REMOVED


def token(value: object) -> object:
    text = plain_text(value)
    return text if text is not None and (is_token(text) or _is_quoted_token(text)) else REMOVED


def _is_quoted_token(text: str) -> bool:
    """Whether it is a token as JSON: some instrumentations encode every attribute."""
    return 2 < len(text) <= shapes.MAX_TOKEN and text[0] == text[-1] == '"' and is_token(text[1:-1])


def model(value: object) -> object:
    kept = token(value)
    return kept if type(kept) is str and shapes.may_name_a_model(kept) else REMOVED


def vendor_id(value: object) -> object:
    text = plain_text(value)
    return text if text is not None and is_token(text) and json_pruning.is_vendor_id(text) else REMOVED


def tokens(value: object) -> object:
    """A token, a number, a list of at most 16 tokens, or such a list as JSON text."""
    kind = type(value)
    if kind is list or kind is tuple:
        return token_list(value)  # type: ignore[arg-type]
    if is_number(value):
        return value
    text = plain_text(value)
    if text is None:
        return REMOVED
    if text[:1] == "[" and len(text) <= _MAX_LIST_TEXT:
        parsed = json_pruning.parse(text)
        if type(parsed) is list and parsed and token_list(parsed) is not REMOVED:
            return json_pruning.dump(parsed)
        return REMOVED
    return text if is_token(text) or _is_quoted_token(text) else REMOVED


def token_list(values: list[object] | tuple[object, ...]) -> object:
    if len(values) > shapes.MAX_TOKENS:
        return REMOVED
    for item in values:
        if type(item) is not str or not is_token(item):
            break
    else:
        return values
    found = []
    for item in values:
        text = plain_text(item)
        if text is None or not is_token(text):
            return REMOVED
        found.append(text)
    return type(values)(found)


def scalar(value: object) -> object:
    if type(value) is bool:
        return value
    return tokens(value)


def timing(value: object) -> object:
    if is_number(value):
        return value
    text = plain_text(value)
    if text is None or len(text) > 48:
        return REMOVED
    bare = text[1:-1] if len(text) > 2 and text[0] == text[-1] == '"' else text
    return text if shapes.compiled(shapes.TIMESTAMP_PATTERN).fullmatch(bare) else REMOVED


def route(value: object) -> object:
    text = plain_text(value)
    if (
        text is None
        or len(text) > shapes.MAX_TOKEN
        or not shapes.compiled(shapes.ROUTE_PATTERN).fullmatch(text)
        or "//" in text
    ):
        return REMOVED
    return text


def qualname(value: object) -> object:
    text = plain_text(value)
    if (
        text is None
        or len(text) > _MAX_QUALNAME
        or not shapes.compiled(shapes.QUALNAME_PATTERN).fullmatch(text)
        or "//" in text
    ):
        return REMOVED
    return text


def enumeration(name: str) -> Shaper:
    allowed = shapes.ENUMS[name]
    other = shapes.ENUM_OTHER.get(name, REMOVED)

    def shape(value: object) -> object:
        if type(value) is str and len(value) <= 40 and value in allowed:
            return value
        text = plain_text(value)
        if text is None:
            return REMOVED
        return text if len(text) <= 40 and text in allowed else other

    return shape


def usage(value: object) -> object:
    """A number, decimal text, or JSON (text or structure) pruned to figures and the ids beside them."""
    if is_number(value):
        return value
    text = plain_text(value)
    if text is not None:
        if len(text) <= 38 and shapes.compiled(shapes.DECIMAL_PATTERN).fullmatch(text):
            return text
        pruned = json_pruning.prune_text(text, json_pruning.USAGE)
        return json_pruning.prune_repr(text) if pruned is REMOVED else pruned
    return json_pruning.prune_value(value, json_pruning.USAGE)


def _usage_below(bound: int) -> Shaper:
    def shape(value: object) -> object:
        if is_number(value):
            return value if _is_below(value, bound) else REMOVED
        kept = usage(value)
        text = plain_text(kept)
        # Numbers inside JSON are bounded where it is pruned.
        if text is not None and text[0] not in "{[" and not _is_below(float(text), bound):
            return REMOVED
        return kept

    return shape


def response(value: object) -> object:
    text = plain_text(value)
    if text is not None:
        return json_pruning.prune_text(text, json_pruning.RESPONSE)
    return json_pruning.prune_value(value, json_pruning.RESPONSE)


def evident(value: object) -> object:
    text = plain_text(value)
    if text is not None:
        return json_pruning.prune_text(text, json_pruning.EVIDENT)
    return json_pruning.prune_value(value, json_pruning.EVIDENT)


def parameters(value: object) -> object:
    text = plain_text(value)
    if text is not None:
        return json_pruning.prune_text(text, json_pruning.PARAMETERS)
    return json_pruning.prune_value(value, json_pruning.PARAMETERS)


SHAPERS: dict[str, Shaper] = {
    shapes.NUMBER: number,
    shapes.USAGE: usage,
    shapes.COUNT: _usage_below(shapes.MAX_COUNT),
    shapes.FIGURE: _usage_below(shapes.MAX_FIGURE),
    shapes.ELAPSED: elapsed,
    shapes.SMALL: small,
    shapes.MODEL: model,
    shapes.TIMING: timing,
    shapes.DECIMAL: decimal,
    shapes.QUANTITY: quantity,
    shapes.BOOL: boolean,
    shapes.FLAG: flag,
    shapes.TOKEN: token,
    shapes.TOKENS: tokens,
    shapes.SCALAR: scalar,
    shapes.ROUTE: route,
    shapes.QUALNAME: qualname,
    shapes.JSON: response,
    shapes.EVIDENT: evident,
    shapes.VENDOR_ID: vendor_id,
    shapes.PARAMETERS: parameters,
    **{shapes.ENUM_PREFIX + name: enumeration(name) for name in shapes.ENUMS},
}

#: Shapes whose mappings are pruned as a whole; below any other key a mapping is looked up key by key.
STRUCTURED = frozenset(
    {shapes.USAGE, shapes.COUNT, shapes.FIGURE, shapes.JSON, shapes.EVIDENT, shapes.PARAMETERS}
)


def is_mapping(value: object) -> bool:
    return type(value) is dict or isinstance(value, Mapping)
