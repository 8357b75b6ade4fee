"""AWS Distro for OpenTelemetry: AttributeRedactingSpanProcessor, with the six exact keys of the workload."""

from __future__ import annotations

TITLE = "AWS distro AttributeRedactingSpanProcessor, six exact keys"
REQUIREMENTS = ("aws-opentelemetry-distro==0.21.0", "opentelemetry-sdk==1.44.0")


def _six_keys(exporting, exporter, **provider_arguments):
    from amazon.opentelemetry.distro.attribute_redacting_span_processor import AttributeRedactingSpanProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from workload import CONTENT_KEYS

    provider = TracerProvider(**provider_arguments)
    provider.add_span_processor(AttributeRedactingSpanProcessor(list(CONTENT_KEYS)))
    provider.add_span_processor(exporting(exporter))
    return provider


VARIANTS = {"aws": (TITLE, _six_keys)}
