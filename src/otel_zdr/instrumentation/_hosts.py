"""Servers: host and port of a base URL, and whether they are Inworld's."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

_DEFAULT_PORTS = {"https": 443, "http": 80, "wss": 443, "ws": 80}
_seen: dict[str, tuple[str, int | None] | None] = {}
_of_clients: WeakKeyDictionary[Any, tuple[Any, tuple[str, int | None] | None]] = WeakKeyDictionary()
_inworld: frozenset[str] | None = None


def server_of(url: Any) -> tuple[str, int | None] | None:
    """Host (lower case) and port of `url`; the port is None when it is the scheme's own. None if there is no
    host.

    Only host and port are read: userinfo, path and query may be secret.
    """
    text = str(url)
    if text in _seen:
        return _seen[text]
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    server = None if not host else (host, None if port == _DEFAULT_PORTS.get(parts.scheme) else port)
    # Base URLs are few; anything longer is no base URL and not worth keeping.
    if len(_seen) < 64 and len(text) < 200 and not parts.query and "@" not in parts.netloc:
        _seen[text] = server
    return server


def server_of_client(client: Any) -> tuple[str, int | None] | None:
    """`server_of` the base URL of a generated client, an object that takes long to become text.

    Remembered as long as the client is there and has that very object.
    """
    # Past the property, which in some versions imports a module at every look.
    url = getattr(client, "_base_url", None) or getattr(client, "base_url", None)
    if url is None or isinstance(url, str):
        return server_of(url or "")
    try:
        known = _of_clients.get(client)
        if known is not None and known[0] is url:
            return known[1]
        server = server_of(url)
        _of_clients[client] = (url, server)
    except TypeError:  # a client that cannot be referred to weakly
        return server_of(url)
    return server


def inworld_hosts() -> frozenset[str]:
    """`OTEL_ZDR_INWORLD_HOSTS` as `host` and `host:port`, read once. The default when the settings are
    invalid.
    """
    global _inworld
    if _inworld is None:
        from otel_zdr.settings import Settings

        try:
            hosts = Settings.from_env().inworld_hosts
        except Exception:
            hosts = Settings().inworld_hosts
        _inworld = frozenset(host.lower() for host in hosts)
    return _inworld


def forget() -> None:
    """Read the setting again on next use; called when an instrumentor is switched on."""
    global _inworld
    _inworld = None


def is_inworld(server: tuple[str, int | None] | None) -> bool:
    """Whether `server` (from `server_of`) is one of Inworld's hosts."""
    if server is None:
        return False
    host, port = server
    hosts = inworld_hosts()
    return host in hosts or (port is not None and f"{host}:{port}" in hosts)
