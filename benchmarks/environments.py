"""A virtual environment for each peer, made once under ``.cache/bench/`` and remade when its pins change."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from systems import REPOSITORY, requirements

CACHE = REPOSITORY / ".cache" / "bench"


def python_of(environment: str) -> Path:
    return CACHE / environment / "bin" / "python"


def make(environment: str) -> None:
    """Makes the environment unless it is there with these requirements; RuntimeError when that fails."""
    wanted = requirements()[environment]
    stamp = CACHE / environment / "requirements.txt"
    text = f"# python {sys.version.split()[0]}\n" + "\n".join(wanted) + "\n"
    if stamp.exists() and stamp.read_text() == text:
        return
    target = CACHE / environment
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    packages = [word for requirement in wanted for word in requirement.split(" ")]
    uv = shutil.which("uv")
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(target)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python_of(environment)), *packages])
    else:
        _run([sys.executable, "-m", "venv", str(target)])
        _run([str(python_of(environment)), "-m", "pip", "install", "--quiet", *packages])
    stamp.write_text(text)


def installed(environment: str) -> dict[str, str]:
    """Distribution name → version, as that environment's own Python sees them."""
    code = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({d.name: d.version for d in m.distributions()}))"
    )
    done = subprocess.run([python_of(environment), "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} …: {done.stderr.strip()[-800:]}")
