"""Who an item is for: workspace ids, and the ambient set that application code declares.

The rules are those of "Who is it for" in the design. Ids are compared as normalised text; what cannot
be read as an id counts as :data:`UNIDENTIFIED`, which is decided like an item without any workspace.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
import unicodedata
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from logging import getLogger
from types import CodeType, FrameType, TracebackType
from typing import Any, TypeVar

from opentelemetry import context as context_api
from opentelemetry.context import Context

_log = getLogger("otel_zdr")

#: Whether there is a gate that listens to what is declared here; the gate says so.
heard = False

#: Stands in a set of ids for a workspace that was named but cannot be read. Never a normalised id.
UNIDENTIFIED = ""
NOBODY: frozenset[str] = frozenset()

_MAX_ID = 256
_MAX_IDS = 64
_CONTEXT_KEY = context_api.create_key("otel_zdr.workspaces")
_SUSPENDABLE = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_F = TypeVar("_F", bound=Callable[..., Any])


def normalise(value: object) -> str | None:
    """One workspace id as comparable text (NFKC, stripped, case-folded), or None if it is none.

    Numbers and UUIDs are taken as text; booleans, bytes, mappings, empty and overlong texts are not ids.
    """
    kind = type(value)
    if kind is int or kind is float:
        return str(value)
    if kind is not str:
        # Of subclasses (numpy's floats, enumerations of numbers) what they are, not what their methods say.
        if kind is not bool and issubclass(kind, int):
            return int.__repr__(value)
        if issubclass(kind, float):
            return float.__repr__(value)
        if issubclass(kind, str):
            value = str.__str__(value)
        elif _is_uuid(kind):
            value = str(value)
        else:
            return None
    text: str = value  # type: ignore[assignment]
    if len(text) > _MAX_ID:
        return None
    if text.isascii():
        return text.strip().lower() or None
    folded = unicodedata.normalize("NFKC", text).strip().casefold()
    return unicodedata.normalize("NFKC", folded) or None


def _is_uuid(kind: type) -> bool:
    uuid = sys.modules.get("uuid")  # not imported for it: where there is a UUID there is its module
    return uuid is not None and kind is uuid.UUID


def identify(value: object) -> frozenset[str]:
    """The ids that an attribute value names: one, or one for each element of a list.

    Unreadable values and elements become :data:`UNIDENTIFIED`; an absent value (None) names nobody. Of an object
    of another class the SDK writes the text: it counts as well as being unreadable, so that the stricter holds.
    """
    if value is None:
        return NOBODY
    if isinstance(value, tuple | list):
        elements = value[:_MAX_IDS]
        ids = frozenset().union(*map(_identify_one, elements))
        return ids if len(value) <= _MAX_IDS and ids else ids | {UNIDENTIFIED}
    return _identify_one(value)


#: What may be the value of an attribute and names nobody; a text only where `normalise` could not read it.
_NAMELESS = (str, bool, bytes, bytearray, list, tuple, dict, type(None))


def _identify_one(value: object) -> frozenset[str]:
    found = normalise(value)
    if found is not None:
        return frozenset((found,))
    written = None
    if not isinstance(value, _NAMELESS):
        with contextlib.suppress(Exception):
            written = normalise(str(value))
    return frozenset((UNIDENTIFIED, written) if written else (UNIDENTIFIED,))


class _Entry:
    """One ``workspace(...)`` that is entered: what it names, and from which frame."""

    __slots__ = ("frame", "id", "owner", "text")

    def __init__(self, text: str, id_: str, frame: FrameType | None) -> None:
        self.text = text
        self.id = id_
        # Only of a generator: while it is suspended, its entry must not colour the code that drives it.
        self.frame = frame
        self.owner = _execution() if frame is not None else None

    def counts(self) -> bool:
        """False only for a suspended generator seen from the thread and task that drives it.

        Copies of the context (other threads, other tasks) belong to work the generator started:
        there the entry always counts.
        """
        frame = self.frame
        owner = self.owner
        if frame is None or owner is None or _is_running(frame):
            return True
        thread, task = owner
        if thread is not _thread_mark():
            return True
        current = _current_task()
        return current is not None if task is None else current is None or task() is not current


class _Mark:
    """Stands for a thread: unlike its number, never used again for another one."""

    __slots__ = ()


_marks = threading.local()


def _thread_mark() -> _Mark:
    mark: _Mark | None = getattr(_marks, "mark", None)
    if mark is None:
        mark = _marks.mark = _Mark()
    return mark


def _current_task() -> Any:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _execution() -> tuple[_Mark, Callable[[], Any] | None]:
    """The thread and task that run now. Not by ``id()``, which a later task gets once this one has gone."""
    task = _current_task()
    return _thread_mark(), weakref.ref(task) if task is not None else None


def _is_running(frame: FrameType) -> bool:
    # A suspended (or finished) generator's frame has no caller. From 3.14 on the frame says it itself.
    generator = getattr(frame, "f_generator", None)
    if generator is not None:
        running = getattr(generator, "gi_running", None)
        if running is None:
            running = getattr(generator, "ag_running", None)
        if running:
            return True
    return frame.f_back is not None or _is_outermost(frame)


def _is_outermost(frame: FrameType) -> bool:
    """Whether the frame is the first of this thread's stack (or greenlet's): it runs, without a caller."""
    here: FrameType | None = sys._getframe(1)
    while here is not None:
        if here is frame:
            return True
        here = here.f_back
    return False


def ambient_entries(context: Context | None = None) -> frozenset[_Entry]:
    """The entries that hold in ``context``; given explicitly, all of its entries hold."""
    entries: frozenset[_Entry] | None
    if context is None:
        entries = context_api.get_current().get(_CONTEXT_KEY)  # type: ignore[assignment]
        if not entries:
            return frozenset()
        for entry in entries:
            if entry.frame is not None and not entry.counts():
                return frozenset(entry for entry in entries if entry.counts())
        return entries
    entries = context.get(_CONTEXT_KEY)  # type: ignore[assignment]
    return entries or frozenset()


def ambient(context: Context | None = None) -> frozenset[str]:
    """The normalised ids of the ambient workspaces."""
    entries = ambient_entries(context)
    if not entries:
        return NOBODY
    return frozenset(entry.id for entry in entries)


class workspace:
    """Declare that everything inside is for a workspace. Context manager and decorator.

    Works on functions, coroutines, generators and async generators. Nesting adds; leaving removes
    its own entry only, in whatever context it is left, and never raises. The set lives in the
    OpenTelemetry context, so it follows tasks, and threads and executors where
    ``opentelemetry-instrumentation-threading`` is active.

    Args:
        id: the workspace id (text or number). What cannot be read as one counts as unidentified, which the
            log says once for each type.

    Raises:
        TypeError: used as the decorator of a class, whose methods it would not cover.
    """

    __slots__ = ("_entered", "_id", "_text")

    def __init__(self, id: object) -> None:
        # A subclass of str is taken as its plain text: its methods may raise or lie.
        text = (str.__str__(id) if isinstance(id, str) else str(id)).strip()
        try:
            self._id = normalise(id) or UNIDENTIFIED
        except Exception:
            self._id = text.lower()
        self._text = text if self._id else UNIDENTIFIED
        if not self._id:
            _say_unreadable(type(id))
        self._entered: list[_Entry] = []

    def __enter__(self) -> workspace:
        try:
            self._enter(_generator_frame(sys._getframe(1)))
        except Exception:
            self._enter_plainly()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):
            self._leave()

    async def __aenter__(self) -> workspace:
        try:
            self._enter(_generator_frame(sys._getframe(1)))
        except Exception:
            self._enter_plainly()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(Exception):
            self._leave()

    def _enter_plainly(self) -> None:
        """As :meth:`_enter`, without asking where from: the entry counts wherever it is seen."""
        try:
            entry = _Entry.__new__(_Entry)
            entry.text, entry.id, entry.frame, entry.owner = self._text, self._id, None, None
            current = context_api.get_current()
            entries: frozenset[_Entry] = current.get(_CONTEXT_KEY) or frozenset()  # type: ignore[assignment]
            context_api.attach(context_api.set_value(_CONTEXT_KEY, entries | {entry}, current))
            self._entered.append(entry)
        except Exception:
            return

    def _enter(self, frame: FrameType | None) -> None:
        if not heard:
            _say_unheard()
        entry = _Entry(self._text, self._id, frame)
        current = context_api.get_current()
        entries: frozenset[_Entry] = current.get(_CONTEXT_KEY) or frozenset()  # type: ignore[assignment]
        context_api.attach(context_api.set_value(_CONTEXT_KEY, entries | {entry}, current))
        self._entered.append(entry)

    def _leave(self) -> None:
        if not self._entered:
            return
        current = context_api.get_current()
        entries: frozenset[_Entry] = current.get(_CONTEXT_KEY) or frozenset()  # type: ignore[assignment]
        # One object may be entered by several threads or tasks at once: here its own entry is left.
        entry = next((entry for entry in reversed(self._entered) if entry in entries), self._entered[-1])
        self._entered.remove(entry)
        if entry in entries:
            # Not a reset to a remembered token: that would also undo what others attached meanwhile,
            # and fails when a generator is closed in another context.
            context_api.attach(context_api.set_value(_CONTEXT_KEY, entries - {entry}, current))
        entry.frame = None if entry.owner is None else entry.frame

    def __call__(self, function: _F) -> _F:
        if inspect.isclass(function):
            raise TypeError(
                f"otel_zdr.workspace() cannot decorate the class {function.__name__}: only making its objects"
                " would be covered; decorate the methods, or enter it where they are called"
            )
        id_ = self._text if self._id else None
        if inspect.isasyncgenfunction(function):
            return _over_async_generator(id_, function)  # type: ignore[return-value]
        if inspect.isgeneratorfunction(function):
            return _over_generator(id_, function)  # type: ignore[return-value]
        if inspect.iscoroutinefunction(function):
            return _over_coroutine(id_, function)  # type: ignore[return-value]

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            with workspace(id_):
                result = function(*args, **kwargs)
            return _over_what_runs_later(id_, result)

        return plain  # type: ignore[return-value]


def _over_async_generator(id_: object, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with workspace(id_):
            inner = function(*args, **kwargs)
            try:
                value = await inner.__anext__()
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        # What is thrown in is the function's to handle (``asynccontextmanager``).
                        value = await inner.athrow(error)
                    else:
                        value = await inner.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await inner.aclose()

    return async_generator


def _over_generator(id_: object, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with workspace(id_):
            return (yield from function(*args, **kwargs))

    return generator


def _over_coroutine(id_: object, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        with workspace(id_):
            return await function(*args, **kwargs)

    return coroutine


def _over_what_runs_later(id_: object, result: Any) -> Any:
    """The same for what a plain function has returned and not run yet, as the functions of decorators do."""
    if inspect.iscoroutine(result):
        return _over_coroutine(id_, lambda: result)()
    if inspect.isgenerator(result):
        return _over_generator(id_, lambda: result)()
    if inspect.isasyncgen(result):
        return _over_async_generator(id_, lambda: result)()
    if isinstance(result, contextlib.AbstractContextManager | contextlib.AbstractAsyncContextManager):
        # Of `contextmanager`: the code before and after its `yield` is a generator's.
        later = getattr(result, "gen", None)
        if inspect.isgenerator(later) or inspect.isasyncgen(later):
            result.gen = _over_what_runs_later(id_, later)  # type: ignore[union-attr]
    return result


_unheard_said = False


def _say_unheard() -> None:
    """Somebody declares a workspace, telemetry is made, and nothing redacts it."""
    global _unheard_said
    if _unheard_said or "opentelemetry.sdk" not in sys.modules:
        return
    _unheard_said = True
    _log.warning(
        "otel_zdr.workspace() is used, but zero data retention is not installed in this process: set an OTEL_ZDR_*"
        " variable, start it with opentelemetry-instrument, or call otel_zdr.install()"
    )


_unreadable: set[str] = set()


def _say_unreadable(kind: type) -> None:
    # The name of a class may have been made of data.
    name = kind.__name__ if kind.__module__ == "builtins" else "object"
    if name in _unreadable:
        return
    _unreadable.add(name)
    _log.warning(
        "otel_zdr.workspace() was given no workspace id but %s: what is inside counts as of no known workspace;"
        " it takes one text or number",
        "an empty or overlong text" if kind is str else f"an object of type {name}",
    )


def _generator_frame(frame: FrameType | None) -> FrameType | None:
    """The generator frame that enters a workspace, or None where being suspended means nothing.

    A generator that ``contextlib`` drives (``@contextmanager``) is suspended exactly while the body
    of its ``with`` runs: its entry is meant for that body and counts.
    """
    frame = _outside_contextlib(frame)
    if frame is None or not frame.f_code.co_flags & _SUSPENDABLE:
        return None
    driver = frame.f_back
    if driver is not None and _is_contextlib(driver.f_code):
        return None
    return frame


def _outside_contextlib(frame: FrameType | None) -> FrameType | None:
    while frame is not None and _is_contextlib(frame.f_code):
        frame = frame.f_back
    return frame


def _is_contextlib(code: CodeType) -> bool:
    return code.co_filename == _CONTEXTLIB


_CONTEXTLIB = inspect.getfile(functools).replace("functools", "contextlib")
