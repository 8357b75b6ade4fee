"""The stock contrib distribution has every part that the generated configurations use."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CONFIGURATIONS = Path(__file__).parents[2] / "collector-config"
STOCK = {
    line
    for line in (Path(__file__).parent / "contrib_modules.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
}
#: Where a component's name is not that of its module, but for underscores.
MODULE_OF = {"otlp_grpc": "otlp"}
KINDS = {
    "receivers": "receiver",
    "processors": "processor",
    "exporters": "exporter",
    "extensions": "extension",
}


def built() -> dict[str, list[str]]:
    """Kind → modules without their version, as the builder's manifest lists them."""
    manifest = yaml.safe_load((CONFIGURATIONS / "builder-config.yaml").read_text(encoding="utf-8"))
    return {
        kind: [entry["gomod"].split(" ")[0] for entry in entries]
        for kind, entries in manifest.items()
        if isinstance(entries, list)
    }


def test_the_stock_distribution_has_every_module_of_ours() -> None:
    modules = {module for entries in built().values() for module in entries}
    assert modules
    assert modules <= STOCK


@pytest.mark.parametrize("name", ["gateway.yaml", "agent.yaml", "receiver-auth.yaml"])
def test_a_configuration_uses_no_part_beyond_the_modules(name: str) -> None:
    modules = built()
    configuration = yaml.safe_load((CONFIGURATIONS / name).read_text(encoding="utf-8"))
    used = [
        (kind, MODULE_OF.get(name, name.replace("_", "")) + suffix)
        for kind, suffix in KINDS.items()
        for name in (part.split("/")[0] for part in configuration.get(kind) or {})
    ]
    assert used
    for kind, part in used:
        known = {module.rsplit("/", 1)[1] for module in modules[kind]}
        # The storage extension is a module `filestorage`; of the others the kind ends the name.
        assert part in known or part.removesuffix("extension") in known, f"{kind}: {part}"
