"""Calling the SDK's constructor of spans with the arguments it has, in the version that is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_zdr.sdk.signatures import positional

#: Stands for an argument that was not given.
ABSENT: Any = object()
#: What is positional in the newest SDK that is known here.
PARAMETERS = (
    "name", "context", "parent", "sampler", "trace_config", "resource", "attributes", "events", "links",
    "kind", "span_processor", "instrumentation_info", "record_exception", "set_status_on_exception",
    "limits", "instrumentation_scope",
)  # fmt: skip


def called_by_name(original: Callable[..., None]) -> Callable[..., None]:
    """``original``, for a call with all of our parameters in our order, without those it does not have."""
    known = frozenset(positional(original))

    def call(span: Any, *values: Any, **more: Any) -> None:
        given = {
            name: value
            for name, value in zip(PARAMETERS, values, strict=True)
            if value is not ABSENT and (not known or name in known)
        }
        original(span, **given, **more)

    return call
