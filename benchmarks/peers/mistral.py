"""Mistral SDK: RedactingSpanExporter with each of its three policies."""

from __future__ import annotations

REQUIREMENTS = ("mistralai==3.7.0", "opentelemetry-sdk==1.45.1")


def _with(policy):
    def build(exporting, exporter, **provider_arguments):
        from mistralai.extra.observability.redaction import RedactingSpanExporter
        from opentelemetry.sdk.trace import TracerProvider

        provider = TracerProvider(**provider_arguments)
        provider.add_span_processor(exporting(RedactingSpanExporter(exporter, policy())))
        return provider

    return build


def _callback():
    from workload import CONTENT_KEYS

    removed = frozenset(CONTENT_KEYS)
    return lambda key, value: None if key in removed else value


def _attribute_policy():
    from mistralai.extra.observability.redaction_policies import AttributeRedactionPolicy

    return AttributeRedactionPolicy()


VARIANTS = {
    "mistral-callback": ("Mistral RedactingSpanExporter, callback on six keys", _with(_callback)),
    "mistral-attribute": ("Mistral RedactingSpanExporter, attribute policy", _with(_attribute_policy)),
    "mistral-regex": ("Mistral RedactingSpanExporter, default regex policy", _with(lambda: None)),
}
