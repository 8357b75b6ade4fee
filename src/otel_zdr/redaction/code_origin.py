"""Which code is its module's own: written in the module's file, not made while the program ran.

A code object carries a file name, a name and a line, and whoever compiles text chooses all three:
``exec(compile(model_output, __file__, "exec"))`` looks like the application. So nothing a code object
says of itself is believed. The file of the module is read once more (its cached bytecode where that is
valid, else its source), and what counts is what stands *there*: a scope of this name at this line, and
the texts written in it. :mod:`~otel_zdr.redaction.frames` shows only such code,
:mod:`~otel_zdr.redaction.literals` exports only such texts.

The reading happens once for each module that an exception passes or a literal comes from (about a
millisecond with cached bytecode); answers are kept by the identity of the code object and go with it.
"""

from __future__ import annotations

import io
import marshal
import os
import sys
import weakref
from collections.abc import Iterator
from types import CodeType, FrameType, ModuleType
from typing import Generic, TypeVar

MAX_TEXT = 200
"""Longer literals are never asked for: no template may be longer."""

_MAX_FILE = 8 * 1024 * 1024
_MAX_SOURCE = 1024 * 1024  # compiling more than this would be felt
_MAX_MODULES = 32
_MAX_ENTRIES = 4096
_OPTIMIZED = 0x1  # CO_OPTIMIZED: set for functions, not for modules and class bodies

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class IdentityMemo(Generic[_Key, _Value]):
    """Values by the identity of an object that may die: bounded, holds no key, compares with ``is``.

    Hashing a code object reads all of it and hashing a class may run a metaclass, so neither is a key
    of a dict here.
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: dict[int, tuple[weakref.ref[_Key], _Value]] = {}

    def get(self, key: _Key) -> _Value | None:
        entry = self.entries.get(id(key))
        # An address is used again after its object has gone: the reference tells them apart.
        return entry[1] if entry is not None and entry[0]() is key else None

    def put(self, key: _Key, value: _Value) -> _Value:
        entries = self.entries
        if len(entries) >= _MAX_ENTRIES:
            entries.clear()
        address = id(key)

        def forget(reference: weakref.ref[_Key]) -> None:
            entry = entries.get(address)
            if entry is not None and entry[0] is reference:
                del entries[address]

        entries[address] = (weakref.ref(key, forget), value)
        return value


class Scope:
    """One module, class body or function as it stands in a file."""

    __slots__ = ("is_function", "parent", "qualified_name", "texts")

    def __init__(self, qualified_name: str, parent: Scope | None, is_function: bool) -> None:
        self.qualified_name = qualified_name
        self.parent = parent
        self.is_function = is_function
        self.texts: set[str] = set()  # the texts written in it, up to MAX_TEXT characters


class ModuleFile:
    """What stands in one module's file."""

    __slots__ = ("_scopes", "words")

    def __init__(self, code: CodeType) -> None:
        self._scopes: dict[tuple[str, int], Scope] = {}
        self.words: set[str] = set()  # every name and short text in it
        pending: list[tuple[CodeType, Scope | None]] = [(code, None)]
        while pending:
            inner, parent = pending.pop()
            scope = self._add(inner, parent)
            pending += [(member, scope) for member in inner.co_consts if type(member) is CodeType]

    def _add(self, code: CodeType, parent: Scope | None) -> Scope:
        name = getattr(code, "co_qualname", "")  # Python 3.11
        if not name:
            name = code.co_name
            if parent is not None and parent.parent is not None:
                name = f"{parent.qualified_name}.{'<locals>.' if parent.is_function else ''}{name}"
        # Two lambdas may share a line: their texts are united, for both are written there.
        new = Scope(name, parent, bool(code.co_flags & _OPTIMIZED))
        scope = self._scopes.setdefault(_place(code), new)
        texts = [text for text in code.co_consts if type(text) is str and len(text) <= MAX_TEXT]
        scope.texts.update(texts)
        self.words.update(code.co_names)
        self.words.update(_texts(code.co_consts))
        self.words.add(code.co_name)
        return scope

    def scope(self, code: CodeType) -> Scope | None:
        """Where a code object stands in this file; None if it does not."""
        return self._scopes.get(_place(code))


def module_of(name: object) -> ModuleType | None:
    """A module that is loaded, by name; never imports, and takes no stand-in for a module."""
    if type(name) is not str:
        return None
    module = sys.modules.get(name)
    # isinstance() would ask an object of another type for its __class__.
    return module if issubclass(type(module), ModuleType) else None


def module_name(frame: FrameType) -> object:
    """What the globals of a frame call their module: not to be believed, only to be looked up."""
    # exec() takes a subclass of dict, whose get() could be anything.
    return dict.get(frame.f_globals, "__name__")


def namespace(module: ModuleType) -> dict[str, object]:
    """The globals of a module, past any ``__getattribute__`` of its own."""
    return object.__getattribute__(module, "__dict__")  # type: ignore[no-any-return]


def is_from(code: CodeType, module: ModuleType) -> bool:
    """Whether a code object names the module's file as its own (a mere claim, see :func:`own_scope`)."""
    path = namespace(module).get("__file__")
    if type(path) is not str:
        return False
    if path == code.co_filename:
        return True
    # A module without source: its bytecode names the file that it was compiled from.
    return path.endswith(".pyc") and _stem(path) == _stem(code.co_filename)


def own_scope(frame: FrameType) -> Scope | None:
    """The scope that the code of a frame is in its module's own file, None if it is not from there."""
    return scope_in(frame.f_code, module_name(frame))


def scope_in(code: CodeType, name: object) -> Scope | None:
    """The scope that a code object is in the file of the module `name`."""
    module = module_of(name)
    if module is None or not is_from(code, module):
        return None
    file = file_of(module)
    return file.scope(code) if file is not None else None


_files: dict[str, ModuleFile | None] = {}


def file_of(module: ModuleType) -> ModuleFile | None:
    """What stands in the file of a module; None if there is none that Python code can be read from."""
    path = namespace(module).get("__file__")
    if type(path) is not str:
        return None
    if path in _files:
        return _files[path]
    if len(_files) >= _MAX_MODULES:
        _files.clear()
    _files[path] = None  # compiling may warn, and the warning may be logged and come here again
    try:
        code = _read(path, module)
        _files[path] = file = ModuleFile(code) if code is not None else None
    except Exception:  # a file that went away, changed or does not parse proves nothing
        return None
    return file


# --- reading ------------------------------------------------------------------------------------


def _read(path: str, module: ModuleType) -> CodeType | None:
    if path.endswith((".py", ".pyw")):
        if os.path.isfile(path):
            return _cached(path) or _compile(_bytes(path), path)
        return _archived(module)
    if path.endswith(".pyc"):
        return _loads(_bytes(path))
    if path.endswith((".so", ".pyd", ".dll")):
        return None
    return _compile(_bytes(path), path)  # a script without an ending


def _cached(path: str) -> CodeType | None:
    """The code in the cached bytecode of a source file, if it is that of the file (PEP 3147, PEP 552)."""
    from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash

    try:
        content = _bytes(cache_from_source(path))
    except (OSError, NotImplementedError, ValueError):
        return None
    if content[:4] != MAGIC_NUMBER or len(content) < 16:
        return None
    flags = int.from_bytes(content[4:8], "little")
    if flags == 0:
        status = os.stat(path)
        stamp = (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
        if content[8:16] != stamp + (status.st_size & 0xFFFFFFFF).to_bytes(4, "little"):
            return None
    elif flags == 3 and content[8:16] != source_hash(_bytes(path)):
        return None
    return _loads(content)


def _loads(content: bytes) -> CodeType | None:
    code = marshal.loads(content[16:])
    return code if type(code) is CodeType else None


def _compile(source: bytes, path: str) -> CodeType | None:
    if len(source) > _MAX_SOURCE:
        return None
    return compile(source, path, "exec", dont_inherit=True)


def _archived(module: ModuleType) -> CodeType | None:
    """The code of a module in a zip file, from the standard library's own importer only."""
    loader = namespace(module).get("__loader__")
    if "zipimport" not in sys.modules or type(loader) is not sys.modules["zipimport"].zipimporter:
        return None
    name = namespace(module).get("__name__")
    code = loader.get_code(name)  # type: ignore[attr-defined]
    return code if type(code) is CodeType else None


def _bytes(path: str) -> bytes:
    with io.open_code(path) as file:
        content = file.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        raise OSError("too large")
    return content


def _texts(constants: tuple[object, ...]) -> Iterator[str]:
    for constant in constants:
        if type(constant) is str and len(constant) <= MAX_TEXT:
            yield constant
        elif type(constant) is tuple:  # the names of `__all__`
            yield from _texts(constant)


def _place(code: CodeType) -> tuple[str, int]:
    # The first line of a module depends on what an import hook puts there (pytest's does).
    return code.co_name, 0 if code.co_name == "<module>" else code.co_firstlineno


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
