"""The frames around one HTTP call, for functions and coroutines: as `_wrap.py`, for requests of any kind."""

from __future__ import annotations

from collections.abc import Callable
from logging import getLogger
from typing import TYPE_CHECKING, Any, Protocol

from ._request import Request

if TYPE_CHECKING:
    from .._telemetry import Telemetry
    from .._wrap import Wrapper
    from ._exchange import Exchange

_log = getLogger(__name__)


class Transport(Protocol):
    """One HTTP library."""

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        """The request that is about to be sent; None when it goes to a host that is not Inworld's."""
        ...

    def answered(self, exchange: Exchange, response: Any, kwargs: dict[str, Any]) -> None:
        """Read the head of `response`, and have its body observed as the application reads it."""
        ...


def sync_frame(transport: Transport, get_telemetry: Callable[[], Telemetry]) -> Wrapper:
    """For a function that returns the response."""

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        exchange = _open(transport, get_telemetry, instance, args, kwargs)
        if exchange is None:
            return wrapped(*args, **kwargs)
        call = exchange.call
        token = call.attach()
        try:
            response = wrapped(*args, **kwargs)
        except BaseException as exc:
            call.detach(token)
            call.fail(exc)
            raise
        call.detach(token)
        _answered(transport, exchange, response, kwargs)
        return response

    return wrapper


def async_frame(transport: Transport, get_telemetry: Callable[[], Telemetry]) -> Wrapper:
    """For a coroutine function that returns the response."""

    async def traced(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        exchange = _open(transport, get_telemetry, instance, args, kwargs)
        if exchange is None:
            return await wrapped(*args, **kwargs)
        call = exchange.call
        token = call.attach()
        try:
            response = await wrapped(*args, **kwargs)
        except BaseException as exc:
            call.detach(token)
            call.fail(exc)
            raise
        call.detach(token)
        _answered(transport, exchange, response, kwargs)
        return response

    return traced


def _open(
    transport: Transport,
    get_telemetry: Callable[[], Telemetry],
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Exchange | None:
    try:
        request = transport.request(instance, args, kwargs)
        if request is None:
            return None
        # Not before a request to Inworld: most processes never make one.
        from ._endpoints import open_exchange

        return open_exchange(get_telemetry(), request)
    except Exception as exc:
        _log.debug("a request was not read: %s", type(exc).__qualname__)
        return None


def _answered(transport: Transport, exchange: Exchange, response: Any, kwargs: dict[str, Any]) -> None:
    try:
        transport.answered(exchange, response, kwargs)
    except Exception as exc:
        _log.debug("an answer was not read: %s", type(exc).__qualname__)
        exchange.call.end()
