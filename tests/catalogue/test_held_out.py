"""The vocabulary against sources it is not told about: each source's rows are held out in turn."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from importlib import resources

from otel_zdr import catalogue
from otel_zdr.catalogue import shapes, vocabulary

_FIGURE = re.compile(r"[tT]okens|token_count|tokenCount|cost|character|audio_(?:seconds|duration)")
_KEYS = "span attr"


def _rows_by_source() -> dict[str, list[dict[str, str]]]:
    path = resources.files("otel_zdr.catalogue") / "data" / "recorded.tsv"
    with path.open(encoding="utf-8", newline="") as file:  # type: ignore[call-arg]
        found: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["place"].startswith(_KEYS) and re.fullmatch(r"[\w.]+", row["key_pattern"]):
                found[row["source"]].append(row)
    return found


def _words_without(source: str, rows: dict[str, list[dict[str, str]]]) -> frozenset[str]:
    keys = {
        row["key_pattern"]
        for other, listed in rows.items()
        for row in listed
        if other != source and row["content_bearing"] == "no"
    }
    return frozenset(word for key in keys for word in vocabulary.words_of(key)) | vocabulary.VENDORS


def test_usage_of_a_source_is_found_without_its_rows() -> None:
    rows = _rows_by_source()
    missed = []
    total = 0
    for source, listed in rows.items():
        words = _words_without(source, rows)
        for row in listed:
            key = row["key_pattern"]
            if row["class"] != "usage" or row["content_bearing"] != "no" or not _FIGURE.search(key):
                continue
            total += 1
            rule = vocabulary.classify(key, words)
            if rule is None or rule.shape not in (shapes.COUNT, shapes.FIGURE, shapes.ELAPSED):
                missed.append(key)
    assert total > 150
    assert len(missed) / total < 0.05, missed


def test_no_content_of_a_source_is_taken_for_a_figure_a_model_or_an_id_without_its_rows() -> None:
    rows = _rows_by_source()
    wrong = []
    for source, listed in rows.items():
        words = _words_without(source, rows)
        for row in listed:
            rule = vocabulary.classify(row["key_pattern"], words)
            if row["content_bearing"] == "no" or rule is None:
                continue
            named = row["class"] in ("free_text", "other_metadata") and row["key_pattern"].lower().endswith(
                "name"
            )
            if not named:  # names of tools and agents: tokens only, by the overlay too
                wrong.append(row["key_pattern"])
    assert wrong == []


def test_what_the_overlay_calls_derived_caller_or_identifier_is_not_found_by_words() -> None:
    words = frozenset().union(vocabulary.VENDORS, *map(vocabulary.words_of, catalogue.exact_rules()))
    for key, rule in catalogue.exact_rules().items():
        if rule.content_class in ("derived", "caller", "identifier") and not rule.keep:
            spelt = vocabulary.classify(key, words)
            assert spelt is None or spelt.shape in (shapes.MODEL, shapes.TOKEN, shapes.TOKENS), key
