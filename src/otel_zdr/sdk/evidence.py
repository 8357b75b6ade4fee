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
    COVERAGE,
    COVERAGE_REASON,
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

    from otel_zdr.policy.eligibility import Eligibility
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
_update = dict.update
# Reentrant: a signal handler or finalizer may end a span while this thread is in here.
_lock = threading.RLock()
_totals: dict[tuple[str, str, str], int] = {}
_items: dict[str, int] = {}
_instruments: list[Any] = []


class _Pattern:
    """What items of one kind have in common: what was removed, what they are about, how both are written."""

    __slots__ = ("counts", "found", "gate", "marks", "met", "product", "signal")

    def __init__(
        self, gate: Gate, removed: dict[str, int], signal: str, failed: bool, found: Eligibility | None
    ) -> None:
        self.gate = gate
        self.found = found
        self.signal = signal
        self.product = found.product if found is not None else ""
        self.counts = tuple(removed.items())
        self.met = 0
        self.marks: dict[str, Any] = {REDACTED: True}
        if gate.evidence:
            if failed:
                self.marks[FAILSAFE] = True
            if removed:
                self.marks[REMOVED] = render_removed(removed)
            self.marks[POLICY_VERSION] = gate.policy.version
            if found is not None:
                self.marks[PRODUCT] = found.product
                self.marks[COVERAGE] = found.coverage
                if found.reason:
                    self.marks[COVERAGE_REASON] = found.reason


_patterns: dict[tuple[object, ...], _Pattern] = {}
_MAX_PATTERNS = 2048


def mark(
    gate: Gate,
    attributes: dict[str, Any],
    removed: dict[str, int],
    signal: str,
    *,
    failed: bool,
    found: Eligibility | None = None,
    again: bool = False,
) -> None:
    """Write the evidence of one item into its cleaned ``attributes``, see :func:`marks_of`.

    The dict is written directly: evidence does not use up the SDK's attribute limits.
    """
    _update(attributes, marks_of(gate, removed, signal, failed=failed, found=found, again=again))


def marks_of(
    gate: Gate,
    removed: dict[str, int],
    signal: str,
    *,
    failed: bool,
    found: Eligibility | None,
    again: bool = False,
) -> dict[str, Any]:
    """The evidence of one item, as attributes; and, but ``again``, add it to the totals.

    Items of one kind lose the same classes again and again: the totals are kept by combination and added up
    when asked, and all items of a kind share these attributes.
    """
    kind = (signal, failed, id(found), tuple(removed.items()))
    with _lock:
        pattern = _patterns.get(kind)
        if pattern is None or pattern.gate is not gate or pattern.found is not found:
            if pattern is not None or len(_patterns) >= _MAX_PATTERNS:
                _settle()
            pattern = _patterns[kind] = _Pattern(gate, removed, signal, failed, found)
        if not again:
            pattern.met += 1
    return pattern.marks


def _settle() -> None:
    """Add the combinations up into the totals; the lock is held."""
    patterns = list(_patterns.values())
    _patterns.clear()
    for pattern in patterns:
        _items[pattern.signal] = _items.get(pattern.signal, 0) + pattern.met
        for name, count in pattern.counts:
            key = (name, pattern.signal, pattern.product)
            _totals[key] = _totals.get(key, 0) + count * pattern.met


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
            items = [
                f"{count} {signal}{'' if count == 1 else 's'}" for signal, count in sorted(_items.items())
            ]
            by_class: dict[str, int] = {}
            for (name, _signal, _product), count in _totals.items():
                by_class[name] = by_class.get(name, 0) + count
            if any(signal == "metric" for _name, signal, _product in _totals):
                items.append("measurements")  # only what was removed from them is counted
        if items or by_class:
            told = (
                ", ".join(items) or "nothing",
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
