"""Writing statements of the OpenTelemetry Transformation Language (OTTL) and regular expressions in RE2."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Switches the lambdas of OTTL on; without it a configuration that uses them does not start.
LAMBDA_GATE = "ottl.functions.enableLambda"

_LONGEST = 2000


def text(value: str) -> str:
    """A text literal."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def texts(values: Iterable[str]) -> str:
    """A list of text literals, sorted, so that the same settings always give the same file."""
    return "[" + ", ".join(text(value) for value in sorted(set(values))) + "]"


def exactly(*alternatives: str) -> str:
    """An anchored regular expression that matches one of the expressions."""
    return "^(?:" + "|".join(alternatives) + ")$"


def words(values: Iterable[str]) -> str:
    """A regular expression that matches one of the plain texts; shared beginnings are written once."""
    tree: dict[str, dict] = {}  # type: ignore[type-arg]
    for value in sorted(set(values)):
        node = tree
        for character in value:
            node = node.setdefault(character, {})
        node[""] = {}
    return _expression(tree)


def _expression(node: dict[str, dict]) -> str:  # type: ignore[type-arg]
    branches = []
    for character, below in node.items():
        if character:
            branches.append(re.escape(character) + _expression(below))
    if not branches:
        return ""
    if "" in node:
        return f"(?:{'|'.join(branches)})?"
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def match(value: str, pattern: str) -> str:
    return f"IsMatch({value}, {text(pattern)})"


def is_one_of(value: str, plain_texts: Iterable[str]) -> str:
    """Whether ``value`` is one of the texts.

    Several expressions, since a long one is slow twice: the parser's time for a text grows with the square of
    its length, and only a short expression is matched in one pass.
    """
    parts: list[list[str]] = [[]]
    for each in sorted(set(plain_texts)):
        if sum(map(len, parts[-1])) > _LONGEST:
            parts.append([])
        parts[-1].append(each)
    return any_of(*(match(value, f"^{words(part)}$") for part in parts))


def any_of(*conditions: str) -> str:
    """One of the conditions, in parentheses. The parser of OTTL slows down with every level of them."""
    return conditions[0] if len(conditions) == 1 else "(" + " or ".join(conditions) + ")"


def all_of(*conditions: str) -> str:
    """All of the conditions; as ``and`` binds tighter than ``or``, without parentheses."""
    return " and ".join(conditions)


def unless(condition: str) -> str:
    return f"not ({condition})"


def expression(pattern: str | re.Pattern[str]) -> str:
    """The text of a regular expression of the core, compiled there or not."""
    return pattern if isinstance(pattern, str) else pattern.pattern


_LITERAL_OR_PARENTHESIS = re.compile(r'"(?:[^"\\]|\\.)*"|=> \(|[()]')


def without_spare_parentheses(statement: str) -> str:
    """``statement`` without parentheses around whole bodies of lambdas.

    The parser tries every level of parentheses several ways, so that nested ones cost it seconds.
    """
    stack: list[tuple[int, bool]] = []
    spare = set()
    for found in _LITERAL_OR_PARENTHESIS.finditer(statement):
        last = found.end() - 1
        if found[0].endswith("("):
            stack.append((last, len(found[0]) > 1))
        elif found[0] == ")":
            start, opens_body = stack.pop()
            if opens_body and statement[last + 1 : last + 2] in (")", ","):
                spare |= {start, last}
    return "".join(character for at, character in enumerate(statement) if at not in spare)
