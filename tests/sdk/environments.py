"""Environments of their own for packages that do not go together, made on demand and kept under .cache."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "vendors"


@functools.cache
def environment(name: str, *requirements: str, prereleases: bool = False) -> Path:
    """The directory of executables of an environment with ``requirements`` and this package.

    Skips the test where the packages cannot be had (fails it where ``CI`` is set).
    """
    wanted = hashlib.sha256(repr((sys.version_info[:2], requirements, prereleases)).encode()).hexdigest()[:12]
    home = CACHE / f"{name}-{wanted}"
    done = home / ".complete"
    with _alone(home):
        if not done.exists():
            shutil.rmtree(home, ignore_errors=True)
            try:
                _make(home, requirements, prereleases)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                text = f"{name} cannot be installed: {str(error.stderr).strip()[-400:]}"
                if os.environ.get("CI"):
                    pytest.fail(text)
                pytest.skip(text)
            done.touch()
    return home / ("Scripts" if os.name == "nt" else "bin")


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One process at a time: the others find what the first has made."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with open(home.parent / f"{home.name}.lock", "w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(home: Path, requirements: tuple[str, ...], prereleases: bool) -> None:
    run = functools.partial(subprocess.run, check=True, capture_output=True, text=True, timeout=600)
    # Beside this Python, where the installation puts it; pip takes minutes to find versions that go together.
    uv = shutil.which("uv", path=os.path.dirname(sys.executable)) or shutil.which("uv")
    run([sys.executable, "-m", "venv", *(("--without-pip",) if uv else ()), str(home)])
    python = str(home / "bin" / "python")
    everything = [*requirements, "aiohttp", "-e", str(ROOT)]
    if uv:
        more = ["--prerelease=allow"] if prereleases else []
        run([uv, "pip", "install", "--quiet", "--python", python, *more, *everything])
    else:
        more = ["--pre"] if prereleases else []
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *more, *everything])


def clean_environ() -> dict[str, str]:
    """The environment without what would configure telemetry or Python."""
    prefixes = ("OTEL_", "PYTHON", "LANGFUSE_", "LOGFIRE_", "TRACELOOP_", "OPENINFERENCE_", "DD_", "AWS_")
    return {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
