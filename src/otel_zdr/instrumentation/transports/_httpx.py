"""httpx and httpx2, which have the same shape: `Client.send` and `AsyncClient.send`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._frames import async_frame, sync_frame
from ._request import Request, authorization, inworld_url

if TYPE_CHECKING:
    from .._patch import Patches
    from .._telemetry import Telemetry
    from ._exchange import Exchange


class _Httpx:
    def __init__(self, patches: Patches, *, is_async: bool) -> None:
        self._patches = patches
        self._async = is_async

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        sent = args[0] if args else kwargs["request"]
        found = inworld_url(sent.url)
        if found is None:
            return None
        server, path, _ = found
        # Only what is in memory: reading a streaming body would take it from the client.
        body = sent.content if "_content" in vars(sent) else None
        return Request(sent.method.upper(), server, path, body, authorization(sent.headers))

    def answered(self, exchange: Exchange, response: Any, kwargs: dict[str, Any]) -> None:
        call = exchange.call
        observer = exchange.answered(response.status_code, response.headers)
        if observer is None:
            return
        from ._bodies import Body, closing, closing_async, reading, reading_raw, whole

        if not kwargs.get("stream", False):
            whole(call, observer, response.content)
            return
        plain = response.headers.get("Content-Encoding", "identity") == "identity"
        # The other methods (`read`, `iter_text`, `iter_lines`) are built on these.
        if self._async:
            methods = {"aiter_bytes": reading, "aiter_raw": reading_raw, "aclose": closing_async}
        else:
            methods = {"iter_bytes": reading, "iter_raw": reading_raw, "close": closing}
        Body(call, observer, plain=plain).watch(self._patches, response, methods)


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    for module in ("httpx", "httpx2"):
        patches.wrap(module, "Client.send", sync_frame(_Httpx(patches, is_async=False), get_telemetry))
        patches.wrap(module, "AsyncClient.send", async_frame(_Httpx(patches, is_async=True), get_telemetry))
