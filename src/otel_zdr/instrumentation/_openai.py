"""openai: chat, completions, responses, speech, transcriptions and translations, against OpenAI, a
compatible server or Inworld's router.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import _hints
from . import _semconv as semconv
from ._call import Call
from ._guard import coverage
from ._hosts import is_inworld, server_of_client
from ._openai_shapes import (
    ChatObserver,
    ResponsesObserver,
    SpeechObserver,
    TranscriptionObserver,
    chat_in,
    chat_response,
    completion_in,
    request_parameters,
    responses_in,
    responses_response,
    speech_in,
    transcription_in,
    transcription_response,
)
from ._patch import Patches
from ._stainless import raw_mode, settle
from ._streams import Observer
from ._telemetry import Telemetry
from ._wrap import async_call, sync_call

# Values of `gen_ai.provider.name` for servers that speak this API, by the end of the host name.
_PROVIDERS = (
    ("api.openai.com", "openai"),
    ("openai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.x.ai", "x_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
)


def provider_of(server: tuple[str, int | None] | None) -> str:
    """The provider behind a base URL: Inworld for its hosts, a well-known vendor, else `openai`, whose API
    it is.
    """
    if server is None:
        return "openai"
    return "inworld" if is_inworld(server) else _vendor_of(server[0])


@lru_cache(maxsize=64)
def _vendor_of(host: str) -> str:
    for suffix, name in _PROVIDERS:
        if host == suffix or host.endswith("." + suffix):
            return name
    return "openai"


@dataclass(frozen=True)
class Endpoint:
    """One resource of the API: what its calls are called and how they are read."""

    operation: str
    product: str
    request: Callable[[Call, dict[str, Any]], None]
    read: Callable[[Call, Any, bool], None]
    observe: Callable[[bool], Observer]
    speaks: bool = False


CHAT = Endpoint(semconv.CHAT, semconv.LLM, chat_in, chat_response, ChatObserver)
TEXT = Endpoint(semconv.TEXT_COMPLETION, semconv.LLM, completion_in, chat_response, ChatObserver)
RESPONSES = Endpoint(semconv.CHAT, semconv.LLM, responses_in, responses_response, ResponsesObserver)
SPEECH = Endpoint(
    semconv.TEXT_TO_SPEECH, semconv.TTS, speech_in, lambda *_: None, lambda _: SpeechObserver(), speaks=True
)
TRANSCRIPTION = Endpoint(
    semconv.SPEECH_TO_TEXT,
    semconv.STT,
    transcription_in,
    transcription_response,
    lambda _: TranscriptionObserver(),
)


class OpenAICall:
    """An `Operation` (see `_wrap`) of one method of a client that speaks OpenAI's API.

    Args:
        provider: the provider, or None to tell by the base URL.
    """

    def __init__(self, telemetry: Telemetry, endpoint: Endpoint, provider: str | None = None) -> None:
        self._telemetry = telemetry
        self._endpoint = endpoint
        self._provider = provider

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        client = instance._client
        if coverage.foreign(client, "request"):
            return None
        endpoint = self._endpoint
        server = server_of_client(client)
        attributes = request_parameters(kwargs)
        if endpoint.speaks:
            attributes[semconv.OUTPUT_TYPE] = "speech"
        if kwargs.get("store") is False:
            attributes[semconv.NO_RETENTION_HINT] = True
        call = self._telemetry.begin(
            endpoint.operation,
            provider=self._provider or provider_of(server),
            product=endpoint.product,
            model=kwargs.get("model"),
            stream=kwargs.get("stream") is True or (endpoint.speaks and raw_mode(kwargs) == "stream"),
            server=server,
            attributes=attributes,
        )
        if call is not None:
            # first: a hint may put the call under ZDR, and then none of its content is looked at
            _hints.tighten(call, key=getattr(client, "api_key", None), voice=kwargs.get("voice"))
            endpoint.request(call, kwargs)
        return call

    def done(self, call: Call, result: Any) -> Any:
        endpoint = self._endpoint
        router = self._provider is None and call.provider_name == "inworld"
        return settle(
            call,
            result,
            lambda call, answer: endpoint.read(call, answer, router),
            lambda: endpoint.observe(router),
        )


def patch_resources(
    patches: Patches,
    telemetry: Telemetry,
    resources: tuple[tuple[str, str, str, Endpoint], ...],
    provider: str | None = None,
) -> None:
    """Wrap each `(module, class, method, endpoint)` and the method of its `Async` twin."""
    for module, name, method, endpoint in resources:
        operation = OpenAICall(telemetry, endpoint, provider)
        patches.wrap(module, f"{name}.{method}", sync_call(operation))
        patches.wrap(module, f"Async{name}.{method}", async_call(operation))


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    telemetry = get_telemetry()
    chat = "openai.resources.chat.completions.completions"
    responses = "openai.resources.responses.responses"
    patch_resources(
        patches,
        telemetry,
        (
            # `parse` posts by itself; `stream` goes through `create`
            (chat, "Completions", "create", CHAT),
            (chat, "Completions", "parse", CHAT),
            (responses, "Responses", "create", RESPONSES),
            (responses, "Responses", "parse", RESPONSES),
            ("openai.resources.completions", "Completions", "create", TEXT),
            ("openai.resources.audio.speech", "Speech", "create", SPEECH),
            ("openai.resources.audio.transcriptions", "Transcriptions", "create", TRANSCRIPTION),
            ("openai.resources.audio.translations", "Translations", "create", TRANSCRIPTION),
        ),
    )
