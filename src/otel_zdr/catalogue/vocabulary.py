"""Spellings nobody has listed: keys that are provably usage, timing, a model, a reference or a name.

Instrumentations spell the same figure in dozens of ways (``gen_ai.usage.details.cache_read_tokens``,
``acme.usageMetadata.promptTokenCount``, ``llm_tokens_total``). A key that no source lists is split into
whole words, at dots, underscores, hyphens and changes of case. It is usage or timing when its tail is
made of words of the vocabulary only, one of them a unit, and what stands before is known from other keys;
at most one leading name (the vendor's) may be new. Words are never matched inside other words, and
nothing here says that a *text* is safe: the rules for numbers demand a number, of a size that it can have.
"""

from __future__ import annotations

import re

from otel_zdr.catalogue import parameters, shapes
from otel_zdr.catalogue.rule import Rule
from otel_zdr.catalogue.words import word_set

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SPELT = re.compile(r"[A-Za-z0-9._:/ -]*")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[._-][A-Za-z0-9]+)*", re.ASCII)
_NEW_WORD = re.compile(r"[a-z]{1,20}[0-9]?[a-z]{0,8}[0-9]?", re.ASCII)

#: Words a figure of usage or time may be made of.
_FIGURE_WORDS = word_set(
    "input inputs output outputs prompt prompts completion completions response responses request"
    " requests total totals cached cache read reads write writes written creation create hit hits miss"
    " missed uncached reasoning thinking thoughts thought audio text image images video document"
    " modality details detail count counts num number of billed billable billing unit units accepted"
    " rejected prediction predictions tool tools use server web search searches call calls candidate"
    " candidates tokens token toks characters character chars char cost costs usd credits credit usage"
    " used embedding embeddings generated generation llm stt tts asr speech transcription synthesis"
    " voice seconds second secs sec ms millis milliseconds ns minutes minute duration durations"
    " latency latencies per avg average mean max min sum time to first last byte chunk next queue wait"
    " processing inference ttft ttfb ttlt itl tpot tps rate throughput elapsed ephemeral m h s 1 5"
    " metadata aggregated system fingerprint reads input output other new sent received read model"
    " session turn operation step steps internal external end e 2 processed synthesized spoken"
    " transcribed ttfa wall clock delay prefill decode scheduling overhead estimated us micros"
    " microseconds nanos nanoseconds cents original discount margin percent amount fixed"
)
_COUNTABLE = word_set("token character char")
_COUNTING = word_set("count counts usage used details detail cost costs num number total")
_UNITS = word_set("tokens toks characters chars")
COUNTED = _COUNTABLE | _UNITS
_LOOSE_UNITS = word_set("usage credits cost costs")
_TIMES = word_set("latency latencies ttft ttfb ttfa ttlt itl tpot tps elapsed")
_LENGTHS = word_set(
    "delay duration durations seconds secs sec ms us ns millis milliseconds microseconds nanoseconds minutes"
)
_MEDIA = word_set("audio speech video voice")
#: Words that tie a loose unit to the use of a model.
_COMPANIONS = word_set(
    "input output prompt completion total cached cache read write creation reasoning thinking audio"
    " text image details count tokens token characters llm stt tts asr usd request response requests"
    " billed billable per first queue inference processing embedding embeddings ms model operation"
    " metadata generation"
)
_SIDES = word_set("prompt completion input output total cached reasoning cache")
_TIME_KINDS = word_set("first last per queue processing inference response wait generation prefill decode")

_MODEL_WORDS = word_set(
    "request response requested resolved actual llm stt tts asr embedding embeddings chat completion"
    " base target ai gen provider routed default selected language speech voice image audio reranker"
    " rerank fallback primary transcription used text vision reasoning model name id generation"
    " realtime"
)
_REFERENCE_WORDS = word_set(
    "request response completion generation invocation batch job run deployment execution trace span"
    " correlation tool function call use x chat llm parent previous"
)
_STRONG_REFERENCES = word_set(
    "request response completion generation invocation batch job run deployment execution trace span"
    " correlation"
)
_NAMED = word_set("agent tool workflow function node component crew toolkit operation")
_PROVIDED = word_set("model llm ai gen stt tts asr embedding")
#: Names of vendors and frameworks: known wherever they stand before a figure.
VENDORS = word_set(
    "openai anthropic deepgram assemblyai soniox elevenlabs cartesia groq inworld google vertex"
    " vertexai gemini bedrock aws azure mistral mistralai cohere ollama together fireworks replicate"
    " huggingface litellm langchain langgraph llamaindex llama crewai autogen haystack dspy semantic"
    " kernel pipecat livekit lk vapi retell rime playht hume speechmatics gladia genai gen ai llm tts"
    " stt asr agentops langfuse langsmith traceloop openlit com org io app meta client logfire"
    " pydantic strands smolagents deepseek xai perplexity nvidia nim watsonx cerebras sambanova"
)
_REGISTERED = word_set("com org io ai dev net gen llm")

#: What has models, agents, operations, requests and costs of its own, which are not a language model's.
_OTHER_OWNERS = word_set(
    "car cars vehicle bike phone device camera laptop printer product hardware machine equipment patient"
    " person customer employee doctor user order orders invoice payment card account bank policy claim"
    " travel sales insurance estate business domain view table surgery medical"
)
_TEXT_WORDS = word_set("model name id ids version reason reasons tier fingerprint provider environment")
_LAST_WORDS_LENGTH = 32

_COUNT = Rule("usage", True, shapes.COUNT)
_FIGURE = Rule("usage", True, shapes.FIGURE)
_TIMING = Rule("timing", True, shapes.ELAPSED)
_MODEL = Rule("model", True, shapes.MODEL)
_REFERENCE = Rule("reference", True, shapes.TOKENS)
_NAME = Rule("other_metadata", True, shapes.TOKEN)
_FINISH = Rule("other_metadata", True, shapes.ENUM_PREFIX + "finish_reason")


def words_of(text: str) -> list[str]:
    """The lower-case words of a key or segment: ``usageMetadata.promptTokenCount`` has five.

    None if other characters stand between them: what is no word here would be kept unseen, with the key.
    """
    if not _SPELT.fullmatch(text):
        return []
    return [word.lower() for word in _WORD.findall(text)]


def is_figure_word(word: str) -> bool:
    return word in _FIGURE_WORDS


def figure_class(words: list[str], companions: bool = False) -> str | None:
    """``usage`` or ``timing`` when the words (all of the vocabulary) name a figure, else None.

    ``companions``: the context has shown already that this is about the use of a model.
    """
    found = set(words)
    if not _UNITS.isdisjoint(found):
        return "timing" if "per" in found else "usage"
    if not _COUNTABLE.isdisjoint(found) and not _COUNTING.isdisjoint(found):
        return "usage"
    loose = companions or not _COMPANIONS.isdisjoint(found)
    if loose and not _LOOSE_UNITS.isdisjoint(found):
        return "usage"
    if not _TIMES.isdisjoint(found):
        return "timing"
    if not _LENGTHS.isdisjoint(found):
        if not _MEDIA.isdisjoint(found):
            return "usage"
        return "timing" if loose else None
    if "time" in found and not _TIME_KINDS.isdisjoint(found):
        return "timing"
    return None


def usage_rule(words: list[str]) -> Rule:
    """The rule for a figure of usage that nobody listed: what is counted has another bound than what is paid."""
    return _FIGURE if COUNTED.isdisjoint(words) else _COUNT


def bound_of(words: list[str]) -> int:
    """Below which a figure in a structure of usage stays: times there are no longer than what is paid is large."""
    if COUNTED.isdisjoint(words) or figure_class(words) == "timing":
        return shapes.MAX_FIGURE
    return shapes.MAX_COUNT


def _new_name(key: str) -> set[str]:
    """The words of the new name that a key may begin with: at most two lower-case ones of its first segment.

    After ``com`` and the like it is the second segment. A name with capitals or many digits is not one a
    vendor gives to its keys: it is more likely data.
    """
    segments = key.split(".", 2)
    name = segments[1] if segments[0] in _REGISTERED and len(segments) > 1 else segments[0]
    if not name.islower():
        return set()
    return {part for word in name.split("_")[:2] if _NEW_WORD.fullmatch(word) for part in words_of(word)}


def _is_prefix_known(words: list[str], key: str, known: frozenset[str]) -> bool:
    unknown = [word for word in words if word not in known]
    return not unknown or _new_name(key).issuperset(unknown)


def _may_be_listed(key: str) -> bool:
    """The quick look, at the last words only, that most unlisted keys do not pass."""
    words = _WORD.findall(key, max(0, len(key) - _LAST_WORDS_LENGTH))
    if not words:
        return False
    last = words[-1].lower()
    if last in parameters.LAST_WORDS or (last in _FIGURE_WORDS and last not in _TEXT_WORDS):
        return True
    if last not in _TEXT_WORDS or len(words) < 2:
        return last in ("model", "environment")
    before = words[-2].lower()
    if last in ("id", "ids"):
        return before in _REFERENCE_WORDS or before == "model"
    return last != "name" or before in _NAMED or before in ("model", "provider")


def classify(key: str, known: frozenset[str]) -> Rule | None:
    """The rule for an unlisted key, or None when nothing proves it safe.

    ``known``: words of the metadata keys that the sources list. The caller has bounded the key's length.
    """
    if not _may_be_listed(key) or not _KEY.fullmatch(key):
        return None
    words = words_of(key)
    if len(words) > 12:
        return None
    start = len(words)
    while start and words[start - 1] in _FIGURE_WORDS:
        start -= 1
    if start < len(words):
        prefix = words[:start]
        if not _OTHER_OWNERS.isdisjoint(prefix):
            return None
        kind = figure_class(words[start:], companions=known.issuperset(prefix))
        if kind is not None and _is_prefix_known(prefix, key, known):
            return usage_rule(words) if kind == "usage" else _TIMING
    if words[-1] in parameters.LAST_WORDS:
        before = parameters.prefix_of(words, VENDORS)
        if before is not None and _OTHER_OWNERS.isdisjoint(before) and _is_prefix_known(before, key, known):
            return parameters.RULE
    if words[-1] not in _TEXT_WORDS:
        return None
    return _classify_text(words, key, known)


def _classify_text(words: list[str], key: str, known: frozenset[str]) -> Rule | None:
    last = words[-1]
    before = words[-2] if len(words) > 1 else ""
    prefix = words[:-1]
    rule = None
    if not _OTHER_OWNERS.isdisjoint(prefix):
        return None
    if last == "model" or (before == "model" and last in ("name", "id", "version")):
        rule = _MODEL
        prefix = [word for word in prefix if word not in _MODEL_WORDS]
    elif last in ("id", "ids"):
        start = len(words) - 1
        while start and words[start - 1] in _REFERENCE_WORDS:
            start -= 1
        if _is_reference(set(words[start:-1])):
            rule = _REFERENCE
            prefix = words[:start]
    elif last in ("reason", "reasons"):
        rule = _FINISH if before in ("finish", "stop") else None
    elif (
        last == "environment"
        or (last == "name" and before in _NAMED)
        or (last == "tier" and before == "service")
        or (last == "fingerprint" and before == "system")
        or (
            "provider" in (last, before) and last in ("name", "provider") and not _PROVIDED.isdisjoint(prefix)
        )
    ):
        rule = _NAME
    return rule if rule is not None and _is_prefix_known(prefix, key, known) else None


def _is_reference(words: set[str]) -> bool:
    if not _STRONG_REFERENCES.isdisjoint(words):
        return True
    return not words.isdisjoint(("call", "use")) and not words.isdisjoint(("tool", "function"))


_WORDS_OF_PARTS = _FIGURE_WORDS | {"billing"}


def is_usage_part(words: list[str]) -> bool:
    """Whether a part of a structure by this name holds usage: ``usage``, ``tokenCount``."""
    found = set(words)
    if not found <= _WORDS_OF_PARTS:
        return False
    if "usage" in found or "tokens" in found or {"billed", "units"} <= found:
        return True
    return not _COUNTING.isdisjoint(found) and not found.isdisjoint(("token", "cost"))


def is_spelt_out(words: list[str]) -> bool:
    """Whether the words name a count of tokens and its side by themselves: ``prompt_tokens``."""
    found = set(words)
    counts = "tokens" in found or ("token" in found and "count" in found)
    return counts and not found.isdisjoint(_SIDES)
