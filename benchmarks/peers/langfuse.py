"""Langfuse: the export stage with a mask_otel_spans function that deletes the six keys of the workload."""

from __future__ import annotations

REQUIREMENTS = ("langfuse==5.0.4", "opentelemetry-sdk==1.45.1")


def _masking(exporting, exporter, **provider_arguments):
    from langfuse._client.span_exporter import LangfuseTransformingSpanExporter
    from langfuse.types import MaskOtelSpansResult, OtelSpanPatch
    from opentelemetry.sdk.trace import TracerProvider
    from workload import CONTENT_KEYS

    def mask_otel_spans(*, params):
        patches = {}
        for identifier, span in params.spans.items():
            present = tuple(key for key in CONTENT_KEYS if key in span.attributes)
            if present:
                patches[identifier] = OtelSpanPatch(delete_attributes=present)
        return MaskOtelSpansResult(span_patches=patches)

    provider = TracerProvider(**provider_arguments)
    stage = LangfuseTransformingSpanExporter(
        exporter=exporter, media_manager=None, mask_otel_spans=mask_otel_spans
    )
    provider.add_span_processor(exporting(stage))
    return provider


VARIANTS = {"langfuse": ("Langfuse mask_otel_spans, six keys", _masking)}
