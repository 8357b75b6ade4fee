"""Keyed fingerprints of API keys: they tell whose key a call uses without anybody having to store the key.

A fingerprint is `hmac-sha256:` and 64 hexadecimal digits. Without the secret it can be neither made nor
checked, so a policy file that lists fingerprints gives away no key. What a key says can only tighten.
"""

from __future__ import annotations

import hmac
import os
import stat
import sys

from otel_zdr.errors import ConfigurationError

PREFIX = "hmac-sha256:"
MIN_SECRET_BYTES = 16
_MAX_SECRET_BYTES = 4096
_SCHEMES = ("basic ", "bearer ", "key ", "token ")


def read_secret(path: str | os.PathLike[str]) -> bytes:
    """The secret in `path`, without surrounding white space: at least 16 bytes.

    Raises:
        ConfigurationError: the file cannot be read, is no regular file, can be read or written by others (or
            written by its group), or is too short or too long. The message never shows what is in it.
    """
    name = os.fspath(path)
    where = f"OTEL_ZDR_KEY_SECRET_FILE={name!r}"
    try:
        # Not blocking: opening a pipe would wait for somebody to write.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        with os.fdopen(os.open(name, flags), "rb") as file:
            # Of the open file, not of the path: what is checked is what is read.
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigurationError(f"{where} is no regular file; allowed: a file with the secret")
            if sys.platform != "win32" and mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise ConfigurationError(
                    f"{where} has mode {stat.S_IMODE(mode):04o}; allowed: no access for others, no writing "
                    "by the group (chmod 600 or 440)"
                )
            secret = file.read(_MAX_SECRET_BYTES + 1).strip()
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read: {error.strerror}") from None
    if not MIN_SECRET_BYTES <= len(secret) <= _MAX_SECRET_BYTES:
        raise ConfigurationError(
            f"{where} holds {len(secret)} bytes; allowed: {MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES}"
        )
    return secret


def bare_key(text: str) -> str:
    """The key in an `Authorization` value or an environment variable: no scheme, no surrounding space."""
    text = text.strip()
    lowered = text[:8].lower()
    for scheme in _SCHEMES:
        if lowered.startswith(scheme):
            return text[len(scheme) :].strip()
    return text


def fingerprint(key: str, secret: bytes) -> str:
    """`hmac-sha256:…` of an API key. Nothing is remembered: neither keys nor their fingerprints are kept."""
    return PREFIX + hmac.digest(secret, bare_key(key).encode(), "sha256").hex()


def is_fingerprint(text: object) -> bool:
    """Whether `text` has the form of a fingerprint."""
    if not isinstance(text, str) or not text.startswith(PREFIX):
        return False
    digits = text[len(PREFIX) :]
    return len(digits) == 64 and all(digit in "0123456789abcdef" for digit in digits)
