"""Calling back when a module has been imported, beside other finders and loaders that allow nothing."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
import wrapt

from otel_zdr.import_hooks import when_imported


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that can be imported and was not yet."""
    made = f"module_{uuid4().hex}"
    (tmp_path / f"{made}.py").write_text("VALUE = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield made
    sys.modules.pop(made, None)


def test_the_call_comes_when_the_modules_code_has_run(name: str) -> None:
    values: list[int] = []
    when_imported(name, lambda module: values.append(module.VALUE))
    assert values == []
    importlib.import_module(name)
    assert values == [7]


def test_the_call_comes_at_once_for_a_module_that_is_imported(name: str) -> None:
    module = importlib.import_module(name)
    found: list[ModuleType] = []
    when_imported(name, found.append)
    assert found == [module]


def test_all_who_wait_are_called_once(name: str) -> None:
    calls: list[str] = []
    when_imported(name, lambda _module: calls.append("first"))
    when_imported(name, lambda _module: calls.append("second"))
    module = importlib.import_module(name)
    importlib.reload(module)
    assert calls == ["first", "second"]


@pytest.mark.parametrize("ours_first", [True, False])
def test_hooks_of_wrapt_for_the_same_module_are_called_too(name: str, ours_first: bool) -> None:
    calls: list[str] = []

    def theirs() -> None:
        wrapt.register_post_import_hook(lambda _module: calls.append("theirs"), name)

    if not ours_first:
        theirs()
    when_imported(name, lambda _module: calls.append("ours"))
    if ours_first:
        theirs()
    importlib.import_module(name)
    assert sorted(calls) == ["ours", "theirs"]


def test_a_module_that_fails_to_import_is_waited_for_still(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.py"
    found: list[int] = []
    when_imported(name, lambda module: found.append(module.VALUE))
    file.write_text("raise ImportError('not yet')\n")
    with pytest.raises(ImportError, match="not yet"):
        importlib.import_module(name)
    assert found == []
    file.write_text("VALUE = 12345\n")
    importlib.invalidate_caches()
    importlib.import_module(name)
    assert found == [12345]


def test_the_module_keeps_its_loader(name: str) -> None:
    when_imported(name, lambda _module: None)
    module = importlib.import_module(name)
    assert type(module.__loader__) is importlib.machinery.SourceFileLoader
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__


class _Frozen(importlib.abc.Loader):
    """A loader on which nothing can be set."""

    __slots__ = ()

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["VALUE"] = 9

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)

    def get_source(self, _name: str) -> str:
        return "VALUE = 9"


class _FindsFrozen(importlib.abc.MetaPathFinder):
    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(name, _Frozen()) if name == self.name else None


def test_a_loader_that_allows_nothing_is_heard_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"frozen_{uuid4().hex}"
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, _FindsFrozen(name)])
    found: list[int] = []
    when_imported(name, lambda module: found.append(module.VALUE))
    module = importlib.import_module(name)
    assert found == [9]
    loader: Any = module.__loader__
    assert loader.get_source(name) == "VALUE = 9"


def test_two_threads_that_import_it_call_once(name: str) -> None:
    calls: list[object] = []
    when_imported(name, calls.append)
    threads = [threading.Thread(target=importlib.import_module, args=(name,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [sys.modules[name]]


def test_waiting_imports_nothing_that_costs() -> None:
    """Every interpreter waits that is started where a variable is set."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; import otel_zdr.sdk.startup;"
            "print([name for name in ('asyncio', 'wrapt', 'opentelemetry', 're') if name in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() in ("[]", "['re']")


def test_whoever_listens_each_time_hears_of_every_run_of_the_modules_code(name: str) -> None:
    """The first import, a reload, and an import after it was taken out of sys.modules."""
    found: list[ModuleType] = []
    once: list[ModuleType] = []
    when_imported(name, found.append, each_time=True)
    when_imported(name, once.append)
    first = importlib.import_module(name)
    assert found == once == [first]
    importlib.reload(first)
    assert found == [first, first]
    del sys.modules[name]
    second = importlib.import_module(name)
    assert second is not first
    assert found == [first, first, second]
    assert once == [first]


def test_whoever_listens_each_time_to_a_module_that_is_imported_is_called_now_and_then_again(
    name: str,
) -> None:
    module = importlib.import_module(name)
    found: list[ModuleType] = []
    when_imported(name, found.append, each_time=True)
    assert found == [module]
    importlib.import_module(name)
    assert found == [module]
    importlib.reload(module)
    assert found == [module, module]
