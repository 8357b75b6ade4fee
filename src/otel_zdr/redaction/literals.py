"""Literals that are proven: a text that is provably code and not data may stay (G11).

A string is a proven literal if it is *the same object* as a constant of the code of the innermost
frame outside ``logging``, ``structlog``, ``opentelemetry``, ``contextlib`` and this package, and the
module's own file has that text in that scope (:mod:`~otel_zdr.redaction.code_origin`). So what is
exported is always a text that stands in the source, in the function that handed it over:

* an f-string, a concatenation, ``%`` and ``format`` make new objects: not proven;
* a literal handed to a library is no constant of the library's code: not proven;
* code that ``exec``, ``eval``, a template or a notebook made stands in no module's file: not proven;
* ``sys.intern(text)`` is the same object only as a literal that the function holds, and then equals it;
* strings of one character are one object each in the whole process, whoever made them: not proven.

What remains is that data may choose *which* literal of a function is exported, as it may choose which
branch runs; the documentation states that limit.
"""

from __future__ import annotations

import sys
import weakref
from types import CodeType, FrameType, FunctionType
from typing import Any

from otel_zdr.redaction.code_origin import (
    MAX_TEXT,
    IdentityMemo,
    is_from,
    module_name,
    module_of,
    own_scope,
    scope_in,
)

MAX_NAME = 64
MAX_TEMPLATE = MAX_TEXT

_SKIPPED = frozenset({"logging", "structlog", "opentelemetry", "contextlib", "otel_zdr"})
_MAX_FRAMES = 64  # between the call and the code that made it; deeper is not proven
_STEPS = range(_MAX_FRAMES)


def proven_name(text: object, *, depth: int = 0) -> bool:
    """Whether a name of a span, event, scope or instrument is a proven literal.

    Call it while the application's call is still on the stack: when the span is started, the event
    added, the instrument made. Names have 2 to 64 characters and may stand in functions, class bodies
    and modules, and in a decorator such as ``@tracer.start_as_current_span("name")``, whose span is
    started long after the decorator's own frame has gone: then the scope around the decorated function
    is asked. `depth` is the number of frames above the caller that are certain to be of a skipped
    package; it saves time, and a number too high asks the wrong frame. Costs about a microsecond and
    raises nothing.
    """
    return _proven(text, MAX_NAME, False, depth)


def proven_template(text: object, *, depth: int = 0) -> bool:
    """Whether the ``msg`` of a ``logging`` record, or structlog's event, is a proven literal.

    Templates have 2 to 200 characters and must stand in a function: what stands in modules and
    class bodies are prompts more often than templates. Call it while the logging call is still on
    the stack (a handler's ``emit``); a record that a queue carried to another thread has no caller
    and proves nothing. `depth` as for :func:`proven_name`. Raises nothing.
    """
    return _proven(text, MAX_TEMPLATE, True, depth)


def proven_event(text: object, *, depth: int = 0) -> bool:
    """As :func:`proven_template`, for structlog's event: one of the frames between must be structlog's.

    For the body of a record that no ``logging`` handler made: an instrumentation or processor of
    structlog hands the event over as the body, while a body that the application gives to the Logs API
    itself is no template.
    """
    return _proven(text, MAX_TEMPLATE, True, depth, through="structlog")


def remember_name(text: object, *, depth: int = 0) -> bool:
    """Prove a name that is given once and used later: of a scope, an instrument, a proxy of one.

    A proven one is remembered as the object it is, for :func:`was_proven`; equal texts made elsewhere
    are not. Raises nothing.
    """
    if was_proven(text):
        return True
    if not _proven(text, MAX_NAME, False, depth):
        return False
    if len(_remembered) >= _MAX_REMEMBERED:
        _remembered.clear()
    _remembered[id(text)] = text
    return True


def was_proven(text: object) -> bool:
    """Whether this very string was proven by :func:`remember_name`."""
    return type(text) is str and _remembered.get(id(text)) is text


_MAX_REMEMBERED = 4096
_remembered: dict[int, object] = {}  # holding the string keeps its id from being used again


# --- how it is proven ---------------------------------------------------------------------------


class _Origin:
    """What is known of one code object."""

    __slots__ = ("constants", "is_function", "is_skipped", "package", "wraps")

    def __init__(self) -> None:
        self.is_skipped = False
        self.package = ""  # if it is skipped
        self.wraps = False  # skipped, and calls a function that a context manager decorates
        self.is_function = False
        self.constants: frozenset[int] = frozenset()  # ids of its proven constants; they live as long as it


_origins: IdentityMemo[CodeType, _Origin] = IdentityMemo()

# A dozen frames stand between a log call and its handler's proof, and they are nearly always the same ones.
# Those that were last between them, all but the outermost (`info` or `error`), are compared before any is
# looked up: a frame of such a code is skipped because this very code object, still alive, was found to be.
_between: tuple[weakref.ref[CodeType], ...] = ()
_FEW = 3  # so many frames more are not worth learning
_learnings = iter(range(256))  # and two ways that alternate are not learned in turn for ever


def _proven(text: object, longest: int, functions_only: bool, depth: int, through: str = "") -> bool:
    if type(text) is not str or not 2 <= len(text) <= longest:
        return False
    try:
        frame: FrameType | None = sys._getframe(depth + 2)
    except ValueError:
        return False
    plain = functions_only and not through
    if plain:
        for reference in _between:
            if frame is None or frame.f_code is not reference():
                break
            frame = frame.f_back
    known = _origins.entries.get
    for walked in _STEPS:
        if frame is None:  # a generator or callback without a caller
            return False
        code = frame.f_code
        entry = known(id(code))  # IdentityMemo.get() without its call: ten frames a proof
        origin = entry[1] if entry is not None and entry[0]() is code else _examine(frame)
        if not origin.is_skipped:
            if walked > _FEW and plain:
                _learn(sys._getframe(depth + 2))
            return (
                id(text) in origin.constants
                and (origin.is_function or not functions_only)
                and not through  # still to be passed
            )
        if through and origin.package == through:
            through = ""
        if origin.wraps and not functions_only:
            decorated = _decorated(frame)
            if decorated is not None:
                return text in decorated
        frame = frame.f_back
    return False


def _learn(frame: FrameType | None) -> None:
    global _between
    if next(_learnings, None) is None:
        return
    found: list[weakref.ref[CodeType]] = []
    for _ in _STEPS:
        if frame is None:
            return
        origin = _origins.get(frame.f_code)
        if origin is None:  # forgotten meanwhile
            return
        if not origin.is_skipped:
            break
        found.append(weakref.ref(frame.f_code))
        frame = frame.f_back
    _between = tuple(found[:-1])


def _examine(frame: FrameType) -> _Origin:
    code = frame.f_code
    origin = _Origin()
    name = module_name(frame)
    if _is_skipped(name, code):
        origin.is_skipped = True
        origin.package = str(name).partition(".")[0]
        # contextlib's ContextDecorator, and OpenTelemetry's for coroutines, keep the function here.
        origin.wraps = "func" in code.co_freevars and "self" in code.co_freevars
    else:
        scope = own_scope(frame)
        if scope is not None:
            origin.is_function = scope.is_function
            origin.constants = frozenset(
                id(constant)
                for constant in code.co_consts
                if type(constant) is str and constant in scope.texts
            )
    return _origins.put(code, origin)


def _is_skipped(name: object, code: CodeType) -> bool:
    if type(name) is not str or name.partition(".")[0] not in _SKIPPED:
        return False
    module = module_of(name)
    return module is not None and is_from(code, module)


def _decorated(frame: FrameType) -> frozenset[str] | None:
    """The names written around the function that a decorator (a skipped frame) is about to call."""
    function: Any = frame.f_locals.get("func")
    for _ in _STEPS:
        if type(function) is not FunctionType:  # isinstance() could run code of the object
            return None
        wrapped = function.__dict__.get("__wrapped__")  # what functools.wraps leaves
        if wrapped is None:
            break
        function = wrapped
    code = function.__code__
    names = _around.get(code)
    if names is None:
        scope = scope_in(code, dict.get(function.__globals__, "__name__"))
        parent = scope.parent if scope is not None else None
        # Only the loaded code has the object; equal to what the file says in that place will do.
        names = frozenset(text for text in parent.texts if len(text) <= MAX_NAME) if parent else frozenset()
        _around.put(code, names)
    return names


_around: IdentityMemo[CodeType, frozenset[str]] = IdentityMemo()
