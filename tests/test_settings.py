"""The environment is read once, into one frozen object; what is wrong closes the gate and names itself."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import otel_zdr
from otel_zdr import ConfigurationError, Settings
from otel_zdr.settings import variable
from otel_zdr.testing import canary, uninstall


def test_nothing_set_means_all_workspaces_are_under_zdr() -> None:
    """The default is the strictest."""
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.workspaces == ("*",)
    assert settings.unidentified == "redact"


def test_empty_means_unset() -> None:
    """A variable that a template left empty is no setting."""
    environ = {variable(field.name): "  " for field in dataclasses.fields(Settings)}
    assert Settings.from_env(environ) == Settings()


def test_case_and_spaces_around_values_do_not_matter() -> None:
    """Values as people write them."""
    settings = Settings.from_env(
        {
            "OTEL_ZDR_WORKSPACES": " Clinic , ward-3 ",
            "OTEL_ZDR_UNIDENTIFIED": " Retain ",
            "OTEL_ZDR_LITERALS": "ALL",
            "OTEL_ZDR_INWORLD_HOSTS": "API.example.com, 127.0.0.1:8080",
        }
    )
    assert settings.workspaces == ("Clinic", "ward-3")
    assert settings.unidentified == "retain"
    assert settings.literals == "all"
    assert settings.inworld_hosts == ("api.example.com", "127.0.0.1:8080")


@pytest.mark.parametrize("value", ["none", " NONE "])
def test_none_is_off(value: str) -> None:
    """The one way to turn it off."""
    assert Settings.from_env({"OTEL_ZDR_WORKSPACES": value}).workspaces == ()


WRONG = [
    ({"OTEL_ZDR_WORKSPACES": "a,,b"}, "OTEL_ZDR_WORKSPACES", "empty"),
    ({"OTEL_ZDR_WORKSPACES": ","}, "OTEL_ZDR_WORKSPACES", "empty"),
    ({"OTEL_ZDR_WORKSPACES": "a, "}, "OTEL_ZDR_WORKSPACES", "empty"),
    ({"OTEL_ZDR_WORKSPACES": "clinic-*"}, "OTEL_ZDR_WORKSPACES", "policy file"),
    ({"OTEL_ZDR_WORKSPACES": "*,clinic"}, "OTEL_ZDR_WORKSPACES", "alone"),
    ({"OTEL_ZDR_WORKSPACES": "none,clinic"}, "OTEL_ZDR_WORKSPACES", "alone"),
    ({"OTEL_ZDR_WORKSPACES": "x" * 300}, "OTEL_ZDR_WORKSPACES", "256"),
    ({"OTEL_ZDR_WORKSPACES": '"clinic"'}, "OTEL_ZDR_WORKSPACES", "quotes"),
    ({"OTEL_ZDR_WORKSPACES": "'clinic'"}, "OTEL_ZDR_WORKSPACES", "quotes"),
    ({"OTEL_ZDR_WORKSPACES": "clinic;studio"}, "OTEL_ZDR_WORKSPACES", "commas"),
    ({"OTEL_ZDR_WORKSPACES": "clinic studio"}, "OTEL_ZDR_WORKSPACES", "commas"),
    ({"OTEL_ZDR_WORKSPACES": "clinic\nstudio"}, "OTEL_ZDR_WORKSPACES", "commas"),
    ({"OTEL_ZDR_WORKSPACES": "\ufeffclinic"}, "OTEL_ZDR_WORKSPACES", "invisible"),
    ({"OTEL_ZDR_WORKSPACES": "clinic\u200b"}, "OTEL_ZDR_WORKSPACES", "invisible"),
    ({"OTEL_ZDR_WORKSPACES": "off"}, "OTEL_ZDR_WORKSPACES", "none"),
    ({"OTEL_ZDR_WORKSPACES": "None"}, "OTEL_ZDR_WORKSPACES", "none"),
    ({"OTEL_ZDR_WORKSPACES": "1"}, "OTEL_ZDR_WORKSPACES", "all workspaces"),
    ({"OTEL_ZDR_WORKSPACES": "${CLINICS}"}, "OTEL_ZDR_WORKSPACES", "commas"),
    ({"OTEL_ZDR_WORKSPACES": "clinic|studio"}, "OTEL_ZDR_WORKSPACES", "commas"),
    ({"OTEL_ZDR_WORKSPACES": "workspace.id=clinic"}, "OTEL_ZDR_WORKSPACES", "commas"),
    ({"OTEL_ZDR_WORKSPACES": "/etc/clinics.txt"}, "OTEL_ZDR_WORKSPACES", "path"),
    ({"OTEL_ZDR_WORKSPACES": "True"}, "OTEL_ZDR_WORKSPACES", "all workspaces"),
    ({"OTEL_ZDR_WORKSPACE_KEYS": "Workspace.ID"}, "OTEL_ZDR_WORKSPACE_KEYS", "workspace.id"),
    ({"OTEL_ZDR_BAGGAGE_KEY": "a b"}, "OTEL_ZDR_BAGGAGE_KEY", "spaces"),
    ({"OTEL_ZDR_UNIDENTIFIED": "retain"}, "OTEL_ZDR_UNIDENTIFIED", "redact"),
    ({"OTEL_ZDR_WORKSPACES": "*", "OTEL_ZDR_UNIDENTIFIED": "retain"}, "OTEL_ZDR_UNIDENTIFIED", "redact"),
    ({"OTEL_ZDR_UNIDENTIFIED": "yes"}, "OTEL_ZDR_UNIDENTIFIED", "retain"),
    ({"OTEL_ZDR_INELIGIBLE": "keep"}, "OTEL_ZDR_INELIGIBLE", "retain"),
    ({"OTEL_ZDR_LITERALS": "true"}, "OTEL_ZDR_LITERALS", "names"),
    ({"OTEL_ZDR_EVIDENCE": "on"}, "OTEL_ZDR_EVIDENCE", "counts"),
    ({"OTEL_ZDR_ON_FAILURE": "raise"}, "OTEL_ZDR_ON_FAILURE", "refuse"),
    ({"OTEL_ZDR_KEEP_KEYS": "gen_ai.input.messages"}, "OTEL_ZDR_KEEP_KEYS", "prompt"),
    ({"OTEL_ZDR_KEEP_KEYS": "gen_ai.*"}, "OTEL_ZDR_KEEP_KEYS", "content class"),
    ({"OTEL_ZDR_KEEP_KEYS": "*"}, "OTEL_ZDR_KEEP_KEYS", "prefix"),
    ({"OTEL_ZDR_KEEP_KEYS": ".*"}, "OTEL_ZDR_KEEP_KEYS", "prefix"),
    ({"OTEL_ZDR_KEEP_KEYS": "acme.*.id"}, "OTEL_ZDR_KEEP_KEYS", "prefix"),
    ({"OTEL_ZDR_KEEP_KEYS": "acme room"}, "OTEL_ZDR_KEEP_KEYS", "letters"),
    ({"OTEL_ZDR_KEEP_NAMES": "two words"}, "OTEL_ZDR_KEEP_NAMES", "letters"),
    ({"OTEL_ZDR_KEEP_NAMES": "*"}, "OTEL_ZDR_KEEP_NAMES", "letters"),
    ({"OTEL_ZDR_WORKSPACE_KEYS": "gen_ai.prompt"}, "OTEL_ZDR_WORKSPACE_KEYS", "content class"),
    ({"OTEL_ZDR_WORKSPACE_KEYS": "a,,b"}, "OTEL_ZDR_WORKSPACE_KEYS", "empty"),
    ({"OTEL_ZDR_INWORLD_HOSTS": "https://api.inworld.ai"}, "OTEL_ZDR_INWORLD_HOSTS", "scheme"),
    ({"OTEL_ZDR_INWORLD_HOSTS": "api.inworld.ai/v1"}, "OTEL_ZDR_INWORLD_HOSTS", "path"),
    ({"OTEL_ZDR_POLICY_FILE": "/nonexistent.toml"}, "OTEL_ZDR_POLICY_FILE", "cannot be read"),
    ({"OTEL_ZDR_KEY_SECRET_FILE": "/nonexistent.key"}, "OTEL_ZDR_KEY_SECRET_FILE", "nonexistent"),
    ({"OTEL_ZDR_WORKSPACES": "a", "OTEL_ZDR_POLICY_FILE": "p.toml"}, "OTEL_ZDR_WORKSPACES", "only one"),
    ({"OTEL_ZDR_UNIDENTIFIED": "redact", "OTEL_ZDR_POLICY_FILE": "p"}, "OTEL_ZDR_UNIDENTIFIED", "only one"),
    ({"OTEL_ZDR_WORKSPACE": "a"}, "OTEL_ZDR_WORKSPACE", "known are"),
    ({"otel_zdr_workspaces": "a"}, "otel_zdr_workspaces", "known are"),
    ({"OTEL_ZDR_": "a"}, "OTEL_ZDR_", "known are"),
]


@pytest.mark.parametrize(("environ", "names", "says"), WRONG, ids=[str(item[0])[:60] for item in WRONG])
def test_what_is_wrong_names_the_variable_and_what_is_allowed(
    environ: dict[str, str], names: str, says: str, make_pipeline: Any
) -> None:
    """Each is a ConfigurationError, and the gate is closed before it is raised."""
    p = make_pipeline()
    with pytest.raises(ConfigurationError) as raised:
        Settings.from_env(environ)
    assert names in str(raised.value)
    assert says in str(raised.value)
    p.tracer.start_span("x", attributes={"gen_ai.usage.input_tokens": 1}).end()
    assert not p.span_exporter.spans, "a closed gate exports nothing"


def test_a_closed_gate_drops_every_signal_of_old_and_new_providers(make_pipeline: Any) -> None:
    """Nothing of any provider passes, also when the error is caught; without it everything does."""

    def use(p: Any) -> None:
        p.tracer.start_span("x").end()
        p.logger.emit(body="x")
        p.meter.create_counter("gen_ai.client.token.usage").add(1)

    old = make_pipeline()
    open_span = old.tracer.start_span("y")
    with pytest.raises(ConfigurationError):
        otel_zdr.install(Settings(evidence="maybe"))
    open_span.end()
    new = make_pipeline()
    for p in (old, new):
        use(p)
        p.collect()
        assert not p.span_exporter.spans
        assert not p.log_exporter.records
        assert not p.metric_exporter.metrics
    uninstall()
    control = make_pipeline()
    use(control)
    control.collect()
    assert control.span_exporter.spans
    assert control.log_exporter.records
    assert control.metric_exporter.metrics


def test_a_valid_installation_opens_a_gate_that_a_failed_one_closed(pipeline: Any) -> None:
    """A failed installation can be tried again."""
    with pytest.raises(ConfigurationError):
        otel_zdr.install(Settings(evidence="maybe"))
    otel_zdr.install()
    pipeline.tracer.start_span("x").end()
    assert pipeline.span_exporter.spans


def test_a_second_different_settings_object_is_an_error_and_closes_the_gate(pipeline: Any) -> None:
    """Two opinions about what is under ZDR cannot both hold."""
    otel_zdr.install(Settings(workspaces=("a",)))
    otel_zdr.install()
    otel_zdr.install(Settings(workspaces=("a",)))
    for build in (
        lambda: otel_zdr.install(Settings(workspaces=("b",))),
        lambda: otel_zdr.ZDRSpanProcessor(Settings(workspaces=("c",))),
        lambda: otel_zdr.ZDRLogRecordProcessor(Settings(workspaces=("d",))),
    ):
        uninstall()
        otel_zdr.install(Settings(workspaces=("a",)))
        with pytest.raises(ConfigurationError, match="installed with other settings"):
            build()
        pipeline.tracer.start_span("x").end()
        assert not pipeline.span_exporter.spans


def test_a_gate_that_a_second_settings_object_closed_opens_only_for_the_first(pipeline: Any) -> None:
    """Whoever tries again, as application factories do, must not win because he was refused before."""
    otel_zdr.install(Settings(workspaces=("a",)))
    for _ in range(3):
        with pytest.raises(ConfigurationError, match="other settings"):
            otel_zdr.install(Settings(workspaces=()))
        with pytest.raises(ConfigurationError):
            Settings(evidence="maybe")
        pipeline.tracer.start_span("x").end()
        assert not pipeline.span_exporter.spans
    otel_zdr.install()
    text = canary()
    pipeline.tracer.start_span("x", attributes={"workspace.id": "a", "app.note": text}).end()
    assert pipeline.span_exporter.spans
    assert text.encode() not in pipeline.span_exporter.data


def test_a_misspelt_argument_is_no_settings_object_and_closes_the_gate(pipeline: Any) -> None:
    """As a misspelt variable is."""
    arguments: dict[str, Any] = {"workspace": ("clinic",)}
    with pytest.raises(ConfigurationError, match=r"'workspace'.*workspaces"):
        Settings(**arguments)
    pipeline.tracer.start_span("x").end()
    assert not pipeline.span_exporter.spans


def test_kubernetes_service_links_are_ignored() -> None:
    """A Service called otel-zdr announces itself to every pod."""
    environ = {
        "OTEL_ZDR_SERVICE_HOST": "10.0.0.1",
        "OTEL_ZDR_SERVICE_PORT": "4317",
        "OTEL_ZDR_SERVICE_PORT_OTLP_GRPC": "4317",
        "OTEL_ZDR_PORT": "tcp://10.0.0.1:4317",
        "OTEL_ZDR_PORT_4317_TCP": "tcp://10.0.0.1:4317",
        "OTEL_ZDR_PORT_4317_TCP_PROTO": "tcp",
        "OTEL_ZDR_PORT_4317_TCP_PORT": "4317",
        "OTEL_ZDR_PORT_4317_TCP_ADDR": "10.0.0.1",
        "OTEL_ZDR_GATEWAY_SERVICE_HOST": "10.0.0.1",
        "OTEL_ZDR_GATEWAY_PORT_4318_UDP_ADDR": "10.0.0.1",
    }
    assert Settings.from_env(environ) == Settings()


def test_identifiers_may_be_kept_and_content_may_not() -> None:
    """KEEP_KEYS takes identifiers and unknown keys."""
    settings = Settings.from_env({"OTEL_ZDR_KEEP_KEYS": "user.id, acme.room, acme.shop.*"})
    assert settings.keep_keys == ("user.id", "acme.room", "acme.shop.*")


def test_kept_keys_and_names_survive_if_they_have_the_shape(make_pipeline: Any) -> None:
    """What the operator lists stays, still token-shaped."""
    otel_zdr.install(
        Settings(keep_keys=("acme.room", "acme.shop.*", "user.id"), keep_names=("acme.*", "job"))
    )
    p = make_pipeline()
    made = canary()
    name = "".join(["acme.", "checkout"])
    span = p.tracer.start_span(
        name,
        attributes={"acme.room": "r-1", "acme.shop.floor": 2, "user.id": "u-1", "acme.other": "o-1"},
    )
    span.add_event("".join(["jo", "b"]), {"acme.room": made})
    span.end()
    (exported,) = p.span_exporter.spans
    keys = {item.key for item in exported.attributes}
    assert {"acme.room", "acme.shop.floor", "user.id"} <= keys
    assert "acme.other" not in keys
    assert exported.name == name
    assert exported.events[0].name == "job"
    assert made.encode() not in p.span_exporter.data


def test_settings_are_frozen() -> None:
    """Nobody loosens them at run time."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().evidence = "off"  # type: ignore[misc]


@pytest.mark.parametrize(
    "arguments",
    [
        {"workspaces": "clinic"},
        {"workspaces": ["a", 3]},
        {"workspaces": [""]},
        {"workspaces": None},
        {"evidence": None},
        {"workspace_keys": ()},
        {"policy_file": 3},
    ],
)
def test_wrong_types_in_code_are_errors_too(arguments: dict[str, Any]) -> None:
    """The constructor checks what the environment would."""
    with pytest.raises(ConfigurationError, match="OTEL_ZDR_"):
        Settings(**arguments)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The secret of the fingerprints must be a secret."""
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(32))
    secret.chmod(0o644)
    with pytest.raises(ConfigurationError, match="OTEL_ZDR_KEY_SECRET_FILE"):
        Settings.from_env({"OTEL_ZDR_KEY_SECRET_FILE": str(secret)})
    secret.chmod(0o600)
    assert Settings.from_env({"OTEL_ZDR_KEY_SECRET_FILE": str(secret)}).key_secret_file == str(secret)


def test_a_policy_that_maps_api_keys_needs_their_secret(tmp_path: Path) -> None:
    """Without it no key could ever be recognised: a mapping that silently does nothing."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f'version = 1\n[api_keys]\n"hmac-sha256:{"0" * 64}" = "clinic"\n')
    with pytest.raises(ConfigurationError, match="OTEL_ZDR_KEY_SECRET_FILE"):
        Settings.from_env({"OTEL_ZDR_POLICY_FILE": str(policy)})


@given(
    name=st.sampled_from([variable(field.name) for field in dataclasses.fields(Settings)]),
    value=st.text(max_size=40).filter(lambda text: "\0" not in text),
)
def test_no_value_whatever_loosens_by_accident(name: str, value: str) -> None:
    """Any text in any variable is either understood or a ConfigurationError; only `none` turns it off."""
    uninstall()
    said, settings = "", None
    try:
        settings = Settings.from_env({name: value})
    except ConfigurationError as error:
        said = str(error)
    finally:
        uninstall()
    assert settings is not None or name in said
    if settings is not None and (value.strip().casefold() != "none" or name != "OTEL_ZDR_WORKSPACES"):
        assert settings.workspaces
