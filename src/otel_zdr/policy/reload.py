"""The policy file while it changes: tighter at once, looser only when it is certain.

A thread reads the file four times a second. What it reads is compared with what holds, for every
conceivable workspace, not only for those named:

* Not looser anywhere: it holds at once.
* Looser somewhere: at once *both* hold, and for each item the strictest decides. The new one holds alone
  when the file has not changed for a second, its version is higher than that of everything that held, and
  neither group nor others can write it.
* Unreadable, invalid, cut off, gone: what held goes on holding, and the log says so once.

A file that is cut off may be valid, with tables missing at its end, and may thereby be looser or stricter
than the whole. The looser part is never followed, since its version is the old one or it is still growing;
the stricter part is, until the whole is there, of which it is the beginning.
"""

from __future__ import annotations

import os
import stat
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from logging import getLogger
from typing import TYPE_CHECKING, NamedTuple

from otel_zdr.errors import ConfigurationError
from otel_zdr.policy.decision import CLOSED, Policy
from otel_zdr.policy.document import parse_policy, read_bytes

if TYPE_CHECKING:
    from otel_zdr.policy.rules import Rules
    from otel_zdr.settings import Settings

_log = getLogger("otel_zdr.policy")

#: Seconds between two readings: a change that tightens holds within one of them.
POLL_SECONDS = 0.25
#: Further readings that must find the same file before it may loosen anything (a second).
CONFIRMATIONS = 4
#: Contradicting readings in a row before everything is simply under ZDR until the file settles.
_MAX_UNSETTLED = 16
#: Seconds: a file older than this is not being written.
_YOUNG = 1.0

Listener = Callable[[Policy, Policy], None]


class _Reading(NamedTuple):
    """A valid policy as it was read."""

    content: bytes
    rules: Rules
    version: int


class _State(NamedTuple):
    """All that a source knows, replaced as a whole: a fork in between finds the old or the new one.

    Attributes:
        policy: what holds.
        settled: rules that the file had for long enough (or that could not be dropped since).
        version: the highest version that was settled; what is to loosen must be above it.
        unsettled: what was read since, oldest first.
        seen: what was read last, valid or not.
        last: the policy that it is, if it is valid.
        same: how often in a row the file was found the same again.
        refused: the rules read last are settled but looser than what holds, and wait for this threshold.
    """

    policy: Policy
    settled: tuple[Rules, ...]
    version: int
    unsettled: tuple[_Reading, ...]
    seen: bytes
    last: _Reading | None
    same: int = 0
    refused: int | None = None


class PolicySource:
    """Where the policy comes from; always has one. Reading it takes no lock; it survives forks.

    Attributes:
        policy: what holds now. Read it once for each item.
        changes: how often the policy was ``tightened`` and ``loosened``, how often a loosening was
            ``refused``, and how often the file was found ``bad``.
    """

    def __init__(self, settings: Settings, *, poll_seconds: float = POLL_SECONDS) -> None:
        """Read the policy, and follow its file if it has one.

        Raises:
            ConfigurationError: the file cannot be read or used.
        """
        self._settings = settings
        self._path = settings.policy_file
        self._poll_seconds = poll_seconds
        self._listeners: list[Listener] = []
        self._thread: threading.Thread | None = None
        self._complaints: dict[str, str] = {}
        self.changes: Counter[str] = Counter()
        self._renew()
        if self._path is None:
            self.policy = self._told = Policy.from_settings(settings)
            return
        content, file = _read_settled(self._path)
        reading = self._parse(content)
        self.policy = self._told = Policy(reading.rules)
        self._state = _State(self.policy, (), -1, (reading,), content, reading)
        if _writable_by_others(file):
            _log.warning(
                "policy file %s can be written by its group or others: no change of it will loosen anything",
                self._path,
            )
        _sources.add(self)
        self._start()

    def current(self) -> Policy:
        """What holds now."""
        return self.policy

    def on_change(self, listener: Listener) -> None:
        """Call ``listener(old, new)`` after each change, in the thread that reads the file.

        What it raises is logged, not passed on.
        """
        self._listeners.append(listener)

    def close(self, *, wait: bool = True) -> None:
        """Stop following the file; what holds goes on holding.

        Args:
            wait: for the thread to end; False for a caller that holds a lock which a listener may want.
        """
        _sources.discard(self)
        self._stopped.set()
        thread, self._thread = self._thread, None
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def poll(self) -> Policy:
        """Read the file once, now; return what holds then. The thread does this; never raises."""
        if self._path is None:
            return self.policy
        with self._lock:
            try:
                self._read(self._path)
            except ConfigurationError as error:
                self._complain("bad", str(error))
            except Exception as error:  # a defect here must not end the thread: what held goes on holding
                self._complain("bad", f"policy file {self._path}: {type(error).__name__} while reading it")
            old, new = self._told, self.policy
            if new is not old:
                for listener in list(self._listeners):
                    _tell(listener, old, new)
                # Only now: a child that is forked meanwhile tells its listeners itself.
                self._told = new
            return new

    # under the lock

    def _read(self, path: str) -> None:
        try:
            content, file = read_bytes(path)
        except ConfigurationError as error:
            self._state = self._state._replace(same=0)
            self._complain("unreadable", str(error))
            return
        self._recovered("unreadable")
        state = self._state
        if content != state.seen:
            # Counts as seen also if it is bad: what follows starts from the beginning.
            self._state = state = state._replace(seen=content, last=None, same=0, refused=None)
            reading = self._parse(content)
            self._meet(state._replace(last=reading), reading)
        elif state.last is None:
            return
        elif state.refused is not None:
            if state.last.version > state.refused and not _writable_by_others(file):
                self._hold_alone(state, state.last)
        elif state.unsettled:
            self._state = state._replace(same=state.same + 1)
            if self._state.same >= CONFIRMATIONS:
                self._settle(_settle_past(self._state, state.last), state.last, file)

    def _meet(self, state: _State, reading: _Reading) -> None:
        """Something new was read: from now on it holds beside everything that held."""
        self._recovered("bad")
        unsettled = (*(old for old in state.unsettled if not _outdated(old, reading)), reading)
        if len(unsettled) > _MAX_UNSETTLED:
            unsettled = (_everything(unsettled[:-1]), reading)
        layers = [old.rules for old in reversed(unsettled)]
        self._hold(state._replace(unsettled=unsettled, policy=_strictest([*layers, *state.settled])))

    def _settle(self, state: _State, reading: _Reading, file: os.stat_result) -> None:
        """The file has not changed for long enough: it holds alone, if it may."""
        if not state.settled or Policy(reading.rules).at_least_as_strict_as(Policy(*state.settled)):
            self._hold_alone(state, reading)
            return
        if reading.version <= state.version:
            reason = f"its version {reading.version} is not higher than {state.version}"
        elif _writable_by_others(file):
            reason = "its group or others can write it"
        else:
            self._hold_alone(state, reading)
            return
        both = _strictest([reading.rules, *state.settled])
        # Another file has to be above this one as well; this one only above what was there before it.
        self._hold(
            state._replace(
                policy=both,
                settled=both.rules,
                version=max(state.version, reading.version),
                refused=state.version,
            )
        )
        self.changes["refused"] += 1
        _log.warning("policy file %s loosens what holds, which therefore stays: %s", self._path, reason)

    def _hold_alone(self, state: _State, reading: _Reading) -> None:
        self._hold(
            state._replace(
                policy=Policy(reading.rules),
                settled=(reading.rules,),
                version=max(state.version, reading.version),
                refused=None,
            )
        )

    def _hold(self, state: _State) -> None:
        before = self.policy
        if _same(state.policy, before):
            state = state._replace(policy=before)
        self._state = state
        self.policy = state.policy
        if state.policy is before:
            return
        if not state.policy.at_least_as_strict_as(before):
            self.changes["loosened"] += 1
            _log.warning(
                "policy %s holds from now on: it keeps more for some workspace than %s, which held before",
                _named(state.policy),
                _named(before),
            )
            return
        if not before.at_least_as_strict_as(state.policy):
            self.changes["tightened"] += 1
        _log.info("policy %s holds from now on, after %s", _named(state.policy), _named(before))

    def _parse(self, content: bytes) -> _Reading:
        document = parse_policy(content, self._path or "")
        rules = document.rules(self._settings.keep_keys, self._settings.keep_names)
        return _Reading(content, rules, document.version)

    def _complain(self, kind: str, message: str) -> None:
        if self._complaints.get(kind) != message:
            self._complaints[kind] = message
            self.changes["bad"] += 1
            _log.warning("%s; policy %s goes on holding", message, _named(self.policy))

    def _recovered(self, kind: str) -> None:
        self._complaints.pop(kind, None)

    # the thread

    def _start(self) -> None:
        thread = threading.Thread(
            target=_follow,
            args=(weakref.ref(self), self._stopped, self._poll_seconds),
            name="otel-zdr-policy",
            daemon=True,
        )
        try:
            thread.start()
            self._thread = thread
        except RuntimeError:
            _log.warning("no thread could be started: changes of the policy file will not be seen")

    def _renew(self) -> None:
        # A lock that was held in the parent would never be released in its child.
        self._lock = threading.RLock()
        self._stopped = threading.Event()

    def _after_fork(self) -> None:
        self._renew()
        # What was met before is the parent's to report.
        self.changes = Counter()
        self.policy = self._state.policy
        self._start()


def _follow(source: weakref.ref[PolicySource], stopped: threading.Event, seconds: float) -> None:
    # At once, for a forked child: its parent may have read the file some time ago. The source is not held
    # while waiting: one that nobody uses any more ends its thread.
    while True:
        followed = source()
        if followed is None or stopped.is_set():
            return
        followed.poll()
        del followed
        if stopped.wait(seconds):
            return


def _tell(listener: Listener, old: Policy, new: Policy) -> None:
    try:
        listener(old, new)
    except Exception as error:
        _log.error("a listener failed on a change of policy: %s", type(error).__name__)


def _strictest(layers: Iterable[Rules]) -> Policy:
    """The policy of all layers together, without those that another one makes superfluous."""
    kept: list[Rules] = []
    for rules in layers:
        if any(other.at_least_as_strict_as(rules) for other in kept):
            continue
        kept = [other for other in kept if not rules.at_least_as_strict_as(other)]
        kept.append(rules)
    return Policy(*kept)


def _named(policy: Policy) -> str:
    """Its version, for a person: `4+3` says to nobody that two hold at once."""
    if "+" not in policy.version:
        return policy.version
    return f"{policy.version} (these versions together, of each the stricter part)"


def _same(one: Policy, other: Policy) -> bool:
    return (
        one.version == other.version and one.at_least_as_strict_as(other) and other.at_least_as_strict_as(one)
    )


def _outdated(old: _Reading, new: _Reading) -> bool:
    """Whether nothing is lost when ``old`` is forgotten over ``new``, whatever settles later."""
    if old.content == new.content:
        return True
    replaced = new.version > old.version or new.content.startswith(old.content)
    return replaced and new.rules.at_least_as_strict_as(old.rules)


def _everything(readings: tuple[_Reading, ...]) -> _Reading:
    """A reading that is stricter than all of these, and the beginning of what all of them begin."""
    _log.warning("the policy file keeps changing: until it does not, everything is under ZDR")
    longest = max((reading.content for reading in readings), key=len)
    grows = all(longest.startswith(reading.content) for reading in readings)
    version = max(reading.version for reading in readings)
    return _Reading(longest if grows else b"\0", CLOSED.rules[0], version)


def _settle_past(state: _State, reading: _Reading) -> _State:
    """What was read before ``reading`` settled: forgotten if it was the beginning of it, else it counts."""
    past = [old for old in state.unsettled if not reading.content.startswith(old.content)]
    layers = [*(old.rules for old in reversed(past)), *state.settled]
    return state._replace(
        unsettled=(),
        settled=_strictest(layers).rules if layers else (),
        version=max([state.version, *(old.version for old in past)]),
    )


def _writable_by_others(file: os.stat_result) -> bool:
    return os.name == "posix" and bool(file.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _read_settled(path: str) -> tuple[bytes, os.stat_result]:
    """Read the file for the first time; if it was written just now, not in the middle of that."""
    content, file = read_bytes(path)
    for _ in range(10):
        if abs(time.time() - file.st_mtime) > _YOUNG:
            break
        time.sleep(0.05)
        before = content
        content, file = read_bytes(path)
        if content == before:
            break
    return content, file


_sources: weakref.WeakSet[PolicySource] = weakref.WeakSet()


def _restart_in_child() -> None:
    for source in list(_sources):
        source._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_in_child)
