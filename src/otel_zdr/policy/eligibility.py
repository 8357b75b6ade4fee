"""What the coverage table says of one span or log record, judged by its cleaned attributes.

How the SDK edge uses it, when an item that is under ZDR ends::

    found = eligibility.judge(clean, inworld_hosts, server=state.server, served=state.served)
    if found is not None:
        attributes["zdr.product"] = found.product
        attributes["zdr.coverage"] = found.coverage
        if found.reason:
            attributes["zdr.coverage.reason"] = found.reason
        if found.advice:
            log once per found.advice
        if policy.retains_ineligible(workspaces, found.product):
            for key, value in held.items():          # see below
                if class of key in found.retained: put the value back

With ``ineligible = "retain"`` whether a prompt may stay is only known at the end, from the response. Until
then the edge may hold the raw values of *top-level attributes* whose exact rule in the catalogue is of a
class in :data:`RETAINABLE` (nothing else: no events, names, bodies, errors, unknown keys), where
``policy.retains_ineligible`` says so at the start. What is held is read by nobody and dropped at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from otel_zdr.policy import coverage as promise
from otel_zdr.policy.patterns import matches

#: Content classes that some "No" row of the specification lets stay.
RETAINABLE = frozenset(
    (
        "completion",
        "prompt",
        "system_instructions",
        "tool_arguments",
        "tool_definition",
        "tool_result",
        "voice_description",
        "voice_sample",
    )
)

PRODUCT = "otel_zdr.product"
PROVIDER = "otel_zdr.provider"
#: Of a router's response: all providers that were tried, where there were several.
ATTEMPTS = "otel_zdr.attempts"
NO_RETENTION_HINT = "otel_zdr.request.no_retention_hint"
_OPERATION = "gen_ai.operation.name"
_PROVIDER_KEYS = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
_HOST_KEYS = ("server.address", "net.peer.name")
#: Said by no key: it is no host name and no provider.
_CONTRADICTION = "\0"
_NOTHING: frozenset[str] = frozenset()
_REMEMBERED = 1024
#: The data by which a product is judged; all content of a product has the same status.
_CONTENT = {
    "llm": "prompt",
    "stt": "transcript",
    "tts": "text",
    "voice_cloning": "voice_sample",
    "voice_design": "voice_description",
}


class Eligibility(NamedTuple):
    """What holds for one item.

    Attributes:
        product: ``tts``, ``stt``, ``llm``, ``voice_cloning`` or ``voice_design``; for ``zdr.product``.
        coverage: ``covered``, ``not_covered`` or ``unknown``; for ``zdr.coverage``.
        reason: one token why it is not covered, "" where it is covered; for ``zdr.coverage.reason``.
        retained: content classes that are *proven* not to be eligible; empty without positive proof.
        advice: what the call should have said to the vendor ("" if nothing), to be logged once.
    """

    product: str
    coverage: str
    reason: str = ""
    retained: frozenset[str] = _NOTHING
    advice: str = ""


def judge(
    attributes: Mapping[str, object],
    inworld_hosts: frozenset[str],
    *,
    server: bool = False,
    served: tuple[str, ...] | None = None,
) -> Eligibility | None:
    """Judge an item by its cleaned attributes; None where no product is recognised. Never raises.

    Args:
        attributes: of the item, after cleaning.
        inworld_hosts: ``OTEL_ZDR_INWORLD_HOSTS``, ``host`` or ``host:port`` in lower case.
        server: it is a span of kind SERVER or CONSUMER, whose ``server.address`` is not whom it called.
        served: the providers in the response's own attempts, as the client instrumentation that read them
            told the gate; for a call that has none, whom it went to. Anybody can write attributes of such
            names: they are believed for the coverage, but where a call went through Inworld no prompt is
            retained because of them.
    """
    try:
        get = attributes.get
        own, operation = get(PRODUCT), get(_OPERATION)
        span_kind = request_type = None
        if own is None and operation is None:
            span_kind, request_type = get("openinference.span.kind"), get("llm.request.type")
            if span_kind is None and request_type is None:
                return None
        port, hint = get("server.port"), get(NO_RETENTION_HINT)
        # The values as they are: items of one kind ask the same again and again. The types are for numbers that
        # equal one another.
        question = (
            own, operation, span_kind, request_type, port, type(port), hint, type(hint),
            *map(get, _HOST_KEYS), *map(get, _PROVIDER_KEYS), get(ATTEMPTS), get(PROVIDER),
            server, served, inworld_hosts,
        )  # fmt: skip
        try:
            found = _judged.get(question, _NOT_ASKED)
        except TypeError:  # a list
            return _answer(get, server, served, inworld_hosts)
        if found is _NOT_ASKED:
            found = _answer(get, server, served, inworld_hosts)
            if len(_judged) >= _REMEMBERED:
                _judged.clear()
            _judged[question] = found
        return found  # type: ignore[return-value]
    except Exception:
        return None


_NOT_ASKED = object()
_judged: dict[tuple[object, ...], object] = {}


def _answer(
    get: Callable[[str], object],
    server: bool,
    served: tuple[str, ...] | None,
    inworld_hosts: frozenset[str],
) -> Eligibility | None:
    own, operation = get(PRODUCT), get(_OPERATION)
    is_unsaid = own is None and operation is None
    product = _product_of_dialect(get) if is_unsaid else _product(own, operation)
    if product is None:
        return None
    port, hint = get("server.port"), get(NO_RETENTION_HINT)
    stated = get(ATTEMPTS) or get(PROVIDER)
    return _judge(
        product,
        None if server else _host(tuple(map(get, _HOST_KEYS))),
        port if type(port) is int and not server else None,
        served,
        tuple(stated) if isinstance(stated, list | tuple) else stated,
        _provider(tuple(map(get, _PROVIDER_KEYS))),
        hint is False,
        inworld_hosts,
    )


def _words(values: tuple[object, ...]) -> list[str]:
    return [
        value.strip().lower() if isinstance(value, str) else _CONTRADICTION
        for value in values
        if value is not None and value != ""
    ]


def _host(values: tuple[object, ...]) -> str | None:
    """Whom the call went to; :data:`_CONTRADICTION` if the keys do not agree."""
    hosts = _words(values)
    if not hosts:
        return None
    return hosts[0] if len(set(hosts)) == 1 else _CONTRADICTION


def _provider(values: tuple[object, ...]) -> str | None:
    """The provider as the item names it.

    Others may be named beside it (who made the model that a cloud serves), but not beside Inworld.
    """
    names = [promise.provider_alias(word) for word in _words(values)]
    if not names:
        return None
    return _CONTRADICTION if promise.INWORLD in names and len(set(names)) > 1 else names[0]


def _product(own: object, operation: object) -> str | None:
    if own is not None:
        return own if isinstance(own, str) and own in _CONTENT else None
    if not isinstance(operation, str):
        return None
    product: str | None = promise.table()["operations"].get(operation.lower())
    return product


def _product_of_dialect(get: Callable[[str], object]) -> str | None:
    if get("openinference.span.kind") == "LLM":
        return "llm"
    if get("llm.request.type") in ("chat", "completion"):
        return "llm"
    return None


def _judge(
    product: str,
    host: str | None,
    port: int | None,
    served: tuple[str, ...] | None,
    stated: object,
    said: str | None,
    lacks_hint: bool,
    inworld_hosts: frozenset[str],
) -> Eligibility:
    if not host or host is _CONTRADICTION:
        return Eligibility(product, promise.UNKNOWN, "host-is-not-known")
    if host in inworld_hosts or (port is not None and f"{host}:{port}" in inworld_hosts):
        return _through_inworld(product, served, _names(stated), said)
    return _direct(product, host, said, lacks_hint)


def _through_inworld(
    product: str, proven: tuple[str, ...] | None, stated: tuple[str, ...], said: str | None
) -> Eligibility:
    # Who served it is what the response itself says. What an instrumentation says is the name of the client
    # library: a call to a router is "openai" to it.
    rows = [
        promise.coverage(product=product, data=_CONTENT[product], provider=provider)
        for provider in proven or stated or (None,)
    ]
    by_status = {row.status: row for row in rows}
    if promise.NOT_COVERED in by_status:
        row = by_status[promise.NOT_COVERED]
        # Where one of several attempts went to a covered provider, that one had the content too.
        retained = _NOTHING
        if len(by_status) == 1 and _is_proof(product, proven, said):
            retained = frozenset.intersection(
                *(
                    promise.retained_classes(product, row.provider or promise.INWORLD, own=proven is not None)
                    for row in rows
                )
            )
        return Eligibility(product, row.status, row.code, retained)
    if promise.UNKNOWN in by_status:
        row = by_status[promise.UNKNOWN]
        return Eligibility(product, row.status, row.code)
    return Eligibility(product, promise.COVERED)


def _is_proof(product: str, proven: tuple[str, ...] | None, said: str | None) -> bool:
    if product == "llm":
        return bool(proven)
    # Making voices is not eligible at Inworld; whoever else is named, it is another product.
    return said is None or said == promise.INWORLD


def _direct(product: str, host: str, provider: str | None, lacks_hint: bool) -> Eligibility:
    if product == "llm":
        if provider is not None and _is_host_of(provider, host):
            row = promise.coverage(product=product, data="prompt", provider=provider)
            return Eligibility(product, row.status, row.code, promise.retained_classes(product, provider))
        return Eligibility(product, promise.NOT_COVERED, "direct-vendor-call")
    advice = promise.table()["hints"].get(provider)
    if advice is not None and lacks_hint:
        return Eligibility(
            product,
            promise.NOT_COVERED,
            "direct-vendor-call-without-no-retention-hint",
            advice=f"{provider}: {advice}",
        )
    return Eligibility(product, promise.NOT_COVERED, "direct-vendor-call")


def _is_host_of(provider: str, host: str) -> bool:
    return any(matches(pattern, host) for pattern in promise.table()["third_party_hosts"].get(provider, ()))


def _names(served: object) -> tuple[str, ...]:
    if isinstance(served, str):
        return (served,) if served else ()
    if isinstance(served, tuple):
        # A name that cannot be read may be anybody's.
        return tuple(name if isinstance(name, str) else "unknown" for name in served)
    return ()
