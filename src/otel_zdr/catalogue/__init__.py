"""Which keys carry what: the sources' rows and our overlay, compiled, with look-ups.

`find` answers for one key. Keys are case-sensitive; patterns match whole dotted segments, never parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from otel_zdr.catalogue import _compiled, vocabulary
from otel_zdr.catalogue.lookup import Lookup
from otel_zdr.catalogue.rule import CONTENT_CLASSES, METADATA_CLASSES, Rule
from otel_zdr.catalogue.words import word_set

__all__ = [
    "CONTENT_CLASSES",
    "METADATA_CLASSES",
    "Rule",
    "content_class_of",
    "exact_rules",
    "figure_of",
    "find",
    "is_operational",
    "known_words",
    "measured",
    "rows",
    "tail_rules",
]

_OPERATIONAL = word_set(
    "total count errors exceptions requests calls duration latency usage bytes utilization failures"
    " retries rate active limit operations connections time"
)
_lookup = Lookup(_compiled.EXACT, _compiled.TAILS, _compiled.WORDS)


def find(key: str) -> Rule | None:
    """The rule for ``key``, or None when nothing is known about it (it is then removed).

    An exact hit is one dictionary look-up. Hits of patterns that keep a value are memoised, up to a bound;
    unknown keys never are.
    """
    return _lookup.find(key)


def exact_rules() -> dict[str, Rule]:
    """All rules of exact keys (a copy); keys with an index hold ``N`` for it."""
    return dict(_lookup.exact)


def tail_rules() -> dict[str, Rule]:
    """All rules of prefixes with a free tail (a copy): ``metadata`` stands for ``metadata.*``."""
    return dict(_lookup.tails)


def known_words() -> frozenset[str]:
    """The words of the metadata keys that are listed, and names of vendors."""
    return _lookup.words


def content_class_of(key_or_prefix: str) -> str | None:
    """The content class, other than ``identifier``, that a key or a ``prefix.*`` covers, or None.

    For the validation of ``OTEL_ZDR_KEEP_KEYS``: what this names can never be kept. A key whose JSON is
    pruned (``output.value``) counts as the content it also holds.
    """
    return _lookup.content_class_of(key_or_prefix)


def figure_of(name: str) -> str | None:
    """``usage`` or ``timing`` when an unlisted name (of an instrument) is a figure by its words."""
    rule = vocabulary.classify(name, _lookup.words) if len(name) <= 128 else None
    return rule.content_class if rule is not None and rule.content_class in ("usage", "timing") else None


def is_operational(name: str) -> bool:
    """Whether an unlisted name (of an instrument) counts or measures, all in words of known keys."""
    words = vocabulary.words_of(name)
    return bool(words) and words[-1] in _OPERATIONAL and all(word in _lookup.words for word in words[:-1])


#: Beginnings of the names of instruments whose measurements have keys of their own.
MEASURED = tuple({prefix: None for prefix, _, _ in _compiled.MEASURED})


@cache
def _measured_below(prefixes: tuple[str, ...]) -> Mapping[str, str]:
    return {key: shape for prefix, key, shape in _compiled.MEASURED if prefix in prefixes}


def measured(instrument: str) -> Mapping[str, str]:
    """Shape by key, of the keys that are known on the measurements of this instrument and nowhere else.

    Bare words (``device``, ``count``) that a standard instrumentation writes.
    """
    # Remembered by beginnings, which are few, and not by instruments, whose names are others'.
    return _measured_below(tuple(filter(instrument.startswith, MEASURED)))


def rows() -> list[dict[str, str]]:
    """Every row of the sources and of the overlay with its provenance, for documents and reports.

    Reads files: not for the hot path. Keys of a row: ``key``, ``class``, ``verdict``, ``source``,
    ``source_ref``.
    """
    from otel_zdr.catalogue import build

    return build.provenance()
