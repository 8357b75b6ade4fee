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
from time import perf_counter
from typing import Any, ClassVar

from ._call import ABANDONED, INTERRUPTED, Call

_log = getLogger(__name__)


class Observer:
    """Reads what passes. Subclass it; an instance serves one call.

    Attributes:
        tells: keys of the items that say more than content, unless their value there is null; empty if any item
            may. The first item is always read.
    """

    __slots__ = ("broken",)

    tells: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.broken = False

    @property
    def reads(self) -> bool:
        """Whether items are looked at, not only timed."""
        return type(self).chunk is not Observer.chunk

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


def advancing(source: Any) -> bool:
    """Whether a generator is working on an item or has run out, which whoever drives it is about to see."""
    return bool(source.gi_running) or source.gi_frame is None


def advancing_async(source: Any) -> bool:
    """As `advancing`, for an async generator."""
    return bool(source.ag_running) or source.ag_frame is None


class _Iteration:
    """Stands in for the iterator inside a client's stream object."""

    __slots__ = ("__weakref__", "_call", "_observer", "_own", "_source")

    def __init__(self, source: Iterator[Any], call: Call, observer: Observer) -> None:
        self._own = source
        # A generator tells whether it is running, so that nothing has to be written down around each item.
        self._source: Any = source if hasattr(source, "gi_running") else _each(source)
        self._call = call
        self._observer = observer

    @property
    def advancing(self) -> bool:
        """Whether an item is being waited for: what is closed meanwhile closes itself."""
        return advancing(self._source)

    def __next__(self) -> Any:
        call = self._call
        try:
            item = next(self._source)
        except StopIteration:
            call.end()
            raise
        except BaseException as exc:
            call.fail(exc)
            raise
        self._observer.see(call, item)
        return item

    def __iter__(self) -> Generator[Any, None, None]:
        return _loop(self._source, self._call, self._observer)

    def close(self) -> None:
        self._call.end(INTERRUPTED)
        close = getattr(self._own, "close", None)
        if close is not None:
            close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


def _loop(source: Iterator[Any], call: Call, observer: Observer) -> Generator[Any, None, None]:
    """One consumer's loop: dropped before the end, it was left by `break`, `return` or an error of the
    consumer.
    """
    see = observer.see
    try:
        for item in source:
            see(call, item)
            yield item
        call.end()
    except BaseException as exc:
        call.fail(exc)
        raise


def _each(source: Iterator[Any]) -> Generator[Any, None, None]:
    yield from source


class _AsyncSteps:
    __slots__ = ("_call", "_observer", "_source")

    def __init__(self, source: Any, call: Call, observer: Observer) -> None:
        self._source = source
        self._call = call
        self._observer = observer

    async def __anext__(self) -> Any:
        try:
            item = await self._source.__anext__()
        except StopAsyncIteration:
            self._call.end()
            raise
        except BaseException as exc:
            self._call.fail(exc)
            raise
        self._observer.see(self._call, item)
        return item


class _AsyncIteration(_AsyncSteps):
    """As `_Iteration`, for `async for`."""

    __slots__ = ("__weakref__", "_own")

    def __init__(self, source: AsyncIterator[Any], call: Call, observer: Observer) -> None:
        super().__init__(source if hasattr(source, "ag_running") else _each_async(source), call, observer)
        self._own = source

    @property
    def advancing(self) -> bool:
        return advancing_async(self._source)

    def __aiter__(self) -> _AsyncLoop:
        return _AsyncLoop(self._source, self._call, self._observer)

    async def aclose(self) -> None:
        self._call.end(INTERRUPTED)
        close = getattr(self._own, "aclose", None)
        if close is not None:
            await close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


class _AsyncLoop(_AsyncSteps):
    """As `_loop`. No generator, which the event loop would finish later, in a task of its own."""

    __slots__ = ("_left",)

    def __init__(self, source: Any, call: Call, observer: Observer) -> None:
        super().__init__(source, call, observer)
        self._left = call.leave

    def __aiter__(self) -> _AsyncLoop:
        return self

    def __del__(self) -> None:
        self._left(INTERRUPTED)


async def _each_async(source: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for item in source:
        yield item


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
    see, source = observer.see, iter(source)
    try:
        for item in source:
            see(call, item)
            yield item
            if not observer.reads:
                break
        for item in source:
            call.touched = perf_counter()
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
    see, source = observer.see, source.__aiter__()
    try:
        async for item in source:
            see(call, item)
            yield item
            if not observer.reads:
                break
        async for item in source:
            call.touched = perf_counter()
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

    The call begins then. Until the first item is there the span is current and inner calls are nested;
    nothing is attached while the consumer runs, nor later, when the request has been sent.
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
    see = observer.see
    try:
        token = call.attach()
        try:
            item = next(source, _NOTHING)
        finally:
            call.detach(token)
        if item is not _NOTHING:
            see(call, item)
            yield item
            for item in source:
                see(call, item)
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
    if call is None:
        try:
            async for item in source:
                yield item
        finally:
            if closer is not None:
                await closer()
        return
    observer = make_observer()
    call.on_end = observer.finish
    see = observer.see
    try:
        token = call.attach()
        try:
            item = await source.__anext__()
        except StopAsyncIteration:
            item = _NOTHING
        finally:
            call.detach(token)
        if item is not _NOTHING:
            see(call, item)
            yield item
            if observer.reads:
                async for item in source:
                    see(call, item)
                    yield item
            else:
                async for item in source:
                    call.touched = perf_counter()
                    yield item
        call.end()
    except BaseException as exc:
        call.fail(exc)
        raise
    finally:
        if closer is not None:
            await closer()


_NOTHING = object()


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
    "advancing",
    "advancing_async",
    "async_generator",
    "end_when_called",
    "follow",
    "generator",
    "lazy_async_generator",
    "lazy_generator",
]
