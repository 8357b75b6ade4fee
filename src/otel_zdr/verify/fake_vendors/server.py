"""A real HTTP and WebSocket server on 127.0.0.1, run in a thread of its own.

A vendor is a module with `add_routes(app)`. Its handlers answer through `respond`, `stream` and
`websocket`, so that every vendor can be told to fail in the same ways (see `Fault`). Nothing here leaves
loopback.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from aiohttp import WSMsgType, web

MAX_BODY_BYTES = 64 * 1024 * 1024


@dataclass
class Fault:
    """How the next matching request goes wrong.

    path: glob over the path ("/tts/*"). times: how many requests it applies to, -1 for all.
    status: answer with this status and an error text that echoes the request's body, as vendors do.
    delay: seconds before every chunk or WebSocket message the server sends.
    drop_after: cut the TCP connection after this many chunks or messages.
    close_after: WebSocket only: close cleanly after this many messages, with close_code and a reason.
    """

    path: str
    status: int | None = None
    delay: float = 0.0
    drop_after: int | None = None
    close_after: int | None = None
    close_code: int = 1011
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Recorded:
    """One request as it arrived. `messages` holds what a WebSocket client sent (str or bytes)."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    messages: list[str | bytes] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


NO_FAULT = Fault("")
# Older versions of aiohttp know texts as keys only, newer ones warn of them.
_key: Any = getattr(web, "RequestKey", lambda name, kind: name)
_FAULT = _key("fake_vendors.fault", Fault)
_RECORDED = _key("fake_vendors.recorded", Recorded)


async def respond(
    request: web.Request,
    body: Any,
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] = {},
) -> web.StreamResponse:
    """Answer at once: bytes as they are, anything else as JSON."""
    fault = request[_FAULT]
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    if fault.drop_after is not None:
        return await stream(request, [payload], content_type=content_type, headers=headers)
    if fault.delay:
        await asyncio.sleep(fault.delay)
    return web.Response(body=payload, content_type=content_type, headers={**headers, **fault.headers})


async def stream(
    request: web.Request,
    chunks: Iterable[bytes],
    *,
    content_type: str = "application/octet-stream",
    headers: Mapping[str, str] = {},
) -> web.StreamResponse:
    """Send chunks one by one, slowly or cut off when the fault says so."""
    fault = request[_FAULT]
    response = web.StreamResponse(headers={"Content-Type": content_type, **headers, **fault.headers})
    await response.prepare(request)
    for sent, chunk in enumerate(chunks):
        if fault.drop_after is not None and sent >= fault.drop_after:
            break
        if fault.delay:
            await asyncio.sleep(fault.delay)
        await response.write(chunk)
    if fault.drop_after is not None:
        if request.transport is not None:
            await asyncio.sleep(0.02)  # what was written goes out before the cut
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def sse(event: Mapping[str, Any], name: str | None = None) -> bytes:
    """One server-sent event."""
    prefix = f"event: {name}\n" if name else ""
    return f"{prefix}data: {json.dumps(event)}\n\n".encode()


class WebSocketSession:
    """The server's end of a WebSocket; counts what it sends so that faults can strike."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._request = request
        self._fault = request[_FAULT]
        self._sent = 0

    async def send(self, message: Any) -> None:
        """Send bytes as binary, str as text, anything else as JSON text."""
        fault = self._fault
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if self._socket.closed:
            return
        if fault.drop_after is not None and self._sent >= fault.drop_after:
            if self._request.transport is not None:
                self._request.transport.abort()
            return
        if fault.close_after is not None and self._sent >= fault.close_after:
            await self.close(fault.close_code, "the server closes")
            return
        self._sent += 1
        if isinstance(message, bytes):
            await self._socket.send_bytes(message)
        else:
            await self._socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code=code, message=reason.encode())

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        recorded = self._request[_RECORDED]
        async for message in self._socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            recorded.messages.append(message.data)
            yield message.data

    @property
    def response(self) -> web.WebSocketResponse:
        return self._socket


async def websocket(request: web.Request, *, protocols: Iterable[str] = ()) -> WebSocketSession:
    """Accept the upgrade. Iterate over the session for the client's messages, return `.response`."""
    socket = web.WebSocketResponse(protocols=tuple(protocols), max_msg_size=MAX_BODY_BYTES)
    await socket.prepare(request)
    return WebSocketSession(socket, request)


def _error(status: int, text: str) -> dict[str, Any]:
    """One error body that every vendor's client finds its text in; it echoes what was sent."""
    message = f"invalid input: {text}"
    return {
        "error": {"message": message, "type": "invalid_request_error", "code": "invalid_input"},
        "message": message,
        "code": status,
        "detail": message,
        "err_code": "INVALID",
        "err_msg": message,
        "details": [{"description": message}],
    }


class FakeServer:
    """`with FakeServer() as server:` then `server.url` (http://…), `server.ws_url` (ws://…).

    `server.requests` lists what arrived; `server.fail(path, …)` schedules a `Fault`.
    """

    def __init__(self, vendors: Iterable[ModuleType] | None = None) -> None:
        if vendors is None:
            from otel_zdr.verify.fake_vendors import inworld

            vendors = [inworld]
        self._vendors = list(vendors)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._port = 0
        self.requests: list[Recorded] = []

    @property
    def host(self) -> str:
        """`127.0.0.1:port`, as OTEL_ZDR_INWORLD_HOSTS takes it."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}"

    def fail(self, path: str, **how: Any) -> Fault:
        """Schedule a `Fault` for the next request whose path matches; see its fields."""
        fault = Fault(path, **how)
        with self._lock:
            self._faults.append(fault)
        return fault

    def reset(self) -> None:
        """Forget recorded requests and faults that did not strike."""
        with self._lock:
            self._faults.clear()
        self.requests.clear()

    def start(self) -> FakeServer:
        started = threading.Event()
        failure: list[BaseException] = []

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            try:
                self._loop.run_until_complete(self._serve(started))
            except BaseException as error:
                failure.append(error)
            finally:
                started.set()
                self._loop.close()

        self._thread = threading.Thread(target=run, name="fake-vendors", daemon=True)
        self._thread.start()
        started.wait(20)
        if failure:
            raise failure[0]
        return self

    def stop(self) -> None:
        if self._thread is None or self._stopping is None:
            return
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(20)
        self._thread = None

    def __enter__(self) -> FakeServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self, started: threading.Event) -> None:
        self._stopping = asyncio.Event()
        app = web.Application(middlewares=[self._middleware()], client_max_size=MAX_BODY_BYTES)
        for vendor in self._vendors:
            vendor.add_routes(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = runner.addresses[0][1]
        started.set()
        await self._stopping.wait()
        await runner.cleanup()

    def _take_fault(self, path: str) -> Fault:
        with self._lock:
            for fault in self._faults:
                if fnmatch.fnmatchcase(path, fault.path):
                    if fault.times > 0:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    return fault
        return NO_FAULT

    def _middleware(self) -> Any:
        @web.middleware
        async def record(request: web.Request, handler: Any) -> web.StreamResponse:
            fault = self._take_fault(request.path)
            recorded = Recorded(
                request.method, request.path, dict(request.query), dict(request.headers), await request.read()
            )
            self.requests.append(recorded)
            request[_FAULT] = fault
            request[_RECORDED] = recorded
            if fault.status is not None:
                if fault.delay:
                    await asyncio.sleep(fault.delay)
                echo = recorded.body.decode("utf-8", "replace") or request.query_string
                return web.json_response(
                    _error(fault.status, echo), status=fault.status, headers=dict(fault.headers)
                )
            return await handler(request)  # type: ignore[no-any-return]

        return record
