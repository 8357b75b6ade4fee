"""Compiled look-ups of keys: exact, with indices, with free tails, by vocabulary."""

from __future__ import annotations

import re

from otel_zdr.catalogue import shapes, vocabulary
from otel_zdr.catalogue.rule import CONTENT_CLASSES, Rule

_MAX_KEY = 200
_MAX_MEMO = 1024
_MAX_MEMO_KEY = 128
_MAX_SEGMENTS = 24
#: An index has few digits: a longer one is data (a card number fits a key as well as it fits a value).
INDEX = "[0-9]{1,4}"
_INDEX = re.compile(rf"(?:^|\.){INDEX}(?:\.|$)")
_is_index = re.compile(INDEX).fullmatch
_JSON_HINT = re.compile(r"[uU]sage|[mM]etrics|[tT]okens?_?[cC]ount")
_PRUNED_USAGE = Rule("free_text", True, shapes.JSON)

Compiled = tuple[tuple[str, bool, str, "str | None", str], ...]


class Lookup:
    """Rules by key. Only the memo changes after construction, and it is bounded."""

    def __init__(self, exact: Compiled, tails: Compiled, words: str) -> None:
        self.exact: dict[str, Rule] = {}
        self.tails: dict[str, Rule] = {}
        for compiled, table in ((exact, self.exact), (tails, self.tails)):
            for content_class, keep, shape, server_class, keys in compiled:
                table.update(dict.fromkeys(keys.split(), Rule(content_class, keep, shape, server_class)))
        self.words = frozenset(words.split()) | vocabulary.VENDORS
        # First segments of what has keys of content below it: all others need no search by prefix.
        self._heads = {key.partition(".")[0] for key in self.tails} | {
            key.partition(".")[0]
            for key, rule in self.exact.items()
            if not rule.keep and rule.content_class in CONTENT_CLASSES
        }
        self._memo: dict[str, Rule] = {}

    def find(self, key: str) -> Rule | None:
        known = self.exact.get(key) or self._memo.get(key)
        if known is not None:
            return known
        if len(key) > _MAX_KEY:
            return None
        rule, stable = self._match(key)
        if rule is not None and stable and len(key) <= _MAX_MEMO_KEY and len(self._memo) < _MAX_MEMO:
            self._memo[key] = rule
        return rule

    def _match(self, key: str) -> tuple[Rule | None, bool]:
        """(rule, whether the key is made of known words only and so may be memoised)."""
        rule: Rule | None
        segments = key.split(".")
        if len(segments) > _MAX_SEGMENTS:
            return None, False
        indexed = None
        if _INDEX.search(key):
            indexed = ["N" if _is_index(segment) else segment for segment in segments]
            rule = self.exact.get(".".join(indexed))
            if rule is not None:
                return rule, False
        fallback: Rule | None = None
        named = indexed or segments
        for length in range(len(named) - 1 if named[0] in self._heads else 0, 0, -1):
            prefix = ".".join(named[:length])
            rule = self.tails.get(prefix)
            if rule is None:
                parent = self.exact.get(prefix)
                # What stands below a key of content is a part of it; a bare word is so only for its items.
                if (
                    parent is None
                    or parent.keep
                    or parent.content_class not in CONTENT_CLASSES
                    or (length == 1 and named[1] != "N")
                ):
                    continue
                return parent, False
            if rule.keep:
                tail = vocabulary.words_of(".".join(named[length:]))
                if rule.content_class == "usage":
                    known = all(map(vocabulary.is_figure_word, tail))
                    rule = vocabulary.usage_rule(tail)
                else:
                    known = all(word in self.words for word in tail)
                return (rule, True) if tail and known else (None, False)
            if rule.content_class == "free_text" and fallback is None and prefix in _OPEN_PREFIXES:
                fallback = rule
                continue
            return rule, False
        if indexed is None:
            spelt = vocabulary.classify(key, self.words)
            if spelt is not None:
                return spelt, True
            if fallback is None and len(segments[-1]) <= 48 and _JSON_HINT.search(segments[-1]):
                return _PRUNED_USAGE, False
        return fallback, False

    def content_class_of(self, key_or_prefix: str) -> str | None:
        if key_or_prefix.endswith(".*"):
            prefix = key_or_prefix[:-1]
            bare = prefix[:-1]
            for table in (self.exact, self.tails):
                for key, covered in table.items():
                    if (key == bare or key.startswith(prefix)) and _is_content(covered):
                        return covered.content_class
            key_or_prefix = prefix + "x"
        elif key_or_prefix == "*":
            return "prompt"
        rule = self.find(key_or_prefix)
        if rule is None or rule is _PRUNED_USAGE or not _is_content(rule):
            return None
        return rule.content_class


#: Prefixes of settings, where content is the exception that is listed: the vocabulary may speak below them.
_OPEN_PREFIXES = frozenset({"settings", "param", "extra", "session", "ai.settings"})


def _is_content(rule: Rule) -> bool:
    return rule.content_class in CONTENT_CLASSES and rule.content_class != "identifier"
