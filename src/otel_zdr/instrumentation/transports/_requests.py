"""requests: `Session.send`, through which everything goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._frames import sync_frame
from ._request import Request, authorization, inworld_url

if TYPE_CHECKING:
    from .._patch import Patches
    from .._streams import Observer
    from .._telemetry import Telemetry
    from ._exchange import Exchange


class _Requests:
    def __init__(self, patches: Patches) -> None:
        self._patches = patches

    def request(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request | None:
        prepared = args[0] if args else kwargs["request"]
        found = inworld_url(prepared.url)
        if found is None:
            return None
        server, path, _ = found
        body = prepared.body if isinstance(prepared.body, (bytes, str)) else None
        return Request(prepared.method.upper(), server, path, body, authorization(prepared.headers))

    def answered(self, exchange: Exchange, response: Any, kwargs: dict[str, Any]) -> None:
        observer = exchange.answered(response.status_code, response.headers)
        if observer is not None:
            observe(self._patches, exchange.call, observer, response)


def observe(patches: Patches, call: Any, observer: Observer, response: Any) -> None:
    """Observe a response's body: at once if requests has read it, else as the application reads it."""
    from ._bodies import Body, closing, reading, whole

    if response._content is not False:
        whole(call, observer, response.content or b"")
        return
    # `content`, `text`, `json()` and `iter_lines` are built on `iter_content`.
    Body(call, observer).watch(patches, response, {"iter_content": reading, "close": closing})


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    patches.wrap("requests.sessions", "Session.send", sync_frame(_Requests(patches), get_telemetry))
