"""The WebSocket libraries behind one small interface: JSON out, JSON in, bytes out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import websockets.asyncio.client
import websockets.sync.client

KEY = "the-api-key-in-the-header"
HEADERS = {"Authorization": f"Basic {KEY}"}


class _Threads:
    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def send(self, message: Any) -> None:
        self.socket.send(message if isinstance(message, bytes) else json.dumps(message))

    async def receive(self) -> Any:
        return json.loads(self.socket.recv(timeout=10))

    async def rest(self) -> list[Any]:
        return [json.loads(message) for message in self.socket]


class _Asyncio:
    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def send(self, message: Any) -> None:
        await self.socket.send(message if isinstance(message, bytes) else json.dumps(message))

    async def receive(self) -> Any:
        return json.loads(await self.socket.recv())

    async def rest(self) -> list[Any]:
        return [json.loads(message) async for message in self.socket]


class _Aiohttp:
    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def send(self, message: Any) -> None:
        if isinstance(message, bytes):
            await self.socket.send_bytes(message)
        else:
            await self.socket.send_json(message)

    async def receive(self) -> Any:
        return await self.socket.receive_json()

    async def rest(self) -> list[Any]:
        return [json.loads(message.data) async for message in self.socket]


@asynccontextmanager
async def threads(url: str) -> AsyncIterator[Any]:
    with websockets.sync.client.connect(url, additional_headers=HEADERS) as socket:
        yield _Threads(socket)


@asynccontextmanager
async def asyncio_(url: str) -> AsyncIterator[Any]:
    async with websockets.asyncio.client.connect(url, additional_headers=HEADERS) as socket:
        yield _Asyncio(socket)


@asynccontextmanager
async def aiohttp_(url: str) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession(headers=HEADERS) as session, session.ws_connect(url) as socket:
        assert type(socket) is aiohttp.ClientWebSocketResponse
        yield _Aiohttp(socket)


SOCKETS = {"websockets": threads, "websockets-asyncio": asyncio_, "aiohttp": aiohttp_}
