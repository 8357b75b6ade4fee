"""What is measured: the systems by name, each with the environment it needs and how it joins a pipeline.

Nothing of a system is imported here before ``build`` is called: the runner, which has none of them installed,
reads this module too.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
SDK = "1.45.1"
CONTRIB = "0.66b1"
PEERS = ("aws", "mistral", "logfire", "langfuse", "openinference", "livekit")

# What a process under `opentelemetry-instrument` has installed, with and without the package.
_INSTRUMENTED = (
    f"opentelemetry-sdk=={SDK}",
    f"opentelemetry-exporter-otlp=={SDK}",
    f"opentelemetry-distro=={CONTRIB}",
    "openai==3.57.0",
    "inworld-tts==1.2.1",
)
_OTLP = "opentelemetry-exporter-otlp-proto-http"


@dataclass(frozen=True, eq=False)
class System:
    """One configuration of one system.

    ``build(exporting, exporter, **provider_arguments)`` returns a TracerProvider whose spans pass the system
    and then ``exporting(exporter)``, which makes a stock span processor.
    """

    name: str
    title: str
    environment: str
    build: Callable[..., Any]
    dialect: str = "gen_ai"
    workspace: str = "ward-1"
    settings: dict[str, Any] | None = None
    # Takes a stock log record processor, returns one that cleans first, where the system has such a thing.
    log_processor: Callable[[Any], Any] = lambda processor: processor

    @property
    def baseline(self) -> str:
        """The system that does nothing, in the same environment: its cost is the span's own."""
        return f"none@{self.environment}"


def _plain(exporting: Any, exporter: Any, **provider_arguments: Any) -> Any:
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(**provider_arguments)
    provider.add_span_processor(exporting(exporter))
    return provider


def _floor(exporting: Any, exporter: Any, **provider_arguments: Any) -> Any:
    from floor import AllowlistSpanProcessor
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(**provider_arguments)
    provider.add_span_processor(AllowlistSpanProcessor())
    provider.add_span_processor(exporting(exporter))
    return provider


def _floor_of_logs(processor: Any) -> Any:
    from floor import log_processor

    return log_processor(processor)


def _ours(settings: dict[str, Any]) -> Callable[..., Any]:
    def build(exporting: Any, exporter: Any, **provider_arguments: Any) -> Any:
        install(settings)
        return _plain(exporting, exporter, **provider_arguments)

    return build


def install(settings: dict[str, Any] | None) -> None:
    """Puts the gate in place, as an application does; nothing for a system that is not ours."""
    if settings is not None:
        import otel_zdr

        otel_zdr.install(otel_zdr.Settings(**settings))


def requirements() -> dict[str, tuple[str, ...]]:
    """Environment name → what ``pip install`` takes to make it."""
    wanted = {"base": _INSTRUMENTED, "zdr": (*_INSTRUMENTED, f"-e {REPOSITORY}")}
    for peer in PEERS:
        wanted[peer] = (*importlib.import_module(f"peers.{peer}").REQUIREMENTS, _OTLP)
    return wanted


def systems() -> dict[str, System]:
    one = {"workspaces": ("ward-1",)}
    many = {"workspaces": (*(f"tenant-{number:05d}" for number in range(9_999)), "ward-1")}
    found = [
        System(f"none@{name}", f"no redaction ({name})", name, _plain) for name in ("base", "zdr", *PEERS)
    ]
    title = "bare allowlist, one pass over five places (floor)"
    found.append(System("floor", title, "base", _floor, log_processor=_floor_of_logs))
    for name, title, workspace, settings in (
        ("zdr", "otel-zdr", "ward-1", one),
        ("zdr-evidence-off", "otel-zdr, evidence off", "ward-1", {**one, "evidence": "off"}),
        ("zdr-10000", "otel-zdr, 10,000 workspaces", "ward-1", many),
        ("zdr-all", "otel-zdr, every workspace under ZDR", "ward-1", {}),
        ("zdr-other", "otel-zdr, a workspace not under ZDR", "studio", {**one, "unidentified": "retain"}),
        ("zdr-none", "otel-zdr, no workspace under ZDR", "studio", {"workspaces": ()}),
        ("zdr-literals-kept", "otel-zdr, literals kept", "ward-1", {**one, "literals": "all"}),
        ("zdr-literals-dropped", "otel-zdr, literals dropped", "ward-1", {**one, "literals": "none"}),
    ):
        found.append(System(name, title, "zdr", _ours(settings), workspace=workspace, settings=settings))
    for peer in PEERS:
        module = importlib.import_module(f"peers.{peer}")
        extras = {"dialect": getattr(module, "DIALECT", "gen_ai")}
        if hasattr(module, "log_processor"):
            extras["log_processor"] = module.log_processor
        found.extend(System(n, title, peer, build, **extras) for n, (title, build) in module.VARIANTS.items())
    return {system.name: system for system in found}
