"""LiveKit Agents: set_tracer_provider(..., allow_pii=False)."""

from __future__ import annotations

REQUIREMENTS = ("livekit-agents==1.8.9", "opentelemetry-sdk==1.45.1")


def _without_pii(exporting, exporter, **provider_arguments):
    from livekit.agents.telemetry import set_tracer_provider
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(**provider_arguments)
    provider.add_span_processor(exporting(exporter))
    set_tracer_provider(provider, allow_pii=False)
    return provider


VARIANTS = {"livekit": ("LiveKit Agents allow_pii=False", _without_pii)}
