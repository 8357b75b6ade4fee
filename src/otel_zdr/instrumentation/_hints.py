"""What a call to Inworld says of its workspace: the API key and the voice id.

Both come from whoever makes the call, so they only tighten: a span may come under ZDR because of them,
never out of it.
"""

from __future__ import annotations

import importlib
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
    """The workspaces that the policy maps an API key (or `Authorization` value) to. The key is not kept."""
    if not isinstance(key, str) or not key:
        return ()
    look_up = _from_edge("workspaces_of_key")
    return tuple(look_up(key)) if look_up is not None else ()


def tighten(call: Call, *, voice: object = None, key: object = None) -> None:
    """Put the started span of `call` under the strictest of the workspaces that voice and key name."""
    try:
        workspaces = (*of_voice(voice), *of_key(key))
        if workspaces:
            put_under = _from_edge("tighten")
            if put_under is not None:
                put_under(call.span, workspaces)
    except Exception as exc:
        _log.debug("a workspace hint was not used: %s", type(exc).__qualname__)


def _from_edge(name: str) -> Any:
    """A function of the SDK edge, which an instrumentor must not import early; None without the edge."""
    try:
        return getattr(importlib.import_module("otel_zdr.sdk.decision"), name, None)
    except ImportError:
        return None
