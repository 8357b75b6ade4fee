"""OpenInference: its TracerProvider with every hide_* option on."""

from __future__ import annotations

REQUIREMENTS = ("openinference-instrumentation==0.1.72", "opentelemetry-sdk==1.45.1")


def _hide_everything(exporting, exporter, **provider_arguments):
    from dataclasses import fields

    from openinference.instrumentation import TraceConfig, TracerProvider

    hide = {field.name: True for field in fields(TraceConfig) if field.name.startswith("hide_")}
    provider = TracerProvider(config=TraceConfig(**hide), **provider_arguments)
    provider.add_span_processor(exporting(exporter))
    return provider


VARIANTS = {"openinference": ("OpenInference TraceConfig, all hide_*", _hide_everything)}
# It masks by its own keys: its messages stand under the names of its own convention.
DIALECT = "openinference"
