"""The pure core: values, names and bodies of an item under Zero Data Retention, cleaned.

Default deny: only keys that the catalogue or the operator knows as metadata survive, and only with a value
of fitting shape. No method raises; what fails inside is removed. Nothing is kept between calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from otel_zdr import catalogue
from otel_zdr.catalogue import names, shapes
from otel_zdr.catalogue.rule import CONTENT_CLASSES, Rule
from otel_zdr.redaction import json_pruning, shaping
from otel_zdr.redaction.naming import KINDS, LEVELS, Names, is_level, rebuilt_span_name
from otel_zdr.redaction.removed import REMOVED, count
from otel_zdr.redaction.short_way import ShortWay

_MAX_NODES = 1000
_OVER_SHAPE = "free_text"
_RESERVED = "zdr."
_SCHEMA_URL = r"https://opentelemetry\.io/schemas/[0-9]{1,3}\.[0-9]{1,4}\.[0-9]{1,4}"
_SAMPLING = r"(?:(?:th:[0-9a-f]{1,14}|rv:[0-9a-f]{14}|p:[0-9]{1,2}|r:[0-9]{1,2})(?:;(?!$)|$)){1,4}"
_UNIT = r"(?:%|[A-Za-z0-9]{1,8})?(?:\{[a-z_]{1,24}\})?(?:/(?:[a-z]{1,8}|\{[a-z_]{1,24}\}))?"
_SERVER_INSTRUMENTS = ("http.server.", "rpc.server.", "messaging.process.", "gen_ai.server.", "mcp.server.")
_INSTRUMENTS_WITH_MORE = _SERVER_INSTRUMENTS + catalogue.MEASURED
_KEPT = Rule("other_metadata", True, shapes.SCALAR)

_MAY_BEGIN_JSON = frozenset(
    "{[\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
).union(map(chr, range(0x2000, 0x200B)))
_DIGITS = frozenset("0123456789")
_PLAIN = shapes.PLAIN_CHARACTERS


def _module_is_loaded(name: str) -> bool:
    return name in sys.modules


class Redactor:
    """Cleans the parts of items; immutable after construction, to be shared between threads.

    ``keep_keys``: further metadata keys, exact or ``prefix.*`` (validated by the settings).
    ``keep_names``: further names of spans, events, scopes and instruments, exact or ``prefix.*``.
    ``watched``: keys whose values the caller has to see, see `short_way`.
    ``module_known``: whether a dotted name is a module of this process; must not import.

    The ``removed`` argument of every method counts values by content class, one a top-level value.
    """

    def __init__(
        self,
        *,
        keep_keys: Iterable[str] = (),
        keep_names: Iterable[str] = (),
        watched: Iterable[str] = (),
        module_known: Callable[[str], bool] = _module_is_loaded,
    ) -> None:
        keep_keys = tuple(keep_keys)
        self._kept = frozenset(key for key in keep_keys if not key.endswith(".*"))
        self._kept_prefixes = tuple(key[:-1] for key in keep_keys if key.endswith(".*"))
        self._keeps_more = bool(keep_keys)
        self._names = Names(keep_names, module_known)
        self._parents = _parents()
        self._shapers: dict[str, shaping.Shaper] = {}
        self._client, self._server = self._short_ways()
        self._watched = frozenset(watched)
        self._unwatched: list[ShortWay | None] = [None, None]

    def _short_ways(self) -> tuple[ShortWay, ShortWay]:
        """For clients and for servers, of the keys with an exact rule."""
        kept: dict[str, str] = {}
        classes: dict[str, str] = {}
        of_callers: dict[str, str] = {}
        rules: dict[str, Rule | None] = {**catalogue.exact_rules()}
        for key in self._kept:
            rules[key] = self._rule(key)
        if self._kept_prefixes:
            for key in rules:
                if key.startswith(self._kept_prefixes):
                    rules[key] = self._rule(key)
        for key, rule in rules.items():
            if rule is None or key[:4] == _RESERVED:
                continue
            if rule.server_class is not None:
                of_callers[key] = rule.server_class
            if not rule.keep:
                classes[key] = rule.content_class
            else:
                kept[key] = rule.shape
                self._shapers[key] = shaping.SHAPERS[rule.shape]
        kept_by_servers = {key: shape for key, shape in kept.items() if key not in of_callers}
        return ShortWay(kept, classes), ShortWay(kept_by_servers, {**classes, **of_callers})

    def _rule(self, key: str) -> Rule | None:
        """The operator's word, then the catalogue's. The settings have refused content classes."""
        if key[:4] == _RESERVED:
            return None  # the evidence, which the gate writes past the redactor: here it is another's
        if self._keeps_more and (key in self._kept or self._is_kept_by_prefix(key)):
            rule = catalogue.find(key)
            return rule if rule is not None and rule.keep and rule.server_class is None else _KEPT
        return catalogue.find(key)

    def _is_kept_by_prefix(self, key: str) -> bool:
        # What follows the prefix may be data: a token, and nothing that the catalogue calls content.
        return (
            key.startswith(self._kept_prefixes)
            and shapes.is_token(key)
            and catalogue.content_class_of(key) is None
        )

    def short_way(self, server: bool) -> ShortWay:
        """What of attributes is settled without `attribute`, to which all about the watched keys is left."""
        found = self._unwatched[server]
        if found is None:
            found = (self._server if server else self._client).without(self._watched)
            self._unwatched[server] = found
        return found

    # --- attributes

    def attribute(self, key: Any, value: Any, removed: dict[str, int], server: bool = False) -> object:
        """The cleaned value, or REMOVED. ``server``: the span is a server's or consumer's.

        Equals `attribute_plainly`, with a short way for what is common.
        """
        try:
            if type(key) is str:
                way = self._server if server else self._client
                kind = type(value)
                if kind is str:
                    if key in way.tokens and shapes.is_token(value):
                        return value
                elif kind is int or kind is float:
                    if key in way.numbers and shaping.is_number(value):
                        return value
                elif kind is bool and key in way.flags:
                    return value
                content_class = way.classes.get(key)
                if content_class is None and kind is str and self.is_lost_text(key, value):
                    content_class = _OVER_SHAPE
                if content_class:
                    count(removed, content_class)
                    return REMOVED
        except Exception:
            count(removed, _OVER_SHAPE)
            return REMOVED
        return self.attribute_plainly(key, value, removed, server)

    def attribute_plainly(
        self, key: object, value: object, removed: dict[str, int], server: bool = False
    ) -> object:
        """What `attribute` and `attributes` have to equal, written to be read."""
        try:
            text = shaping.plain_text(key)
            if text is None:
                count(removed, _OVER_SHAPE)
                return REMOVED
            return self._clean(text, shaping.plain_value(value), removed, server)
        except Exception:
            count(removed, _OVER_SHAPE)
            return REMOVED

    def attributes(
        self, mapping: Mapping[str, object] | None, removed: dict[str, int], server: bool = False
    ) -> dict[str, object]:
        """A new dict of what survives. The work does not depend on the size of what is dropped."""
        clean: dict[str, object] = {}
        if mapping is None:
            return clean
        way = self._server if server else self._client
        tokens, numbers = way.tokens, way.numbers
        try:
            items: list[tuple[Any, Any]] = list(mapping.items())  # another thread may be writing
        except Exception:
            count(removed, _OVER_SHAPE)
            return clean
        # Written out, and what is not settled falls through: this loop is what most of the gate costs.
        for key, value in items:
            try:
                if type(key) is str:
                    kind = type(value)
                    if kind is str:
                        if key in tokens:
                            # As `is_token` has it, which is asked where a slash may be two.
                            if (value and len(value) < 129 and not value.strip(_PLAIN)) or shapes.is_token(
                                value
                            ):
                                clean[key] = value
                                continue
                        elif key in way.shaped and self._shapers[key](value) is value:
                            clean[key] = value
                            continue
                    elif kind is int:
                        if key in numbers and value.bit_length() < 64:
                            clean[key] = value
                            continue
                    elif kind is float:
                        if key in numbers:
                            clean[key] = value
                            continue
                    elif kind is bool:
                        if key in way.flags:
                            clean[key] = value
                            continue
                    elif kind is tuple and key in way.lists and shaping.token_list(value) is value:
                        clean[key] = value
                        continue
                    content_class = way.classes.get(key)
                    if content_class is None and kind is str and self.is_lost_text(key, value):
                        content_class = _OVER_SHAPE
                    if content_class:
                        removed[content_class] = removed.get(content_class, 0) + 1
                        continue
                kept = self.attribute_plainly(key, value, removed, server)
                if kept is not REMOVED:
                    name = shaping.plain_text(key)
                    if name is not None:
                        clean[name] = kept
            except Exception:
                count(removed, _OVER_SHAPE)
        return clean

    def is_lost_text(self, key: str, text: str) -> bool:
        """Whether a text under a key of no exact rule is sure to go, and to count as free text.

        The vocabulary lets numbers, tokens and JSON stay under such keys: prose needs no look at the words of
        its key. What stands below a key of content, or has an index, may count as another class.
        """
        if len(text) < 129 and not text.strip(shapes.TOKEN_CHARACTERS):
            return False
        if text[0] in _MAY_BEGIN_JSON or len(key) > 200:
            return False
        parents = self._parents
        above, dot, last = key.rpartition(".")
        while dot:
            if above in parents or last[:1] in _DIGITS:
                return False
            above, dot, last = above.rpartition(".")
        return last[:1] not in _DIGITS

    def resource_attributes(
        self, mapping: Mapping[str, object] | None, removed: dict[str, int]
    ) -> dict[str, object]:
        """As `attributes`; a resource describes the sender, so nothing of it is the caller's."""
        return self.attributes(mapping, removed)

    def measurement_attributes(
        self, mapping: Mapping[str, object] | None, removed: dict[str, int], instrument: str
    ) -> dict[str, object]:
        """As `attributes`, for a measurement: whether it is a server's shows in the instrument's name.

        The conventions define ``http.server_name`` as the server's own configured name; a measurement keeps
        it, while a span, where frameworks write the Host header there, does not. Bare words that a standard
        instrumentation writes (``device``) are known on the measurements of its instruments only.
        """
        server = False
        try:
            if mapping is None or not instrument.startswith(_INSTRUMENTS_WITH_MORE):
                return self.attributes(mapping, removed)
            server = instrument.startswith(_SERVER_INSTRUMENTS)
            more = {} if server else self._known_on_measurements(instrument, mapping)
            if server and "http.server_name" in mapping:
                kept = self.attribute("http.server_name", mapping["http.server_name"], {})
                more = {"http.server_name": kept} if kept is not REMOVED else {}
            if not more:
                return self.attributes(mapping, removed, server)
            clean = self.attributes({k: v for k, v in mapping.items() if k not in more}, removed, server)
        except Exception:
            return self.attributes(mapping, removed, server)
        return {**clean, **more}

    @staticmethod
    def _known_on_measurements(instrument: str, mapping: Mapping[str, object]) -> dict[str, object]:
        """What stays under the keys that are known on measurements of this instrument only."""
        kept = {
            key: shaping.SHAPERS[shape](mapping[key])
            for key, shape in catalogue.measured(instrument).items()
            if key in mapping
        }
        return {key: value for key, value in kept.items() if value is not REMOVED}

    def knows_key(self, key: object) -> bool:
        """Whether the catalogue or the operator has a word on what stands under this key."""
        text = shaping.plain_text(key)
        return text is not None and self._rule(text) is not None

    def _clean(self, key: str, value: object, removed: dict[str, int], server: bool) -> object:
        """The plain reference for one attribute, which the fast path must equal."""
        rule = self._rule(key)
        if rule is not None:
            if server and rule.server_class is not None:
                count(removed, rule.server_class)
                return REMOVED
            if not rule.keep:
                count(removed, rule.content_class)
                return REMOVED
        if shaping.is_mapping(value) and (rule is None or rule.shape not in shaping.STRUCTURED):
            kept, whole = self._clean_mapping(key, value, server, shapes.MAX_DEPTH, [_MAX_NODES])
            if not whole:
                count(removed, _OVER_SHAPE)
            return kept if kept else REMOVED
        if rule is None:
            count(removed, _OVER_SHAPE)
            return REMOVED
        shaped = shaping.SHAPERS[rule.shape](value)
        if shaped is REMOVED:
            count(
                removed,
                rule.content_class if rule.content_class in CONTENT_CLASSES else _OVER_SHAPE,
            )
        elif shaped is value:
            # A list is the application's own, which can write into it later; what is pruned is new.
            return tuple(shaped) if type(shaped) is list else shaped
        elif shaped != (list(value) if type(value) is tuple else value):
            count(removed, _class_of_pruned(rule))
        return shaped

    def _clean_mapping(
        self, path: str, mapping: object, server: bool, depth: int, nodes: list[int]
    ) -> tuple[dict[str, object], bool]:
        """(what survives of a nested map by dotted path, whether that is all of it)."""
        clean: dict[str, object] = {}
        whole = True
        if depth <= 0:
            return clean, False
        for key, value in mapping.items():  # type: ignore[attr-defined]
            nodes[0] -= 1
            if nodes[0] < 0:
                return clean, False
            name = shaping.plain_text(key)
            if name is None or len(path) + len(name) > 255:
                whole = False
                continue
            inner = f"{path}.{name}"
            if shaping.is_mapping(value):
                rule = self._rule(inner)
                if rule is None or (rule.keep and rule.shape not in shaping.STRUCTURED):
                    kept, complete = self._clean_mapping(inner, value, server, depth - 1, nodes)
                    whole = whole and complete
                    if kept:
                        clean[name] = kept
                    continue
            counts: dict[str, int] = {}
            kept_value = self.attribute_plainly(inner, value, counts, server)
            whole = whole and not counts
            if kept_value is not REMOVED:
                clean[name] = kept_value
        return clean, whole

    # --- names

    def span_name(
        self, name: object, kind: str, attributes: Mapping[str, object], removed: dict[str, int]
    ) -> str:
        """The name when known or made of the clean ``attributes``; else one made of them, or ``kind``."""
        try:
            text = shaping.plain_text(name)
            if text == "" or (text is not None and self._names.is_span(text, attributes)):
                return text or ""
            count(removed, _OVER_SHAPE)
            return rebuilt_span_name(kind, attributes)
        except Exception:
            count(removed, _OVER_SHAPE)
            return kind if kind in KINDS else "internal"

    def knows_span_name(self, name: str, attributes: Mapping[str, object]) -> bool:
        """Whether a text stays as a span's name: `span_name` gives it back."""
        try:
            return name == "" or self._names.is_span(name, attributes)
        except Exception:
            return False

    def event_name(self, name: object, removed: dict[str, int]) -> str:
        """A known or listed name, else ``event``."""
        text = self._known_event(name)
        if text is not None:
            return text
        if name != "event":
            count(removed, _OVER_SHAPE)
        return "event"

    def knows_event_name(self, name: str) -> bool:
        """Whether a text stays as an event's name: `event_name` gives it back."""
        try:
            return self._names.is_event(name)
        except Exception:
            return False

    def log_event_name(self, name: object, removed: dict[str, int]) -> str | None:
        """A known or listed name, else None."""
        if name is None:
            return None
        text = self._known_event(name)
        if text is None:
            count(removed, _OVER_SHAPE)
        return text

    def _known_event(self, name: object) -> str | None:
        if type(name) is str and len(name) < 129 and name in names.EVENTS:
            return name
        try:
            text = shaping.plain_text(name)
            return text if text is not None and self._names.is_event(text) else None
        except Exception:
            return None

    def scope_name(self, name: object, removed: dict[str, int]) -> str:
        """The name when it, or its parent, is a module of this process, known or listed; else empty."""
        try:
            text = shaping.plain_text(name)
            if not text:
                return ""
            if self._names.is_scope(text):
                return text
        except Exception:
            pass
        count(removed, _OVER_SHAPE)
        return ""

    def knows_instrument(self, name: object) -> bool:
        """Whether measurements of this instrument may be exported under ZDR."""
        try:
            text = shaping.plain_text(name)
            return text is not None and self._names.is_instrument(text)
        except Exception:
            return False

    # --- log records and the rest

    def body(self, body: object, event_name: object, removed: dict[str, int]) -> object:
        """None for text; a structured body pruned to index, finish reason, roles, ids and usage, or None."""
        if body is None:
            return None
        content_class = _OVER_SHAPE
        try:
            if type(event_name) is str:
                content_class = _EVENT_CLASSES.get(event_name, _OVER_SHAPE)
            if shaping.is_mapping(body):
                pruned = json_pruning.prune_body(body)
                if pruned is not REMOVED:
                    if pruned != body:
                        count(removed, content_class)
                    return pruned
        except Exception:
            pass
        count(removed, content_class)
        return None

    def severity_text(self, text: object, removed: dict[str, int]) -> str | None:
        """The name of a level, else None."""
        if text is None:
            return None
        try:
            if type(text) is str and len(text) < 17 and text in LEVELS:
                return text
            plain = shaping.plain_text(text)
            if plain is not None and is_level(plain):
                return plain
        except Exception:
            pass
        count(removed, _OVER_SHAPE)
        return None

    def token(self, text: object, removed: dict[str, int], content_class: str) -> str | None:
        """``text`` when it is a token (scope version, …) or a unit (``{token}/s``), else None.

        What is removed is counted as ``content_class``.
        """
        if text is None or text == "":
            return None
        try:
            plain = shaping.plain_text(text)
            if plain is not None and (shapes.is_token(plain) or _is_unit(plain)):
                return plain
        except Exception:
            pass
        count(removed, content_class)
        return None

    def schema_url(self, url: object, removed: dict[str, int]) -> str | None:
        """A schema of the OpenTelemetry conventions, else None."""
        if url is None or url == "":
            return None
        try:
            plain = shaping.plain_text(url)
            if plain is not None and len(plain) <= 64 and shapes.compiled(_SCHEMA_URL).fullmatch(plain):
                return plain
        except Exception:
            pass
        count(removed, "url")
        return None

    def trace_state(self, items: object, removed: dict[str, int]) -> list[tuple[str, str]]:
        """Only OpenTelemetry's own sampling entry (``ot``: ``th``, ``rv``, ``p``, ``r``) survives."""
        clean: list[tuple[str, str]] = []
        if not items:
            return clean
        try:
            pairs = list(items.items()) if isinstance(items, Mapping) else list(items)  # type: ignore[call-overload]
            for key, value in pairs:
                text = shaping.plain_text(value)
                if (
                    shaping.plain_text(key) == "ot"
                    and text
                    and len(text) <= 64
                    and shapes.compiled(_SAMPLING).fullmatch(text)
                ):
                    clean.append(("ot", text))
                else:
                    count(removed, "caller")
        except Exception:
            count(removed, "caller")
        return clean

    def skeleton(self, mapping: Mapping[str, object] | None) -> dict[str, object]:
        """Exact usage, model and kept keys (the workspace) with plain values: for items whose cleaning failed."""
        clean: dict[str, object] = {}
        try:
            for key, value in list(mapping.items()) if mapping else ():
                if type(key) is not str:
                    continue
                if key in self._kept and type(value) is str and shapes.is_token(value):
                    clean[key] = value
                    continue
                rule = catalogue.find(key)
                if rule is None or not rule.keep:
                    continue
                plain = (rule.content_class == "usage" and shaping.is_number(value)) or (
                    rule.content_class == "model" and type(value) is str and shapes.is_token(value)
                )
                if plain and shaping.SHAPERS[rule.shape](value) is value:
                    clean[key] = value
        except Exception:
            pass
        return clean


def _parents() -> frozenset[str]:
    """The keys and prefixes that say something of the keys below them."""
    content = [
        key
        for key, rule in catalogue.exact_rules().items()
        if not rule.keep and rule.content_class in CONTENT_CLASSES
    ]
    return frozenset(content).union(catalogue.tail_rules())


def _is_unit(text: str) -> bool:
    return len(text) <= 48 and shapes.compiled(_UNIT).fullmatch(text) is not None


def _class_of_pruned(rule: Rule) -> str:
    if rule.content_class in CONTENT_CLASSES:
        return rule.content_class
    return "caller" if rule.shape == shapes.ENUM_PREFIX + "http_method" else _OVER_SHAPE


_EVENT_CLASSES = {
    "gen_ai.user.message": "prompt",
    "gen_ai.system.message": "system_instructions",
    "gen_ai.developer.message": "system_instructions",
    "gen_ai.assistant.message": "completion",
    "gen_ai.choice": "completion",
    "gen_ai.tool.message": "tool_result",
    "gen_ai.function.message": "tool_result",
}
