"""The real binary, built once; a gateway with the committed configuration, shared by tests that only send."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.running import Collector, Destination, running

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "collector-config"


@pytest.fixture(scope="session")
def binary() -> str:
    """Path of the Collector; without Go the tests that need it are left out, in CI they fail."""
    built = subprocess.run([str(CONFIGS / "build.sh")], capture_output=True, text=True)
    path = built.stdout.strip()
    if built.returncode or not path:
        message = built.stderr.strip() or "the Collector was not built"
        if built.returncode or os.environ.get("CI", "") not in ("", "false"):
            pytest.fail(message)
        pytest.skip(message.splitlines()[-1])
    return path


@pytest.fixture(scope="session")
def gateway(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collector, Destination]]:
    """A gateway under the default settings: every item is under ZDR."""
    with running(binary, CONFIGS / "gateway.yaml", tmp_path_factory.mktemp("gateway")) as both:
        yield both
