"""Who an item is for, decided as in Python: by item and by resource, the strictest wins.

No regular expression is run over ids: the id becomes a key of a small map, and one hash look-up says
whether the policy names it, however many ids there are. Only the patterns of a policy file are expressions.

What cannot be compared as text here counts as under ZDR, never as free: ids outside ASCII (OTTL has no
NFKC), fractions, two attributes of the same key, lists with more than a few elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from otel_zdr.collector.keys import MIXED, STATE
from otel_zdr.collector.ottl import all_of, any_of, match, text, texts, words
from otel_zdr.errors import ConfigurationError
from otel_zdr.policy.decision import Policy
from otel_zdr.policy.terms import strictest
from otel_zdr.settings import Settings

_SPACE = r"[\s\x0b\x1c-\x1f]"
_FOREIGN = r"[^\x00-\x7f]"
_ELEMENTS = 8


@dataclass(frozen=True)
class Who:
    """The policy as the Collector needs it.

    Attributes:
        version: of the policy.
        everything: every item is under ZDR: nothing has to be decided.
        nothing: no item can be.
        unidentified: whether items that nobody is known for are under ZDR.
        keys: attribute keys that name the workspace.
        under, free: ids that the policy names, by what it says of them.
        patterns: (expression, whether under ZDR), the weakest first.
        otherwise: what holds for an id that is not named.
        keep_keys, keep_names: what every workspace under ZDR keeps.
    """

    version: str
    everything: bool
    nothing: bool
    unidentified: bool
    keys: tuple[str, ...]
    under: tuple[str, ...]
    free: tuple[str, ...]
    patterns: tuple[tuple[str, bool], ...]
    otherwise: bool
    keep_keys: tuple[str, ...]
    keep_names: tuple[str, ...]


def who(settings: Settings) -> Who:
    """Compile ``settings`` and the policy file they name.

    Raises:
        ConfigurationError: the policy cannot be used, or says what a Collector cannot honour.
    """
    policy = Policy.from_settings(settings)
    rules = policy.rules[0]
    possible = rules.all_terms()
    if any(terms.under_zdr and terms.ineligible_retain for terms in possible):
        raise ConfigurationError(
            "OTEL_ZDR_INELIGIBLE='retain' is not allowed for a Collector; allowed: `redact`. What is provably"
            " outside the promise is proven by the call that the SDK makes (its host, product and mode); in"
            " the Collector it would be an attribute that any sender can write."
        )
    under = [terms for terms in possible if terms.under_zdr]
    terms = strictest(under or possible)
    ranked = sorted(rules.patterns.items, key=lambda item: (len(item[0]), item[1].under_zdr))
    return Who(
        version=policy.version,
        # Which product an item is about is not known here, so a product under ZDR is all of them.
        everything=policy.everything or policy.products_matter,
        nothing=policy.nothing,
        unidentified=policy.unidentified_under_zdr,
        keys=settings.workspace_keys,
        under=tuple(sorted(id_ for id_, of in rules.exact.items() if of.under_zdr)),
        free=tuple(sorted(id_ for id_, of in rules.exact.items() if not of.under_zdr)),
        patterns=tuple((_expression(pattern), of.under_zdr) for pattern, of in ranked),
        otherwise=rules.default.under_zdr,
        keep_keys=tuple(sorted(terms.keep_keys)),
        keep_names=tuple(sorted(terms.keep_names)),
    )


def _expression(pattern: str) -> str:
    return "^" + ".*".join(re.escape(part) for part in pattern.split("*")) + "$"


def decide(source: str, cache: str, who: Who, note: str) -> Iterator[str]:
    """Statements that note in ``cache`` what the attributes ``source`` say: ``zdr``, and ``note`` if anyone."""
    zdr, seen, id_ = f'{cache}["zdr"]', f'{cache}["{note}"]', f'{cache}["id"]'
    for key in who.keys:
        value = f"{source}[{text(key)}]"
        same = f'{cache}["same"]'
        given = f"{value} != nil"
        yield f"set({same}, {source})"
        yield f"keep_keys({same}, {texts([key])})"
        yield f"set({zdr}, true) where Len({same}) > 1"
        yield f"set({seen}, true) where Len({same}) > 0"
        yield f'set({id_}, "")'
        yield f"set({id_}, {value}) where IsString({value})"
        yield f"set({id_}, String({value})) where IsInt({value})"
        unreadable = any_of(f"IsDouble({value})", match(id_, _FOREIGN))
        yield f"set({zdr}, true) where {given} and {unreadable}"
        yield f'replace_pattern({id_}, {text(f"^{_SPACE}+|{_SPACE}+$")}, "")'
        yield f"set({id_}, ToLowerCase({id_}))"
        yield f'set({id_}, "") where Len({id_}) > 256'
        if who.unidentified:
            yield f'set({zdr}, true) where {given} and {id_} == "" and not IsList({value})'
        named = f'{cache}["named"]'
        yield f"set({named}, Filter({same}, (_, v) => false))"
        yield f'set({named}[{id_}], true) where {id_} != ""'
        yield f'set({cache}["verdict"], {"true" if who.otherwise else "false"})'
        for pattern, under in who.patterns:
            yield f'set({cache}["verdict"], {"true" if under else "false"}) where {match(id_, pattern)}'
        for ids, under in ((who.free, False), (who.under, True)):
            if ids:
                hit = f'{cache}["hit"]'
                yield f"set({hit}, {named})"
                yield f"keep_keys({hit}, {texts(ids)})"
                yield f'set({cache}["verdict"], {"true" if under else "false"}) where Len({hit}) > 0'
        yield f'set({zdr}, true) where {id_} != "" and {cache}["verdict"] == true'
        yield f"set({zdr}, true) where IsList({value}) and {_list_is_under_zdr(value, who)}"


def _list_is_under_zdr(value: str, who: Who) -> str:
    """Lists of ids are rare, so here an expression over the ids will do."""
    conditions = [f"Len({value}) > {_ELEMENTS}", f"Any({value}, (_, e) => IsDouble(e))"]
    if who.unidentified:
        conditions.append(f"Len({value}) == 0")
        conditions.append(
            f"Any({value}, (_, e) => (not IsString(e) and not IsInt(e) or {match('String(e)', f'^{_SPACE}*$')}))"
        )
    conditions.append(f"Any({value}, (_, e) => {match('String(e)', _FOREIGN)})")
    if who.otherwise or who.patterns:
        # Free are only lists of ids that the policy frees one by one.
        free = f"^(?i:{words(who.free)})$" if who.free else "^\\x00$"
        conditions.append(f"not All({value}, (_, e) => {match('String(e)', free)})")
    elif who.under:
        listed = f"^{_SPACE}*(?i:{words(who.under)}){_SPACE}*$"
        conditions.append(f"Any({value}, (_, e) => {match('String(e)', listed)})")
    return any_of(*conditions)


def forced(cache: str) -> str:
    """A resource that says of itself that it is under ZDR (anything but an explicit false)."""
    value = 'resource.attributes["workspace.zdr"]'
    explicit = any_of(f"{value} == false", all_of(f"IsString({value})", match(value, r"^\s*(?i:false)\s*$")))
    return f'set({cache}["zdr"], true) where {value} != nil and not {explicit}'


def decide_item(context: str, who: Who, shared: tuple[str, ...]) -> Iterator[str]:
    """Statements that write the decision to the item, its scope and its resource.

    ``context``: ``span``, ``log`` or ``datapoint``. ``shared``: the maps of what the item shares with
    others, which is cleaned when any of them is under ZDR, or none is known to be free.
    """
    cache = f"{context}.cache"
    yield from decide(f"{context}.attributes", cache, who, "seen")
    yield from decide("resource.attributes", cache, who, "shared")
    yield forced(cache)
    if who.unidentified:
        # The resource identifies by itself only while no other workspace is seen beside it.
        alone = all_of(f'{cache}["shared"] == true', f'resource.attributes["{MIXED}"] != true')
        yield f'set({cache}["zdr"], true) where {cache}["seen"] != true and not ({alone})'
    yield f'set({context}.attributes["{STATE}"], true) where {cache}["zdr"] == true'
    for attributes in shared:
        yield f'set({attributes}["{STATE}"]["under"], true) where {cache}["zdr"] == true'
        yield f'set({attributes}["{STATE}"]["free"], true) where {cache}["zdr"] != true'


def note_mixed(context: str, who: Who) -> Iterator[str]:
    """Statements, for a walk before the decision, that mark resources whose items name other workspaces."""
    for key in who.keys:
        own, shared = f"{context}.attributes[{text(key)}]", f"resource.attributes[{text(key)}]"
        yield f'set(resource.attributes["{MIXED}"], true) where {own} != nil and {own} != {shared}'


def shared_is_clean(attributes: str) -> str:
    """The condition under which a resource or scope has to be cleaned."""
    state = f'{attributes}["{STATE}"]'
    return any_of(f"{state} == nil", f'{state}["under"] == true', f'{state}["free"] != true')
