"""The examples fit the configurations: same version, same gate, no variable that nobody reads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.collector.conftest import CONFIGS
from tests.collector.running import GATE

EXAMPLES = CONFIGS / "examples"
VERSION = yaml.safe_load((CONFIGS / "builder-config.yaml").read_text())["dist"]["version"]
VARIABLES = {
    name
    for file in ("gateway.yaml", "agent.yaml", "receiver-auth.yaml")
    for name in re.findall(r"\$\{env:([A-Z_]+):-", (CONFIGS / file).read_text())
}


def load(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def test_compose_runs_the_committed_files() -> None:
    services = load("compose.yaml")["services"]
    assert set(services) == {"gateway-1", "gateway-2", "agent"}
    for service in services.values():
        assert service["image"].endswith(f":{VERSION}")
        assert GATE in service["command"]
        assert set(service["environment"]) <= VARIABLES
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert not source.startswith("..") or (EXAMPLES / source).is_file()
    queues = {service["environment"]["ZDR_QUEUE_DIRECTORY"] for service in services.values()}
    assert len(queues) == 3, "two Collectors must not share a queue"


def test_helm_values_run_the_committed_file() -> None:
    values = load("helm-values.yaml")
    assert str(values["image"]["tag"]) == VERSION
    assert values["command"]["extraArgs"] == [GATE]
    assert {each["name"] for each in values["extraEnvs"]} <= VARIABLES


def test_the_operator_gets_the_whole_configuration() -> None:
    made = subprocess.run([str(EXAMPLES / "operator.sh")], capture_output=True, text=True, check=True).stdout
    resource = yaml.safe_load(made)
    assert resource["spec"]["config"] == yaml.safe_load((CONFIGS / "gateway.yaml").read_text())
    assert f"--feature-gates={resource['spec']['args']['feature-gates']}" == GATE
    assert {each["name"] for each in resource["spec"]["env"]} <= VARIABLES
    assert len(made) < 1024 * 1024


def test_the_versions_are_one() -> None:
    for path in [*EXAMPLES.iterdir(), CONFIGS / "Dockerfile", CONFIGS / "README.md"]:
        named = set(re.findall(r"(?:contrib|otelcol-zdr):(\d+\.\d+\.\d+)", Path(path).read_text()))
        assert named <= {VERSION}, path
