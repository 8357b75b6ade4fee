"""Ways round the SDK (G8): hooks and uploads that get raw content without passing a span or log record.

Each is wrapped where every use of it goes through, and decided per call. What is set up in a way that
has no seam here is refused: switched off and named on standard error. Providers that are not the SDK's
never pass the gate, so they are refused too.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from opentelemetry import trace as trace_api

from otel_zdr.import_hooks import when_imported
from otel_zdr.sdk import failure, gate
from otel_zdr.sdk.decision import content_allowed
from otel_zdr.sdk.gate import say

#: (module, dotted name in it, what a refused call returns, variable that sets it up without it)
_SEAMS: tuple[tuple[str, str, Any, str | None], ...] = (
    ("opentelemetry.util.genai._invocation", "GenAIInvocation._call_completion_hook", None, None),
    (
        "opentelemetry.util.genai.completion_hook",
        "_SafeCompletionHook.on_completion",
        None,
        "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK",
    ),
    ("opentelemetry.util.genai._upload.completion_hook", "UploadCompletionHook.on_completion", None, None),
    (
        "openinference.instrumentation.config",
        "decode_base64_data_uri_to_blob",
        None,
        "OPENINFERENCE_BLOB_UPLOADER",
    ),
    ("langfuse._task_manager.media_manager", "MediaManager._process_media", None, None),
    ("traceloop.sdk.images.image_uploader", "ImageUploader.upload_base64_image", "", None),
    ("traceloop.sdk.images.image_uploader", "ImageUploader.aupload_base64_image", "", None),
)

_patched: list[tuple[Any, str, Any]] = []
_hooked = False


def install() -> None:
    """Wrap what is imported, and the rest when it is; refuse foreign providers."""
    global _hooked
    for module_name, path, refused, variable in _SEAMS:
        if not _hooked:
            when_imported(module_name, _hook(module_name, path, refused, variable), each_time=True)
        if module_name in sys.modules:
            _wrap(module_name, path, refused, variable)
    _hooked = True
    _watch_providers()


def uninstall() -> None:
    """Put everything back (between tests)."""
    while _patched:
        owner, name, original = _patched.pop()
        if getattr(getattr(owner, name, None), "__wrapped__", None) is original:
            setattr(owner, name, original)


def _hook(module_name: str, path: str, refused: Any, variable: str | None) -> Callable[[Any], None]:
    def on_import(_module: Any) -> None:
        if gate.current is not None:
            _wrap(module_name, path, refused, variable)

    return on_import


def _wrap(module_name: str, path: str, refused: Any, variable: str | None) -> None:
    try:
        owner: Any = importlib.import_module(module_name)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        original = getattr(owner, name)
        if getattr(original, "_otel_zdr_decided", False):
            return
        _replace(owner, name, original, _decided(original, refused))
    except AttributeError:
        _refuse(module_name, path, variable)
    except Exception as error:
        failure.note("bypass", error)
        _refuse(module_name, path, variable)


def _replace(owner: Any, name: str, original: Any, replacement: Any) -> None:
    replacement.__wrapped__ = original
    replacement._otel_zdr_decided = True
    _patched.append((owner, name, original))
    setattr(owner, name, replacement)


def _refuse(module_name: str, path: str, variable: str | None) -> None:
    """No seam where one was: the way is closed by its own switch, if it has one."""
    if variable is None:
        return
    if os.environ.pop(variable, None) is not None:
        say(f"{variable} is refused: {module_name} has no {path} through which its calls could be decided")


def _decided(original: Callable[..., Any], refused: Any) -> Callable[..., Any]:
    """``original``, called only where content may leave."""
    named = _span_parameter(original)
    if inspect.iscoroutinefunction(original):

        async def decided_later(*args: Any, **kwargs: Any) -> Any:
            if gate.current is not None and not _may_leave(args, kwargs, named):
                return refused
            return await original(*args, **kwargs)

        return decided_later

    def decided(*args: Any, **kwargs: Any) -> Any:
        if gate.current is not None and not _may_leave(args, kwargs, named):
            return refused
        return original(*args, **kwargs)

    return decided


def _span_parameter(original: Callable[..., Any]) -> tuple[int, str] | None:
    """Where the call names its span by id: (position, keyword)."""
    try:
        for position, name in enumerate(inspect.signature(original).parameters):
            if name in ("span_id", "observation_id"):
                return position, name
    except (TypeError, ValueError):
        pass
    return None


def _may_leave(args: tuple[Any, ...], kwargs: dict[str, Any], named: tuple[int, str] | None) -> bool:
    """Whether the call's own span (if it names one) and its context let content out."""
    try:
        if not content_allowed():
            return False
        span = kwargs.get("span")
        if span is None and args:
            span = getattr(args[0], "span", None)
        if isinstance(span, trace_api.Span):
            return content_allowed(trace_api.set_span_in_context(span))
        if named is None:
            return True
        position, keyword = named
        return _is_allowed_for(kwargs[keyword] if keyword in kwargs else args[position])
    except Exception as error:
        failure.note("bypass", error)
        return False


def _is_allowed_for(span_id: object) -> bool:
    """Decide by the span of this id: uploads run in threads and loops without the context of their call."""
    holding = gate.current
    if holding is None or holding.policy.nothing:
        return True
    text = str(span_id)
    ids = {int(text, base) for base in (10, 16) if _is_number(text, base)}
    if trace_api.get_current_span().get_span_context().span_id in ids:
        return True
    from otel_zdr.sdk.span.adoption import open_spans

    for item in open_spans():
        context = item.get_span_context()
        if context is not None and context.span_id in ids:
            return content_allowed(trace_api.set_span_in_context(item))
    return False


def _is_number(text: str, base: int) -> bool:
    digits = "0123456789abcdef"[:base]
    return 0 < len(text) <= 20 and all(digit in digits for digit in text)


# --- providers that are not the SDK's ------------------------------------------------------------


def _watch_providers() -> None:
    """Refuse a foreign tracer provider that is set already, and any that is set later."""
    current = getattr(trace_api, "_TRACER_PROVIDER", None)
    if current is not None and _is_foreign(current):
        _name(current)
        trace_api._TRACER_PROVIDER = trace_api.NoOpTracerProvider()
    original = trace_api._set_tracer_provider
    if getattr(original, "_otel_zdr_decided", False):
        return

    def _set_tracer_provider(tracer_provider: Any, *args: Any, **kwargs: Any) -> None:
        if gate.current is not None and not gate.current.policy.nothing and _is_foreign(tracer_provider):
            _name(tracer_provider)
            tracer_provider = trace_api.NoOpTracerProvider()
        original(tracer_provider, *args, **kwargs)

    _replace(trace_api, "_set_tracer_provider", original, _set_tracer_provider)


def _is_foreign(provider: Any) -> bool:
    """Whether the provider makes spans that are not the SDK's: they would never meet the gate.

    A wrapper of an SDK provider (or of the API's own placeholders) makes SDK spans in the end.
    """
    if _is_known(provider):
        return False
    try:
        parts = list(vars(provider).values())
    except TypeError:
        parts = []
    return not any(_is_known(part) for part in parts)


def _is_known(provider: Any) -> bool:
    from opentelemetry.sdk.trace import TracerProvider

    return (
        isinstance(provider, TracerProvider) or type(provider).__module__.partition(".")[0] == "opentelemetry"
    )


def _name(provider: Any) -> None:
    kind = type(provider)
    say(
        f"the tracer provider {kind.__module__}.{kind.__qualname__} is refused: its spans do not go through "
        "the OpenTelemetry SDK, so zero data retention cannot hold for them; its tracing is off"
    )
