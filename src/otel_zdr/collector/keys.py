"""The catalogue and the operator's words as sets of keys: what the Python tier asks key by key, laid out.

Listed keys become hash sets by shape. Keys that nobody listed (`otel_zdr.catalogue.vocabulary`) become
regular expressions over the key's words, which the Collector applies only to values that could survive.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from otel_zdr import catalogue
from otel_zdr.catalogue import CONTENT_CLASSES, Rule, lookup, shapes, vocabulary
from otel_zdr.collector.ottl import words
from otel_zdr.settings import Settings

#: Attributes that the configuration writes for its own use and for nobody else.
STATE = "zdr.collector.state"
ODD = "zdr.collector.odd"
JSON = "zdr.collector.json"
NAME = "zdr.collector.name"
MIXED = "zdr.collector.mixed"
PRUNED = "zdr.collector.pruned"
REDACTED = "zdr.collector.redacted"

#: What the SDK's gate writes; on items that it did not mark, and from senders nobody trusts, it goes.
EVIDENCE = (
    "zdr.redacted",
    "zdr.removed",
    "zdr.policy.version",
    "zdr.product",
    "zdr.coverage",
    "zdr.coverage.reason",
    "zdr.failsafe",
    "zdr.exception.fingerprint",
)

PRUNED_SHAPES = frozenset({shapes.USAGE, shapes.JSON, shapes.PARAMETERS})
#: Removed keys that the statements look at all the same.
_LOOKED_AT = frozenset({"exception.stacktrace"})
_INDEX = "N"
#: Shapes that one look at the value decides, whatever the key is.
PLAIN_SHAPES = (
    *(shapes.SCALAR, shapes.TOKENS, shapes.TOKEN),
    *(shapes.USAGE, shapes.TIMING, shapes.NUMBER, shapes.DECIMAL),
    *(shapes.FLAG, shapes.QUANTITY),
)
#: Closed enumerations under keys that ordinary items carry.
ORDINARY_ENUMS = tuple(shapes.ENUM_PREFIX + name for name in ("token_type", "output_type", "kind"))
#: Beginnings of keys that most instrumentations write. They become hash sets; the others, which are most of
#: the catalogue, become expressions that take a third of the place and are asked for odd items only.
_COMMON = (
    *("gen_ai.request.", "gen_ai.response.", "gen_ai.usage.", "gen_ai.operation.", "gen_ai.provider."),
    *("gen_ai.system", "gen_ai.output.type", "gen_ai.token.", "gen_ai.agent.id", "gen_ai.agent.name"),
    *("gen_ai.agent.version", "gen_ai.tool.", "gen_ai.server.", "openai.", "llm.usage.", "llm.model"),
    *("llm.token", "llm.request.type", "openinference.", "traceloop.workflow", "traceloop.entity"),
    *("traceloop.span", "langfuse.observation.", "server.", "network.peer.", "network.local.", "net."),
    "http.",
    *("url.", "error.", "exception.", "rpc.", "db.system", "db.namespace", "db.operation", "db.collection"),
    *("messaging.system", "messaging.operation", "code.", "thread.", "otel.status"),
)
#: Of these, which few write.
_RARE = (
    *("gen_ai.request.trans", "gen_ai.request.tts.", "gen_ai.usage.experimental", "http.response.header."),
    *("gen_ai.usage.video", "gen_ai.usage.image", "http.connection", "openai.api"),
    *("gen_ai.request.wiki", "gen_ai.request.return", "gen_ai.request.include", "gen_ai.request.enable"),
    *("gen_ai.request.speech", "gen_ai.request.candidate", "gen_ai.request.context", "gen_ai.request.async"),
    *("gen_ai.tool.output_type", "gen_ai.tool.execution", "db.collection.dimension", "code.column"),
    *(
        "gen_ai.token.co",
        "gen_ai.token.ch",
        "gen_ai.token.usage",
        "gen_ai.response.trans",
        "gen_ai.usage.completion_tokens_d",
    ),
    *("gen_ai.usage.prompt_tokens_d", "gen_ai.request.audio", "langfuse.observation.metadata", "rpc.message"),
    *("openai.response.web", "openai.response.built", "http.request_content_length_unc", "db.operation."),
    *("http.response_content_length_unc", "network.local.port", "url.port"),
    *(
        "gen_ai.request.image",
        "gen_ai.usage.audio.cache",
        "gen_ai.usage.text.cache",
        "gen_ai.usage.input_text",
    ),
    *("gen_ai.usage.output_text", "gen_ai.usage.input_tokens.", "gen_ai.usage.output_tokens."),
)


@dataclass(frozen=True)
class Keys:
    """What may survive, by key.

    Attributes:
        by_shape: shape → listed keys, without those that hold an index.
        common, rare: of these, keys of plain shapes and of `ORDINARY_ENUMS`, by how often they are met.
        indexed: shape → expressions of listed keys with an index.
        caller: listed keys that are the caller's on server and consumer spans.
        denied: expression of keys that no vocabulary may keep.
        kept_prefixes: prefixes the operator keeps, each with its dot.
        structured: shape → listed keys whose JSON is pruned.
        dropped: listed keys whose values never survive.
    """

    by_shape: dict[str, tuple[str, ...]]
    common: dict[str, tuple[str, ...]]
    rare: dict[str, tuple[str, ...]]
    indexed: dict[str, list[str]]
    caller: tuple[str, ...]
    denied: str
    kept_prefixes: tuple[str, ...]
    structured: dict[str, tuple[str, ...]]
    dropped: tuple[str, ...]


def keys_of(settings: Settings, also_kept: tuple[str, ...] = ()) -> Keys:
    """Lay out the catalogue under ``settings``. ``also_kept``: further keys that a policy file keeps."""
    kept = (*settings.keep_keys, *settings.workspace_keys, *also_kept)
    exact_kept = {key for key in kept if not key.endswith(".*")}
    prefixes = tuple(sorted({key[:-1] for key in kept if key.endswith(".*")}))
    rules = catalogue.exact_rules()
    for key in [*rules, *exact_kept]:
        if key in exact_kept or key.startswith(prefixes or ("\0",)):
            rules[key] = _kept_rule(catalogue.find(key))
    by_shape: dict[str, list[str]] = defaultdict(list)
    indexed: dict[str, list[str]] = defaultdict(list)
    structured: dict[str, list[str]] = defaultdict(list)
    caller = []
    for key, rule in sorted(rules.items()):
        if not rule.keep or key.startswith("zdr."):
            continue
        if _has_index(key):
            indexed[rule.shape].append(_indices(key))
            continue
        by_shape[rule.shape].append(key)
        if rule.shape in PRUNED_SHAPES:
            structured[rule.shape].append(key)
        if rule.server_class is not None:
            caller.append(key)
    common, rare = (
        {
            shape: tuple(key for key in by_shape[shape] if _is_common(key, exact_kept) is often)
            for shape in (*PLAIN_SHAPES, *ORDINARY_ENUMS)
        }
        for often in (True, False)
    )
    return Keys(
        by_shape={shape: tuple(found) for shape, found in by_shape.items()},
        common=common,
        rare=rare,
        indexed=dict(indexed),
        caller=tuple(caller),
        denied=_denied(rules),
        kept_prefixes=prefixes,
        structured={shape: tuple(found) for shape, found in structured.items()},
        dropped=tuple(key for key, rule in sorted(rules.items()) if not rule.keep and key not in _LOOKED_AT),
    )


def _is_common(key: str, kept: set[str]) -> bool:
    return key in kept or (key.startswith(_COMMON) and not key.startswith(_RARE))


def _kept_rule(rule: Rule | None) -> Rule:
    if rule is not None and rule.keep and rule.server_class is None:
        return rule
    return Rule("other_metadata", True, shapes.SCALAR)


def _indices(key: str) -> str:
    return r"\.".join(lookup.INDEX if part == _INDEX else re.escape(part) for part in key.split("."))


def _has_index(key: str) -> bool:
    return _INDEX in key.split(".")


def _denied(rules: dict[str, Rule]) -> str:
    """What the vocabulary must not keep: keys that a source lists as content, and what stands below them.

    Below a key that no source has anything below, the vocabulary may speak as below any unknown key.
    """
    known = catalogue._lookup
    spelt = {key for key, rule in rules.items() if not rule.keep and vocabulary.classify(key, known.words)}
    parents = {
        ".".join(parts[:n]) for key in rules for parts in [key.split(".")] for n in range(1, len(parts))
    }
    below = {
        key
        for key, rule in rules.items()
        if not rule.keep and rule.content_class in CONTENT_CLASSES and "." in key and key in parents
    }
    below |= {key for key, rule in known.tails.items() if not rule.keep} - lookup._OPEN_PREFIXES
    below = {key for key in below if not _has_index(key) and not _covered(key, below)}
    # JSON that has to add up, which OTTL cannot check, and keys of one word, whose bounds are their own.
    own = (shapes.EVIDENT, shapes.COUNT, shapes.SMALL, shapes.MODEL)
    spelt |= {key for key, rule in rules.items() if rule.keep and rule.shape in own}
    # Closed shapes, which are decided by themselves, under keys that a quick look takes for spelt ones.
    spelt |= {
        key
        for key, rule in rules.items()
        if rule.keep
        and rule.shape not in PLAIN_SHAPES
        and rule.shape not in PRUNED_SHAPES
        and vocabulary._may_be_listed(key)
    }
    spelt = {key for key in spelt if not _covered(key, below) and not _has_index(key)}
    return f"^(?:{words(below)}\\..*|{words(spelt)})$"


def _covered(key: str, prefixes: set[str]) -> bool:
    parts = key.split(".")
    return any(".".join(parts[:length]) in prefixes for length in range(1, len(parts)))
