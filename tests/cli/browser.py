"""A real headless browser for pages on disk, driven over its debugging protocol.

Where no Chromium is installed the tests that need one are left out; in CI that is a failure.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1280,1600",
)


def chromium() -> str:
    """The path of a browser; leaves the test out (fails it in CI) where there is none."""
    for name in _NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    if os.environ.get("CI"):
        pytest.fail("no Chromium: install it (apt-get install chromium)")
    pytest.skip("no Chromium here: the page is not tried in a browser")


class Page:
    """One page in a browser of its own. ``console`` holds what the browser complained about, ``requests`` the
    addresses it asked for.
    """

    def __init__(self, path: Path) -> None:
        self._profile = tempfile.mkdtemp()
        self._process = subprocess.Popen(
            [chromium(), *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._numbers = itertools.count(1)
        self._open = contextlib.ExitStack()
        self.console: list[str] = []
        self.requests: list[str] = []
        try:
            self._socket = self._open.enter_context(connect(self._target(), max_size=None))
            for domain in ("Page", "Runtime", "Log", "Network"):
                self._ask(f"{domain}.enable")
            self._ask("Page.navigate", url=path.as_uri())
            self._wait_until_loaded()
        except BaseException:
            self.close()
            raise

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, with what JSON can carry."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def close(self) -> None:
        """End the browser and remove its profile."""
        self._open.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _target(self) -> str:
        port_file = Path(self._profile, "DevToolsActivePort")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "the browser ended"
            if port_file.exists() and (lines := port_file.read_text().splitlines()):
                with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json", timeout=10) as response:
                    for target in json.load(response):
                        if target["type"] == "page":
                            return str(target["webSocketDebuggerUrl"])
            time.sleep(0.05)
        raise TimeoutError("the browser did not start")

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = self._receive()
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=60))
        params = message.get("params", {})
        match message.get("method"):
            case "Log.entryAdded":
                self.console.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled":
                self.console.append(json.dumps(params["args"]))
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
        return message

    def _wait_until_loaded(self) -> None:
        deadline = time.monotonic() + 30
        loaded = "document.readyState === 'complete' && location.href !== 'about:blank'"
        while not self.evaluate(loaded):
            assert time.monotonic() < deadline
            time.sleep(0.05)
