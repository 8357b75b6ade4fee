"""The package as a whole: its public names, its layers, what importing it costs, and what its README says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

import otel_zdr
from otel_zdr import environment_variables, testing
from otel_zdr.settings import Settings, variable

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "otel_zdr"

# What each part may import of the others. Data flows one way: nothing below imports something above.
LAYERS = {
    "errors": set(),
    "version": set(),
    "catalogue": {"errors"},
    "redaction": {"catalogue"},
    "settings": {"errors", "catalogue", "policy"},
    "policy": {"errors", "catalogue", "settings", "workspaces"},
    "workspaces": set(),
    "environment_variables": set(),
    "import_hooks": set(),
    "sdk": {"errors", "import_hooks", "catalogue", "redaction", "settings", "policy", "workspaces"},
    "instrumentation": {"errors", "import_hooks", "settings", "policy", "workspaces", "sdk", "version"},
    "collector": {"errors", "catalogue", "redaction", "settings", "policy", "workspaces"},
    "testing": {"sdk"},
    "pytest_plugin": {"testing", "settings"},
    "verify": {"errors", "catalogue", "redaction", "settings", "policy", "workspaces"},
    "cli": {"errors", "settings", "policy", "workspaces", "collector", "verify", "version"},
}
CORE = ("errors", "catalogue", "redaction", "policy")


def modules() -> Iterator[tuple[str, Path]]:
    """(part, file) of every module but the façade."""
    for path in sorted(SOURCE.rglob("*.py")):
        part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if part != "__init__":
            yield part, path


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, in functions too."""
    package = ["otel_zdr", *path.relative_to(SOURCE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_all_is_exactly_what_the_facade_offers() -> None:
    assert otel_zdr.__all__ == sorted(otel_zdr.__all__)
    assert dir(otel_zdr) == otel_zdr.__all__
    for name in otel_zdr.__all__:
        assert getattr(otel_zdr, name).__doc__, name
    with pytest.raises(AttributeError):
        otel_zdr.no_such_name  # noqa: B018


def test_all_of_testing_is_exactly_its_public_names() -> None:
    own = {
        name
        for name, value in vars(testing).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == "otel_zdr.testing"
    }
    assert set(testing.__all__) == own


def test_every_part_imports_only_what_is_below_it() -> None:
    found = []
    for part, path in modules():
        for name in imported(path):
            if not name.startswith("otel_zdr."):
                continue
            other = name.split(".")[1]
            if other in LAYERS and other != part and other not in LAYERS[part]:
                found.append(f"{path.relative_to(SOURCE)} imports {name}")
    assert found == []


def test_no_part_is_left_out_of_the_layers() -> None:
    assert {part for part, _ in modules()} == set(LAYERS)


def test_the_core_imports_no_opentelemetry() -> None:
    found = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for part, path in modules()
        if part in CORE
        for name in imported(path)
        if name.partition(".")[0] == "opentelemetry"
    ]
    assert found == []


def loaded_after(code: str) -> set[str]:
    """Top names in sys.modules after `code`, in a process without `OTEL_ZDR_*`."""
    script = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, env={}
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_neither_the_sdk_nor_anything_slow() -> None:
    slow = {"opentelemetry", "asyncio", "json", "tomllib", "tomli", "http", "urllib", "email", "ssl"}
    bare = loaded_after("")
    assert (loaded_after("import otel_zdr") - bare) & slow == set()


def test_the_core_runs_without_opentelemetry() -> None:
    code = (
        "sys.modules['opentelemetry'] = None\n"
        "import otel_zdr.catalogue, otel_zdr.policy.decision, otel_zdr.redaction\n"
        "otel_zdr.redaction.Redactor().attributes({'gen_ai.usage.input_tokens': 3, 'x': 'y'}, {})"
    )
    assert "otel_zdr" in loaded_after(code)


def test_an_interpreter_without_our_variables_loads_nothing_of_the_package_at_start() -> None:
    assert "otel_zdr" not in loaded_after("")


def test_caught_errors_are_never_put_into_text() -> None:
    """An exception's text may quote content: below the command line only its type is named."""
    found = []
    for part, path in modules():
        if part not in ("catalogue", "redaction", "sdk", "instrumentation"):
            continue
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(handler, ast.ExceptHandler) or handler.name is None:
                continue
            # What we raise ourselves names keys and variables only.
            if "ConfigurationError" in ast.dump(handler.type) or "Misfit" in ast.dump(handler.type):  # type: ignore[arg-type]
                continue
            found += [
                f"{path.relative_to(SOURCE)}:{node.lineno}"
                for node in ast.walk(handler)
                if isinstance(node, ast.FormattedValue)
                and isinstance(node.value, ast.Name)
                and node.value.id == handler.name
            ]
    assert found == []


def test_the_pth_hook_is_installed() -> None:
    assert "otel_zdr.pth" in {file.name for file in distribution("otel-zdr").files or ()}


def test_the_package_is_typed() -> None:
    assert (SOURCE / "py.typed").exists()


def test_every_entry_point_loads() -> None:
    ours = [
        each
        for group in sorted({each.group for each in distribution("otel-zdr").entry_points})
        for each in entry_points(group=group)
        if each.value.startswith("otel_zdr")
    ]
    assert len(ours) >= 15
    for each in ours:
        assert each.load() is not None


def test_the_launcher_knows_every_setting() -> None:
    known = {name for name in dir(environment_variables) if name.startswith("OTEL_ZDR_")}
    assert known == {variable(field.name) for field in fields(Settings)}


def test_the_readme_lists_every_setting_with_its_default() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(OTEL_ZDR_\w+)` \|\s*(.*?)\s*\|", readme, re.M))
    expected = {}
    for field in fields(Settings):
        default = field.default
        text = ",".join(default) if isinstance(default, tuple) else default
        expected[variable(field.name)] = f"`{text}`" if text else ""
    assert rows == expected


def test_the_readme_says_what_is_outside_the_promise_as_the_check_does() -> None:
    from otel_zdr.verify.check_bypasses import OUTSIDE

    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split()).lower()
    assert [line for line in OUTSIDE if line.lower() not in readme] == []


def test_the_readme_names_every_subcommand() -> None:
    from otel_zdr.cli import COMMANDS

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"otel-zdr {name}" not in readme] == []


def test_links_of_readme_and_docs_lead_somewhere() -> None:
    pages = (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"))
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ]
    assert [f"{page.name}: {target}" for page, target in links if not (page.parent / target).exists()] == []
