"""What a call to Inworld says of its workspace: the API key and the voice id.

Both come from whoever makes the call, so they only tighten: a span may come under ZDR because of them,
never out of it.
"""

from __future__ import annotations

import sys
from logging import getLogger
from typing import Any

from ._call import Call

_log = getLogger(__name__)


def of_voice(voice: object) -> tuple[str, ...]:
    """The workspaces that a voice id may name: `workspaces/{workspace}/voices/{voice}`,
    `{workspace}__{voice}`.

    Either part may hold a double underscore; then both readings count, since they only tighten.
    """
    if not isinstance(voice, str) or len(voice) > 512:
        return ()
    if voice.startswith("workspaces/"):
        workspace = voice.split("/", 2)[1]
        return (workspace,) if workspace else ()
    first, last = voice.partition("__")[0], voice.rpartition("__")[0]
    return tuple(dict.fromkeys(part for part in (first, last) if part and part != voice))


def of_key(key: object) -> tuple[str, ...]:
    """The workspaces that the policy maps an API key (or an `Authorization` value) to.

    Neither the key nor its fingerprint is kept.
    """
    if not isinstance(key, str) or not key:
        return ()
    gate = _from_edge("otel_zdr.sdk.gate", "current")
    if gate is None or not gate.policy.maps_keys():
        return ()
    secret = _secret(gate.settings.key_secret_file)
    if secret is None:
        return ()
    from otel_zdr.policy.fingerprint import fingerprint

    return tuple(gate.policy.workspaces_of_key(fingerprint(key, secret)))


_secrets: dict[str, bytes | None] = {}


def _secret(path: str | None) -> bytes | None:
    """The secret for fingerprints, read once; the settings have checked that it can be."""
    if path is None:
        return None
    if path not in _secrets:
        from otel_zdr.policy.fingerprint import read_secret

        try:
            _secrets[path] = read_secret(path)
        except ValueError:
            _log.warning("OTEL_ZDR_KEY_SECRET_FILE can no longer be read: API keys name no workspace")
            _secrets[path] = None
    return _secrets[path]


def tighten(call: Call, *, voice: object = None, key: object = None) -> None:
    """Put the started span of `call` under the strictest of the workspaces that voice and key name."""
    try:
        workspaces = (*of_voice(voice), *of_key(key))
        if workspaces:
            put_under = _from_edge("otel_zdr.sdk.decision", "tighten")
            if put_under is not None:
                put_under(call.span, workspaces)
    except Exception as exc:
        _log.debug("a workspace hint was not used: %s", type(exc).__qualname__)


def _from_edge(module: str, name: str) -> Any:
    """`name` of a module of the SDK edge; None where nothing has loaded it: then no policy is in force."""
    return getattr(sys.modules.get(module), name, None)
