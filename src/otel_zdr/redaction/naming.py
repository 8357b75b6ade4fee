"""Which names survive: those that are known, low in cardinality, or made of clean attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from otel_zdr.catalogue import figure_of, is_operational, names, shapes
from otel_zdr.catalogue.shapes import is_token
from otel_zdr.catalogue.words import word_set

METHODS = shapes.ENUMS["http_method"]
KINDS = frozenset({"internal", "server", "client", "producer", "consumer"})
_SQL = word_set(
    "select insert update delete create drop alter truncate merge replace pragma begin commit"
    " rollback savepoint release with explain vacuum set show use call copy lock grant revoke upsert"
    " values get mget hget hset del exists expire incr decr ping find aggregate count distinct getmore"
    " query"
)
_OPERATIONS = word_set(
    "chat embeddings text_completion generate_content execute_tool invoke_agent create_agent"
    " invoke_workflow retrieval audio image vectordb framework rerank text_to_speech speech_to_text"
    " realtime_inference plan search_memory create_memory update_memory delete_memory fetch_response"
    " run_guardrail generate completion embed transcribe synthesize speech transcription translation"
    " count_tokens tts stt anthropic.custom_tool_use tools/call prompts/get"
)
_SERVER_PARTS = frozenset({" http send", " http receive", " websocket send", " websocket receive"})
_LEAF = r"[A-Za-z_][A-Za-z0-9_]{0,47}"
_LEVELS = word_set(
    "trace debug verbose info information notice success warn warning error err critical crit fatal"
    " alert emergency emerg panic notset"
)

#: As the standard library and OpenTelemetry write them.
LEVELS = frozenset(level.upper() for level in _LEVELS)

OPERATION_KEYS = ("gen_ai.operation.name", "llm.request.type", "ai.operationId")
MODEL_KEYS = (
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.model_name",
    "embedding.model_name",
    "llm.request.model_name",
    "ai.model.id",
    "model",
)
_SUBJECT_KEYS = (
    *MODEL_KEYS,
    "gen_ai.tool.name",
    "gen_ai.agent.name",
    "gen_ai.workflow.name",
    "gen_ai.prompt.name",
    "gen_ai.main_agent.name",
    "mcp.tool.name",
    "mcp.prompt.name",
    "tool.name",
    "agent.name",
    "agent_name",
    "model_name",
    "traceloop.entity.name",
    "traceloop.workflow.name",
    "lk.function_tool.name",
    "lk.agent_name",
    "db.collection.name",
    "db.namespace",
    "db.name",
    "db.system.name",
    "db.system",
    "db.operation.name",
    "db.operation",
    "db.sql.table",
    "server.address",
    "rpc.method",
    "mcp.method.name",
    "faas.name",
    "gen_ai.data_source.id",
    "crewai.crew.name",
    "workflow.name",
    "openinference.span.kind",
)


_SUBJECTS = frozenset(_SUBJECT_KEYS)
_FIXED_SPANS = names.SPANS | METHODS | KINDS
_FIXED_PARTS = _OPERATIONS | _SQL


class Names:
    """The names an operator listed, exact or ``prefix.*``, beside those of the catalogue."""

    def __init__(self, listed: Iterable[str], module_known: Callable[[str], bool]) -> None:
        listed = tuple(listed)
        self._listed = frozenset(name for name in listed if not name.endswith("*"))
        self._prefixes = tuple(name[:-1] for name in listed if name.endswith(".*"))
        self._lists_some = bool(listed)
        self._module_known = module_known

    def is_listed(self, name: str) -> bool:
        if not self._lists_some or not is_token(name):
            return False
        return name in self._listed or (bool(self._prefixes) and name.startswith(self._prefixes))

    def is_event(self, name: str) -> bool:
        return len(name) <= 128 and (name in names.EVENTS or self.is_listed(name))

    def is_instrument(self, name: str) -> bool:
        if not is_token(name):
            return False
        if name in names.INSTRUMENTS or self.is_listed(name):
            return True
        return figure_of(name) is not None or is_operational(name)

    def is_scope(self, name: str) -> bool:
        if not is_token(name):
            return False
        if name in names.SCOPES or self.is_listed(name) or self._module_known(name):
            return True
        parent, dot, leaf = name.rpartition(".")
        if not dot or not shapes.compiled(_LEAF).fullmatch(leaf):
            return False
        if self._module_known(parent):
            return True
        while parent:
            if parent in names.SCOPES:
                return all(
                    shapes.compiled(_LEAF).fullmatch(part) for part in name[len(parent) + 1 :].split(".")
                )
            parent = parent.rpartition(".")[0]
        return False

    def is_span(self, name: str, attributes: Mapping[str, object]) -> bool:
        """Known, listed, or made of nothing but the span's clean attributes and fixed words."""
        if name in _FIXED_SPANS:
            return True
        if len(name) > 2 * shapes.MAX_TOKEN:
            return False
        if self._lists_some and self.is_listed(name):
            return True
        first, space, rest = name.partition(" ")
        if not space:
            return self._is_plain_span(name, attributes)
        if not attributes:
            return False  # all names of two parts hold a value
        if first in METHODS:
            for part in _SERVER_PARTS:
                rest = rest.removesuffix(part)
            return rest in (attributes.get("http.route"), attributes.get("url.template"))
        return (
            first in _FIXED_PARTS or _is_value(first, attributes, OPERATION_KEYS) or first.lower() in _SQL
        ) and _is_subject(rest, attributes)

    def _is_plain_span(self, name: str, attributes: Mapping[str, object]) -> bool:
        if name in _OPERATIONS or name.lower() in _SQL:
            return True
        if not attributes:
            return False
        if _is_value(name, attributes, OPERATION_KEYS) or _is_subject(name, attributes):
            return True
        kind = attributes.get("traceloop.span.kind")
        return type(kind) is str and name == f"{attributes.get('traceloop.entity.name')}.{kind}"


def _is_value(text: str, attributes: Mapping[str, object], keys: tuple[str, ...]) -> bool:
    for key in keys:
        value = attributes.get(key)
        if type(value) is str and value == text:
            return True
    return False


def _is_subject(text: str, attributes: Mapping[str, object]) -> bool:
    """Whether the text is the value of one of the subject keys: there are fewer attributes than keys."""
    if attributes.get("gen_ai.request.model") == text:
        return True
    for key, value in list(attributes.items()):  # a list: another thread may be writing
        if type(value) is str and value == text and key in _SUBJECTS:
            return True
    return False


def _first_text(attributes: Mapping[str, object], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = attributes.get(key)
        if type(value) is str:
            return value
    return None


def rebuilt_span_name(kind: str, attributes: Mapping[str, object]) -> str:
    """``{operation} {model}``, method and route, or the kind: from clean attributes only."""
    if not attributes:
        return kind if kind in KINDS else "internal"
    operation = _first_text(attributes, OPERATION_KEYS)
    if operation is not None:
        model = _first_text(attributes, MODEL_KEYS)
        return f"{operation} {model}" if model is not None else operation
    method = _first_text(attributes, ("http.request.method", "http.method"))
    if method is not None:
        route = _first_text(attributes, ("http.route", "url.template"))
        return f"{method} {route}" if route is not None else method
    return kind if kind in KINDS else "internal"


def is_level(text: str) -> bool:
    return len(text) <= 16 and text.lower().rstrip("234") in _LEVELS
