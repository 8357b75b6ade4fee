"""wrapt wrappers around one call: the frame that starts, guards and ends it, for functions and coroutines.

An instrumentor describes each wrapped method by an `Operation`; this module makes sure that a fault in
`begin` or `done` costs the span, never the application's call, and that results and exceptions pass through
as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import Any, Protocol

from ._call import Call
from ._guard import Aside, covered

_log = getLogger(__name__)

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]


class Operation(Protocol):
    """One method of a client."""

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Start the call (through `Telemetry.begin`), write what the request says; None makes no span.

        Must change neither `args` nor `kwargs`, and must not read a file or consume an iterator in them.
        """
        ...

    def done(self, call: Call, result: Any) -> Any:
        """Read `result` and end the call, or hand the call to `_streams`; returns what the application gets,
        which is `result` itself wherever possible. Runs in the same task, with nothing attached."""
        ...


def begin(operation: Operation, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
    """`operation.begin`, contained."""
    try:
        return operation.begin(instance, args, kwargs)
    except Exception as exc:
        _log.debug("no span for a client call: %s", type(exc).__qualname__)
        return None


def done(operation: Operation, call: Call, result: Any) -> Any:
    """`operation.done`, contained: on a fault the call ends and the application gets `result` itself."""
    try:
        return operation.done(call, result)
    except Exception as exc:
        _log.debug("the result of a client call was not read: %s", type(exc).__qualname__)
        call.end()
        return result


def sync_call(operation: Operation) -> Wrapper:
    """The wrapper for a method that sends its request before it returns."""

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if covered(wrapped, instance):
            with Aside():
                return wrapped(*args, **kwargs)
        call = begin(operation, instance, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        token = call.attach()
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as exc:
            call.detach(token)
            call.fail(exc)
            raise
        call.detach(token)
        return done(operation, call, result)

    return wrapper


def async_call(operation: Operation) -> Wrapper:
    """The wrapper for a coroutine method. The request is sent when the coroutine is awaited, so the span
    starts there.
    """

    async def traced(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if covered(wrapped, instance):
            with Aside():
                return await wrapped(*args, **kwargs)
        call = begin(operation, instance, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        token = call.attach()
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as exc:
            call.detach(token)
            call.fail(exc)
            raise
        call.detach(token)
        return done(operation, call, result)

    return traced
