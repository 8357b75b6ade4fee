"""Logfire: its scrubber alone, without the other things that Logfire does to a span."""

from __future__ import annotations

REQUIREMENTS = ("logfire==5.4.0", "opentelemetry-sdk==1.45.1")


def _scrubber(exporting, exporter, **provider_arguments):
    from logfire._internal.exporters.wrapper import WrapperSpanProcessor
    from logfire._internal.scrubbing import Scrubber
    from logfire._internal.utils import span_to_dict
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

    class ScrubbingSpanProcessor(WrapperSpanProcessor):
        """What logfire's MainSpanProcessorWrapper does to scrub, and no more."""

        scrubber = Scrubber(None)

        def on_end(self, span):
            fields = span_to_dict(span)
            self.scrubber.scrub_span(fields)
            super().on_end(ReadableSpan(**fields))

    provider = TracerProvider(**provider_arguments)
    provider.add_span_processor(ScrubbingSpanProcessor(exporting(exporter)))
    return provider


def log_processor(processor):
    """A log record processor that scrubs records before ``processor`` gets them."""
    from logfire._internal.scrubbing import Scrubber

    scrubber = Scrubber(None)
    emit = processor.on_emit

    def on_emit(record):
        record.log_record = scrubber.scrub_log(record.log_record)
        emit(record)

    processor.on_emit = on_emit
    return processor


VARIANTS = {"logfire": ("Logfire scrubber", _scrubber)}
