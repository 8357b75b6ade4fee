"""The life of one client call as a span: started when the request is sent, ended exactly once.

How an instrumentor uses it::

    call = telemetry.begin(semconv.CHAT, provider="openai", model=model, product=semconv.LLM, stream=stream)
    if call is None:                       # suppressed, nested in another of our calls, or telemetry failed
        return wrapped(*args, **kwargs)
    try:
        with call.sending_now():           # meanwhile the span is current and inner calls are nested
            result = wrapped(*args, **kwargs)
    except BaseException as exc:
        call.fail(exc)
        raise
    call.tokens(input=12, output=3)
    call.end()

`_wrap.py` writes that frame once for all, `_streams.py` does the same for what is iterated later.
`sending_now` may be entered several times (one step of a lazy generator each) but never stays open across a
`yield`: what is attached in one frame would leak into the consumer's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from logging import getLogger
from queue import Empty, SimpleQueue
from time import perf_counter
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from . import _semconv as semconv
from ._capture import Capture, content_allowed, content_wanted, gated
from ._errors import safe_exception, safe_text
from ._guard import CALL_KEY

if TYPE_CHECKING:
    from ._telemetry import Telemetry

_log = getLogger(__name__)

# Values of semconv.END_REASON; a call that ran to its end carries none.
INTERRUPTED = "interrupted"  # the consumer closed or left the stream before its end
CANCELLED = "cancelled"  # the task was cancelled
ABANDONED = "abandoned"  # the stream was dropped without being closed

_TOKEN_KEYS = {
    "input": (semconv.INPUT_TOKENS,),
    "output": (semconv.OUTPUT_TOKENS,),
    "cache_read": (semconv.CACHE_READ_INPUT_TOKENS,),
    # renamed in the conventions; both spellings are in use by dashboards
    "cache_creation": (semconv.CACHE_CREATION_INPUT_TOKENS, semconv.CACHE_WRITE_INPUT_TOKENS),
    "reasoning": (semconv.REASONING_OUTPUT_TOKENS,),
    "audio_input": (semconv.AUDIO_INPUT_TOKENS,),
    "audio_output": (semconv.AUDIO_OUTPUT_TOKENS,),
    "text_input": (semconv.TEXT_INPUT_TOKENS,),
    "text_output": (semconv.TEXT_OUTPUT_TOKENS,),
}


class Call:
    """One client call. Made by `Telemetry.begin`, never by hand. Safe to end from any thread; never raises.

    Attributes:
        span: the CLIENT span.
        context: the context in which the call was made, with the span in it.
        wants_content: whether content may be put on this call's telemetry; look before serialising anything.
        on_end: called with the call just before the span ends, for whatever reason, so that what a stream has
            gathered so far (usage, finish reasons, content) is written. Must not refer to the application's
            stream, or that is never collected.
        sending: how many frames are between `attach` and `detach` now.
        touched: the server's last sign of life, by `time.perf_counter`.
        served: the providers that the response says it went to; see `served_by`.
    """

    __slots__ = (
        "__weakref__",
        "_capture",
        "_closing",
        "_content",
        "_first",
        "_measured",
        "_open",
        "_product",
        "_started",
        "_telemetry",
        "_tokens",
        "context",
        "on_end",
        "sending",
        "served",
        "span",
        "touched",
        "wants_content",
    )

    def __init__(
        self,
        telemetry: Telemetry,
        span: Span,
        context: Context,
        capture: Capture,
        measured: dict[str, Any],
        product: str,
    ) -> None:
        self._telemetry = telemetry
        self._open = [None]  # popped once: the test and the set are one step, under every interpreter
        self._started = self.touched = perf_counter()
        self._first = self._closing = False
        self._capture = capture
        self._content: dict[str, Any] | None = None
        self._measured = measured
        self._tokens: dict[str, int] = {}
        self.span = span
        self.context = set_span_in_context(span, context)
        self.sending = 0
        self.on_end: Callable[[Call], None] | None = None
        self.served: tuple[str, ...] | None = None
        self._product = product
        self.wants_content = capture is not Capture.NO_CONTENT and content_wanted(product, self.context)

    # the time the request is being sent

    def attach(self) -> Token[Context]:
        """Make the span current and inner calls nested, until `detach`; both in one frame, no `yield`
        between.
        """
        self.sending += 1
        context = Context({**self.context, CALL_KEY: self})
        return attach(context)

    def detach(self, token: Token[Context]) -> None:
        """Undo `attach`."""
        self.sending -= 1
        self.touched = perf_counter()
        detach(token)

    def sending_now(self) -> _Sending:
        """A context manager around `attach` and `detach`."""
        return _Sending(self)

    # what is known of the call

    def set(self, key: str, value: Any) -> None:
        """Set one metadata attribute; None is skipped. Content goes through `content` only."""
        if value is not None:
            self.span.set_attribute(key, value)

    def provider(self, name: str) -> None:
        """Who served the call, when only the response tells."""
        self.span.set_attribute(semconv.PROVIDER_NAME, name)
        self._measured[semconv.PROVIDER_NAME] = name

    def served_by(self, providers: tuple[str, ...]) -> None:
        """Who served the call, every attempt, as the response itself says.

        Kept beside the span, where nobody else can write: it decides what an ineligible call may retain.
        """
        self.served = providers
        tell = getattr(sys.modules.get("otel_zdr.sdk.decision"), "served", None)
        if tell is not None:
            tell(self.span, providers)

    @property
    def provider_name(self) -> str:
        """The value of `gen_ai.provider.name` so far."""
        return str(self._measured[semconv.PROVIDER_NAME])

    def response(
        self,
        *,
        id: object = None,
        model: object = None,
        request_id: object = None,
        finish_reasons: Sequence[str] | None = None,
    ) -> None:
        """What the response says of itself. Anything but text is skipped."""
        # One by one and lists as tuples: the gate has a short way for single plain values.
        put = self.span.set_attribute
        if isinstance(id, str) and id:
            put(semconv.RESPONSE_ID, id)
        if isinstance(model, str) and model:
            self._measured[semconv.RESPONSE_MODEL] = model
            put(semconv.RESPONSE_MODEL, model)
        if isinstance(request_id, str) and request_id:
            put(semconv.REQUEST_ID, request_id)
        if finish_reasons:
            put(semconv.RESPONSE_FINISH_REASONS, tuple([r for r in finish_reasons if isinstance(r, str)]))

    def tokens(self, **counts: object) -> None:
        """Token usage, by kind: `input`, `output`, `cache_read`, `cache_creation`, `reasoning`,
        `audio_input`, `audio_output`, `text_input`, `text_output`. Anything but a non-negative int is
        skipped. `input` and `output` are also measured (`gen_ai.client.token.usage`), once, with the last
        value set before the end.
        """
        put = self.span.set_attribute
        for kind, count in counts.items():
            if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
                for key in _TOKEN_KEYS[kind]:
                    put(key, count)
                if kind == "input" or kind == "output":
                    self._tokens[kind] = count

    def characters(self, count: object) -> None:
        """Characters synthesised, the unit in which TTS is billed."""
        if isinstance(count, int) and not isinstance(count, bool) and count >= 0:
            self.span.set_attribute(semconv.CHARACTERS, count)

    def audio_seconds(self, seconds: object) -> None:
        """Seconds of audio heard or made, the unit in which STT is billed."""
        if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds >= 0:
            self.span.set_attribute(semconv.AUDIO_SECONDS, float(seconds))

    def chunk(self) -> None:
        """A piece of the answer arrived: the first one gives the time to first chunk, in seconds."""
        self.touched = perf_counter()
        if not self._first:
            self._first = True
            self.span.set_attribute(semconv.TIME_TO_FIRST_CHUNK, self.touched - self._started)

    # content

    def content(self, key: str, build: Callable[[], Any]) -> None:
        """Set a content attribute (`semconv.INPUT_MESSAGES`, …) to what `build` returns, if content may go
        out.

        `build` returns a JSON-like structure and is not called where the policy or the switch says no. The
        policy is asked again, since a workspace may have become known during the call.
        """
        if not self.wants_content:
            return
        if not content_wanted(self._product, self.context):
            self.wants_content = False
            self._content = None
            return
        value = build()
        if value is None or value == []:
            return
        if self._capture.on_span and self.span.is_recording():
            self.span.set_attribute(key, json.dumps(value, ensure_ascii=False, default=_class_name))
        if self._capture.on_event:
            if self._content is None:
                self._content = {}
            self._content[key] = value

    def text_in(self, text: object) -> None:
        """Text to be spoken, as the input message."""
        if self.wants_content and isinstance(text, str):
            self.content(semconv.INPUT_MESSAGES, lambda: [message("user", text)])

    def text_out(self, text: object) -> None:
        """A transcript, as the output message."""
        if self.wants_content and isinstance(text, str):
            self.content(semconv.OUTPUT_MESSAGES, lambda: [message("assistant", text)])

    # the end

    @property
    def ended(self) -> bool:
        """Whether the span has ended."""
        return not self._open

    def fail(self, error: BaseException) -> None:
        """End with `error`, which the caller goes on to raise unchanged.

        Its text may repeat the request, so it goes into the status and an exception event only where the
        policy lets content out, and even there without secrets. Elsewhere the gate makes the exception event,
        of frames only. Leaving a generator early is no error.
        """
        if isinstance(error, GeneratorExit):
            self.leave(INTERRUPTED)
            return
        try:
            self._open.pop()
        except IndexError:
            return
        try:
            kind = type(error).__qualname__
            self._measured[semconv.ERROR_TYPE] = kind
            self.span.set_attribute(semconv.ERROR_TYPE, kind)
            status = getattr(error, "status_code", None)
            if isinstance(status, int):
                self.span.set_attribute(semconv.HTTP_STATUS_CODE, status)
            request_id = getattr(error, "request_id", None)
            if isinstance(request_id, str):
                self.span.set_attribute(semconv.REQUEST_ID, request_id)
            allowed = content_allowed(self.context)
            if not isinstance(error, asyncio.CancelledError) and (allowed or gated(self.span)):
                self.span.record_exception(error, safe_exception(error))
            description = safe_text(str(error)) if allowed else None
            self.span.set_status(Status(StatusCode.ERROR, description or None))
        except Exception as exc:
            _failed("fail", exc)
        self._close(CANCELLED if isinstance(error, asyncio.CancelledError) else None)

    def fail_as(self, error_type: str) -> None:
        """End as an error the client reports without raising; `error_type` is a short class-like word, no
        text. One that is found while the call ends, in what it has gathered, marks it if nothing else has.
        """
        try:
            self._open.pop()
        except IndexError:
            if self._closing and semconv.ERROR_TYPE not in self._measured:
                self.error(error_type)
            return
        try:
            self.error(error_type)
        except Exception as exc:
            _failed("fail_as", exc)
        self._close(None)

    def error(self, error_type: str) -> None:
        """Mark the call as an error without ending it, as `fail_as`; also for use while it ends."""
        self._measured[semconv.ERROR_TYPE] = error_type
        self.span.set_attribute(semconv.ERROR_TYPE, error_type)
        self.span.set_status(Status(StatusCode.ERROR))

    def end(self, reason: str | None = None) -> None:
        """End well. `reason`: INTERRUPTED or ABANDONED for a stream that was not read to its end.
        Idempotent.
        """
        try:
            self._open.pop()
        except IndexError:
            return
        self._close(reason)

    def _close(self, reason: str | None) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            self._closing = True
            try:
                on_end(self)
            except Exception as exc:
                _failed("on_end", exc)
            self._closing = False
        try:
            # A stream that was left is found late: its call took until the server's last sign of life.
            left = reason is INTERRUPTED or reason is ABANDONED
            last = self.touched if left else perf_counter()
            duration = last - self._started
            if reason is not None:
                self.span.set_attribute(semconv.END_REASON, reason)
            self._telemetry.record(self, duration, self._measured, self._tokens, self._content)
            start = getattr(self.span, "start_time", None)
            if left and isinstance(start, int):
                self.span.end(end_time=start + int(duration * 1e9))
            else:
                self.span.end()
        except Exception as exc:
            _failed("end", exc)
        finally:
            self._content = None

    def leave(self, reason: str) -> None:
        """As `end`, for code that may run inside a garbage collection.

        That may have stopped this thread anywhere, also where it holds a lock of the SDK that ending a span
        takes again. Then the call is put aside, for the next call that starts to end it.
        """
        if self._open:
            if _holds_locks(sys._getframe(1)):
                _abandoned.put((self, reason))
            else:
                self.end(reason)

    def __del__(self) -> None:
        try:
            self.leave(ABANDONED)  # may resurrect this object, which is safe (PEP 442)
        except Exception:  # interpreter shutdown, or a constructor that failed
            return


class _Sending:
    __slots__ = ("_call", "_token")

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._token = self._call.attach()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.detach(self._token)


_abandoned: SimpleQueue[tuple[Call, str]] = SimpleQueue()  # its put() may interrupt itself, by design

_LOCKING = ("opentelemetry.sdk", "opentelemetry.exporter", "threading", "logging", "queue", "otel_zdr.sdk")
# Frames at the bottom of every thread, which hold nothing.
_THREAD_MAIN = frozenset({"_bootstrap", "_bootstrap_inner", "run"})


def _holds_locks(frame: FrameType | None) -> bool:
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if name.startswith(_LOCKING) and not (name == "threading" and frame.f_code.co_name in _THREAD_MAIN):
            return True
        frame = frame.f_back
    return False


def end_abandoned() -> None:
    """End the calls whose streams were dropped at a moment that did not allow it."""
    while not _abandoned.empty():
        try:
            call, reason = _abandoned.get_nowait()
        except Empty:
            return
        call.end(reason)


def message(role: str, *contents: object, **more: object) -> dict[str, Any]:
    """A message in the conventions' JSON shape with one text part for each of `contents`."""
    return {"role": role, "parts": [{"type": "text", "content": content} for content in contents], **more}


def metadata(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """`attributes` without those whose value is not a number, bool or text (left out by the client, or
    None).
    """
    return {key: value for key, value in attributes.items() if isinstance(value, (bool, int, float, str))}


def _class_name(value: object) -> str:
    return type(value).__qualname__


def _failed(where: str, error: Exception) -> None:
    _log.debug("instrumentation failed in %s: %s", where, type(error).__qualname__)
