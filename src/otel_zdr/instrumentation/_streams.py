"""Answers that are iterated after the call returned: they keep the client's type, and end its span.

Three shapes cover the clients:

- `follow(stream, call, observer)`: an object that reads from its own `_iterator` (openai, groq, anthropic,
  cartesia). Its iterator is replaced, and `close`/`aclose` of the instance end the call.
- `generator(source, call, observer)` and `async_generator(...)`: a plain iterator or generator is replaced
  by a real generator, so that `send`, `close` and the type's checks work.
- `lazy_generator(...)` and `lazy_async_generator(...)`: the same for a client's generator function, which
  sends nothing until the first item is asked for; `start` begins the call then, and may return None for no
  span.

A call ends when the stream is exhausted, raises, is closed, when its consumer leaves the loop, when its task
is cancelled, and when it is dropped. A loop that is left is an end: what a second loop over the same object
reads passes through, unobserved. `next(stream)` and one iterator kept in a variable are one loop.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from logging import getLogger
from typing import Any

from ._call import ABANDONED, INTERRUPTED, Call

_log = getLogger(__name__)


class Observer:
    """Reads what passes. Subclass it; an instance serves one call."""

    __slots__ = ("broken",)

    def __init__(self) -> None:
        self.broken = False

    def chunk(self, call: Call, item: Any) -> None:
        """One item, before the application gets it. Keep it cheap; keep no content unless
        `call.wants_content`.
        """

    def finish(self, call: Call) -> None:
        """Write what was gathered; called once, just before the span ends for whatever reason."""

    def see(self, call: Call, item: Any) -> None:
        """`chunk`, contained: after a fault the stream goes on unread."""
        call.chunk()
        if not self.broken:
            try:
                self.chunk(call, item)
            except Exception as exc:
                self.broken = True
                _log.debug("a stream is no longer read: %s", type(exc).__qualname__)


class _Iteration:
    """Stands in for the iterator inside a client's stream object."""

    __slots__ = ("__weakref__", "_call", "_observer", "_source", "advancing")

    def __init__(self, source: Iterator[Any], call: Call, observer: Observer) -> None:
        self._source = source
        self._call = call
        self._observer = observer
        self.advancing = False

    def __next__(self) -> Any:
        call = self._call
        self.advancing = True
        try:
            item = next(self._source)
        except StopIteration:
            call.end()
            raise
        except BaseException as exc:
            call.fail(exc)
            raise
        finally:
            self.advancing = False
        self._observer.see(call, item)
        return item

    def __iter__(self) -> _Loop:
        return _Loop(self)

    def close(self) -> None:
        self._call.end(INTERRUPTED)
        close = getattr(self._source, "close", None)
        if close is not None:
            close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class _Loop:
    """One consumer's loop: dropped before the end, it was left by `break`, `return` or an error of the
    consumer.
    """

    __slots__ = ("_iteration", "_left")

    def __init__(self, iteration: _Iteration) -> None:
        self._iteration = iteration
        self._left = iteration._call.leave

    def __iter__(self) -> _Loop:
        return self

    def __next__(self) -> Any:
        return self._iteration.__next__()

    def __del__(self) -> None:
        self._left(INTERRUPTED)


class _AsyncIteration:
    """As `_Iteration`, for `async for`."""

    __slots__ = ("__weakref__", "_call", "_observer", "_source", "advancing")

    def __init__(self, source: AsyncIterator[Any], call: Call, observer: Observer) -> None:
        self._source = source
        self._call = call
        self._observer = observer
        self.advancing = False

    async def __anext__(self) -> Any:
        call = self._call
        self.advancing = True
        try:
            item = await self._source.__anext__()
        except StopAsyncIteration:
            call.end()
            raise
        except BaseException as exc:
            call.fail(exc)
            raise
        finally:
            self.advancing = False
        self._observer.see(call, item)
        return item

    def __aiter__(self) -> _AsyncLoop:
        return _AsyncLoop(self)

    async def aclose(self) -> None:
        self._call.end(INTERRUPTED)
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class _AsyncLoop:
    __slots__ = ("_iteration", "_left")

    def __init__(self, iteration: _AsyncIteration) -> None:
        self._iteration = iteration
        self._left = iteration._call.leave

    def __aiter__(self) -> _AsyncLoop:
        return self

    def __anext__(self) -> Any:
        return self._iteration.__anext__()

    def __del__(self) -> None:
        self._left(INTERRUPTED)


def follow(stream: Any, call: Call, observer: Observer, response: Any = None) -> Any:
    """Observe a client's stream object in place and return it.

    Args:
        stream: reads from its attribute `_iterator`. One of an unknown build ends the call at once.
        response: the HTTP response below, for helpers that close it instead of the stream.
    """
    source = getattr(stream, "_iterator", None)
    if source is None:
        call.end()
        return stream
    call.on_end = observer.finish
    iteration: _Iteration | _AsyncIteration
    if hasattr(source, "__anext__"):
        iteration = _AsyncIteration(source, call, observer)
    else:
        iteration = _Iteration(source, call, observer)
    stream._iterator = iteration
    for owner in (stream, response):
        for name in ("close", "aclose"):
            end_when_called(owner, name, call, iteration)
    return stream


def end_when_called(owner: Any, name: str, call: Call, iteration: Any = None) -> None:
    """Make the bound method `name` of this one object end `call` as well; nothing if it has no such method.

    A stream that runs out or fails closes itself while it is `advancing` the `iteration`; that one ends the
    call.
    """
    method = getattr(owner, name, None)
    if method is None:
        return
    if inspect.iscoroutinefunction(method):

        async def closing_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            finally:
                if iteration is None or not iteration.advancing:
                    call.leave(INTERRUPTED)

        replacement: Callable[..., Any] = closing_async
    else:

        def closing(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            finally:
                if iteration is None or not iteration.advancing:
                    call.leave(INTERRUPTED)

        replacement = closing
    try:
        setattr(owner, name, replacement)
    except Exception as exc:
        _log.debug("%s.%s is not observed: %s", type(owner).__qualname__, name, type(exc).__qualname__)


def generator(source: Iterator[Any], call: Call, observer: Observer) -> Generator[Any, Any, Any]:
    """A generator over `source` that ends `call`; for a call whose request has been sent."""
    call.on_end = observer.finish
    return _generate(source, call, observer)


def _generate(source: Iterator[Any], call: Call, observer: Observer) -> Generator[Any, Any, Any]:
    closer = getattr(source, "close", None)
    try:
        for item in source:
            observer.see(call, item)
            yield item
        call.end()
    except BaseException as exc:
        call.fail(exc)
        raise
    finally:
        if closer is not None:
            closer()


def async_generator(source: AsyncIterator[Any], call: Call, observer: Observer) -> AsyncGenerator[Any, Any]:
    """As `generator`, for `async for`."""
    call.on_end = observer.finish
    return _generate_async(source, call, observer)


async def _generate_async(
    source: AsyncIterator[Any], call: Call, observer: Observer
) -> AsyncGenerator[Any, Any]:
    closer = getattr(source, "aclose", None)
    try:
        async for item in source:
            observer.see(call, item)
            yield item
        call.end()
    except BaseException as exc:
        call.fail(exc)
        raise
    finally:
        if closer is not None:
            await closer()


Start = Callable[[], "Call | None"]


def lazy_generator(
    source: Iterator[Any], start: Start, make_observer: Callable[[], Observer]
) -> Generator[Any, Any, Any]:
    """A generator over a client's generator `source` that sends its request on the first `next`.

    The call begins then. While the source works on an item the span is current and inner calls are nested;
    nothing is attached while the consumer runs.
    """
    call = _started(start)
    closer = getattr(source, "close", None)
    if call is None:
        try:
            yield from source
        finally:
            if closer is not None:
                closer()
        return
    observer = make_observer()
    call.on_end = observer.finish
    try:
        while True:
            token = call.attach()
            try:
                item = next(source)
            except StopIteration:
                break
            finally:
                call.detach(token)
            observer.see(call, item)
            yield item
        call.end()
    except BaseException as exc:
        call.fail(exc)
        raise
    finally:
        if closer is not None:
            closer()


async def lazy_async_generator(
    source: AsyncIterator[Any], start: Start, make_observer: Callable[[], Observer]
) -> AsyncGenerator[Any, Any]:
    """As `lazy_generator`, for `async for`."""
    call = _started(start)
    closer = getattr(source, "aclose", None)
    observer: Observer | None = None
    if call is not None:
        observer = make_observer()
        call.on_end = observer.finish
    try:
        while True:
            if call is None or observer is None:
                try:
                    item = await source.__anext__()
                except StopAsyncIteration:
                    return
                yield item
                continue
            token = call.attach()
            try:
                item = await source.__anext__()
            except StopAsyncIteration:
                break
            finally:
                call.detach(token)
            observer.see(call, item)
            yield item
        call.end()
    except BaseException as exc:
        if call is not None:
            call.fail(exc)
        raise
    finally:
        if closer is not None:
            await closer()


def _started(start: Start) -> Call | None:
    try:
        return start()
    except Exception as exc:
        _log.debug("no span for a client call: %s", type(exc).__qualname__)
        return None


__all__ = [
    "ABANDONED",
    "INTERRUPTED",
    "Observer",
    "async_generator",
    "end_when_called",
    "follow",
    "generator",
    "lazy_async_generator",
    "lazy_generator",
]
