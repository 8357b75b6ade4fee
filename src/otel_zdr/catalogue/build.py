"""Compiles the catalogue: ``python -m otel_zdr.catalogue.build [--check]``.

Reads ``data/recorded.tsv`` (key patterns of 47 sources, each with source and reference), ``data/overlay.tsv``
(our own rows, each with a reason; they win), ``data/types.tsv`` (which values a key has, where the conventions or
its source say so), ``data/measured.tsv`` (keys of the measurements of certain instruments) and
``data/instruments.tsv``; writes ``_compiled.py``, which
loads in well under a millisecond. Where sources disagree the strictest wins: ``yes`` (content) over
``maybe`` over ``no``; ``maybe`` is removed.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from otel_zdr.catalogue import shapes
from otel_zdr.catalogue.rule import CONTENT_CLASSES, METADATA_CLASSES, Rule
from otel_zdr.catalogue.vocabulary import words_of
from otel_zdr.catalogue.words import word_set

_DATA = Path(__file__).with_name("data")
_COMPILED = Path(__file__).with_name("_compiled.py")
_STRICTNESS = {"no": 0, "maybe": 1, "yes": 2}
_NAME_PLACES = {
    "metric name",
    "event name",
    "event name (log body)",
    "event name + log body",
    "event name + attrs",
}
_NOT_KEYS = {
    "enum value",
    "inside structured value",
    "span field",
    "log body",
    "link attr",
    "log body field / event attr",
}
_INDEX = re.compile(r"^(?:N|[0-9]+|\{i\}|\{j\})$")
_FREE = re.compile(r"^(?:\*|<[a-z_-]+>|\{[a-z]+\})$")
#: Words that make an id that of a person, device, session or conversation, which is removed.
_PERSONAL = word_set(
    "user users session conversation device enduser tenant thread room participant account customer"
    " organization contact context caller phone email ip chat speaker owner person subject principal"
)
_RESPONSES = word_set("output outputs response responses data")
_SHAPE_OF_CLASS = {
    "usage": shapes.USAGE,
    "timing": shapes.TIMING,
    "model": shapes.TOKEN,
    "reference": shapes.TOKENS,
    "other_metadata": shapes.SCALAR,
}
#: The shapes that any plain value fits, which a type narrows.
_OPEN_SHAPES = frozenset({shapes.SCALAR, shapes.TOKEN, shapes.TOKENS})
_SHAPE_OF_TYPE = {"number": shapes.DECIMAL, "flag": shapes.FLAG, "text": ""}

_BOUNDED = {
    ("usage", shapes.USAGE): shapes.COUNT,
    ("model", shapes.TOKEN): shapes.MODEL,
    ("other_metadata", shapes.NUMBER): shapes.SMALL,
}


def _read(name: str) -> Iterator[dict[str, str]]:
    with (_DATA / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def normalise(pattern: str) -> tuple[str, bool] | None:
    """(key with ``N`` for every index, whether a free tail follows), or None for what is not a key.

    ``gen_ai.prompt.{i}.content`` → (``gen_ai.prompt.N.content``, False), ``metadata.*`` → (``metadata``,
    True).
    """
    if pattern.endswith("."):
        pattern += "*"
    segments = ["N" if _INDEX.match(segment) else segment for segment in pattern.split(".")]
    free = _FREE.match(segments[-1]) is not None
    if free:
        segments.pop()
    if not segments or any(re.search(r"[^A-Za-z0-9_:-]", segment) or not segment for segment in segments):
        return None
    return ".".join(segments), free


def _recorded_rule(rows: list[dict[str, str]]) -> Rule:
    row = max(
        rows,
        key=lambda row: (
            _STRICTNESS[row["content_bearing"]],
            row["class"] in CONTENT_CLASSES - {"identifier"},
        ),
    )
    content_class = row["class"]
    keep = row["content_bearing"] == "no"
    if content_class == "identifier" and keep:
        if _PERSONAL.isdisjoint(words_of(row["key_pattern"])):
            content_class = "reference"
        else:
            keep = False
    if content_class == "completion" and _is_response(row["key_pattern"]):
        return Rule(content_class, True, shapes.JSON)
    if content_class in CONTENT_CLASSES:
        keep = False
    return Rule(content_class, keep, _SHAPE_OF_CLASS[content_class] if keep else "")


def _is_response(pattern: str) -> bool:
    """Whether the value may be a vendor's whole response, with usage beside content: then it is pruned."""
    words = words_of(pattern.rpartition(".")[2] or pattern)
    return bool(words) and words[-1] in _RESPONSES and "." in pattern.replace(":", ".")


def rules() -> tuple[dict[str, Rule], dict[str, Rule]]:
    """(rules of exact keys and of keys with indices, rules of prefixes with a free tail)."""
    grouped: dict[tuple[str, bool], list[dict[str, str]]] = {}
    for row in _read("recorded.tsv"):
        if row["place"] in _NAME_PLACES or row["place"] in _NOT_KEYS:
            continue
        parsed = normalise(row["key_pattern"])
        if parsed is not None:
            grouped.setdefault(parsed, []).append(row)
    found = {parsed: _recorded_rule(rows) for parsed, rows in grouped.items()}
    for row in _read("overlay.tsv"):
        if row["class"] not in CONTENT_CLASSES | METADATA_CLASSES or not row["reason"]:
            raise ValueError(f"overlay.tsv: bad class or no reason: {row['keys'][:60]}")
        rule = Rule(row["class"], row["verdict"] == "keep", row["shape"], row["server_class"] or None)
        if rule.keep and not _is_shape(rule.shape):
            raise ValueError(f"overlay.tsv: unknown shape {rule.shape!r}")
        for pattern in row["keys"].split():
            parsed = normalise(pattern)
            if parsed is None:
                raise ValueError(f"overlay.tsv: not a key: {pattern!r}")
            found[parsed] = rule
    typed, words = _types()
    exact = {
        key: _bounded(key, _typed(key, rule, typed, words)) for (key, free), rule in found.items() if not free
    }
    tails = {key: rule for (key, free), rule in found.items() if free}
    return exact, tails


def _types() -> tuple[dict[str, str], dict[str, str]]:
    """(shape by key, shape by the last words of keys), of ``types.tsv``; "" where the values are open."""
    typed: dict[str, str] = {}
    words: dict[str, str] = {}
    for row in _read("types.tsv"):
        shape = _SHAPE_OF_TYPE.get(row["type"], row["type"])
        if (shape and not _is_shape(shape)) or not row["source"]:
            raise ValueError(f"types.tsv: unknown type or no source: {row['type']} {row['keys'][:60]}")
        for pattern in row["keys"].split():
            if pattern.startswith("*"):
                words[pattern[1:]] = shape
            else:
                typed[pattern] = shape
    return typed, words


def _typed(key: str, rule: Rule, typed: dict[str, str], words: dict[str, str]) -> Rule:
    """A rule that takes any plain value takes only those of the key's type, where that is known.

    The last words speak only for keys that no row names, and that no row of the overlay gives a shape.
    """
    if not rule.keep or rule.shape not in _OPEN_SHAPES or "N" in key.split("."):
        return rule
    shape = typed.get(key)
    if shape is None and rule.shape == shapes.SCALAR and rule.content_class == "other_metadata":
        tails = [key[at:] for at in range(len(key)) if at == 0 or key[at - 1] in "._:"]
        shape = next((words[tail] for tail in tails if tail in words), None)
    return Rule(rule.content_class, True, shape, rule.server_class) if shape else rule


def _bounded(key: str, rule: Rule) -> Rule:
    """A key of one word (``usage``, ``model``) is anybody's, also where a source lists it.

    Its values have to be of the size that is asked for under keys that nobody listed.
    """
    shape = None if "." in key else _BOUNDED.get((rule.content_class, rule.shape))
    return rule if shape is None else Rule(rule.content_class, rule.keep, shape, rule.server_class)


def _is_shape(shape: str) -> bool:
    if shape.startswith(shapes.ENUM_PREFIX):
        return shape[len(shapes.ENUM_PREFIX) :] in shapes.ENUMS
    return shape in {
        value for name, value in vars(shapes).items() if name.isupper() and isinstance(value, str)
    }


def names() -> dict[str, set[str]]:
    """The names that are known, by kind: instrument, event, span, scope, event phrase, span phrase."""
    found: dict[str, set[str]] = {
        "instrument": {row["name"] for row in _read("instruments.tsv")},
        "event": set(),
    }
    for row in _read("recorded.tsv"):
        name = row["key_pattern"].split(" ")[0]
        if re.fullmatch(r"[a-z0-9_.-]+", name) and row["place"] in _NAME_PLACES:
            found["instrument" if row["place"] == "metric name" else "event"].add(name)
    for row in _read("names.tsv"):
        kind = row["kind"]
        found.setdefault(kind, set()).update(
            [row["names"]] if kind.endswith("phrase") else row["names"].split()
        )
    return found


def measured() -> tuple[tuple[str, str, str], ...]:
    """(prefix of instruments, key, shape) of keys that are known on measurements of these instruments only."""
    found = []
    for row in _read("measured.tsv"):
        if not _is_shape(row["shape"]) or not row["source"]:
            raise ValueError(f"measured.tsv: unknown shape or no source: {row['keys']}")
        found += [
            (prefix, key, row["shape"]) for prefix in row["prefixes"].split() for key in row["keys"].split()
        ]
    return tuple(sorted(found))


def known_words(exact: dict[str, Rule]) -> set[str]:
    """The words that metadata keys of the sources are made of."""
    return {word for key, rule in exact.items() if rule.keep for word in words_of(key) if len(word) > 1}


def _wrapped(items: Iterable[str], indent: str) -> str:
    lines: list[str] = []
    line = ""
    for item in sorted(items):
        if len(line) + len(item) > 96 - len(indent):
            lines.append(line)
            line = ""
        line += item + " "
    lines.append(line)
    return "\n".join(f'{indent}"{line}"' for line in lines if line)


def _table(name: str, table: dict[str, Rule]) -> str:
    groups: dict[tuple[str, bool, str, str | None], list[str]] = {}
    for key, rule in table.items():
        groups.setdefault((rule.content_class, rule.keep, rule.shape, rule.server_class), []).append(key)
    out = f"{name}: tuple[tuple[str, bool, str, str | None, str], ...] = (\n"
    for group, keys in sorted(groups.items(), key=lambda item: (item[0][:3], item[0][3] or "")):
        out += f"    (\n        {', '.join(map(repr, group))},\n{_wrapped(keys, '        ')},\n    ),\n"
    return out + ")\n"


def source() -> str:
    """The text of ``_compiled.py``."""
    exact, tails = rules()
    out = '"""Generated by ``python -m otel_zdr.catalogue.build``: edit ``data/overlay.tsv`` instead."""\n\n'
    out += "# fmt: off\n# ruff: noqa\n\n"
    out += _table("EXACT", exact) + "\n" + _table("TAILS", tails)
    out += "\nMEASURED: tuple[tuple[str, str, str], ...] = (\n"
    out += "".join(f"    {each!r},\n" for each in measured()) + ")\n"
    for kind, items in sorted(names().items()):
        if kind.endswith("phrase"):
            out += f"\n{kind.replace(' ', '_').upper()}S: tuple[str, ...] = {tuple(sorted(items))!r}\n"
        else:
            out += f"\n{kind.upper()}S: str = (\n{_wrapped(items, '    ')}\n)\n"
    return out + f"\nWORDS: str = (\n{_wrapped(known_words(exact), '    ')}\n)\n"


def provenance() -> list[dict[str, str]]:
    """Every row of the sources and of the overlay: key, class, verdict, source, source_ref."""
    out = [
        {
            "key": row["key_pattern"],
            "class": row["class"],
            "verdict": {"yes": "remove", "maybe": "remove", "no": "keep"}[row["content_bearing"]],
            "source": row["source"],
            "source_ref": row["source_ref"],
        }
        for row in _read("recorded.tsv")
    ]
    out += [
        {
            "key": key,
            "class": row["class"],
            "verdict": row["verdict"],
            "source": "overlay",
            "source_ref": row["reason"],
        }
        for row in _read("overlay.tsv")
        for key in row["keys"].split()
    ]
    return out


def main(arguments: list[str]) -> int:
    text = source()
    if "--check" in arguments:
        return 0 if _COMPILED.read_text(encoding="utf-8") == text else 1
    _COMPILED.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
