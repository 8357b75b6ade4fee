"""The shapes of the evidence: what is written on items, and the metrics. Never a value, key or length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

REDACTED = "zdr.redacted"
REMOVED = "zdr.removed"
POLICY_VERSION = "zdr.policy.version"
PRODUCT = "zdr.product"
COVERAGE = "zdr.coverage"
COVERAGE_REASON = "zdr.coverage.reason"
FAILSAFE = "zdr.failsafe"

REMOVED_VALUES = "zdr.removed.values"
FAILSAFE_ITEMS = "zdr.failsafe.items"
POLICY_CHANGES = "zdr.policy.changes"
#: Attributes of the metrics: closed vocabularies, so that there are few series whatever the application does.
CLASS, SIGNAL, CHANGE = "zdr.class", "zdr.signal", "zdr.change"
METRIC_ATTRIBUTES = (CLASS, SIGNAL, PRODUCT, CHANGE)
PRODUCTS = frozenset(("llm", "stt", "tts", "voice_cloning", "voice_design"))
#: What was being cleaned; ``other`` stands for a part of the gate that is none of these.
SIGNALS = frozenset(("span", "log", "metric", "event", "link", "exception", "resource", "scope", "other"))
#: Kinds of changes of the policy, see :class:`otel_zdr.policy.reload.PolicySource`.
CHANGES = frozenset(("tightened", "loosened", "refused", "bad"))


def render_removed(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Counts by class as the value of ``zdr.removed``: ``("completion:1", "prompt:2")``, sorted."""
    return tuple(f"{name}:{count}" for name, count in sorted(counts.items()) if count > 0)


def parse_removed(value: object) -> dict[str, int]:
    """The counts of a ``zdr.removed`` that was read somewhere; entries of another form are left out."""
    counts: dict[str, int] = {}
    entries: Iterable[object] = value if isinstance(value, list | tuple) else ()
    for entry in entries:
        if not isinstance(entry, str) or len(entry) > 64:
            continue
        name, colon, number = entry.rpartition(":")
        if colon and name and number.isascii() and number.isdigit() and len(number) <= 12:
            counts[name] = counts.get(name, 0) + int(number)
    return counts
