"""`otel-zdr check`: does the promise hold in the pipeline that this environment configures?

The environment is started twice with canaries in every place: once as it is, once with otel-zdr off. The
second run is the positive control: a place where its canary is not seen is not exported by this pipeline
at all, and says nothing. Both run in a process of their own whose connections end at a receiver on loopback
(:mod:`otel_zdr.verify.check_wire`).
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otel_zdr.policy.decision import Policy
from otel_zdr.settings import Settings
from otel_zdr.verify.canary import Search
from otel_zdr.verify.check_places import CONFIGURED, OWN, PLACES, Place, canary
from otel_zdr.verify.otlp import OtlpError
from otel_zdr.verify.receiver import Received, Receiver
from otel_zdr.verify.scan import search_file

_TIMEOUT_SECONDS = 120
_MAX_FILE_BYTES = 64 * 1024 * 1024

CLEAN, LEAKED, NOT_EXPORTED = "clean", "leaked", "not exported"
"""What is said of a place. `not exported`: not seen with otel-zdr off either, so nothing is proven."""


class CheckError(RuntimeError):
    """The check could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Who:
    """Whose telemetry: a workspace, or nobody that is known. `named`: by a list or policy."""

    workspace: str | None
    under_zdr: bool
    named: bool = True

    @property
    def label(self) -> str:
        return "unidentified" if self.workspace is None else self.workspace


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one canary."""

    pipeline: str
    who: str
    signal: str
    place: str
    status: str


@dataclass
class Report:
    """Everything the check found out.

    Attributes:
        results: one for each place, workspace under ZDR and pipeline.
        bypasses: ways round the SDK that are open: each makes the check fail.
        notes: what is worth knowing and no failure. outside: what is outside the promise here.
        destinations: hosts that telemetry was meant for. said: what otel-zdr said when it started.
    """

    whos: list[Who]
    results: list[Result] = field(default_factory=list)
    bypasses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    destinations: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    policy: str | None = None

    @property
    def leaks(self) -> list[Result]:
        """The canaries that left and should not have."""
        return [result for result in self.results if result.status == LEAKED]

    @property
    def clean(self) -> bool:
        """Whether nothing leaked, no way round is open, and something was seen in the control."""
        return not self.leaks and not self.bypasses


def whose(settings: Settings, asked: Sequence[str]) -> list[Who]:
    """The workspaces to check with: `asked`, or one that the policy puts under ZDR; and nobody.

    Raises:
        CheckError: none of them is under ZDR.
    """
    from otel_zdr.workspaces import normalise

    policy = Policy.from_settings(settings)
    if policy.nothing:
        raise CheckError("no workspace is under ZDR in this environment: there is nothing to check")
    found = []
    for text in asked or [_example(policy)]:
        id_ = normalise(text)
        if id_ is None:
            raise CheckError("a workspace has to be an id of 1 to 256 characters")
        found.append(Who(id_, policy.decide([id_]), policy.everything or policy.names(id_)))
    found.append(Who(None, policy.decide([])))
    if not any(who.under_zdr for who in found):
        raise CheckError("none of these workspaces is under ZDR: there is nothing to check")
    return found


def _example(policy: Policy) -> str:
    """An id that the policy puts under ZDR."""
    rules = policy.rules[0]
    if rules.default.under_zdr:
        return f"otel-zdr-check-{secrets.token_hex(3)}"
    for id_, terms in rules.exact.items():
        if terms.under_zdr:
            return id_
    for pattern, terms in rules.patterns.items:
        if terms.under_zdr:
            return str(pattern).replace("*", "check").replace("?", "c")
    raise CheckError("the policy names no workspace under ZDR: choose one with --workspace")


def check(
    settings: Settings,
    whos: Sequence[Who],
    *,
    imports: Sequence[str] = (),
    launcher: bool = True,
    progress: Callable[[str], None] = lambda _step: None,
) -> Report:
    """Run it.

    Args:
        settings: those of this environment. whos: from :func:`whose`.
        imports: modules that set the application's own telemetry up, imported before the canaries.
        launcher: start as ``opentelemetry-instrument`` does; else as plain ``python``.

    Raises:
        CheckError: a process could not be started or did not end.
    """
    report = Report(list(whos))
    # Of the others nothing is promised, and what they share with these would arrive raw.
    whos = [who for who in whos if who.under_zdr]
    progress("sending canaries with otel-zdr off, as a control")
    control = _Run(whos, settings, imports, launcher, off=True)
    control.start()
    progress("sending canaries through this environment's pipeline")
    real = _Run(whos, settings, imports, launcher, off=False)
    real.start()
    progress("searching what was sent")
    seen_in_control, seen = control.seen(), real.seen()
    for key in real.canaries:
        pipeline, index, place = key
        status = LEAKED if key in seen else CLEAN if key in seen_in_control else NOT_EXPORTED
        report.results.append(Result(pipeline, whos[index].label, place.signal, place.name, status))
    _judge(report, real, control)
    return report


_Key = tuple[str, int, Place]


class _Run:
    """One process, and what it sent. `off`: with otel-zdr off."""

    def __init__(
        self, whos: Sequence[Who], settings: Settings, imports: Sequence[str], launcher: bool, *, off: bool
    ) -> None:
        self._whos, self._settings, self._off = whos, settings, off
        self._imports, self._launcher = list(imports), launcher
        self.canaries: dict[_Key, str] = {}
        self.requests: list[Received] = []
        self.output = b""
        self.stderr = ""
        self.facts: dict[str, Any] = {}
        self.hook_canary = canary("text")
        self._shared = {place: canary(place.shape) for place in PLACES if place.shared}

    def start(self) -> None:
        with Receiver() as receiver, tempfile.TemporaryDirectory() as folder:
            facts = Path(folder, "facts.json")
            task = self._task(receiver, facts)
            environ = self._environ()
            try:
                done = subprocess.run(
                    [sys.executable, "-m", "otel_zdr.verify.check_probe"],
                    input=json.dumps(task).encode(),
                    env=environ,
                    capture_output=True,
                    timeout=_TIMEOUT_SECONDS,
                )
            except subprocess.TimeoutExpired:
                raise CheckError(f"the process did not end within {_TIMEOUT_SECONDS} s") from None
            self.stderr = done.stderr.decode("utf-8", "replace")
            self.output = done.stdout + b"\n" + done.stderr
            self.requests = list(receiver.requests)
            self._own_receiver = f"127.0.0.1:{receiver.port}"
            if done.returncode or not facts.exists():
                last = [line for line in self.stderr.splitlines() if line.startswith("otel-zdr: ")]
                said = last[-1] if last else f"exit code {done.returncode}"
                raise CheckError(f"the process did not come up: {said}")
            self.facts = json.loads(facts.read_text(encoding="utf-8"))
            self._files = {path: _content(path) for path in self.facts["written"] if path != str(facts)}

    def seen(self) -> set[_Key]:
        """The canaries that were found anywhere outside the process."""
        keys = list(self.canaries)
        # Whole texts: their parts are words, which may stand elsewhere by chance.
        search = Search([self.canaries[key] for key in keys], fragments=False)
        found = {find.index for content in self._contents() for find in search.find(content)}
        with tempfile.TemporaryDirectory() as folder:
            for number, request in enumerate(self.requests):
                if request.signal is None:
                    continue
                path = Path(folder, f"{number}-{request.signal}.pb")
                path.write_bytes(request.body)
                found |= _in_otlp(path, search)
        return {keys[index] for index in found}

    @property
    def destinations(self) -> list[str]:
        """Hosts that telemetry was meant for, but for the receiver itself."""
        return [host for host in self.facts["redirected"] if host != self._own_receiver]

    @property
    def hook_leaked(self) -> bool:
        """Whether the completion hook got what is under ZDR."""
        search = Search([self.hook_canary], fragments=False)
        return any(search.find(content) for content in self._contents())

    def _contents(self) -> Iterable[bytes]:
        for request in self.requests:
            yield request.head
            yield request.body
        yield self.output
        yield self.facts.get("scraped", "").encode()
        yield from self._files.values()

    def _task(self, receiver: Receiver, facts: Path) -> dict[str, Any]:
        groups = []
        key = self._settings.workspace_keys[0]
        # Plain python has no configured pipeline, unless the application's own modules make one.
        pipelines = (CONFIGURED, OWN) if self._launcher or self._imports else (OWN,)
        for pipeline in pipelines:
            for index, who in enumerate(self._whos):
                canaries = {}
                for place in PLACES:
                    if pipeline not in place.pipelines:
                        continue
                    shared = place.shared and pipeline == CONFIGURED
                    text = self._shared[place] if shared else canary(place.shape)
                    canaries[place.id] = self.canaries[pipeline, index, place] = text
                groups.append(
                    {"pipeline": pipeline, "key": key, "workspace": who.workspace, "canaries": canaries}
                )
        first = self._whos[0].workspace
        identity = {key: first} if first is not None else {}
        return {
            "http_port": receiver.port,
            "grpc_port": receiver.grpc_port,
            "launcher": self._launcher,
            "imports": self._imports,
            "groups": groups,
            "facts": str(facts),
            "exporters": {name: f"{receiver.url}/v1/{name}" for name in ("traces", "logs", "metrics")},
            # Not in the control: a hook may well write what it gets to where it was told to.
            "hook_canary": None if self._off else self.hook_canary,
            "hook_identity": identity,
        }

    def _environ(self) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        attributes = [environ.get("OTEL_RESOURCE_ATTRIBUTES", "").strip()]
        attributes += [f"otel_zdr_check.{place.signal}={text}" for place, text in self._shared.items()]
        environ["OTEL_RESOURCE_ATTRIBUTES"] = ",".join(part for part in attributes if part)
        # What is not sampled proves nothing; a scraped endpoint may be in use by the application.
        environ["OTEL_TRACES_SAMPLER"] = "always_on"
        environ["OTEL_EXPORTER_PROMETHEUS_PORT"] = "0"
        if self._off:
            for name in list(environ):
                if name.startswith("OTEL_ZDR_"):
                    del environ[name]
            environ["OTEL_ZDR_WORKSPACES"] = "none"
        return environ


def _content(path: str) -> bytes:
    """What was written to a file, where it is one and still there."""
    try:
        file = Path(path)
        if not file.is_file() or file.stat().st_size > _MAX_FILE_BYTES:
            return b""
        return file.read_bytes()
    except OSError:
        return b""


def _in_otlp(path: Path, search: Search) -> set[int]:
    try:
        return {leak.text - 1 for leak in search_file(path, search)}
    except OtlpError:
        return set()


# --- ways round -----------------------------------------------------------------------------------


def _judge(report: Report, real: _Run, control: _Run) -> None:
    from otel_zdr.verify.check_bypasses import OUTSIDE, UPLOADS

    facts = real.facts
    gate = facts.get("gate") or {}
    report.policy = gate.get("policy")
    lines = [line for line in real.stderr.splitlines() if line.startswith("otel-zdr: ")]
    report.said = [line.removeprefix("otel-zdr: ") for line in dict.fromkeys(lines)]
    report.destinations = real.destinations
    if not gate.get("installed"):
        report.bypasses.append("the gate is not in place: nothing activated otel-zdr in the process")
    elif gate.get("closed"):
        report.bypasses.append("the gate could not be put in place: telemetry is off")
    for upload in facts.get("uploads", ()):
        if upload["active"]:
            why = f" ({', '.join(upload['variables'])} is set)" if upload["variables"] else ""
            report.bypasses.append(f"{upload['module']}{why} sends {upload['sends']} round the SDK")
        else:
            report.notes.append(
                f"{upload['module']} is installed, not loaded or switched off: it would send {upload['sends']}"
            )
    if real.hook_leaked:
        report.bypasses.append("the completion hook gets content of a workspace under ZDR")
    elif facts.get("hook"):
        report.notes.append(
            "the completion hook is decided per call: it got nothing of a workspace under ZDR"
        )
    for who in report.whos:
        if not who.named and who.workspace is not None:
            holds = "under ZDR" if who.under_zdr else "not under ZDR"
            report.notes.append(f"workspace {who.workspace} is named by no list or policy: it is {holds}")
        elif not who.under_zdr:
            name = "what no workspace is known for" if who.workspace is None else f"workspace {who.workspace}"
            report.notes.append(f"{name} is not under ZDR: its content is exported")
    for host in facts["refused"]:
        report.notes.append(f"a connection to {host} was refused: what goes there was not looked into")
    configured = [result.status for result in report.results if result.pipeline == CONFIGURED]
    if configured and set(configured) == {NOT_EXPORTED}:
        report.notes.append("the pipeline that this environment configures exports nothing")
    for problem in dict.fromkeys([*facts["problems"], *control.facts["problems"]]):
        report.notes.append(f"not tried, {problem}")
    seen = f"{len(UPLOADS)} libraries are known by the name of their module, and only those loaded here count"
    report.outside = [*_here(facts.get("pipeline") or {}), *OUTSIDE, f"of vendors' own uploads, {seen}"]


def _here(pipeline: Mapping[str, Any]) -> list[str]:
    """What is outside the promise and is in use in this environment."""
    found = []
    if pipeline.get("propagates_baggage"):
        found.append("here: baggage is propagated to whoever is called")
    if pipeline.get("own_log_handlers"):
        found.append("here: the root logger has handlers of its own")
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "").strip()
    if sampler and not sampler.startswith(
        ("always_", "parentbased_always_", "traceidratio", "parentbased_traceidratio")
    ):
        found.append(f"here: the sampler {sampler} sees start attributes")
    return found
