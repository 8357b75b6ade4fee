"""What the specification promises: every row of its tables, looked up by what was sent to whom, and how.

The table is data (``coverage.json``), read when it is first asked for. Where the specification names no
row the answer is ``unknown``, which is treated as eligible: removed.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from otel_zdr.policy.patterns import matches

COVERED = "covered"
NOT_COVERED = "not_covered"
KEPT = "kept"
UNKNOWN = "unknown"

MODES = ("sync", "streaming")
INWORLD = "inworld"
DIRECT = "direct"
_VIA = (INWORLD, DIRECT)
#: Names that say where a request was sent to be routed, not who served it.
_NOBODY = frozenset(("", "auto", "unknown", "router", "inworld-router", "_other", "other", "none"))
_MAX_TEXT = 256


@dataclass(frozen=True, slots=True)
class Coverage:
    """The answer for one kind of data.

    Attributes:
        status: ``covered``; ``not_covered``; ``kept`` (usage, which is retained for billing); ``unknown``
            (no row of the specification, treated as eligible).
        reason: why, in a sentence.
        code: why, in one token, as it is written to ``zdr.coverage.reason``.
        guarantee: what the upstream provider itself promises for that model and mode, "" where nothing is
            stated.
        source: where status and guarantee are stated.
        product, data, provider, model, mode, via: what was asked, in lower case.
    """

    status: str
    reason: str
    code: str
    guarantee: str
    source: str
    product: str
    data: str
    provider: str | None
    model: str | None
    mode: str | None
    via: str

    def as_dict(self) -> dict[str, str | None]:
        """For JSON."""
        return asdict(self)


def coverage(
    *,
    product: str,
    data: str,
    provider: str | None = None,
    model: str | None = None,
    mode: str | None = None,
    via: str = INWORLD,
) -> Coverage:
    """What the specification promises for one kind of data of a request.

    Args:
        product: ``tts``, ``voice_cloning``, ``voice_design``, ``stt`` or ``llm``.
        data: ``text``, ``audio``, ``voice_sample``, ``voice_description``, ``transcript``, ``usage``,
            ``prompt``, ``completion``, ``system_instructions`` or ``tool``.
        provider: who serves the request (for ``llm``: the model's host), None if it is not known.
        model: the model id, for STT ``provider/model``; names the provider of an STT call that has none.
        mode: ``sync`` (also file upload) or ``streaming``, None if it is not known.
        via: ``inworld`` for a call through the specification's API, ``direct`` for one to the vendor.

    Raises:
        ValueError: ``via`` is neither of the two. Anything else that is not known has the status
            ``unknown``.
    """
    asked = _Question(
        product=_word(product) or "",
        data=_word(data) or "",
        provider=_provider(provider),
        model=_word(model),
        mode=_word(mode),
        via=_word(via) or "",
    )
    if asked.via not in _VIA:
        raise ValueError(f"via={via!r} is not allowed; allowed: 'inworld', 'direct'")
    return _answer(asked)


class _Question(NamedTuple):
    product: str
    data: str
    provider: str | None
    model: str | None
    mode: str | None
    via: str

    def answer(self, status: str, code: str, reason: str, source: str, guarantee: str = "") -> Coverage:
        return Coverage(
            status=status,
            reason=reason,
            code=code,
            guarantee=guarantee,
            source=source,
            product=self.product,
            data=self.data,
            provider=self.provider,
            model=self.model,
            mode=self.mode,
            via=self.via,
        )

    def unknown(self, code: str, reason: str) -> Coverage:
        return self.answer(UNKNOWN, code, reason + " It is treated as eligible.", table()["specification"])


def _answer(asked: _Question) -> Coverage:
    rows = _rows().get((asked.product, asked.data))
    if rows is None:
        what = "data" if any(asked.product == product for product, _ in _rows()) else "product"
        return asked.unknown(f"{what}-is-not-known", f"The specification has no row for this {what}.")
    if asked.mode is not None and asked.mode not in MODES:
        return asked.unknown("mode-is-not-known", "The specification knows the modes sync and streaming.")
    provider = asked.provider
    if provider is None and asked.product == "stt" and asked.model and "/" in asked.model:
        provider = _provider(asked.model.partition("/")[0])
    guarantee = _guarantee(asked, provider) if asked.product == "stt" else None
    if asked.via == DIRECT:
        return asked.answer(
            NOT_COVERED,
            "direct-vendor-call",
            "The call goes to the vendor itself; the specification covers calls through its own API.",
            guarantee["source"] if guarantee else table()["specification"],
            guarantee["guarantee"] if guarantee else "",
        )
    row = _row_for(asked, rows, provider)
    if isinstance(row, Coverage):
        return row
    source = f"{table()['specification']}, section {row['section']}"
    if guarantee is not None and guarantee["source"].startswith("http"):
        source = f"{source}; {guarantee['source']}"
    return asked.answer(
        row["status"], row["code"], row["reason"], source, guarantee["guarantee"] if guarantee else ""
    )


def _row_for(asked: _Question, rows: list[dict[str, Any]], provider: str | None) -> dict[str, Any] | Coverage:
    if provider is None or provider in _NOBODY:
        if asked.product == "llm":
            return asked.unknown(
                "provider-is-not-known", "Whether a hosted or a third party's model served it is not known."
            )
        # Through the specification's API: the statement holds for all its voices and STT models.
        return rows[0]
    for row in rows:
        providers = row["providers"]
        if providers == "upstream":
            if provider in _upstream():
                return row
        elif providers == "others":
            if provider != INWORLD:
                return row
        elif provider in providers:
            return row
    return asked.unknown("provider-is-not-known", "The specification does not name this provider.")


def _guarantee(asked: _Question, provider: str | None) -> dict[str, Any] | None:
    """The provider's own statement for the model and mode."""
    for stated in table()["guarantees"]:
        if stated["provider"] != provider or (asked.mode and asked.mode not in stated["modes"]):
            continue
        model = asked.model
        if model is None:
            return _as_dict(stated)
        if "/" not in model:
            model = f"{provider}/{model}"
        if any(matches(pattern, model) for pattern in stated["models"]):
            return _as_dict(stated)
    return None


def retained_classes(product: str, provider: str | None, *, own: bool = False) -> frozenset[str]:
    """The content classes of the specification's "No" rows for a call through its API or to a third party.

    With ``OTEL_ZDR_INELIGIBLE=retain`` and positive proof of product and provider exactly these may stay.

    Args:
        own: the call is known to be of this product by its own request; then what goes by a more general
            class (the message of a voice design is the description) counts too.
    """
    classes: set[str] = set()
    for (row_product, _), rows in _rows().items():
        if row_product == product:
            for row in rows:
                others = row["providers"] == "others" and provider != INWORLD
                if others or (row["providers"] != "others" and provider in row["providers"]):
                    classes.update(row.get("classes", ()))
                    if own:
                        classes.update(row.get("classes_of_own_calls", ()))
    return frozenset(classes)


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """The whole table as data: ``rows``, ``guarantees`` and what is needed to recognise a call."""
    path = os.path.join(os.path.dirname(__file__), "coverage.json")
    with open(path, encoding="utf-8") as file:
        loaded: dict[str, Any] = json.load(file)
    return loaded


def all_rows() -> list[Coverage]:
    """Every row of the specification, the providers' guarantees for STT included, as answers."""
    answers = []
    for row in table()["rows"]:
        if row["providers"] != "upstream" or row["data"] == "usage":
            provider = row["providers"][0] if isinstance(row["providers"], list) else None
            if row["providers"] == "others":
                provider = "third-party"
            answers.append(coverage(product=row["product"], data=row["data"], provider=provider))
            continue
        answers.append(coverage(product=row["product"], data=row["data"]))
        answers.extend(
            coverage(
                product=row["product"], data=row["data"], provider=stated["provider"], model=model, mode=mode
            )
            for stated in table()["guarantees"]
            for model in stated["models"]
            for mode in MODES
        )
    return answers


@lru_cache(maxsize=1)
def _rows() -> dict[tuple[str, str], list[dict[str, Any]]]:
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in table()["rows"]:
        rows.setdefault((row["product"], row["data"]), []).append(row)
    return rows


@lru_cache(maxsize=1)
def _upstream() -> frozenset[str]:
    return frozenset(stated["provider"] for stated in table()["guarantees"])


def _provider(text: object) -> str | None:
    word = _word(text)
    return None if word is None else provider_alias(word)


def provider_alias(name: str) -> str:
    """The one spelling of a provider's name (in lower case) under which the table has it."""
    alias: str = table()["provider_aliases"].get(name, name)
    return alias


def _word(text: object) -> str | None:
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        return None
    return text.strip().casefold() or None


def _as_dict(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = value
    return found
