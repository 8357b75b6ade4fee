"""Evidence without content: what was removed, of which class, under which policy.

Written on every redacted span and log record, and summed up for ``zdr.removed.values`` and
``zdr.failsafe.items``. Never a value, its hash or its length, nor a key name.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterable
from logging import INFO, getLogger
from typing import TYPE_CHECKING, Any

from otel_zdr.policy.evidence import (
    CHANGE,
    CHANGES,
    CLASS,
    FAILSAFE,
    FAILSAFE_ITEMS,
    POLICY_CHANGES,
    POLICY_VERSION,
    PRODUCT,
    REDACTED,
    REMOVED,
    REMOVED_VALUES,
    SIGNAL,
    SIGNALS,
    render_removed,
)
from otel_zdr.sdk import failure
from otel_zdr.sdk import gate as gate_module

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation

    from otel_zdr.sdk.gate import Gate

__all__ = [
    "FAILSAFE",
    "FAILSAFE_ITEMS",
    "REDACTED",
    "REMOVED_VALUES",
    "after_fork",
    "count_removed",
    "mark",
    "register",
    "reset",
    "totals",
]

_log = getLogger("otel_zdr")
_put = dict.__setitem__
# Reentrant: a signal handler or finalizer may end a span while this thread is in here.
_lock = threading.RLock()
_totals: dict[tuple[str, str, str], int] = {}
_items: dict[str, int] = {}
_instruments: list[Any] = []


class _Pattern:
    """One combination of removed classes: how it is written, and how often it was met by (signal, product)."""

    __slots__ = ("counts", "met", "rendered")

    def __init__(self, counts: tuple[tuple[str, int], ...]) -> None:
        self.counts = counts
        self.rendered = render_removed(dict(counts))
        self.met: dict[tuple[str, str], int] = {}


_patterns: dict[tuple[tuple[str, int], ...], _Pattern] = {}
_MAX_PATTERNS = 2048


def mark(
    gate: Gate,
    attributes: dict[str, Any],
    removed: dict[str, int],
    signal: str,
    *,
    failed: bool,
    product: str = "",
    again: bool = False,
) -> None:
    """Write the evidence of one item into its cleaned ``attributes`` and, but ``again``, add it to the totals.

    The dict is written directly: evidence does not use up the SDK's attribute limits. Items of one kind
    lose the same classes again and again, so the totals are kept by combination and added up when asked.
    """
    put = _put
    put(attributes, REDACTED, True)
    counts = tuple(removed.items())
    with _lock:
        pattern = _patterns.get(counts)
        if pattern is None:
            if len(_patterns) >= _MAX_PATTERNS:
                _settle()
            pattern = _patterns[counts] = _Pattern(counts)
        if not again:
            key = (signal, product)
            pattern.met[key] = pattern.met.get(key, 0) + 1
    if gate.evidence:
        if failed:
            put(attributes, FAILSAFE, True)
        if counts:
            put(attributes, REMOVED, pattern.rendered)
        put(attributes, POLICY_VERSION, gate.policy.version)


def _settle() -> None:
    """Add the combinations up into the totals; the lock is held."""
    patterns = list(_patterns.values())
    _patterns.clear()
    for pattern in patterns:
        for (signal, product), met in pattern.met.items():
            _items[signal] = _items.get(signal, 0) + met
            for name, count in pattern.counts:
                key = (name, signal, product)
                _totals[key] = _totals.get(key, 0) + count * met


def count_removed(signal: str, removed: dict[str, int]) -> None:
    """Add what was removed where no item can say so (measurements)."""
    if not removed:
        return
    with _lock:
        for name, count in removed.items():
            key = (name, signal, "")
            _totals[key] = _totals.get(key, 0) + count


def register() -> None:
    """Make the metrics of the design, on whatever MeterProvider is or becomes the global one."""
    from opentelemetry.metrics import get_meter

    if _instruments:
        return
    meter = get_meter("otel_zdr")
    for name, observe, unit, description in (
        (REMOVED_VALUES, _observe_removed, "{value}", "Values removed under ZDR"),
        (FAILSAFE_ITEMS, _observe_failsafe, "{item}", "Items reduced to a skeleton"),
        (POLICY_CHANGES, _observe_changes, "{change}", "Changes of the policy file that were met"),
    ):
        _instruments.append(
            meter.create_observable_counter(name, [observe], unit=unit, description=description)
        )
    atexit.register(_summary)


def _is_wanted() -> bool:
    holding = gate_module.current
    return holding is not None and holding.evidence


def _observe_removed(_options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    if not _is_wanted():
        return
    with _lock:
        _settle()
        totals = list(_totals.items())
    for (name, signal, product), count in totals:
        attributes = {CLASS: name, SIGNAL: signal}
        if product:
            attributes[PRODUCT] = product
        yield Observation(count, attributes)


def _observe_failsafe(_options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    if not _is_wanted():
        return
    counts: dict[str, int] = {}
    for part, count in failure.counts().items():
        signal = part if part in SIGNALS else "other"
        counts[signal] = counts.get(signal, 0) + count
    for signal, count in counts.items():
        yield Observation(count, {SIGNAL: signal})


def _observe_changes(_options: CallbackOptions) -> Iterable[Observation]:
    from opentelemetry.metrics import Observation

    from otel_zdr.sdk import activation

    if not _is_wanted():
        return
    for kind, count in activation.policy_changes().items():
        if kind in CHANGES:
            yield Observation(count, {CHANGE: kind})


def _summary() -> None:
    """What was removed in the life of the process: to the log, or where nobody reads that, standard error."""
    try:
        if not _is_wanted():
            return
        with _lock:
            _settle()
            items = dict(_items)
            by_class: dict[str, int] = {}
            for (name, _signal, _product), count in _totals.items():
                by_class[name] = by_class.get(name, 0) + count
        if items or by_class:
            told = (
                ", ".join(f"{count} {signal}s" for signal, count in sorted(items.items())) or "nothing",
                ", ".join(f"{name}:{count}" for name, count in sorted(by_class.items())) or "none",
                ", ".join(f"{signal}:{count}" for signal, count in sorted(failure.counts().items()))
                or "none",
            )
            line = "zero data retention: redacted %s; values removed: %s; failures: %s"
            if _log.isEnabledFor(INFO) and _log.hasHandlers():
                _log.info(line, *told)
            else:
                gate_module.say(line % told)
    except Exception as error:
        failure.note("summary", error)


def totals() -> dict[tuple[str, str, str], int]:
    """Values removed so far by (class, signal, product)."""
    with _lock:
        _settle()
        return dict(_totals)


def reset() -> None:
    """Forget the totals (between tests)."""
    with _lock:
        _patterns.clear()
        _totals.clear()
        _items.clear()


def after_fork() -> None:
    """In a forked child: the lock may be held by a thread that is gone, and the parent reports its own."""
    global _lock
    _lock = threading.RLock()
    _patterns.clear()
    _totals.clear()
    _items.clear()
