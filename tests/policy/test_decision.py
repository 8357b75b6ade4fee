"""Deciding for items, and comparing two policies for every conceivable workspace."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_zdr.policy.decision import CLOSED, Policy
from otel_zdr.policy.rules import Rules
from otel_zdr.policy.terms import Terms, common, covers, strictest
from otel_zdr.settings import Settings

keep = st.frozensets(st.sampled_from(["a", "a.b", "a.b.c", "a.*", "a.b.*", "c", "c.*"]), max_size=3)
terms = st.builds(
    Terms, under_zdr=st.booleans(), ineligible_retain=st.booleans(), keep_keys=keep, keep_names=keep
)
names = st.text("ab", min_size=1, max_size=3)
patterns = st.sampled_from(["*", "a*", "b*", "*a", "*b", "ab*", "a*b", "*ab", "*a*", "aa*", "b*a"])
rules = st.builds(
    Rules,
    version=st.sampled_from(["1", "2", "3"]),
    default=terms,
    unidentified=terms,
    exact=st.dictionaries(names, terms, max_size=3),
    patterns=st.dictionaries(patterns, terms, max_size=3).map(lambda found: found.items()),
    products=st.frozensets(st.sampled_from(["tts", "llm"])),
    api_keys=st.dictionaries(st.sampled_from(["f1", "f2"]), names, max_size=2),
)
IDS = [
    "",
    *(a + b + c + d for a in "ab" for b in ("", "a", "b") for c in ("", "a", "b") for d in ("", "a", "x")),
]
KEYS = ["a", "a.b", "a.b.c", "a.b.c.d", "a.x", "c", "c.x", "z"]


def survives(held: Terms, key: str) -> bool:
    """The definition: everything where nothing is under ZDR, else what an entry names."""
    return not held.under_zdr or any(
        key == entry or (entry.endswith(".*") and key.startswith(entry[:-1])) for entry in held.keep_keys
    )


@given(keep, keep)
def test_what_two_lists_have_in_common_is_what_both_allow(one: frozenset[str], other: frozenset[str]) -> None:
    for key in KEYS:
        each = [survives(Terms(under_zdr=True, keep_keys=entries), key) for entries in (one, other)]
        assert survives(Terms(under_zdr=True, keep_keys=common(one, other)), key) == all(each)


def test_a_prefix_covers_what_is_below_it_and_not_itself() -> None:
    assert covers(frozenset({"a.*"}), "a.b.c")
    assert covers(frozenset({"a.*"}), "a.b.*")
    assert not covers(frozenset({"a.*"}), "a")
    assert not covers(frozenset({"a.b.*"}), "a.*")
    assert not covers(frozenset({"a.*"}), "ab.c")


@given(st.lists(terms, min_size=1, max_size=4))
def test_the_strictest_terms_let_survive_only_what_all_of_them_do(several: list[Terms]) -> None:
    held = strictest(several)
    assert held.under_zdr == any(each.under_zdr for each in several)
    if held.under_zdr:
        for key in KEYS:
            assert survives(held, key) == all(survives(each, key) for each in several)
    assert all(held.at_least_as_strict_as(each) for each in several)


@given(rules, rules)
def test_a_proof_that_rules_are_not_looser_holds_for_every_workspace(new: Rules, old: Rules) -> None:
    if new.at_least_as_strict_as(old):
        for id_ in IDS:
            assert new.terms(id_).at_least_as_strict_as(old.terms(id_)), id_
        if Policy(new).everything:
            return
        assert old.products <= new.products
        for fingerprint, workspace in old.api_keys.items():
            if old.terms(workspace).under_zdr:
                assert new.terms(new.api_keys[fingerprint]).under_zdr


@given(rules)
def test_rules_are_provably_as_strict_as_themselves(same: Rules) -> None:
    assert same.at_least_as_strict_as(same)


@given(rules, rules, st.frozensets(st.sampled_from(IDS), max_size=3))
def test_two_rules_together_are_the_stricter_of_them_for_every_item(
    one: Rules, other: Rules, workspaces: frozenset[str]
) -> None:
    both = Policy(one, other)
    assert both.decide(workspaces) == (Policy(one).decide(workspaces) or Policy(other).decide(workspaces))
    for single in (Policy(one), Policy(other)):
        assert both.terms(workspaces).at_least_as_strict_as(single.terms(workspaces))


@given(rules, st.frozensets(st.sampled_from(IDS), max_size=3))
def test_the_shortcuts_of_a_policy_say_what_the_long_way_says(
    single: Rules, workspaces: frozenset[str]
) -> None:
    held = Policy(single)
    wanted = any(single.terms(id_).under_zdr for id_ in workspaces or {""})
    assert held.decide(workspaces) == wanted
    assert held.terms(workspaces).under_zdr == wanted
    if held.everything:
        assert wanted
    if held.nothing:
        assert not wanted
    if held.uniform is not None and wanted:
        assert held.terms(workspaces) == held.uniform


def test_adding_a_clinic_by_pattern_is_provably_a_tightening_and_taking_it_away_is_not() -> None:
    open_, closed = Terms(under_zdr=False), Terms(under_zdr=True)
    before = Rules(
        version="1", default=open_, unidentified=closed, patterns=[("eu-*", closed), ("eu-lab-*", open_)]
    )
    after = Rules(
        version="1",
        default=open_,
        unidentified=closed,
        patterns=[("eu-*", closed), ("eu-lab-*", open_), ("*-ward", closed)],
    )
    assert after.at_least_as_strict_as(before)
    assert not before.at_least_as_strict_as(after)


def test_an_exception_below_a_pattern_is_found_to_loosen() -> None:
    open_, closed = Terms(under_zdr=False), Terms(under_zdr=True)
    before = Rules(version="1", default=open_, unidentified=closed, patterns=[("eu-*", closed)])
    for more in ({"patterns": [("eu-*", closed), ("eu-lab-*", open_)]}, {"exact": {"eu-1": open_}}):
        after = Rules(
            **{
                "version": "1",
                "default": open_,
                "unidentified": closed,
                "patterns": [("eu-*", closed)],
                **more,
            }
        )
        assert not after.at_least_as_strict_as(before)
        assert before.at_least_as_strict_as(after)


@pytest.mark.parametrize(
    ("listed", "unidentified", "everything", "nothing"),
    [
        (("*",), "redact", True, False),
        ((), "redact", False, True),
        (("A", "b"), "redact", False, False),
        (("A", "b"), "retain", False, False),
    ],
)
def test_a_list_from_the_environment_is_a_policy(
    listed: tuple[str, ...], unidentified: str, everything: bool, nothing: bool
) -> None:
    held = Policy.from_settings(Settings(workspaces=listed, unidentified=unidentified))
    assert (held.everything, held.nothing) == (everything, nothing)
    assert held.is_under_zdr("a") == (not nothing)
    assert held.is_under_zdr("c") == everything
    assert held.decide([]) == (unidentified == "redact" and not nothing)
    assert held.decide(["c", "b"]) == (not nothing)


def test_a_closed_gate_has_everything_under_zdr() -> None:
    assert CLOSED.everything
    assert CLOSED.decide(["anybody"])
    assert CLOSED.decide([])


def cost(held: Policy, ids: list[str]) -> float:
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for id_ in ids:
            held.decide((id_,))
        best = min(best, time.perf_counter() - begin)
    return best


def test_the_cost_of_a_decision_does_not_depend_on_the_number_of_workspaces() -> None:
    closed, open_ = Terms(under_zdr=True), Terms(under_zdr=False)

    def held(count: int) -> Policy:
        return Policy(
            Rules(
                version="1",
                default=open_,
                unidentified=closed,
                exact={f"w{i:06}": closed for i in range(count)},
                patterns=[(f"p{i:06}-*", closed) for i in range(count)],
            )
        )

    ids = [*(f"w{i:06}" for i in range(10)), "p000003-7", "unknown"] * 200
    few, many = held(10), held(50_000)
    assert cost(many, ids) < 5 * cost(few, ids)
    # Ids never seen before are not remembered without bound, nor looked for one pattern at a time.
    fresh = [f"fresh-{i}" for i in range(20_000)]
    begin = time.perf_counter()
    for id_ in fresh:
        many.decide((id_,))
    assert time.perf_counter() - begin < 2
