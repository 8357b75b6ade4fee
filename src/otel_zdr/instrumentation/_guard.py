"""Calls that must not make a span: suppressed, nested in one of our own calls, or covered by someone else."""

from __future__ import annotations

import sys
from types import FunctionType, MethodType, ModuleType
from typing import Any

import wrapt
from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
    attach,
    create_key,
    detach,
    get_current,
)

from ._patch import layers

# The plain spelling is what opentelemetry-instrumentation also sets; the second key is Traceloop's and
# OpenLIT's.
_SUPPRESSION_KEYS = {
    _SUPPRESS_INSTRUMENTATION_KEY,
    "suppress_instrumentation",
    "suppress_language_model_instrumentation",
}

# Under this key of the OpenTelemetry context stands the Call whose request is being sent. In the context,
# not in a contextvar of its own, so that it costs no second attach and follows work that is handed to
# threads.
CALL_KEY = create_key("otel_zdr.instrumentation.call")


def suppressed(context: Context) -> bool:
    """Whether instrumentation is suppressed in `context`, by any of the keys in use."""
    if _SUPPRESSION_KEYS.isdisjoint(context):
        return False
    return any(context.get(key) for key in _SUPPRESSION_KEYS)


def nested(context: Context) -> bool:
    """Whether one of our calls is sending its request in `context` just now.

    A context copied by a task or thread that outlives the request says no again once the request is through.
    """
    call: Any = context.get(CALL_KEY)
    return call is not None and call.sending > 0


# Roots of modules whose wrappers emit OpenTelemetry spans for client calls. Matched by whole dotted segments.
_FOREIGN = (
    ("opentelemetry", "instrumentation"),
    ("opentelemetry", "util", "genai"),
    ("openinference",),
    ("traceloop",),
    ("openlit",),
    ("langfuse",),
    ("logfire",),
    ("langtrace_python_sdk",),
    ("lmnr",),
    ("agentops",),
    ("elasticotel",),
    ("phoenix",),
    ("mlflow",),
)


def _is_foreign(module: object) -> bool:
    if not isinstance(module, str):
        return False
    segments = tuple(module.split("."))
    return any(segments[: len(root)] == root for root in _FOREIGN)


def _origin(code: Any) -> object:
    """The module in which a function, method or callable object was written."""
    if isinstance(code, MethodType):
        code = code.__func__
    if isinstance(code, FunctionType):
        # functools.wraps copies `__module__` of what is wrapped; the globals tell the truth.
        return code.__globals__.get("__name__")
    return type(code).__module__


_PROXIES = (wrapt.FunctionWrapper, wrapt.ObjectProxy)


def _layer_is_foreign(layer: Any) -> bool:
    kind = type(layer)
    if issubclass(kind, _PROXIES):
        try:
            # Not getattr: on a proxy that lacks the attribute it asks all layers below, twice at each.
            wrapper = object.__getattribute__(layer, "_self_wrapper")
        except AttributeError:
            wrapper = None
        return _is_foreign(kind.__module__) or (wrapper is not None and _is_foreign(_origin(wrapper)))
    if isinstance(layer, (staticmethod, classmethod)):
        layer = layer.__func__
    return _is_foreign(_origin(layer))


def _chain_is_foreign(outermost: Any) -> bool:
    return any(map(_layer_is_foreign, layers(outermost)))


class Coverage:
    """Whether another instrumentor's wrapper sits on any of the functions that one call goes through.

    `names` are attribute names on the class of the object asked about (`"create"`, `"request"`). The answer
    is remembered until one of those attributes is another object, so that the steady state costs a few
    look-ups.
    """

    __slots__ = ("_memo",)

    def __init__(self) -> None:
        self._memo: dict[tuple[type, str], tuple[Any, bool]] = {}

    def foreign(self, owner: Any, name: str) -> bool:
        """Whether `name` of `owner` (an instance, class or module) is wrapped by another instrumentor."""
        try:
            if isinstance(owner, ModuleType):
                return _chain_is_foreign(vars(owner).get(name))
            own = getattr(owner, "__dict__", None)
            if own is not None and not isinstance(owner, type) and name in own:
                return _chain_is_foreign(own[name])
            cls = owner if isinstance(owner, type) else type(owner)
            raw: Any = None
            for base in cls.__mro__:
                raw = base.__dict__.get(name)
                if raw is not None:
                    break
            if raw is None:
                return False
            seen = self._memo.get((cls, name))
            if seen is not None and seen[0] is raw:
                return seen[1]
            answer = _chain_is_foreign(raw)
            if len(self._memo) < 256:
                self._memo[cls, name] = (raw, answer)
            return answer
        except Exception:
            return False


coverage = Coverage()


def covered(wrapped: Any, instance: Any) -> bool:
    """Whether another instrumentor covers a call of the method `wrapped` of `instance`.

    Generated clients have each method twice: on the class that applications use, and on a raw one below, which
    ours wrap. Others wrap the former.
    """
    name = getattr(wrapped, "__name__", None)
    if instance is None or not isinstance(name, str):
        return False
    if coverage.foreign(instance, name):
        return True
    cls = instance if isinstance(instance, type) else type(instance)
    if not cls.__module__.endswith(".raw_client"):
        return False
    public = sys.modules.get(cls.__module__.removesuffix("raw_client") + "client")
    owner = getattr(public, cls.__name__.replace("Raw", ""), None)
    return owner is not None and coverage.foreign(owner, name)


class Aside:
    """A context manager around a call that somebody else covers: what it calls makes no span of ours either."""

    __slots__ = ("_token", "sending")

    def __enter__(self) -> None:
        self.sending = 1
        self._token = attach(Context({**get_current(), CALL_KEY: self}))

    def __exit__(self, *_: object) -> None:
        # Tasks that were started meanwhile keep a copy of the context.
        self.sending = 0
        detach(self._token)
