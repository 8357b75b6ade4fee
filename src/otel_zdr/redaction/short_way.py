"""What of an attribute is settled by its key and the type of its value alone, for callers on whose way every
call counts.

What is not settled here falls through to the long way, which says plainly what holds for every value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otel_zdr.catalogue import shapes

# Of these also some text stays, which their shapers know.
_ALSO_TEXT = frozenset({shapes.DECIMAL, shapes.QUANTITY, shapes.FLAG})
_NUMBERS = frozenset(
    {
        shapes.NUMBER,
        shapes.DECIMAL,
        shapes.QUANTITY,
        shapes.USAGE,
        shapes.TIMING,
        shapes.TOKENS,
        shapes.SCALAR,
    }
)
_FLAGS = frozenset({shapes.BOOL, shapes.FLAG, shapes.SCALAR})
_TOKENS = frozenset({shapes.TOKEN, shapes.TOKENS, shapes.SCALAR})
_LISTS = frozenset({shapes.TOKENS, shapes.SCALAR})
# Pruning is not done twice to find out that it is needed.
_PRUNED = frozenset({shapes.JSON, shapes.EVIDENT, shapes.PARAMETERS})
_SETTLED = (_NUMBERS | _FLAGS | _TOKENS | _LISTS | _PRUNED) - _ALSO_TEXT

#: In the place of a class: something may stay under this key.
MAY_STAY = ""


def _union(of_shape: Mapping[str, list[str]], wanted: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(of_shape.get(shape, ()) for shape in wanted))


class ShortWay:
    """Which keys let values of one type stay, and which let nothing stay.

    Attributes:
        tokens: keys under which a token stays.
        numbers: keys under which a float and an int of 64 bits stay.
        flags: keys under which a bool stays.
        lists: keys under which a tuple of tokens stays.
        shaped: keys of other text, whose shaper says whether it stays as it is.
        classes: keys of which a rule is known → the class that everything under it goes and counts as, or
            :data:`MAY_STAY`.
    """

    __slots__ = ("classes", "flags", "lists", "numbers", "shaped", "tokens")

    def __init__(self, kept: Mapping[str, str], classes: Mapping[str, str]) -> None:
        """``kept``: key → shape. ``classes``: key → class that all goes and counts as."""

        of_shape: dict[str, list[str]] = {}
        for key, shape in kept.items():
            of_shape.setdefault(shape, []).append(key)
        self.tokens = _union(of_shape, _TOKENS)
        self.numbers = _union(of_shape, _NUMBERS)
        self.flags = _union(of_shape, _FLAGS)
        self.lists = _union(of_shape, _LISTS)
        self.shaped = _union(of_shape, of_shape.keys() - _SETTLED)
        self.classes = {**dict.fromkeys(kept, MAY_STAY), **classes}

    def without(self, keys: frozenset[str]) -> ShortWay:
        """The same, but that nothing is settled for these keys."""
        left = ShortWay({}, {**self.classes, **dict.fromkeys(keys, MAY_STAY)})
        for name in ("tokens", "numbers", "flags", "lists", "shaped"):
            setattr(left, name, getattr(self, name) - keys)
        return left
