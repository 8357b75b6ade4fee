"""The tests beside other instrumentors, in an environment that has them all."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.sdk.environments import ROOT, clean_environ, environment

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


def test_beside_every_neighbour_there_is_one_span_a_call_and_no_leak() -> None:
    executables = environment(
        "neighbours",
        "opentelemetry-instrumentation-genai-openai",
        "opentelemetry-instrumentation-openai",
        "opentelemetry-instrumentation-groq",
        "opentelemetry-instrumentation-anthropic",
        "openinference-instrumentation-openai",
        "openinference-instrumentation-groq",
        "openinference-instrumentation-anthropic<2",  # newer ones take newer clients, which trace themselves
        "openai>=2.54",
        "groq>=1",
        "anthropic>=0.40,<1",
        "pytest>=8",
        "pytest-asyncio>=0.24",
        prereleases=True,
    )
    files = [str(HERE / f"test_manners_neighbours{end}.py") for end in ("", "_models")]
    done = subprocess.run(
        [str(executables / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", *files],
        cwd=ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert "SKIPPED" not in done.stdout, done.stdout[-6000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 100
