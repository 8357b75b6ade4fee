"""inworld-tts: one span for each call of `InworldTTS`, however many requests it makes.

The client reads usage from no answer and posts from worker threads that know no context. So the session
that a client's method hands to the function below it is observed for the length of the call: around each
request the call is attached in whatever thread it runs, and the answer's usage is counted. The functions get
an observed session with the same behaviour, nothing else changes.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import wrapt
from opentelemetry.context import Context, attach, detach, get_current

from . import _hints
from . import _semconv as semconv
from ._call import Call
from ._guard import CALL_KEY, coverage, covered
from ._hosts import server_of
from ._patch import Patches
from ._read import get, items, number, text
from ._streams import Observer, lazy_async_generator
from ._telemetry import Telemetry
from ._wrap import Wrapper, sync_call
from .transports._answers import Each, keep_for
from .transports._exchange import REQUEST_ID
from .transports._requests import observe
from .transports._skim import skim
from .transports._speech import Spoken
from .transports._voices import voices_answer

_DEFAULT_HOST = "https://api.inworld.ai"


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    telemetry = get_telemetry()
    with_observed_session = _with_observed_session(patches)

    def wrap_function(name: str, operation: _Speech | _Voice) -> None:
        # The functions of the package that the methods of the client call, so that the span is over before the
        # client plays the audio.
        patches.wrap("inworld_tts", name, with_observed_session)
        patches.wrap("inworld_tts", name, _unless_covered(name, sync_call(operation)))

    for name in ("generate", "generate_with_timestamps"):
        wrap_function(name, _Speech(telemetry))
    for name, operation, product, texts in _VOICES:
        wrap_function(name, _Voice(telemetry, operation, product, texts))
    for name in ("stream", "stream_with_timestamps"):
        patches.wrap("inworld_tts", name, with_observed_session)
        patches.wrap("inworld_tts", f"InworldTTS.{name}", _stream(telemetry))


_NAMES = ("display_name", "description")
_VOICES = (
    ("clone_voice", semconv.CLONE_VOICE, semconv.VOICE_CLONING, ("transcriptions", *_NAMES)),
    ("design_voice", semconv.DESIGN_VOICE, semconv.VOICE_DESIGN, ("design_prompt", "preview_text")),
    ("publish_voice", semconv.PUBLISH_VOICE, semconv.VOICE_DESIGN, _NAMES),
    ("update_voice", semconv.UPDATE_VOICE, semconv.VOICE_DESIGN, _NAMES),
)


def _unless_covered(name: str, wrapper: Wrapper) -> Wrapper:
    """`wrapper`, but for calls whose method of the client another instrumentor covers."""

    def checked(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        client = getattr(sys.modules.get("inworld_tts"), "InworldTTS", None)
        if coverage.foreign(client, name):
            return wrapped(*args, **kwargs)
        return wrapper(wrapped, instance, args, kwargs)

    return checked


# what is known of a call in progress

_spoken: weakref.WeakKeyDictionary[Call, Spoken] = weakref.WeakKeyDictionary()


class _Speech:
    """Synthesis that returns when it is complete."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        return _begin_speech(self._telemetry, args, kwargs, kwargs, stream=False)

    def done(self, call: Call, result: Any) -> Any:
        call.end()
        return result


def _begin_speech(
    telemetry: Telemetry, args: tuple[Any, ...], kwargs: dict[str, Any], client: Any, *, stream: bool
) -> Call | None:
    """`client`: a mapping or object that says `api_key` and `base_url`."""
    said = args[0] if args else kwargs.get("text")
    attributes: dict[str, Any] = {semconv.OUTPUT_TYPE: "speech"}
    temperature = number(kwargs.get("temperature"))
    if temperature is not None:
        attributes[semconv.REQUEST_TEMPERATURE] = temperature
    call = telemetry.begin(
        semconv.TEXT_TO_SPEECH,
        provider="inworld",
        product=semconv.TTS,
        model=kwargs.get("model"),
        stream=stream,
        server=server_of(_base_url(client) or _DEFAULT_HOST),
        attributes=attributes,
    )
    if call is None:
        return None
    _hints.tighten(call, voice=kwargs.get("voice"), key=_api_key(client))
    call.text_in(said)
    spoken = _spoken[call] = Spoken(len(said) if isinstance(said, str) else 0)
    call.on_end = spoken.finish
    return call


def _base_url(client: Any) -> str | None:
    return text(get(client, "base_url")) or text(get(client, "_base_url"))


def _api_key(client: Any) -> str | None:
    return text(get(client, "api_key")) or text(get(client, "_api_key"))


class _Voice:
    """Making or renaming a voice."""

    def __init__(self, telemetry: Telemetry, operation: str, product: str, texts: tuple[str, ...]) -> None:
        self._telemetry = telemetry
        self._operation = operation
        self._product = product
        self._texts = texts

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        call = self._telemetry.begin(
            self._operation,
            provider="inworld",
            product=self._product,
            server=server_of(_base_url(kwargs) or _DEFAULT_HOST),
        )
        if call is None:
            return None
        _hints.tighten(call, voice=args[0] if args else kwargs.get("voice"), key=_api_key(kwargs))
        call.served_by(("inworld",))
        if call.wants_content:
            given: list[Any] = []
            for name in self._texts:
                value = kwargs.get(name)
                given.extend(items(value) if isinstance(value, (list, tuple)) else [value])
            call.text_in("\n".join(item for item in given if isinstance(item, str)))
        return call

    def done(self, call: Call, result: Any) -> Any:
        voices_answer(call, result)
        call.end()
        return result


def _stream(telemetry: Telemetry) -> Any:
    """For the client's async generators, which send nothing until they are asked for the first chunk."""

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        source = wrapped(*args, **kwargs)
        if telemetry.skips() or covered(wrapped, instance):
            return source
        begun: list[Call] = []

        def start() -> Call | None:
            given = {**_defaults(wrapped), **kwargs}
            call = _begin_speech(telemetry, args, given, instance, stream=True)
            if call is not None:
                begun.append(call)
            return call

        return lazy_async_generator(source, start, lambda: _Chunks(_spoken[begun.pop()]))

    return wrapper


def _defaults(function: Any) -> dict[str, Any]:
    """The keyword defaults of a method: the model, above all."""
    return getattr(getattr(function, "__func__", function), "__kwdefaults__", None) or {}


class _Chunks(Observer):
    """The audio chunks that the application gets; what is counted stands in the answer below."""

    __slots__ = ("_spoken",)

    def __init__(self, spoken: Spoken) -> None:
        super().__init__()
        self._spoken = spoken

    def finish(self, call: Call) -> None:
        if self._spoken.unread is not None:
            self._spoken.unread.digest(call)
        self._spoken.finish(call)


# the session below a call


def _with_observed_session(patches: Patches) -> Wrapper:
    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = get_current().get(CALL_KEY)
        session = kwargs.get("session")
        if session is None or not isinstance(call, Call):
            return wrapped(*args, **kwargs)
        return wrapped(*args, **{**kwargs, "session": _ObservedSession(session, patches, call)})

    return wrapper


class _Covered:
    """Stands under CALL_KEY in worker threads: their requests belong to the call, even past its end."""

    sending = 1


class _ObservedSession(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """The client's `requests.Session` for one call; the call may span several threads."""

    def __init__(self, session: Any, patches: Patches, call: Call) -> None:
        super().__init__(session)
        self._self_patches = patches
        self._self_call = call
        self._self_lock = threading.Lock()

    def post(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_send(self.__wrapped__.post, args, kwargs)

    def patch(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_send(self.__wrapped__.patch, args, kwargs)

    def _self_send(self, send: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = self._self_call
        token = attach(Context({**call.context, CALL_KEY: _Covered}))
        try:
            response = send(*args, **kwargs)
        finally:
            detach(token)
        try:
            self._self_read(response, streamed=kwargs.get("stream") is True)
        except Exception:
            return response
        return response

    def _self_read(self, response: Any, *, streamed: bool) -> None:
        call = self._self_call
        call.response(request_id=response.headers.get(REQUEST_ID))
        if not response.ok:
            call.set(semconv.HTTP_STATUS_CODE, response.status_code)
            return
        spoken = _spoken.get(call)
        if spoken is None:
            return
        if streamed:
            lines = Each(keep_for(call), _Lines(spoken), digest=spoken.digest)
            spoken.unread = lines
            observe(self._self_patches, _Below(call, lines), lines, response)
            return
        answer = skim(response.content, keep_for(call))
        with self._self_lock:
            spoken.chunk(call, answer)


class _Lines(Observer):
    """The lines of a stream, as a worker thread reads them."""

    __slots__ = ("_spoken",)

    def __init__(self, spoken: Spoken) -> None:
        super().__init__()
        self._spoken = spoken

    def chunk(self, call: Any, item: Any) -> None:
        self._spoken.chunk(call, item)


class _Below:
    """The call as the answer's reader sees it: that ends with the client's generator, not with the answer."""

    __slots__ = ("_call", "_lines", "touched")

    def __init__(self, call: Call, lines: Each) -> None:
        self._call = call
        self._lines = lines
        self.touched = 0.0

    @property
    def ended(self) -> bool:
        return self._call.ended

    @property
    def wants_content(self) -> bool:
        return self._call.wants_content

    def chunk(self) -> None:
        """The first chunk is timed where the application gets it."""

    def error(self, error_type: str) -> None:
        """The generator raises it."""

    def fail(self, error: BaseException) -> None:
        """The generator raises it."""

    def end(self, reason: str | None = None) -> None:
        """The generator ends; until then everything has been read."""
        self._lines.digest(self._call)
