"""The command: the same settings give the same file, bad settings give none, the Collector accepts all."""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from otel_zdr.cli import collector_config
from otel_zdr.collector import KINDS, generate
from otel_zdr.errors import ConfigurationError
from otel_zdr.settings import Settings
from tests.collector.conftest import CONFIGS
from tests.collector.running import GATE

POLICY = """\
version = 3
[organisation]
zdr = true
unidentified = "redact"
[workspaces."open-*"]
zdr = false
[workspaces."open-clinic-*"]
zdr = true
keep_keys = ["acme.room"]
[workspaces.studio]
zdr = false
"""


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    collector_config.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_files_are_what_the_command_generates(kind: str) -> None:
    committed = (CONFIGS / f"{kind}.yaml").read_text(encoding="utf-8")
    assert committed == generate(Settings(), kind), "run collector-config/generate.sh"


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_line_is_the_command_that_starts_it(kind: str) -> None:
    first = generate(Settings(), kind).splitlines()[0]
    assert first == f"# otelcol-zdr --config {kind}.yaml {GATE}"


def test_nothing_opens_a_way_round_the_policy() -> None:
    config = yaml.safe_load(generate(Settings(), "gateway"))
    assert config["processors"]["transform/zdr"]["error_mode"] == "propagate"
    assert config["service"]["telemetry"]["logs"]["level"] == "info"
    for pipeline in config["service"]["pipelines"].values():
        assert pipeline["processors"][:2] == ["memory_limiter", "transform/zdr"]
    exporter = config["exporters"]["otlp_http"]
    assert exporter["sending_queue"]["storage"] == "file_storage"
    assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"


def test_only_what_nothing_depends_on_may_fail_in_silence() -> None:
    config = yaml.safe_load(generate(Settings(), "gateway"))
    for name, groups in config["processors"]["transform/zdr"].items():
        for group in groups if name.endswith("_statements") else ():
            if group.get("error_mode"):
                assert group["error_mode"] == "silent"
                assert any("ParseJSON" in statement for statement in group["statements"])


def test_no_dollar_sign_is_left_for_the_collector_to_expand() -> None:
    text = generate(Settings(), "gateway")
    without_variables = re.sub(r"\$\{env:[A-Z_]+:-[^}]*\}", "", text).replace("$$", "")
    assert "$" not in without_variables


def test_a_file_fits_into_a_config_map() -> None:
    assert max(len(generate(Settings(), kind)) for kind in KINDS) < 700_000, "a ConfigMap holds a megabyte"


def test_it_writes_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_ZDR_WORKSPACES", "clinic-7")
    target = tmp_path / "gateway.yaml"
    assert collector_config.run(parse("gateway", "-o", str(target))) == 0
    assert target.read_text() == generate(Settings(workspaces=("clinic-7",)), "gateway")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_ZDR_WORKSPACES", "clinic-*"),
        ("OTEL_ZDR_UNIDENTIFIED", "maybe"),
        ("OTEL_ZDR_KEEP_KEYS", "gen_ai.input.messages"),
        ("OTEL_ZDR_INELIGIBLE", "retain"),
        ("OTEL_ZDR_POLICY_FILE", "/nowhere/policy.toml"),
        ("OTEL_ZDR_WORKSPACE", "a"),
    ],
)
def test_bad_settings_are_an_error_and_nothing_is_written(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    target = tmp_path / "gateway.yaml"
    target.write_text("before")
    assert collector_config.run(parse("gateway", "-o", str(target))) == 2
    assert target.read_text() == "before"
    written = capsys.readouterr()
    assert name in written.err
    assert written.out == ""


def test_what_a_collector_cannot_prove_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigurationError, match="any sender can write"):
        generate(Settings(ineligible="retain"), "gateway")


def test_none_leaves_every_item_as_it_is() -> None:
    config = yaml.safe_load(generate(Settings(workspaces=("none",)), "gateway"))
    assert config["service"]["pipelines"]["traces"]["processors"] == ["memory_limiter"]


@pytest.mark.parametrize("case", ["gateway", "agent", "list", "policy", "trusting", "none", "secured"])
def test_the_collector_accepts_every_file(case: str, binary: str, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    made = {
        "list": lambda: generate(
            Settings(
                workspaces=("clinic-7", "Ward\u00e9"),
                unidentified="retain",
                keep_keys=("acme.room", "acme.floor.*"),
                keep_names=("acme.job", "acme.*"),
            ),
            "gateway",
        ),
        "policy": lambda: generate(Settings(policy_file=str(policy)), "gateway"),
        "trusting": lambda: generate(Settings(), "gateway", trust_sdk_marks=True),
        "none": lambda: generate(Settings(workspaces=("none",)), "agent"),
    }
    if case in made:
        config = tmp_path / f"{case}.yaml"
        config.write_text(made[case]())
        configs = [config]
    elif case == "secured":
        configs = [CONFIGS / "gateway.yaml", CONFIGS / "receiver-auth.yaml"]
    else:
        configs = [CONFIGS / f"{case}.yaml"]
    command = [binary, "validate", GATE]
    for config in configs:
        command += ["--config", str(config)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr[-1000:]
