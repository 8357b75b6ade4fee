"""Fingerprints of API keys, and the secret that makes them."""

from __future__ import annotations

import os
import secrets
import uuid
from pathlib import Path

import pytest

from otel_zdr.errors import ConfigurationError
from otel_zdr.policy.fingerprint import fingerprint, is_fingerprint, read_secret


def secret_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    file = folder / "secret"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_a_fingerprint_needs_the_secret_and_shows_nothing_of_the_key() -> None:
    key, secret = uuid.uuid4().hex, secrets.token_bytes(32)
    made = fingerprint(key, secret)
    assert is_fingerprint(made)
    assert key not in made
    assert made == fingerprint(key, secret)
    assert made != fingerprint(key, secrets.token_bytes(32))
    assert made != fingerprint(key + "x", secret)


@pytest.mark.parametrize("form", ["{}", " {} ", "Basic {}", "basic {}", "Bearer {}", "bearer  {}\n"])
def test_a_key_has_one_fingerprint_however_it_is_sent(form: str) -> None:
    key, secret = uuid.uuid4().hex, secrets.token_bytes(32)
    assert fingerprint(form.format(key), secret) == fingerprint(key, secret)


def test_a_secret_that_only_its_owner_or_group_reads_is_taken(tmp_path: Path) -> None:
    secret = secrets.token_hex(32).encode()
    for mode in (0o400, 0o600, 0o440, 0o640):
        file = secret_file(tmp_path, secret + b"\n", mode)
        assert read_secret(file) == secret
        file.unlink()


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o620, 0o601, 0o666])
def test_a_secret_that_others_can_read_or_write_is_refused(mode: int, tmp_path: Path) -> None:
    secret = secrets.token_hex(32)
    file = secret_file(tmp_path, secret.encode(), mode)
    with pytest.raises(ConfigurationError, match=f"mode {mode:04o}") as caught:
        read_secret(file)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"short", b"   \n", b"x" * 5000])
def test_a_secret_of_odd_length_is_refused_without_being_shown(content: bytes, tmp_path: Path) -> None:
    file = secret_file(tmp_path, content)
    with pytest.raises(ConfigurationError, match="bytes") as caught:
        read_secret(file)
    assert "short" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_secret(tmp_path / "absent")
    with pytest.raises(ConfigurationError):
        read_secret(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="regular file"):
        read_secret(pipe)


@pytest.mark.parametrize(
    "text", ["", "hmac-sha256:", "hmac-sha256:" + "g" * 64, "sha256:" + "0" * 64, None, 7]
)
def test_what_is_no_fingerprint_is_told(text: object) -> None:
    assert not is_fingerprint(text)
