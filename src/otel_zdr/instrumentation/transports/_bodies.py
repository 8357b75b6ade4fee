"""Observing a body on the response object itself, as the application reads it.

The methods that yield it are replaced on the one response, which keeps its type. What replaces them holds the
response weakly: a response that is dropped is collected at once, and its call ends.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from itertools import islice
from logging import getLogger
from time import perf_counter
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from .._call import INTERRUPTED
from .._streams import Observer, advancing, advancing_async
from ._answers import Document, Each

_log = getLogger(__name__)


def whole(call: Any, observer: Observer, data: bytes) -> None:
    """A body that the client has read already, as it does unless told to stream."""
    try:
        if isinstance(observer, Document):
            observer.whole(call, data)
        else:
            observer.chunk(call, data)
    except Exception as exc:
        _log.debug("an answer was not read: %s", type(exc).__qualname__)
    call.end()


class Body:
    """The body of one streamed response.

    Args:
        at_end: tells whether everything has been read, where the reading methods do not end the call.
    """

    __slots__ = ("_at_end", "_read", "call", "observer")

    def __init__(self, call: Any, observer: Observer, at_end: Callable[[], bool] = lambda: False) -> None:
        self.call = call
        self.observer = observer
        self._at_end = at_end
        self._read: Any = None  # the generator of the client that the body is read from

    def watch(self, response: Any, name: str, *, feed: bool = True) -> None:
        """Observe the generator method `name`; with `feed` false only its end, as the bytes are encoded."""
        self._replace(response, name, lambda source: self._iterate(source, feed))

    def watch_async(self, response: Any, name: str, *, feed: bool = True) -> None:
        """As `watch`, for an async generator method."""
        self._replace(response, name, lambda source: self._iterate_async(source, feed))

    def _advancing(self) -> bool:
        # Reading methods are built on each other: only the outermost one counts.
        source = self._read
        if source is None:
            return False
        return advancing(source) if hasattr(source, "gi_running") else advancing_async(source)

    def end_with(self, response: Any, name: str) -> None:
        """Calling the method `name` ends the call, unless a reading method does it at its own end."""
        owner, method = weakref.ref(response), getattr(type(response), name)

        def closing(*args: Any, **kwargs: Any) -> Any:
            self._closed()
            return method(owner(), *args, **kwargs)

        setattr(response, name, closing)

    def end_with_async(self, response: Any, name: str) -> None:
        """As `end_with`, for a coroutine method."""
        owner, method = weakref.ref(response), getattr(type(response), name)

        async def closing(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(owner(), *args, **kwargs)
            finally:
                self._closed()

        setattr(response, name, closing)

    def _closed(self) -> None:
        if not self._advancing():
            self.call.end(None if self._at_end() else INTERRUPTED)

    def _replace(self, response: Any, name: str, observed: Callable[[Any], Any]) -> None:
        owner, method = weakref.ref(response), getattr(type(response), name)

        def reading(*args: Any, **kwargs: Any) -> Any:
            source = method(owner(), *args, **kwargs)
            if self.call.ended or self._advancing() or not isinstance(source, _GENERATORS):
                return source
            self._read = source
            return observed(source)

        setattr(response, name, reading)

    def _iterate(self, source: GeneratorType[Any, Any, Any], feed: bool) -> Generator[Any, None, None]:
        call, observer = self.call, self.observer
        try:
            if feed:
                for item in source:
                    observer.see(call, item.encode() if isinstance(item, str) else item)
                    yield item
                    if isinstance(observer, Each) and observer.collects:
                        break
                if isinstance(observer, Each) and observer.collects:
                    # What `Each.see` does, without a call for each piece: there are several to a chunk.
                    collect, count = observer.pieces.append, 1
                    while source.gi_frame is not None:
                        for item in islice(source, count):
                            call.touched = perf_counter()
                            collect(item)
                            yield item
                        observer.digest(call)
                        count = observer.batch(count)
            else:
                for item in source:
                    yield item
            call.end()
        except BaseException as exc:
            call.fail(exc)
            raise
        finally:
            source.close()

    async def _iterate_async(self, source: Any, feed: bool) -> AsyncGenerator[Any, None]:
        call, observer = self.call, self.observer
        see = observer.see
        try:
            async for item in source:
                if feed:
                    see(call, item)
                yield item
            call.end()
        except BaseException as exc:
            call.fail(exc)
            raise
        finally:
            await source.aclose()


_GENERATORS = (GeneratorType, AsyncGeneratorType)
