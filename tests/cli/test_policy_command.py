"""``otel-zdr policy show|validate|fingerprint``."""

from __future__ import annotations

import argparse
import io
import json
import uuid
from pathlib import Path

import pytest

from otel_zdr.cli import policy as command
from otel_zdr.policy.document import parse_policy

TEXT = """\
version = 7
[organisation]
zdr = false
[workspaces."clinic-*"]
zdr = true
keep_keys = ["acme.room"]
[workspaces.studio]
zdr = false
[products.tts]
zdr = true
[api_keys]
"hmac-sha256:{digits}" = "clinic-secret"
""".format(digits="ab" * 32)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    code = command.run(parser.parse_args([str(argument) for argument in arguments]))
    return (code, *capsys.readouterr())


def test_show_says_what_holds_for_whom_and_no_fingerprint(
    capsys: pytest.CaptureFixture[str], policy: Path
) -> None:
    code, output, _ = run(capsys, "show", policy)
    assert code == 0
    assert output.index("studio") < output.index("clinic-*")
    assert "policy version   7" in output
    assert "unidentified     under ZDR" in output
    assert "anybody else     not under ZDR" in output
    assert "keeps keys acme.room" in output
    assert "1 mapped" in output
    code, as_json, _ = run(capsys, "show", policy, "--json")
    found = json.loads(as_json)
    assert found["patterns"][0] == {
        "pattern": "clinic-*",
        "zdr": True,
        "ineligible": "redact",
        "keep_keys": ["acme.room"],
        "keep_names": [],
    }
    for shown in (output, as_json):
        assert "abab" not in shown
        assert "clinic-secret" not in shown


def test_show_answers_for_an_item_of_several_workspaces(
    capsys: pytest.CaptureFixture[str], policy: Path
) -> None:
    code, output, _ = run(capsys, "show", policy, "--workspace", "studio", "--workspace", "Clinic-1")
    assert code == 0
    assert "studio, clinic-1: under ZDR" in output
    code, output, _ = run(capsys, "show", policy, "--workspace", "stranger", "--json")
    found = json.loads(output)
    assert (found["workspaces"], found["zdr"]) == ({"stranger": False}, False)
    code, _, errors = run(capsys, "show", policy, "--workspace", " ")
    assert code == 2
    assert "has to be an id" in errors


def test_show_without_a_file_is_about_this_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, policy: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 32)
    secret.chmod(0o600)
    monkeypatch.setenv("OTEL_ZDR_KEY_SECRET_FILE", str(secret))
    monkeypatch.setenv("OTEL_ZDR_WORKSPACES", "clinic")
    _, output, _ = run(capsys, "show")
    assert "clinic  under ZDR" in output
    monkeypatch.delenv("OTEL_ZDR_WORKSPACES")
    monkeypatch.setenv("OTEL_ZDR_POLICY_FILE", str(policy))
    monkeypatch.setenv("OTEL_ZDR_KEEP_KEYS", "acme.bed")
    _, output, _ = run(capsys, "show")
    assert "keeps keys acme.bed, acme.room" in output
    monkeypatch.setenv("OTEL_ZDR_WORKSPACES", "clinic")
    code, _, errors = run(capsys, "show")
    assert code == 2
    assert "OTEL_ZDR_WORKSPACES" in errors


def test_validate_tells_valid_from_invalid_from_unreadable(
    capsys: pytest.CaptureFixture[str], policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("version = 1\n[organisation]\nzrd = true\n")
    code, output, _ = run(capsys, "validate", policy)
    assert code == 0
    assert output.startswith(f"policy file {policy}: valid, version 7\n")
    code, output, errors = run(capsys, "validate", policy, bad)
    assert code == 1
    assert "organisation.zrd" in errors
    assert "valid, version 7" in output
    assert run(capsys, "validate", tmp_path / "missing.toml")[0] == 2
    assert run(capsys, "validate")[0] == 2
    monkeypatch.setenv("OTEL_ZDR_POLICY_FILE", str(bad))
    code, output, _ = run(capsys, "validate", "--json")
    assert code == 1
    (found,) = json.loads(output)
    assert found["valid"] is False
    assert "organisation.zrd" in found["error"]


def test_validate_says_of_each_workspace_whether_it_is_under_zdr(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(
        "version = 1\n[organisation]\nzdr = false\n[workspaces.Clinic]\nkeep_keys = ['acme.room']\n"
        "[workspaces.'ward-*']\n[workspaces.ward-3]\nzdr = true\n[workspaces.ward-4]\ninherit = 'ward-3'\n"
        "[workspaces.studio]\nzdr = false\n"
    )
    code, output, _ = run(capsys, "validate", file)
    assert code == 0
    said = {line.split("  ")[1].strip(): line.strip() for line in output.splitlines()[1:]}
    silent = ["clinic", "ward-*"]
    for id_ in ("clinic", "ward-*", "studio", "anybody else"):
        assert "not under ZDR" in said[id_]
        assert ("its table has no zdr" in said[id_]) is (id_ in silent)
    assert said["ward-3"].endswith("  under ZDR")
    assert said["ward-4"].endswith("  under ZDR")
    _, output, _ = run(capsys, "validate", file, "--json")
    (found,) = json.loads(output)
    assert found["silent"] == silent
    assert found["workspaces"]["ward-4"] is True
    assert (found["anybody_else"], found["unidentified"]) == (False, True)


def test_validate_tells_whether_a_policy_is_looser_than_another(
    capsys: pytest.CaptureFixture[str], policy: Path, tmp_path: Path
) -> None:
    looser, stricter = tmp_path / "looser.toml", tmp_path / "stricter.toml"
    clinics = '[workspaces."clinic-*"]\nzdr = '
    looser.write_text(TEXT.replace(f"{clinics}true", f"{clinics}false"))
    stricter.write_text(TEXT.replace("[workspaces.studio]\nzdr = false", "[workspaces.studio]\nzdr = true"))
    code, output, _ = run(capsys, "validate", looser, "--against", policy)
    assert code == 1
    assert "looser than the other file" in output
    assert "a running process would not follow it" in output
    assert run(capsys, "validate", stricter, "--against", policy)[0] == 0


def test_fingerprint_reads_keys_from_standard_input_and_prints_what_a_policy_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(uuid.uuid4().hex)
    secret.chmod(0o600)
    key = f"key-{uuid.uuid4()}"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n\nother\n"))
    code, output, errors = run(capsys, "fingerprint", "--secret-file", secret)
    assert (code, errors) == (0, "")
    first, second = output.splitlines()
    assert first != second
    assert key not in output
    parse_policy(f'version = 1\n[api_keys]\n"{first}" = "clinic"\n"{second}" = "studio"\n')
    monkeypatch.setenv("OTEL_ZDR_KEY_SECRET_FILE", str(secret))
    monkeypatch.setattr("sys.stdin", io.StringIO(key))
    code, output, _ = run(capsys, "fingerprint", "--json")
    assert json.loads(output) == [first]


def test_fingerprint_without_a_secret_or_a_key_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x" * 32)
    secret.chmod(0o644)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    for arguments in ((), ("--secret-file", secret), ("--secret-file", tmp_path / "missing")):
        code, output, errors = run(capsys, "fingerprint", *arguments)
        assert (code, output) == (2, "")
        assert errors.startswith("otel-zdr: ")
    secret.chmod(0o600)
    code, _, errors = run(capsys, "fingerprint", "--secret-file", secret)
    assert code == 2
    assert "no key on standard input" in errors


def test_the_page_on_policies_shows_the_lines_that_a_change_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from otel_zdr.policy.reload import CONFIRMATIONS, PolicySource
    from otel_zdr.settings import Settings

    def content(version: int, clinic: str, studio: str) -> str:
        return (
            f"version = {version}\n[organisation]\nzdr = false\n"
            f"[workspaces.clinic]\nzdr = {clinic}\n[workspaces.studio]\nzdr = {studio}\n"
        )

    file = tmp_path / "policy.toml"
    file.write_text(content(3, "true", "false"))
    file.chmod(0o600)
    source = PolicySource(Settings(policy_file=str(file)), poll_seconds=3600)
    try:
        with caplog.at_level("INFO", "otel_zdr.policy"):
            for _ in range(CONFIRMATIONS + 1):
                source.poll()
            file.write_text(content(4, "false", "true"))
            for _ in range(CONFIRMATIONS + 1):
                source.poll()
    finally:
        source.close()
    page = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    assert len(caplog.messages) == 2
    assert "\n".join(caplog.messages) in page
