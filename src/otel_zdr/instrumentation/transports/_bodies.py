"""Observing a body as the application reads it from the response object, whose methods yield it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from itertools import islice
from logging import getLogger
from time import perf_counter
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from .._call import INTERRUPTED
from .._streams import Observer, advancing, advancing_async
from ._answers import Document, Each
from ._watched import Observes, observed, watch

if TYPE_CHECKING:
    from .._patch import Patches
    from .._wrap import Wrapper

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


class Body(Observes):
    """The body of one streamed response.

    Args:
        plain: whether the bytes of the methods that yield them raw are what the server meant.
        at_end: tells whether everything has been read, where the reading methods do not end the call.
    """

    __slots__ = ("_at_end", "_plain", "_read", "call", "observer")

    def __init__(
        self, call: Any, observer: Observer, *, plain: bool = True, at_end: Callable[[], bool] = lambda: False
    ) -> None:
        self.call = call
        self.observer = observer
        self._plain = plain
        self._at_end = at_end
        self._read: Any = None  # the generator of the client that the body is read from

    def watch(self, patches: Patches, response: Any, methods: Mapping[str, Wrapper]) -> None:
        """Observe these methods of `response`, each with one of the wrappers below."""
        watch(patches, response, self, methods)

    def reads(self, source: Any, *, raw: bool) -> Any:
        """What a reading method returns in the place of the client's generator."""
        # Reading methods are built on each other: only the outermost one counts.
        if self.call.ended or self._advancing() or not isinstance(source, _GENERATORS):
            return source
        self._read = source
        feed = self._plain or not raw
        if isinstance(source, GeneratorType):
            return self._iterate(source, feed)
        return self._iterate_async(source, feed)

    def _advancing(self) -> bool:
        source = self._read
        if source is None:
            return False
        return advancing(source) if hasattr(source, "gi_running") else advancing_async(source)

    def closed(self) -> None:
        """The application has closed the response, unless a reading method does it at its own end."""
        if not self._advancing():
            self.call.end(None if self._at_end() else INTERRUPTED)

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


def _read(body: Body, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return body.reads(wrapped(*args, **kwargs), raw=False)


def _read_raw(body: Body, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return body.reads(wrapped(*args, **kwargs), raw=True)


def _close(body: Body, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    body.closed()
    return wrapped(*args, **kwargs)


async def _close_async(
    body: Body, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        return await wrapped(*args, **kwargs)
    finally:
        body.closed()


#: The wrapper of a generator method, sync or async; and of one whose bytes may be encoded.
reading, reading_raw = observed(_read), observed(_read_raw)
#: The wrapper of a method that closes the response; and of a coroutine method that does.
closing, closing_async = observed(_close), observed(_close_async)
