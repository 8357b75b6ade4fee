"""The HTTP libraries behind one small interface, each used the way applications use it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import httpx2
import requests

KEY = "the-api-key-in-the-header"
HEADERS = {"Authorization": f"Basic {KEY}", "Content-Type": "application/json"}


class Requests:
    """requests: a session, and its lines when streamed."""

    async def send(self, method: str, url: str, body: Any = None) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body)
        response = requests.request(method, url, data=data, headers=HEADERS, timeout=10)
        assert type(response) is requests.Response
        return response.status_code, response.content

    @asynccontextmanager
    async def stream(self, url: str, body: Any) -> AsyncIterator[Any]:
        with (
            requests.Session() as session,
            session.post(url, json=body, headers=HEADERS, stream=True, timeout=10) as response,
        ):

            async def lines() -> AsyncIterator[bytes]:
                for line in response.iter_lines():
                    yield line

            yield lines()


class _Httpx:
    module: Any

    async def send(self, method: str, url: str, body: Any = None) -> tuple[int, bytes]:
        with self.module.Client(timeout=10) as client:
            response = client.request(method, url, json=body, headers=HEADERS)
            assert type(response) is self.module.Response
            return response.status_code, response.content

    @asynccontextmanager
    async def stream(self, url: str, body: Any) -> AsyncIterator[Any]:
        with (
            self.module.Client(timeout=10) as client,
            client.stream("POST", url, json=body, headers=HEADERS) as response,
        ):

            async def lines() -> AsyncIterator[bytes]:
                for line in response.iter_lines():
                    yield line.encode()

            yield lines()


class Httpx(_Httpx):
    """httpx."""

    module = httpx


class Httpx2(_Httpx):
    """httpx2."""

    module = httpx2


class _AsyncHttpx:
    module: Any

    async def send(self, method: str, url: str, body: Any = None) -> tuple[int, bytes]:
        async with self.module.AsyncClient(timeout=10) as client:
            response = await client.request(method, url, json=body, headers=HEADERS)
            assert type(response) is self.module.Response
            return response.status_code, response.content

    @asynccontextmanager
    async def stream(self, url: str, body: Any) -> AsyncIterator[Any]:
        async with (
            self.module.AsyncClient(timeout=10) as client,
            client.stream("POST", url, json=body, headers=HEADERS) as response,
        ):

            async def lines() -> AsyncIterator[bytes]:
                async for line in response.aiter_lines():
                    yield line.encode()

            yield lines()


class AsyncHttpx(_AsyncHttpx):
    """httpx for asyncio."""

    module = httpx


class AsyncHttpx2(_AsyncHttpx):
    """httpx2 for asyncio."""

    module = httpx2


class Aiohttp:
    """aiohttp: its content iterated by lines when streamed."""

    async def send(self, method: str, url: str, body: Any = None) -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession(headers=HEADERS) as session,
            session.request(method, url, json=body) as response,
        ):
            assert type(response) is aiohttp.ClientResponse
            return response.status, await response.read()

    @asynccontextmanager
    async def stream(self, url: str, body: Any) -> AsyncIterator[Any]:
        async with (
            aiohttp.ClientSession(headers=HEADERS) as session,
            session.post(url, json=body) as response,
        ):
            assert isinstance(response.content, aiohttp.StreamReader)

            async def lines() -> AsyncIterator[bytes]:
                async for line in response.content:
                    yield line.strip()

            yield lines()


CLIENTS = {
    "requests": Requests,
    "httpx": Httpx,
    "httpx2": Httpx2,
    "httpx-async": AsyncHttpx,
    "httpx2-async": AsyncHttpx2,
    "aiohttp": Aiohttp,
}
ASYNC_CLIENTS = ("httpx-async", "httpx2-async", "aiohttp")
