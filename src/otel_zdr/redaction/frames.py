"""Stack traces made of frames: where it failed and how, without a word of what it failed on (G11).

A trace is built from the exception *object*, never from formatted text, which is also dearer::

    httpx.ConnectError
    _client.py:914 Client.send
    cause: builtins.OSError
    _sync.py:31 connect

One line a frame (``file.py:LINE qualname``, most recent call last), a line with the type before the
frames of each exception; the causes, contexts and group members of an exception follow it, each
marked with what it is. ``+N frames`` and ``+N exceptions`` stand for lines left out: repetitions,
the middle of long traces, and frames whose code is not its module's own. :data:`LINE` is the grammar.

No message, source line, note, argument or local is read, and no code of the exception runs: its
``__str__``, ``__class__``, ``__cause__`` may raise, lie or hang. Frames are shown only where
:mod:`~otel_zdr.redaction.code_origin` finds them in their module's own file, so that no name in a line
is of run-time origin; the name of a type has the shape of one and stands in its module, else the
nearest base class that does is named instead.
"""

from __future__ import annotations

import sys
from hashlib import blake2b
from os.path import basename
from types import CodeType, ModuleType, TracebackType
from typing import Any

from otel_zdr.catalogue.shapes import compiled
from otel_zdr.redaction.code_origin import IdentityMemo, file_of, module_of, namespace, own_scope

MAX_EXCEPTIONS = 16
"""Exceptions of one chain, group members included, that are described."""

MAX_FRAMES = 40
"""Frames that are shown of one exception: the first ten and the last thirty."""

_FIRST_FRAMES = 10
_MAX_WALK = 20_000  # entries of one traceback; a deeper recursion is cut
_MAX_PERIOD = 8  # functions that call each other in a recursion that is folded

LINE = (
    r"(?:[A-Za-z0-9_.+-]{1,80}\.py:[0-9]{1,9} [A-Za-z0-9_.<>]{1,128}"  # a frame
    r"|(?:cause: |context: |member: )?[A-Za-z_][A-Za-z0-9_.<>]{0,127}"  # the type of an exception
    r"|\+[0-9]{1,6} (?:frames|exceptions))"  # what is left out
)
"""One line of a stack trace as a regular expression (not anchored; RE2 understands it too)."""

# Compiled when the first exception is described, for the sake of start-up.
_FILE = r"[A-Za-z0-9_.+-]{1,80}\.py"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*(?:\.(?:<locals>|[A-Za-z_][A-Za-z0-9_]*))*"
_QUALIFIED = r"[A-Za-z0-9_.<>]{1,128}"

# Descriptors of the built-in classes: a subclass cannot override what is reached through them.
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppress_context = BaseException.__dict__["__suppress_context__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__
_type_module = type.__dict__["__module__"].__get__
_type_name = type.__dict__["__qualname__"].__get__
_type_flags = type.__dict__["__flags__"].__get__
_type_mro = type.__dict__["__mro__"].__get__
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: not set for the types that C code declares


def stacktrace(exception: BaseException) -> str:
    """The trace of an exception and its chain, in the grammar above. Raises nothing.

    Costs a few microseconds for a chain of two once the code has been seen; the first time, the files
    of the modules on the way are read.
    """
    return _written(_read(exception))


def describe(exception: BaseException) -> tuple[str, str, str]:
    """:func:`exception_type`, :func:`stacktrace` and :func:`fingerprint` in one walk."""
    chain = _read(exception)
    return exception_type(exception), _written(chain), _hashed(chain)


def exception_type(exception: BaseException | type) -> str:
    """The type of an exception as the SDK writes ``exception.type``: ``module.Class``, or ``Class`` for
    built-in ones. The name of a class that was made while the program ran, unless it has the shape of a
    name and stands in its module, is that of its nearest base that is known. Raises nothing.
    """
    cls = exception if issubclass(type(exception), type) else type(exception)
    name = _dotted(cls)  # type: ignore[arg-type]
    return name.removeprefix("builtins.")


def fingerprint(exception: BaseException) -> str:
    """Sixteen hex digits over the types, files and functions of an exception and its chain.

    The same failure has the same in every process of one Python version: no line numbers, no folders,
    no repetitions and no frames of code that is not its module's own go in. Raises nothing.
    """
    return _hashed(_read(exception))


class _Raised:
    """One exception of a chain: what it is to the one above, its type, its frames in order of the calls."""

    __slots__ = ("entries", "frames", "line")

    def __init__(self, relation: str, error: BaseException) -> None:
        self.line = relation + _dotted(type(error))
        self.entries: list[TracebackType] = []
        self.frames: list[CodeFrame | None] = []  # None: not shown
        entry = _traceback(error)
        while entry is not None and len(self.entries) < _MAX_WALK:
            code = entry.tb_frame.f_code
            known = _frames.entries.get(id(code))
            frame = known[1] if known is not None and known[0]() is code else _examine(entry, code)
            self.entries.append(entry)
            self.frames.append(None if frame is _HIDDEN else frame)
            entry = entry.tb_next


def _read(exception: BaseException) -> tuple[list[_Raised], int]:
    """The exceptions of the chain that are described, and how many are not."""
    links, left_out = _chain(exception)
    return [_Raised(relation, error) for relation, error in links], left_out


def _written(chain: tuple[list[_Raised], int]) -> str:
    lines: list[str] = []
    for raised in chain[0]:
        lines.append(raised.line)
        _add_frames(lines, raised)
    if chain[1]:
        lines.append(f"+{min(chain[1], 999_999)} exceptions")
    return "\n".join(lines)


def _hashed(chain: tuple[list[_Raised], int]) -> str:
    parts: list[str] = []
    for raised in chain[0]:
        parts.append(raised.line)
        # Each function once: how deep a recursion went is chance.
        parts += dict.fromkeys([frame.place for frame in raised.frames if frame is not None])
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


# --- the chain ----------------------------------------------------------------------------------


def _chain(exception: BaseException) -> tuple[list[tuple[str, BaseException]], int]:
    """The exception and what it is chained to, each once, with what it is; how many are left out."""
    if _cause(exception) is None and _context(exception) is None and not _members(exception):
        return [("", exception)], 0
    chain: list[tuple[str, BaseException]] = []
    seen: set[int] = set()
    pending: list[tuple[str, BaseException]] = [("", exception)]
    left_out = 0
    while pending:
        relation, error = pending.pop()
        if id(error) in seen:  # a cycle, or a member that is a cause as well
            continue
        seen.add(id(error))
        if len(chain) >= MAX_EXCEPTIONS:
            left_out += 1 + len(pending)
            break
        chain.append((relation, error))
        members = _members(error)
        shown = members[:MAX_EXCEPTIONS]
        left_out += len(members) - len(shown)
        pending += [("member: ", member) for member in reversed(shown)]
        cause = _cause(error)
        if cause is not None:
            pending.append(("cause: ", cause))
        elif not _suppress_context(error) and (context := _context(error)) is not None:
            pending.append(("context: ", context))
    return chain, left_out


def _members(error: BaseException) -> tuple[BaseException, ...]:
    """The members of an exception group, also one of the ``exceptiongroup`` backport."""
    cls = type(error)
    members: Any = ()
    try:
        if _builtin_group is not None:
            if issubclass(cls, _builtin_group):
                members = _builtin_group.__dict__["exceptions"].__get__(error)
        elif "exceptiongroup" in sys.modules:
            group = namespace(sys.modules["exceptiongroup"]).get("BaseExceptionGroup")
            if type(group) is type and issubclass(cls, group):
                members = object.__getattribute__(error, "_exceptions")
    except Exception:
        return ()
    if type(members) is not tuple:
        return ()
    return members if all(issubclass(type(member), BaseException) for member in members) else ()


_builtin_group: Any = getattr(__import__("builtins"), "BaseExceptionGroup", None)  # Python 3.11


# --- frames -------------------------------------------------------------------------------------


class CodeFrame:
    """What is shown of a code object that is its module's own."""

    __slots__ = ("file", "name", "place")

    def __init__(self, file: str, name: str) -> None:
        self.file = file
        self.name = name
        self.place = f"{file} {name}"  # without a line: what a fingerprint is made of


_HIDDEN = CodeFrame("", "")  # in the memo: looked at, and not shown
_frames: IdentityMemo[CodeType, CodeFrame] = IdentityMemo()


def _examine(entry: TracebackType, code: CodeType) -> CodeFrame:
    scope = own_scope(entry.tb_frame)
    file = basename(code.co_filename)
    if (
        scope is None
        or not compiled(_FILE).fullmatch(file)
        or not compiled(_QUALIFIED).fullmatch(scope.qualified_name)
    ):
        return _frames.put(code, _HIDDEN)
    return _frames.put(code, CodeFrame(file, scope.qualified_name))


def _add_frames(lines: list[str], raised: _Raised) -> None:
    entries, frames = raised.entries, raised.frames
    hidden = 0
    for index, count in _plan(entries):
        frame = frames[index] if index >= 0 else None
        if frame is None:
            hidden += count
            continue
        if hidden:
            lines.append(f"+{hidden} frames")
            hidden = 0
        lines.append(f"{frame.file}:{entries[index].tb_lineno or 0} {frame.name}")
    if hidden:
        lines.append(f"+{hidden} frames")


def _plan(entries: list[TracebackType]) -> list[tuple[int, int]]:
    """Which entries are shown, by index; index -1 stands for as many as are left out there."""
    if len(entries) <= MAX_FRAMES:
        return [(index, 1) for index in range(len(entries))]
    return _folded(entries)


def _folded(entries: list[TracebackType]) -> list[tuple[int, int]]:
    """The entries without the repetitions of a recursion, then without their middle."""
    places = [(id(entry.tb_frame.f_code), entry.tb_lasti) for entry in entries]
    plan: list[tuple[int, int]] = []
    at = 0
    while at < len(entries):
        for period in range(1, _MAX_PERIOD + 1):
            end = at + period
            while end < len(places) and places[end] == places[end - period]:
                end += 1
            repeated = (end - at) // period * period - period
            if repeated >= 2 * period:  # three times the same at least
                plan += [(index, 1) for index in range(at, at + period)]
                plan.append((-1, repeated))
                at += period + repeated
                break
        else:
            plan.append((at, 1))
            at += 1
    if len(plan) > MAX_FRAMES:
        middle = plan[_FIRST_FRAMES : _FIRST_FRAMES - MAX_FRAMES]
        count = sum(count for _, count in middle)
        plan[_FIRST_FRAMES : _FIRST_FRAMES - MAX_FRAMES] = [(-1, count)]
    return plan


# --- types --------------------------------------------------------------------------------------

_types: IdentityMemo[type, str] = IdentityMemo()


def _dotted(cls: type) -> str:
    """``module.Class`` of the class, or of its nearest base that is known."""
    known = _types.entries.get(id(cls))
    if known is not None and known[0]() is cls:
        return known[1]
    for base in _type_mro(cls):
        name = _known_name(base)
        if name is not None:
            return _types.put(cls, name)
    return _types.put(cls, "builtins.BaseException")


def _known_name(cls: type) -> str | None:
    """``module.Class`` if it is no name of run-time origin, None if it may be."""
    try:
        module_name, name = _type_module(cls), _type_name(cls)
    except Exception:  # a class whose __module__ was deleted
        return None
    if type(module_name) is not str or type(name) is not str:
        return None
    dotted = f"{module_name}.{name}"
    if len(dotted) > 120 or not compiled(_NAME).fullmatch(dotted):
        return None
    if not _type_flags(cls) & _HEAP_TYPE:
        return dotted
    module = module_of(module_name)
    if module is None:
        return None
    if module_name == "__main__" and "__file__" not in namespace(module):
        return dotted  # a session typed in by hand has no file to ask
    file = file_of(module)
    if file is not None and all(part == "<locals>" or part in file.words for part in name.split(".")):
        return dotted
    if namespace(module).get(name) is cls and _is_compiled(cls, name):
        return dotted
    return None


def _is_compiled(cls: type, name: str) -> bool:
    """Whether an extension module has the class, for files that say `from _sqlite3 import *`."""
    return any(
        issubclass(type(module), ModuleType)
        and namespace(module).get(name) is cls
        and _is_extension(namespace(module).get("__loader__"))
        for module in list(sys.modules.values())
    )


def _is_extension(loader: object) -> bool:
    from importlib.machinery import BuiltinImporter, ExtensionFileLoader

    return loader is BuiltinImporter or type(loader) is ExtensionFileLoader
