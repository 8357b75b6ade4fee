"""Where one instrumentor's spans, measurements and events go."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from logging import getLogger
from typing import Any

from opentelemetry._logs import LoggerProvider, get_logger
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import SpanKind, TracerProvider, get_tracer

from . import _semconv as semconv
from ._call import Call, _abandoned, end_abandoned
from ._capture import capture_from_environment
from ._guard import nested, suppressed

_log = getLogger(__name__)


class Telemetry:
    """Starts calls of one instrumentor and records what they leave.

    Args:
        scope: the name of the instrumentation scope, `otel_zdr.instrumentation.<client>`.
        version: the version of this package.
        tracer_provider, meter_provider, logger_provider: None for the global one.
    """

    def __init__(
        self,
        scope: str,
        version: str,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
    ) -> None:
        self._tracer = get_tracer(scope, version, tracer_provider)
        meter = get_meter(scope, version, meter_provider)
        self._duration = meter.create_histogram(
            semconv.DURATION_METRIC,
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=semconv.DURATION_BUCKETS,
        )
        self._tokens = meter.create_histogram(
            semconv.TOKEN_METRIC,
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=semconv.TOKEN_BUCKETS,
        )
        self._logger = get_logger(scope, version, logger_provider)

    def skips(self, context: Context | None = None) -> bool:
        """Whether a call made now makes no span: suppressed, or nested in a call of ours. Cheap; for early
        exits.
        """
        now = get_current() if context is None else context
        return suppressed(now) or nested(now)

    def begin(
        self,
        operation: str,
        *,
        provider: str,
        product: str,
        model: object = None,
        stream: bool = False,
        server: tuple[str, int | None] | None = None,
        attributes: Mapping[str, Any] | None = None,
        context: Context | None = None,
    ) -> Call | None:
        """Start the span of a call whose request is about to be sent.

        Args:
            operation: value of `gen_ai.operation.name`.
            provider: value of `gen_ai.provider.name`.
            product: `semconv.TTS`, `STT`, `LLM`, `VOICE_CLONING` or `VOICE_DESIGN`; with `stream` it decides
            coverage.
            model: the model asked for; anything but text counts as not given.
            stream: whether the answer comes in pieces.
            server: host and port; the port None when it is the scheme's own.
            attributes: further metadata (never content).
            context: where the call was made, when that is not here (a reader thread, a lazy generator).

        Returns:
            The call, or None when no span is to be made. Never raises.
        """
        try:
            if not _abandoned.empty():
                end_abandoned()
            now = get_current() if context is None else context
            if suppressed(now) or nested(now):
                return None
            measured: dict[str, Any] = {semconv.OPERATION_NAME: operation, semconv.PROVIDER_NAME: provider}
            name = operation
            if isinstance(model, str) and model:
                measured[semconv.REQUEST_MODEL] = model
                name = f"{operation} {model}"
            if server is not None:
                measured[semconv.SERVER_ADDRESS] = server[0]
                if server[1] is not None:
                    measured[semconv.SERVER_PORT] = server[1]
            start = {
                **measured,
                semconv.PRODUCT: product,
                semconv.MODE: semconv.STREAMING if stream else semconv.SYNC,
                semconv.STREAM: stream,
            }
            if attributes:
                start.update(attributes)
            span = self._tracer.start_span(name, now, kind=SpanKind.CLIENT, attributes=start)
            return Call(self, span, now, capture_from_environment(), measured, product)
        except Exception as exc:
            _log.debug("no span for a client call: %s", type(exc).__qualname__)
            return None

    def record(
        self,
        call: Call,
        duration: float,
        measured: Mapping[str, Any],
        tokens: Mapping[str, int],
        content: Mapping[str, Any] | None,
    ) -> None:
        """Measure an ending call (duration in seconds) and emit its content event, in the context of its
        span.
        """
        self._duration.record(duration, measured, call.context)
        for kind, count in tokens.items():
            self._tokens.record(count, {**measured, semconv.TOKEN_TYPE: kind}, call.context)
        if content:
            about = getattr(sys.modules.get("otel_zdr.sdk.decision"), "about", None)
            context = call.context
            if call.served is not None and about is not None:
                context = about(context, call.served)
            self._logger.emit(
                event_name=semconv.DETAILS_EVENT, attributes={**measured, **content}, context=context
            )
