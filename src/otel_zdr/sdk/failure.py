"""What happens when our own code fails: counted, said once, never raised into the application."""

from __future__ import annotations

import threading

from otel_zdr.sdk.gate import say

# Reentrant: a signal handler or finalizer may fail while this thread is in here.
_lock = threading.RLock()
_counts: dict[str, int] = {}


def note(signal: str, error: BaseException) -> None:
    """Count a failure while an item of ``signal`` was cleaned; the first of each kind is announced.

    Only the type of ``error`` is named: its text may hold what was being cleaned.
    """
    try:
        with _lock:
            count = _counts[signal] = _counts.get(signal, 0) + 1
        if count == 1:
            say(
                f"cleaning {'an' if signal[:1] in 'aeiou' else 'a'} {signal} failed with {type(error).__name__}; "
                "only its skeleton is exported (said once; zdr.failsafe.items counts)"
            )
    except Exception:
        return


def counts() -> dict[str, int]:
    """Failures so far by signal."""
    with _lock:
        return dict(_counts)


def reset() -> None:
    """Forget the counts (between tests)."""
    with _lock:
        _counts.clear()


def after_fork() -> None:
    """In a forked child: the lock may be held by a thread that is gone, and the parent reports its own."""
    global _lock
    _lock = threading.RLock()
    _counts.clear()
