"""Ways round the SDK that a process has: which are known, and when one counts as open."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otel_zdr.verify.check_bypasses import UPLOADS, uploads

GUARANTEES = Path(__file__).parents[2] / "docs" / "guarantees.md"


def of(module: str) -> dict[str, Any] | None:
    return next((each for each in uploads() if each["module"] == module), None)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for upload in UPLOADS.values():
        for name in (*upload.on, upload.off):
            monkeypatch.delenv(name or "NONE", raising=False)


@pytest.mark.parametrize("module", UPLOADS)
def test_each_is_active_when_it_is_loaded(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, ModuleType(module))
    found = of(module)

    assert found is not None
    assert found["active"]


def test_a_part_of_a_library_is_looked_for_without_importing_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("raise SystemExit")
    assert of("agents.tracing") is None  # an application's own package of this name
    (tmp_path / "agents" / "tracing.py").write_text("raise SystemExit")
    found = of("agents.tracing")

    assert found is not None
    assert not found["active"]
    assert "agents" not in sys.modules


def test_a_variable_switches_one_on_or_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "rollbar.py").write_text("")
    (tmp_path / "langfuse.py").write_text("")
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
    monkeypatch.setitem(sys.modules, "agents.tracing", ModuleType("agents.tracing"))
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")

    assert [(of(module) or {})["active"] for module in ("rollbar", "langfuse", "agents.tracing")] == [
        False,
        True,
        False,
    ]


def test_the_page_of_guarantees_lists_every_one_that_is_known() -> None:
    text = GUARANTEES.read_text(encoding="utf-8")

    assert [module for module in UPLOADS if f"`{module}`" not in text] == []
