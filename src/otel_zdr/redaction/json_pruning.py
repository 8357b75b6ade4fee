"""Reduces JSON that may hold usage to its metadata leaves.

Some usage exists only inside JSON, beside content. What survives: numbers under words of usage, model
ids, ids of responses and requests, finish reasons; what is written again has only keys of the vocabulary.
Messages, choices, documents and tool definitions are not entered. Text over 64 KiB, structures deeper
than 32, and whatever does not parse are dropped whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from otel_zdr import catalogue
from otel_zdr.catalogue import METADATA_CLASSES, shapes, vocabulary
from otel_zdr.catalogue.words import word_set
from otel_zdr.redaction.removed import REMOVED

USAGE = "usage"  # the key says that the whole value is usage
RESPONSE = "response"  # a response or event: usage stands in a part of it
EVIDENT = "evident"  # what an application's own code was given: only usage that proves itself
PARAMETERS = "parameters"  # the parameters of a request
_WITHIN = "within"  # inside a part named usage of something else: figures only
_METRICS = "metrics"  # inside a part named metrics: what is a figure by its own name
_BODY = "body"  # a structured log body

_MAX_ITEMS = 128
_MAX_TOKEN = shapes.MAX_TOKEN
_MAX_NODES = 5_000
#: Above that OTLP has no integers.
_ANY_INTEGER = 2**63
_BOUND_OF_SHAPE: dict[str, float] = {
    **dict.fromkeys(
        (shapes.NUMBER, shapes.DECIMAL, shapes.USAGE, shapes.TIMING, shapes.SCALAR), _ANY_INTEGER
    ),
    shapes.COUNT: shapes.MAX_COUNT,
    shapes.SMALL: shapes.MAX_COUNT,
    shapes.FIGURE: shapes.MAX_FIGURE,
    shapes.ELAPSED: shapes.MAX_ELAPSED,
}
#: One of these stands in every JSON of which something could survive; a look that costs next to nothing.
_HINTS = (
    "sage",
    "oken",
    "etric",
    "iming",
    "illed",
    "ost",
    '"chatcmpl-',
    '"cmpl-',
    '"resp_',
    '"msg_',
    '"modr-',
)

_PARTS = word_set("response llm_output llmOutput response_metadata responseMetadata meta raw_response result")
_TYPES = word_set(
    "tokens duration seconds characters llm_metrics tts_metrics stt_metrics vad_metrics eou_metrics"
)
_FLAGS = word_set("cancelled streamed streaming")
_NUMBERS_BESIDE_USAGE = word_set("timestamp")
#: Figures of usage with a word that elsewhere means content (Gemini's spelling).
_NUMBERS_OF_USAGE = word_set("cached_content_token_count cachedContentTokenCount")
#: Ids that vendors make; anything else called ``id`` may be the customer's.
_VENDORS = (
    "chatcmpl cmpl resp msg req request gen generation run call tooluse toolu modr fp batch fc rs ws ft ftjob"
    " embd ant dg"
)
_IS_VENDORS = word_set(_VENDORS)
_ID_CHARACTERS = shapes.PLAIN_CHARACTERS.replace("@", "").replace("+", "")
_MAX_ID = 100
#: What :func:`is_vendor_id` accepts, as an expression for the Collector.
VENDOR_ID_PATTERN = rf"(?:{_VENDORS.replace(' ', '|')})[-_][A-Za-z0-9._:-]{{1,{_MAX_ID}}}"
_RESPONSE_ID = r"(?:chatcmpl-|cmpl-|resp_|msg_|modr-)[A-Za-z0-9._:-]{1,100}"
_FINISH = shapes.ENUMS["finish_reason"]
_FUNCTION = word_set("function")
_ROLES = shapes.ENUMS["role"]
_PARAMETER_NUMBERS = word_set(
    "temperature top_p top_k max_tokens max_completion_tokens max_output_tokens max_new_tokens seed n"
    " frequency_penalty presence_penalty repetition_penalty dimensions speed top_logprobs"
    " budget_tokens stream logprobs store parallel_tool_calls sample_rate maxTokens topP topK"
)
_PARAMETER_TOKENS = word_set(
    "model model_name model_id modelId service_tier encoding_format reasoning_effort"
)
_MODEL_KEYS = word_set("model model_name modelName model_id modelId model_version modelVersion")
_TIED_TEXT = word_set("service_tier serviceTier system_fingerprint")


_SUMS = (
    ("total_tokens", "prompt_tokens", "completion_tokens"),
    ("total_tokens", "input_tokens", "output_tokens"),
    ("totalTokens", "inputTokens", "outputTokens"),
    ("totalTokens", "promptTokens", "completionTokens"),
    ("total_token_count", "prompt_token_count", "candidates_token_count"),
    ("totalTokenCount", "promptTokenCount", "candidatesTokenCount"),
)
_MAX_EVIDENT = 8
_MAX_REPR = 2048
_CONSTANTS = ((": None", ": null"), (": True", ": true"), (": False", ": false"))


class _Budget:
    """Counts the nodes that one value may cost."""

    __slots__ = ("nodes",)

    def __init__(self) -> None:
        self.nodes = _MAX_NODES


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= 20 else None


def _no_constant(_: str) -> None:
    return None


def parse(text: str) -> object:
    """The parsed JSON, or REMOVED when it is too long, too deep or not JSON. Never raises."""
    if len(text) > shapes.MAX_JSON:
        return REMOVED
    try:
        value = json.loads(text, parse_int=_integer, parse_constant=_no_constant)
    except (ValueError, RecursionError, MemoryError):
        return REMOVED
    return REMOVED if _is_deeper(value, shapes.MAX_DEPTH) else value


def dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _is_deeper(value: object, depth: int) -> bool:
    kind = type(value)
    if kind is dict:
        children: object = value.values()  # type: ignore[attr-defined]
    elif kind is list:
        children = value
    else:
        return False
    if depth == 0:
        return True
    return any(_is_deeper(child, depth - 1) for child in children)  # type: ignore[attr-defined]


def prune_text(text: str, context: str) -> object:
    """The pruned JSON as compact text, or REMOVED when nothing of it is metadata."""
    if len(text) > shapes.MAX_JSON or text[:64].lstrip()[:1] not in ("{", "["):
        return REMOVED
    if context in (RESPONSE, EVIDENT) and not any(hint in text for hint in _HINTS):
        return REMOVED
    value = parse(text)
    if value is REMOVED:
        return REMOVED
    pruned = prune_value(value, context)
    if pruned is REMOVED:
        return REMOVED
    return text if pruned == value and dump(pruned) == text else dump(pruned)


def prune_value(value: object, context: str) -> object:
    """The pruned structure (new dicts and lists), or REMOVED when nothing of it is metadata."""
    if context == EVIDENT:
        return _evident(value)
    pruned = _prune(value, _RULES[context], shapes.MAX_DEPTH, _Budget())
    return _evident(value) if pruned is REMOVED and context == RESPONSE else pruned


def prune_repr(text: str) -> object:
    """As `prune_text` for usage that Python printed: ``{'input': 5}`` or ``input_tokens=5 output_tokens=7``."""
    if len(text) > _MAX_REPR:
        return REMOVED
    if text[:2] == "{'":
        for constant, literal in _CONSTANTS:
            text = text.replace(constant, literal)
        return prune_text(text.replace("'", '"'), USAGE)
    pairs = [pair.split("=", 1) for pair in text.split(" ")]
    if any(len(pair) != 2 or not 0 < len(pair[1]) <= 18 for pair in pairs):
        return REMOVED
    try:
        pruned = prune_value(
            {key: float(value) if "." in value else int(value) for key, value in pairs}, USAGE
        )
    except ValueError:
        return REMOVED
    return pruned if pruned is REMOVED else dump(pruned)


def _evident(value: object) -> object:
    """``{"response": [{"usage": …, "model": …}]}`` of the usage, wherever it stands, that adds up.

    Frameworks write the state of a whole pipeline, with usage below names that the application chose. An
    object whose total is the sum of its sides is a model's usage and not the application's data.
    """
    found: list[dict[str, object]] = []
    _collect_evident(value, found, shapes.MAX_DEPTH, _Budget())
    return {"response": found} if found else REMOVED


def _collect_evident(value: object, found: list[dict[str, object]], depth: int, budget: _Budget) -> None:
    budget.nodes -= 1
    if depth == 0 or budget.nodes <= 0 or len(found) >= _MAX_EVIDENT:
        return
    kind = type(value)
    if kind is list or kind is tuple:
        for item in value[:_MAX_ITEMS]:  # type: ignore[index]
            _collect_evident(item, found, depth - 1, budget)
    elif kind is dict:
        for key, part in value.items():  # type: ignore[attr-defined]
            if type(part) is dict and type(key) is str and _adds_up(part):
                name = key if vocabulary.is_usage_part(vocabulary.words_of(key)) else "usage"
                pruned = _prune(value if name == key else {name: part}, _RULES[RESPONSE], depth, budget)
                if type(pruned) is dict and pruned not in found:
                    found.append(pruned)
            elif type(part) in (dict, list, tuple):
                _collect_evident(part, found, depth - 1, budget)


def _adds_up(part: Mapping[object, object]) -> bool:
    """Whether a total of tokens is the sum of what went in and came out."""
    for names in _SUMS:
        total, *sides = (part.get(name) for name in names)
        if type(total) is int and all(type(side) is int for side in sides):
            return total == sum(sides) > 0  # type: ignore[arg-type]
    return False


def prune_body(body: object) -> object:
    """A structured log body reduced to index, finish reason, roles, ids and usage; or REMOVED."""
    return _prune(body, _RULES[_BODY], shapes.MAX_DEPTH, _Budget())


def _prune(value: object, rules: _Rules, depth: int, budget: _Budget) -> object:
    kind = type(value)
    if kind is dict:
        return _prune_mapping(value, rules, depth, budget)  # type: ignore[arg-type]
    if kind is list or kind is tuple:
        return _prune_list(value, rules, depth, budget)  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        # Another's class may say one length and hold more.
        return _prune_mapping(dict(islice(value.items(), _MAX_NODES)), rules, depth, budget)
    return REMOVED


def _prune_list(values: Sequence[object], rules: _Rules, depth: int, budget: _Budget) -> object:
    if depth <= 0:
        return REMOVED
    found = []
    for item in values[:_MAX_ITEMS]:
        budget.nodes -= 1
        if type(item) is dict:
            pruned = _prune_mapping(item, rules, depth - 1, budget)
        elif isinstance(item, Mapping):
            pruned = _prune(item, rules, depth - 1, budget)
        else:
            continue
        if pruned is not REMOVED:
            found.append(pruned)
    return found or REMOVED


def _prune_mapping(mapping: dict[Any, Any], rules: _Rules, depth: int, budget: _Budget) -> object:
    budget.nodes -= len(mapping)
    if depth <= 0 or budget.nodes < 0:
        return REMOVED
    found: dict[str, object] = {}
    rule_of = rules.known.get
    for key, value in mapping.items():
        rule = rule_of(key)
        if rule is None:
            rule = None if key in _STRUCTURE else rules.find(key)
            if rule is None:
                continue
        kind = type(value)
        if kind is str:
            # A long text is not looked up: its hash would be as long in the making.
            if len(value) > _MAX_TOKEN:
                continue
            if value not in rule.among:
                stays = rule.stays
                if stays is None or not stays(value):
                    continue
        elif kind is int or kind is float:
            # NaN is below nothing, and infinity below no bound.
            if not -rule.below < value < rule.below:
                continue
        elif kind is bool:
            if not rule.flag:
                continue
        else:
            part = rule.part
            if part is None:
                continue
            if kind is dict:
                value = _prune_mapping(value, part, depth - 1, budget)
            else:
                value = _prune(value, part, depth - 1, budget)
            if value is REMOVED:
                continue
        found[rule.key] = value  # not the other's key: equal to it may be a text of another class
    if rules.ties:
        _untie(found)
    return found or REMOVED


def _untie(found: dict[str, object]) -> None:
    """Drop the texts beside which nothing shows that this is a model's response."""
    tied = [key for key, value in found.items() if type(value) is str]
    if tied and not _is_response(found) and not any(map(_has_figures, found.values())):
        for key in tied:
            del found[key]


def _has_figures(part: object) -> bool:
    """Whether a part of a response holds at least two figures, as usage always does."""
    if type(part) is list:
        return any(map(_has_figures, part))
    return type(part) is dict and len([1 for value in part.values() if type(value) is not str]) > 1


def _is_response(found: dict[str, object]) -> bool:
    """Whether an id that only a vendor's API makes stands beside a model: evidence enough without usage."""
    identifier = found.get("id")
    return (
        type(identifier) is str
        and shapes.compiled(_RESPONSE_ID).fullmatch(identifier) is not None
        and not _MODEL_KEYS.isdisjoint(found)
    )


_NO_TEXTS: frozenset[str] = frozenset()


class _Rule:
    """What of the values under one key stays, in one context.

    Attributes:
        key: the key.
        below: numbers whose amount is less; 0 where none stays.
        flag: whether a truth value stays.
        among: the texts that stay.
        stays: of any other text of at most 128 characters, whether it stays; None where none does.
        part: the rules by which a structure is entered; None where it is not.
    """

    __slots__ = ("among", "below", "flag", "key", "part", "stays")

    def __init__(self, key: str, context: str) -> None:
        self.key = key
        self.below = _bound_of(key, context)
        self.flag = (context == PARAMETERS and key in _PARAMETER_NUMBERS) or (
            context == USAGE and key in _FLAGS
        )
        self.among = _texts_of(key, context)
        self.stays = _text_test(key, context)
        part = _context_of_part(key, context)
        self.part = None if part is None else _RULES[part]

    def keeps_some(self) -> bool:
        return bool(self.below or self.flag or self.among or self.stays or self.part is not None)


#: Nothing stays under these keys in any context; they stand in every message, and are not looked up each time.
_STRUCTURE = word_set("content function arguments parts parameters description")
_MAX_RULES = 2048


class _Rules:
    """The rules of one context.

    Attributes:
        known: those met so far, by key.
        ties: whether texts stay only beside evidence that this is a model's response.
    """

    __slots__ = ("_context", "known", "ties")

    def __init__(self, context: str) -> None:
        self.known: dict[str, _Rule] = {}
        self.ties = context == RESPONSE
        self._context = context

    def find(self, key: object) -> _Rule | None:
        """The rule for a key; remembered where it keeps something, as a key that is not known may be content."""
        if type(key) is not str or not 0 < len(key) <= 64:
            return None
        rule = _Rule(key, self._context)
        if not rule.keeps_some():
            return None
        if len(self.known) < _MAX_RULES:
            self.known[key] = rule
        return rule


_RULES = {context: _Rules(context) for context in (USAGE, RESPONSE, PARAMETERS, _WITHIN, _METRICS, _BODY)}


def _context_of_part(key: str, context: str) -> str | None:
    """In which context a part is entered, or None when it is not entered."""
    if context in (USAGE, _WITHIN):
        if context == USAGE and key == "metadata":
            return USAGE
        words = vocabulary.words_of(key)
        if words and all(map(vocabulary.is_figure_word, words)):
            return context
        if context == USAGE and key == "attributes":
            return _BODY
        return context if catalogue.figure_of(key) == "usage" else None
    if context == PARAMETERS:
        return None
    words = vocabulary.words_of(key)
    if vocabulary.is_usage_part(words):
        return _WITHIN
    if key in ("metrics", "timing", "timings"):
        return _METRICS
    if context == RESPONSE and key in _PARTS:
        return RESPONSE
    if context == _BODY:
        if key == "message":
            return _BODY
        if key == "tool_calls":
            return _BODY
    return None


def _listed_shape(key: str) -> str | None:
    """The shape that a dotted key asks for which the catalogue lists as metadata."""
    rule = catalogue.find(key)
    return rule.shape if rule is not None and rule.keep and rule.content_class in METADATA_CLASSES else None


def _bound_of(key: str, context: str) -> float:
    """Below which amount a number stays under a key; 0: never."""
    if context == PARAMETERS:
        return _ANY_INTEGER if key in _PARAMETER_NUMBERS else 0
    if context == _BODY and key == "index":
        return _ANY_INTEGER
    if context == _BODY and "." in key:
        return _BOUND_OF_SHAPE.get(_listed_shape(key) or "", 0)
    words = vocabulary.words_of(key)
    if not words or not all(map(vocabulary.is_figure_word, words)):
        if context == USAGE and key in _NUMBERS_BESIDE_USAGE:
            return _ANY_INTEGER
        return shapes.MAX_COUNT if context in (USAGE, _WITHIN) and key in _NUMBERS_OF_USAGE else 0
    # Above these a number in JSON is no figure of one operation: it may be a card, a phone or an account.
    bound = vocabulary.bound_of(words)
    if context in (USAGE, _WITHIN):
        return bound
    if context == _METRICS:
        return bound if vocabulary.figure_class(words, companions=True) is not None else 0
    return bound if vocabulary.is_spelt_out(words) else 0


def is_vendor_id(text: str) -> bool:
    """Whether a text is spelt as vendors spell the ids of responses, requests and tool calls."""
    for dash in "-_":
        vendor, found, rest = text.partition(dash)
        if found and vendor in _IS_VENDORS:
            return 0 < len(rest) <= _MAX_ID and not rest.strip(_ID_CHARACTERS)
    return False


def _texts_of(key: str, context: str) -> frozenset[str]:
    """The texts that stay under a key."""
    if context == PARAMETERS:
        return _NO_TEXTS
    if key == "type":
        return _FUNCTION if context == _BODY else _TYPES if context != RESPONSE else _NO_TEXTS
    if context in (_WITHIN, _METRICS):
        return _NO_TEXTS
    if key in ("finish_reason", "stop_reason", "finishReason", "stopReason"):
        return _FINISH
    if context != _BODY:
        return _NO_TEXTS
    if key == "role":
        return _ROLES
    shape = (_listed_shape(key) if "." in key else None) or ""
    return (
        shapes.ENUMS[shape[len(shapes.ENUM_PREFIX) :]] if shape.startswith(shapes.ENUM_PREFIX) else _NO_TEXTS
    )


def _text_test(key: str, context: str) -> Callable[[str], bool] | None:
    """Which other texts stay under a key, all in the form of a token; None where none does."""
    if context in (_WITHIN, _METRICS):
        return None
    if key == "id" and context != PARAMETERS:
        return is_vendor_id
    if context == _BODY:
        return _TEST_OF_SHAPE.get(_listed_shape(key) or "") if "." in key else None
    if key in _MODEL_KEYS:
        return _is_model
    if context == PARAMETERS:
        return shapes.is_token if key in _PARAMETER_TOKENS else None
    if key in _TIED_TEXT:
        return shapes.is_token
    if context == USAGE:
        rule = vocabulary.classify(key, frozenset()) if key != "type" else None
        return _TEST_OF_SHAPE.get(rule.shape) if rule is not None else None
    return is_vendor_id if key in ("response_id", "request_id", "responseId", "requestId") else None


def _is_model(text: str) -> bool:
    return shapes.is_token(text) and shapes.may_name_a_model(text)


_TEST_OF_SHAPE: dict[str, Callable[[str], bool]] = {
    **dict.fromkeys((shapes.TOKEN, shapes.TOKENS, shapes.SCALAR), shapes.is_token),
    shapes.MODEL: _is_model,
}
