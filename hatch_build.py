"""Put ``otel_zdr.pth`` beside the package, in wheels and in editable installations alike.

The file makes the interpreter wait for the OpenTelemetry SDK where an ``OTEL_ZDR_*`` variable is set; an
editable installation without it would let processes that no launcher started go by the gate.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PthHook(BuildHookInterface):
    """Adds the file to the root of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        included = "force_include_editable" if version == "editable" else "force_include"
        build_data[included]["src/otel_zdr.pth"] = "otel_zdr.pth"
