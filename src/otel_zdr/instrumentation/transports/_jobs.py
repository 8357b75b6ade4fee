"""Asynchronous transcription: a submission, then polls, perhaps from another process.

The submission makes a span that ends when the job is accepted. Polls make none, until the first one whose
answer says that the job is done or has failed: it makes a second span, with the job's usage. So no span
stays open between requests, none is lost when nobody polls, and usage summed over spans counts each job once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from logging import getLogger
from typing import Any

from opentelemetry.context import Context, attach, detach, get_current

from .. import _hints
from .. import _semconv as semconv
from .._call import Call
from .._read import text
from .._telemetry import Telemetry
from . import _transcription
from ._answers import Document
from ._exchange import PROVIDER, Exchange, error_name
from ._request import Request, pick
from ._skim import METADATA

_log = getLogger(__name__)


class _Jobs:
    """Transcription jobs of this process: the model of those that run, the names of those that are through.

    Bounded; a job that is forgotten only loses its model's name on the second span.
    """

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._models: OrderedDict[str, str | None] = OrderedDict()
        self._done: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def submitted(self, name: object, model: str | None) -> None:
        if isinstance(name, str) and len(name) <= METADATA:
            with self._lock:
                self._models[name] = model
                while len(self._models) > self._limit:
                    self._models.popitem(last=False)

    def finished(self, name: str) -> tuple[bool, str | None]:
        """Whether this is the first answer that says so, and the job's model."""
        with self._lock:
            if name in self._done:
                return False, None
            self._done[name] = None
            while len(self._done) > self._limit:
                self._done.popitem(last=False)
            return True, self._models.pop(name, None)


_jobs = _Jobs()


def submit(telemetry: Telemetry, request: Request, _: str) -> Exchange | None:
    call, _audio = _transcription.begin(telemetry, request)
    if call is None:
        return None
    model = text(pick(_transcription.config_of(request.fields(METADATA)), "modelId"))

    def read(call: Call, document: Any) -> None:
        # The audio is billed with the job's end, not here.
        name = pick(document, "name")
        call.response(id=name)
        _jobs.submitted(name, model)

    return Exchange(call, lambda _: Document(METADATA, read))


def poll(telemetry: Telemetry, request: Request, name: str) -> Exchange:
    return Exchange(_Poll(telemetry, request, name), lambda _: Document(METADATA, _read_poll))


def _read_poll(call: Any, document: Any) -> None:
    call.read(document)


class _Poll:
    """Stands in for the call of a poll, which makes a span only when its answer says that the job is over."""

    wants_content = False

    def __init__(self, telemetry: Telemetry, request: Request, name: str) -> None:
        self._telemetry = telemetry
        self._request = request
        self._name = name
        self._request_id: Any = None
        self._context = get_current()
        self.ended = False
        self.on_end: Callable[[Any], None] | None = None

    def attach(self) -> Any:
        return attach(Context(get_current()))

    def detach(self, token: Any) -> None:
        detach(token)

    def chunk(self) -> None:
        """Nothing is timed."""

    def set(self, key: str, value: Any) -> None:
        """Nothing is kept."""

    def response(self, *, request_id: object = None) -> None:
        self._request_id = request_id

    def fail(self, error: BaseException) -> None:
        self.ended = True

    def fail_as(self, error_type: str) -> None:
        self.ended = True

    def end(self, reason: str | None = None) -> None:
        if not self.ended:
            self.ended = True
            if self.on_end is not None:
                try:
                    self.on_end(self)
                except Exception as exc:
                    _log.debug("a poll was not read: %s", type(exc).__qualname__)

    def read(self, operation: Any) -> None:
        if pick(operation, "done") is not True:
            return
        first, model = _jobs.finished(self._name)
        if not first:
            return
        # `response.resultUri` is signed: whoever has it has the transcript. It is not looked at.
        usage = pick(pick(operation, "response"), "usage") or pick(pick(operation, "metadata"), "usage")
        model = model or text(pick(usage, "modelId"))
        call = self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=PROVIDER,
            product=semconv.STT,
            model=model,
            server=self._request.server,
            attributes=_transcription.attributes(model),
            context=self._context,
        )
        if call is None:
            return
        _hints.tighten(call, key=self._request.key)
        call.response(id=self._name, request_id=self._request_id)
        error = pick(operation, "error")
        if error is not None:
            call.fail_as(error_name(error))
            return
        heard = _transcription.Heard(_transcription.Audio(None))
        heard.chunk(call, {"usage": usage})
        heard.finish(call)
        call.end()
