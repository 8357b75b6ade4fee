"""Coverage on an item: which product it is about, and whether the specification covers it.

With ``OTEL_ZDR_INELIGIBLE=retain`` a prompt may stay where the response proves that the specification
does not cover it. That is known at the end only; until then the raw values of attributes of those classes,
and of nothing else, are held by the item's state, which nobody else reads.
"""

from __future__ import annotations

from logging import getLogger
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.attributes import BoundedAttributes

from otel_zdr import catalogue
from otel_zdr.policy import eligibility
from otel_zdr.policy.eligibility import RETAINABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.context import Context

    from otel_zdr.sdk.gate import Gate
    from otel_zdr.sdk.state import ItemState

_log = getLogger("otel_zdr")
_advised: set[str] = set()

# Past the storage's own methods: what is written here is evidence, or proven to stay.
put = dict.__setitem__

#: Attributes that tell the product; watched where a policy names products.
PRODUCT_KEYS = frozenset((eligibility.PRODUCT, "gen_ai.operation.name", "llm.request.type"))


def is_product_under_zdr(gate: Gate, attributes: Mapping[str, Any]) -> bool:
    """Whether the policy puts the product of an item with these attributes under ZDR."""
    found = eligibility.judge(attributes, gate.inworld_hosts)
    return found is not None and gate.policy.product_under_zdr(found.product)


def hold(state: ItemState, attributes: Mapping[str, Any]) -> None:
    """Keep the raw values that may turn out to be retained, where the policy retains any."""
    if not state.gate.policy.retains_ineligible(state.everyone, None):
        return
    held = state.held if state.held is not None else {}
    state.held = held
    for key, value in attributes.items():
        hold_one(state, key, value)


def hold_one(state: ItemState, key: Any, value: Any) -> None:
    """As :func:`hold`, for one attribute written later; call it only where something is held."""
    held = state.held
    if held is None or type(key) is not str:
        return
    rule = catalogue.find(key)
    if rule is not None and rule.content_class in RETAINABLE:
        held[key] = (rule.content_class, value)


def describe(
    state: ItemState, attributes: dict[str, Any], max_length: int | None = None
) -> eligibility.Eligibility | None:
    """Judge an item by its cleaned attributes, and give back what is proven not to be eligible.

    ``max_length``: the SDK's limit for attribute values, in characters.
    """
    held, state.held = state.held, None
    found = eligibility.judge(attributes, state.gate.inworld_hosts, server=state.server, served=state.served)
    if found is None:
        return None
    if found.advice and found.advice not in _advised and len(_advised) < 64:
        _advised.add(found.advice)
        _log.warning(
            "a call of a workspace under zero data retention lacks its privacy hint: %s", found.advice
        )
    if held and found.retained and state.gate.policy.retains_ineligible(state.everyone, found.product):
        _give_back(state, attributes, held, found.retained, max_length)
    return found


def _give_back(
    state: ItemState,
    attributes: dict[str, Any],
    held: dict[str, tuple[str, Any]],
    retained: frozenset[str],
    max_length: int | None,
) -> None:
    raw = {key: value for key, (content_class, value) in held.items() if content_class in retained}
    for key, value in BoundedAttributes(None, raw, immutable=True, max_value_len=max_length).items():
        put(attributes, key, value)
        content_class = held[key][0]
        left = state.removed.get(content_class, 0) - 1
        if left > 0:
            state.removed[content_class] = left
        else:
            state.removed.pop(content_class, None)


def served_by(state: ItemState, providers: Iterable[str]) -> None:
    """The response itself said who served the call of this item: the only proof where a router was called."""
    state.served = tuple(providers)


_SERVED = context_api.create_key("otel-zdr-served")


def with_served(context: Context, providers: tuple[str, ...]) -> Context:
    """A context for one log record about a call that these providers served."""
    return context_api.set_value(_SERVED, providers, context)


def served_in(context: Context | None) -> tuple[str, ...] | None:
    """What :func:`with_served` put into the context of a log record."""
    providers = context_api.get_value(_SERVED, context) if context is not None else None
    return providers if isinstance(providers, tuple) else None


def forget() -> None:
    """Let advice be given again (between tests)."""
    _advised.clear()
