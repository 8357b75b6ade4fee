"""Spellings of a request's parameters that nobody listed: ``acme.settings.maxRetries``, ``haystack.async``.

Frameworks pass on how they were set up, each below its own prefix. What such a key names shows in its last
words; that it is a request's, and not a patient's or a room's temperature, in those before. The rule asks for
a small number or a flag: nothing here says that a text is safe.
"""

from __future__ import annotations

from otel_zdr.catalogue import shapes
from otel_zdr.catalogue.rule import Rule
from otel_zdr.catalogue.words import word_set

_NAMES = frozenset(
    tuple(name.split("_"))
    for name in word_set(
        "temperature top_p top_k min_p frequency_penalty presence_penalty repetition_penalty length_penalty"
        " seed dimensions best_of logprobs top_logprobs parallel_tool_calls max_retries num_retries"
        " max_steps max_turns max_iterations timeout async stream streaming streamed store"
        " speed stability similarity_boost speaking_rate sample_rate"
    )
)
#: The words such a key ends with, for a quick look.
LAST_WORDS = frozenset(name[-1] for name in _NAMES)
_LONGEST = max(map(len, _NAMES))
#: Words that say that what follows belongs to a request or to the one who makes it.
_OWNERS = word_set(
    "settings setting param params parameter parameters options option config configuration request"
    " invocation generation inference completion llm model embedding stt tts asr synthesis transcription"
)

RULE = Rule("other_metadata", True, shapes.SMALL)


def prefix_of(words: list[str], vendors: frozenset[str]) -> list[str] | None:
    """What stands before a parameter's name, or None where the words name no parameter of a request."""
    for length in range(min(_LONGEST, len(words) - 1), 0, -1):
        if tuple(words[-length:]) in _NAMES:
            prefix = words[:-length]
            return None if _OWNERS.isdisjoint(prefix) and vendors.isdisjoint(prefix) else prefix
    return None
