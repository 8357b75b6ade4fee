"""What the speech clients share: usage gathered along the way, sockets that are read in passing, and requests
that are sent by entering a context manager.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from logging import getLogger
from typing import Any, Protocol

import wrapt

from . import _wrap
from ._call import INTERRUPTED, Call
from ._guard import covered
from ._streams import Observer

_log = getLogger(__name__)

_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
# bytes of one sample in the raw encodings that STT sockets take, whatever the client calls them
_SAMPLE_BYTES = {
    "linear16": 2,
    "linear32": 4,
    "pcm_s16le": 2,
    "pcm_s32le": 4,
    "pcm_s16be": 2,
    "pcm_f32le": 4,
    "pcm_f32be": 4,
    "mulaw": 1,
    "alaw": 1,
    "pcm_mulaw": 1,
    "pcm_alaw": 1,
}


def error_word(value: object, default: str) -> str:
    """`value` as `error.type` if it is a code (a number or one short word), else `default`; no sentence."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return default


def is_true(value: object) -> bool:
    """A flag as clients take it: `True` or the text `true`."""
    return value is True or (isinstance(value, str) and value.lower() == "true")


def is_false(value: object) -> bool:
    """A flag that is given and off; one that is left out is not."""
    return value is False or (isinstance(value, str) and value.lower() == "false")


def text(value: object) -> str | None:
    """`value` if it is text that is not empty; enums of text give their value."""
    if not isinstance(value, str) or not value:
        return None
    return str(getattr(value, "value", value))


def pcm_bytes_per_second(encoding: object, sample_rate: Any, channels: Any = 1) -> int | None:
    """Bytes that a second of a raw encoding takes; None for a container, whose bytes do not tell."""
    size = _SAMPLE_BYTES.get(text(encoding) or "")
    try:
        rate, count = int(sample_rate), int(channels or 1)
    except (TypeError, ValueError):
        return None
    if size is None or rate <= 0 or count <= 0:
        return None
    return size * rate * count


class Speech(Observer):
    """Usage of one call as it accrues, and its content where that is wanted; written when the call ends.

    What the server counts (`characters`, `seconds`) wins over what was counted here.
    """

    __slots__ = ("_in", "_out", "byte_rate", "characters", "counted", "heard_bytes", "seconds")

    def __init__(self, spoken: object = None) -> None:
        super().__init__()
        self.characters: int | None = None  # as the server counts
        self.counted = -1  # characters handed over so far, -1: this call speaks nothing
        self.seconds: float | None = None  # as the server counts
        self.heard_bytes = 0  # audio handed over so far
        self.byte_rate: int | None = None
        self._in: list[str] = []
        self._out: dict[object, str] = {}
        if isinstance(spoken, str):
            self.counted = len(spoken)

    def speak(self, call: Call, spoken: object) -> None:
        """A piece of text was sent to be spoken."""
        if isinstance(spoken, str):
            self.counted = max(self.counted, 0) + len(spoken)
            if call.wants_content:
                self._in.append(spoken)

    def transcript(self, call: Call, key: object, said: object) -> None:
        """A final piece of transcript; one with the same `key` replaces it."""
        if call.wants_content and isinstance(said, str) and said:
            self._out[key] = said

    def until(self, seconds: object) -> None:
        """Audio was processed up to this second."""
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds >= 0:
            self.seconds = max(self.seconds or 0.0, float(seconds))

    def finish(self, call: Call) -> None:
        if self.characters is not None:
            call.characters(self.characters)
        elif self.counted >= 0:
            call.characters(self.counted)
        if self.seconds is not None:
            call.audio_seconds(self.seconds)
        elif self.byte_rate is not None and self.heard_bytes:
            call.audio_seconds(self.heard_bytes / self.byte_rate)
        if self._in:
            call.text_in("".join(self._in))
            self._in = []
        if self._out:
            call.text_out(" ".join(self._out.values()))
            self._out = {}


class SocketReader(Protocol):
    """Reads what passes a WebSocket."""

    def sent(self, call: Call, message: Any) -> None:
        """A message goes out."""

    def received(self, call: Call, message: Any) -> None:
        """A message came in; ends the call when it says so."""


def watch(call: Call, look: Callable[[Call, Any], None], item: Any) -> None:
    """`look`, contained; not at all once the call has ended."""
    if call.ended:
        return
    try:
        look(call, item)
    except Exception as exc:
        _log.debug("a message was not read: %s", type(exc).__qualname__)


def connection_ended(call: Call, error: BaseException) -> None:
    """End `call` if `error` says that the connection is gone. A time-out of one read says nothing."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ConnectionClosedOK" in names:
        call.end()
    elif "ConnectionClosed" in names or (isinstance(error, OSError) and not isinstance(error, TimeoutError)):
        call.fail(error)


class _Tap(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Stands in for a client's WebSocket: the same object, read in passing. Holds the call, is held by the
    client's connection only.
    """

    _self_call: Call
    _self_reader: SocketReader

    def __init__(self, socket: Any, call: Call, reader: SocketReader) -> None:
        super().__init__(socket)
        self._self_call = call
        self._self_reader = reader

    def send(self, message: Any, *args: Any, **kwargs: Any) -> Any:
        watch(self._self_call, self._self_reader.sent, message)
        return self.__wrapped__.send(message, *args, **kwargs)


class SocketTap(_Tap):
    """A blocking WebSocket."""

    def recv(self, *args: Any, **kwargs: Any) -> Any:
        try:
            message = self.__wrapped__.recv(*args, **kwargs)
        except BaseException as exc:
            connection_ended(self._self_call, exc)
            raise
        watch(self._self_call, self._self_reader.received, message)
        return message

    def __iter__(self) -> Any:
        call, received = self._self_call, self._self_reader.received
        try:
            for message in self.__wrapped__:
                watch(call, received, message)
                yield message
        except GeneratorExit:
            raise
        except BaseException as exc:
            connection_ended(self._self_call, exc)
            raise
        self._self_call.end()


class AsyncSocketTap(_Tap):
    """A WebSocket of asyncio."""

    async def recv(self, *args: Any, **kwargs: Any) -> Any:
        try:
            message = await self.__wrapped__.recv(*args, **kwargs)
        except BaseException as exc:
            connection_ended(self._self_call, exc)
            raise
        watch(self._self_call, self._self_reader.received, message)
        return message

    async def __aiter__(self) -> Any:
        call, received = self._self_call, self._self_reader.received
        try:
            async for message in self.__wrapped__:
                watch(call, received, message)
                yield message
        except GeneratorExit:
            raise
        except BaseException as exc:
            connection_ended(self._self_call, exc)
            raise
        self._self_call.end()


class EnteredOperation(Protocol):
    """A method that returns a context manager and sends its request when that is entered.

    left: the end reason when the body leaves the context before the answer has ended (None: that is a normal
    end).
    """

    @property
    def left(self) -> str | None: ...

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """As `_wrap.Operation.begin`."""

    def opened(self, call: Call, value: Any) -> None:
        """Read what the body is going to get, and see to it that the call is watched."""


class _Entered(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """The client's context manager, with a call from enter to exit."""

    _self_call: Call | None
    _self_operation: EnteredOperation
    _self_arguments: tuple[Any, tuple[Any, ...], dict[str, Any]]

    def __init__(self, manager: Any, operation: EnteredOperation, arguments: Any) -> None:
        super().__init__(manager)
        self._self_operation = operation
        self._self_arguments = arguments
        self._self_call = None

    def _self_begin(self) -> Call | None:
        instance, args, kwargs = self._self_arguments
        del self._self_arguments
        try:
            call = self._self_operation.begin(instance, args, kwargs)
        except Exception as exc:
            _log.debug("no span for a client call: %s", type(exc).__qualname__)
            call = None
        self._self_call = call
        return call

    def _self_opened(self, call: Call, value: Any) -> None:
        try:
            self._self_operation.opened(call, value)
        except Exception as exc:
            _log.debug("the result of a client call was not read: %s", type(exc).__qualname__)

    def _self_left(self, error: BaseException | None) -> None:
        call = self._self_call
        if call is None:
            return
        if error is None:
            call.end(self._self_operation.left)
        else:
            call.fail(error)

    def __enter__(self) -> Any:
        call = self._self_begin()
        if call is None:
            return self.__wrapped__.__enter__()
        token = call.attach()
        try:
            value = self.__wrapped__.__enter__()
        except BaseException as exc:
            call.detach(token)
            call.fail(exc)
            raise
        call.detach(token)
        self._self_opened(call, value)
        return value

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        try:
            handled = self.__wrapped__.__exit__(kind, error, traceback)
        except BaseException as exc:
            self._self_left(error if error is not None else exc)
            raise
        self._self_left(error)
        return handled

    async def __aenter__(self) -> Any:
        call = self._self_begin()
        if call is None:
            return await self.__wrapped__.__aenter__()
        token = call.attach()
        try:
            value = await self.__wrapped__.__aenter__()
        except BaseException as exc:
            call.detach(token)
            call.fail(exc)
            raise
        call.detach(token)
        self._self_opened(call, value)
        return value

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        try:
            handled = await self.__wrapped__.__aexit__(kind, error, traceback)
        except BaseException as exc:
            self._self_left(error if error is not None else exc)
            raise
        self._self_left(error)
        return handled


def entered_call(operation: EnteredOperation) -> _wrap.Wrapper:
    """The wrapper for a method that returns a context manager, blocking or of asyncio."""

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        manager = wrapped(*args, **kwargs)
        return (
            manager if covered(wrapped, instance) else _Entered(manager, operation, (instance, args, kwargs))
        )

    return wrapper


__all__ = [
    "INTERRUPTED",
    "AsyncSocketTap",
    "EnteredOperation",
    "SocketReader",
    "SocketTap",
    "Speech",
    "connection_ended",
    "entered_call",
    "error_word",
    "is_false",
    "is_true",
    "pcm_bytes_per_second",
    "text",
    "watch",
]
