"""HTTP: a request on its way to Inworld, its span, and who reads the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _semconv as semconv
from .._streams import Observer
from ._request import pick

PROVIDER = "inworld"
REQUEST_ID = "x-inworld-request-id"

Answer = Callable[[str], Observer]


class Exchange:
    """A request on its way: its call, and who will read the answer.

    Attributes:
        call: attach it while the request is sent.
    """

    __slots__ = ("_answer", "call")

    def __init__(self, call: Any, answer: Answer) -> None:
        self.call = call
        self._answer = answer

    def answered(self, status: int, headers: Any) -> Observer | None:
        """The head of the answer arrived; returns who reads the body, None if nobody: the call has ended."""
        call = self.call
        call.response(request_id=headers.get(REQUEST_ID))
        if status >= 400:
            call.set(semconv.HTTP_STATUS_CODE, status)
            call.fail_as(str(status))
            return None
        observer = self._answer(str(headers.get("Content-Type") or "").lower())
        call.on_end = observer.finish
        return observer


_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def error_name(status: Any) -> str:
    """The name of a `google.rpc.Status` code; its message repeats the request and is not looked at."""
    code = pick(status, "code")
    if isinstance(code, int) and 0 <= code < len(_CODES):
        return _CODES[code]
    if isinstance(code, int):
        return str(code)
    return "UNKNOWN"
