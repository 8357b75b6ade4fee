"""How the gate comes into force: by hand, by the distro, by the launcher's hook, at interpreter start.

All ways lead through :func:`install`. What fails closes the gate first (G6).
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from otel_zdr.errors import ConfigurationError
from otel_zdr.sdk import evidence, failure, gate, patches

if TYPE_CHECKING:
    from otel_zdr.policy.decision import Policy
    from otel_zdr.policy.reload import PolicySource
    from otel_zdr.settings import Settings

_lock = threading.RLock()
_installed: Settings | None = None
#: What was installed first: nothing else can open a gate that was closed since.
_first: Settings | None = None
#: Why the environment, by which this process was to be covered, could not be used.
_unusable: str | None = None
_told = False
_fork_hooked = False
_source: PolicySource | None = None


def install(settings: Settings | None = None) -> None:
    """Put the gate over every provider of this process, for all signals. Idempotent.

    Args:
        settings: what to enforce; None reads the environment, or keeps what is installed.

    Raises:
        ConfigurationError: a setting is not allowed, another settings object is or was in force, the
            environment of a process that was to be covered by it is wrong, or the SDK does not fit. The gate
            is closed (nothing is exported) by then, and opens only for what was installed first.
    """
    global _installed, _first, _unusable
    from otel_zdr.settings import Settings

    with _lock:
        if _first is not None:
            if settings is not None and settings != _first:
                close("a second, different Settings object was given")
                raise ConfigurationError(
                    "otel-zdr is installed with other settings already; install it once, with one Settings object"
                )
            if _installed is not None:
                return
            settings = _first
        elif settings is not None and _unusable is not None:
            raise ConfigurationError(f"the environment comes before settings given in code: {_unusable}")
        try:
            patches.enable()
            chosen = Settings.from_env() if settings is None else settings
            built = gate.Gate(chosen, _follow(chosen))
            patches.apply_all()
            gate.switch(built)
            _after(chosen)
            # Last: an installation that failed half-way is tried again by the next call.
            _installed = _first = chosen
            _unusable = None
            _keep_up()
            _tell(built)
        except ConfigurationError:
            close("the configuration is not usable")
            raise
        except patches.Misfit as error:
            raise ConfigurationError(f"the gate cannot be put in place, telemetry is off: {error}") from None
        except Exception as error:
            close("the gate could not be put in place")
            raise ConfigurationError(
                f"the gate cannot be put in place ({type(error).__name__}), telemetry is off"
            ) from error


def _follow(settings: Settings) -> Policy:
    """The policy that holds now; later ones replace the gate as they come."""
    global _source
    from otel_zdr.policy.reload import PolicySource

    if _source is not None:
        _source.close(wait=False)
    _source = PolicySource(settings)
    _source.on_change(_on_policy_change)
    return _source.policy


def policy_changes() -> dict[str, int]:
    """How often the policy changed in this process, by kind; see ``PolicySource.changes``."""
    source = _source
    return dict(source.changes) if source is not None else {}


def _on_policy_change(_old: Policy, _new: Policy) -> None:
    """Called in the thread that reads the policy file."""
    with _lock:
        changed = _keep_up()
    if changed:
        from otel_zdr.sdk.span import adoption

        for item in adoption.open_spans():
            adoption.decide_anew(item)


def _keep_up() -> bool:
    """Let the gate enforce what the source holds now; the lock is held. False: it does already."""
    holding, source = gate.current, _source
    if _installed is None or source is None or holding is None or holding.closed:
        # Not installed yet: install() looks again when it is.
        return False
    policy = source.policy
    if policy is holding.policy:
        return False
    gate.switch(gate.Gate(_installed, policy))
    return True


def _after(settings: Settings) -> None:
    """What goes with the gate and must not keep it from closing the choke points."""
    global _fork_hooked
    from otel_zdr.sdk import bypass, given_names, handlers, loggers
    from otel_zdr.sdk.span import adoption

    if patches.may_have_open_spans():  # looking for them takes some 10 ms
        for item in adoption.open_spans():
            adoption.adopt_safely(item)
    for step in (evidence.register, bypass.install, loggers.install, given_names.install, handlers.install):
        try:
            step()
        except Exception as error:
            failure.note("activation", error)
    if not _fork_hooked and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)
        _fork_hooked = True


def _in_child() -> None:
    global _lock
    # The parent's threads are gone, and with them whoever held the lock.
    _lock = threading.RLock()
    evidence.after_fork()
    failure.after_fork()


def close(reason: str) -> None:
    """Close the gate: drop every item of every provider from now on. Never raises."""
    global _installed
    try:
        _installed = None
        patches.enable()
        gate.close(reason)
    except Exception as error:
        failure.note("activation", error)
        _off()


def _off() -> None:
    try:
        from otel_zdr.sdk import off

        off.switch_off()
    except Exception as error:
        failure.note("activation", error)


def _tell(built: gate.Gate) -> None:
    global _told
    if _told:
        return
    _told = True
    policy = built.policy
    if policy.nothing:
        file = built.settings.policy_file
        why = f"OTEL_ZDR_POLICY_FILE, policy {policy.version}" if file else "OTEL_ZDR_WORKSPACES=none"
        gate.say(f"off: {why}, no workspace is under zero data retention")
        return
    who = "all workspaces" if policy.everything else "the listed workspaces"
    gate.say(
        f"zero data retention is on for {who}, policy {policy.version}; OTEL_ZDR_WORKSPACES=none"
        f"{' instead of OTEL_ZDR_POLICY_FILE' if built.settings.policy_file else ''} turns it off"
    )
    _announce_own(built)


def _announce_own(built: gate.Gate) -> None:
    """Of the workspaces that ``OTEL_RESOURCE_ATTRIBUTES`` gives this process, say which nobody named."""
    from urllib.parse import unquote

    from otel_zdr.sdk import identity
    from otel_zdr.workspaces import UNIDENTIFIED, identify

    try:
        for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
            key, _, value = pair.partition("=")
            if key.strip() in built.workspace_keys:
                for workspace in identify(unquote(value.strip())) - {UNIDENTIFIED}:
                    identity.seen.announce(built, workspace)
    except Exception as error:
        failure.note("activation", error)


def refuses_to_start() -> bool:
    """Whether a failure shall end the process: read directly, for settings that cannot be read."""
    return os.environ.get("OTEL_ZDR_ON_FAILURE", "").strip().lower() == "refuse"


def activate() -> None:
    """Install without a caller who could handle an error: closed and said, or the process ends."""
    global _unusable
    _tell_children()
    try:
        install()
    except ConfigurationError as error:
        _unusable = str(error)
        gate.say(f"{error}; telemetry is off")
        if refuses_to_start():
            raise SystemExit(f"otel-zdr: {error}; OTEL_ZDR_ON_FAILURE=refuse") from None


def _tell_children() -> None:
    """Processes started from here may not pass by the launcher; a variable has the hook at their start wait."""
    from otel_zdr.settings import is_variable_set

    if not is_variable_set():
        os.environ["OTEL_ZDR_UNIDENTIFIED"] = "redact"  # what holds without it


def activate_when_imported() -> None:
    """As :func:`activate`, from inside the import of one of the SDK's signals.

    Another signal may be half imported right now: each is put under the gate when its import ends.
    """
    global _installed, _first, _unusable
    from otel_zdr.settings import Settings

    try:
        with _lock:
            if _installed is not None or gate.current is not None:
                return
            patches.enable()
            chosen = Settings.from_env()
            built = gate.Gate(chosen, _follow(chosen))
            gate.switch(built)
            patches.apply_when_imported()
            _after(chosen)
            _installed = _first = chosen
            _keep_up()
        _tell(built)
    except ConfigurationError as error:
        _unusable = str(error)
        gate.say(f"{error}; telemetry is off")
        if refuses_to_start():
            raise SystemExit(f"otel-zdr: {error}; OTEL_ZDR_ON_FAILURE=refuse") from None
    except Exception as error:
        close("the gate could not be put in place")
        gate.say(f"the gate cannot be put in place ({type(error).__name__}); telemetry is off")


def pre_instrument() -> None:
    """Entry point ``opentelemetry_pre_instrument``: runs whatever distro was chosen or misspelt."""
    activate()


def reset() -> None:
    """Take everything off again (``otel_zdr.testing.uninstall``)."""
    global _installed, _first, _unusable, _source, _told
    from otel_zdr.sdk import bypass, eligibility, identity, loggers, off, shared

    with _lock:
        if _source is not None:
            _source.close(wait=False)
            _source = None
        gate.switch(None)
        off.switch_on()  # first: what it put in place hides the gate's methods from restore()
        patches.restore()
        bypass.uninstall()
        loggers.uninstall()
        identity.seen.reset()
        evidence.reset()
        failure.reset()
        shared.forget_scopes()
        eligibility.forget()
        _installed = _first = _unusable = None
        _told = False
