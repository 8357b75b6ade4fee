"""The parts that items share: resource and scope, cleaned once and remembered beside the original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationInfo, InstrumentationScope

from otel_zdr.redaction import literals
from otel_zdr.sdk import failure
from otel_zdr.workspaces import NOBODY, identify

if TYPE_CHECKING:
    from otel_zdr.sdk.gate import Gate

_FACTS = "_otel_zdr_facts"
_FORCING_KEY = "workspace.zdr"
_MAX_SCOPES = 1024


class ResourceFacts:
    """What a resource says about its items: who they are for, and how it looks when cleaned.

    Attributes:
        workspaces: normalised ids that the resource names.
        forced: ``workspace.zdr`` puts everything of the resource under ZDR.
        clean: the resource with metadata only.
        unmarked: the resource without the ``zdr.*`` attributes that only the gate may write.
    """

    __slots__ = ("_clean", "_gate", "_resource", "forced", "unmarked", "workspaces")

    def __init__(self, gate: Gate, resource: Resource) -> None:
        attributes = resource.attributes
        workspaces = NOBODY
        for key in gate.workspace_keys:
            workspaces |= identify(attributes.get(key))
        self.workspaces = workspaces
        self.forced = not _is_explicit_false(attributes.get(_FORCING_KEY))
        self._gate = gate
        self._resource: Resource | None = resource
        self._clean: Resource | None = None
        self.unmarked = _without_marks(resource)

    @property
    def clean(self) -> Resource:
        if self._clean is None:
            self._clean = clean_resource(self._gate, self._resource)
            self._resource = None
        return self._clean


def facts_of(gate: Gate, resource: Resource) -> ResourceFacts:
    """The facts of ``resource`` under ``gate``, computed once for each pair."""
    remembered: tuple[Gate, ResourceFacts] | None = resource.__dict__.get(_FACTS)
    if remembered is not None and remembered[0] is gate:
        return remembered[1]
    facts = ResourceFacts(gate, resource)
    resource.__dict__[_FACTS] = (gate, facts)
    return facts


class CleanResource(Resource):
    """A resource that the gate made."""

    _hash: int | None = None

    def __hash__(self) -> int:
        # The SDK's writes all attributes as JSON, and exporters ask for every item.
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash


def clean_resource(gate: Gate, resource: Resource | None) -> CleanResource:
    """A resource with metadata only; an empty one if cleaning fails."""
    try:
        if resource is None:
            return CleanResource({})
        removed: dict[str, int] = {}
        attributes = gate.redactor.resource_attributes(resource.attributes, removed)
        schema_url = gate.redactor.schema_url(resource.schema_url, removed)
        return CleanResource(attributes, schema_url or "")  # type: ignore[arg-type]
    except Exception as error:
        failure.note("resource", error)
        return CleanResource({})


def bare_resource(gate: Gate, resource: Resource | None) -> Resource:
    """As :func:`clean_resource`, for a skeleton: whatever fails, there is a resource."""
    try:
        return clean_resource(gate, resource)
    except Exception:
        return _EMPTY_RESOURCE


_EMPTY_RESOURCE = CleanResource({})


def _is_explicit_false(value: object) -> bool:
    if value is None or value is False:
        return True
    return isinstance(value, str) and value.strip().lower() == "false"


def _without_marks(resource: Resource) -> Resource:
    attributes = resource.attributes
    if not any(type(key) is str and key.startswith("zdr.") for key in attributes):
        return resource
    return Resource(
        {key: value for key, value in attributes.items() if not key.startswith("zdr.")}, resource.schema_url
    )


class _Scopes:
    """Cleaned scopes by the identity of the original.

    The original is held, so that its identity cannot be taken by another object; its provider holds
    it for ever anyway. Bounded: a flood of scopes empties the memo.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[InstrumentationScope, Gate, InstrumentationScope, Any]] = {}

    def clean(self, gate: Gate, scope: InstrumentationScope) -> InstrumentationScope:
        return self.entry(gate, scope)[2]

    def entry(
        self, gate: Gate, scope: InstrumentationScope
    ) -> tuple[InstrumentationScope, Gate, InstrumentationScope, Any]:
        """(the scope, the gate, the cleaned scope, the deprecated form of that)."""
        remembered = self._known.get(id(scope))
        if remembered is not None and remembered[0] is scope and remembered[1] is gate:
            return remembered
        clean = _clean_scope(gate, scope)
        if len(self._known) >= _MAX_SCOPES:
            self._known.clear()
        info = info_of(clean)
        self._known[id(clean)] = (clean, gate, clean, info)  # what is clean stays as it is
        made = self._known[id(scope)] = (scope, gate, clean, info)
        return made

    def has_made(self, scope: Any) -> bool:
        """Whether it is a scope that was cleaned."""
        remembered = self._known.get(id(scope))
        return remembered is not None and remembered[0] is scope and remembered[2] is scope

    def clear(self) -> None:
        self._known.clear()


_scopes = _Scopes()
EMPTY_SCOPE = InstrumentationScope("")
forget_scopes = _scopes.clear
is_clean_scope = _scopes.has_made


def scope_of(gate: Gate, scope: InstrumentationScope | None) -> InstrumentationScope | None:
    """The cleaned ``scope``: an unknown name, version, schema URL or attribute is gone."""
    if scope is None:
        return None
    try:
        return _scopes.clean(gate, scope)
    except Exception as error:
        failure.note("scope", error)
        return EMPTY_SCOPE


def scope_and_info_of(gate: Gate, scope: Any, info: Any) -> tuple[Any, Any]:
    """A cleaned scope and the deprecated form that spans carry beside it."""
    if scope is None:
        return None, None if info is None else EMPTY_INFO
    try:
        return _scopes.entry(gate, scope)[2:]
    except Exception as error:
        failure.note("scope", error)
        return EMPTY_SCOPE, EMPTY_INFO


#: Langfuse's processor sends only spans whose scope names its project: the id of one, as a token.
_PROJECT_KEYS = {"langfuse-sdk": "public_key"}


def _clean_scope(gate: Gate, scope: InstrumentationScope) -> InstrumentationScope:
    removed: dict[str, int] = {}
    redactor = gate.redactor
    attributes = scope.attributes
    proven = gate.literals != "none" and literals.was_proven(scope.name)
    clean = redactor.attributes(attributes, removed) if attributes else None
    project = _PROJECT_KEYS.get(scope.name)
    if project is not None and attributes and project in attributes:
        kept = redactor.token(attributes[project], removed, "free_text")
        if kept is not None:
            clean = {**(clean or {}), project: kept}
    return InstrumentationScope(
        scope.name if proven else redactor.scope_name(scope.name, removed),
        redactor.token(scope.version, removed, "free_text") if scope.version else scope.version,
        redactor.schema_url(scope.schema_url, removed) if scope.schema_url else scope.schema_url,
        clean,  # type: ignore[arg-type]
    )


def info_of(scope: InstrumentationScope | None) -> InstrumentationInfo | None:
    """The deprecated form of a cleaned scope, which spans carry beside it."""
    if scope is None:
        return None
    # Not through its constructor, which warns of its deprecation on every call.
    info: Any = InstrumentationInfo.__new__(InstrumentationInfo)
    info._name, info._version, info._schema_url = scope.name, scope.version or "", scope.schema_url
    return info  # type: ignore[no-any-return]


EMPTY_INFO = info_of(EMPTY_SCOPE)
