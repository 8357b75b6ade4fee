"""The policy file: what it says, which of its tables wins, and how it says what is wrong."""

from __future__ import annotations

import os
import uuid

import pytest

from otel_zdr.errors import ConfigurationError
from otel_zdr.policy.decision import Policy
from otel_zdr.policy.document import MAX_SIZE, parse_policy, read_policy

WHOLE = """\
version = 7
[organisation]
zdr = true
ineligible = "redact"
[workspaces."clinic-*"]
zdr = true
keep_keys = ["acme.room"]
[workspaces.studio]
zdr = false
[workspaces.ward-3]
inherit = "clinic-1"
[products.tts]
zdr = true
[api_keys]
"hmac-sha256:{digits}" = "clinic-1"
"""


def policy(text: str) -> Policy:
    return Policy(parse_policy(text).rules())


def test_the_example_of_the_design_is_a_valid_policy() -> None:
    fingerprint = "ab" * 32
    held = policy(WHOLE.format(digits=fingerprint))
    assert held.version == "7"
    assert held.is_under_zdr("clinic-9")
    assert not held.is_under_zdr("studio")
    assert held.is_under_zdr("ward-3")
    assert held.is_under_zdr("never-heard-of")
    assert held.terms(frozenset({"ward-3"})).keep_keys == {"acme.room"}
    assert held.product_under_zdr("tts")
    assert not held.product_under_zdr("stt")
    assert not held.product_under_zdr(None)
    assert held.workspaces_of_key(f"hmac-sha256:{fingerprint}") == {"clinic-1"}
    assert held.workspaces_of_key("hmac-sha256:" + "0" * 64) == frozenset()


def test_a_policy_of_nothing_but_a_version_puts_everything_under_zdr() -> None:
    held = policy("version = 1")
    assert held.everything
    assert held.decide([])
    assert held.decide(["anybody"])


def test_where_the_organisation_is_not_under_zdr_unidentified_items_still_are() -> None:
    held = policy("version = 1\n[organisation]\nzdr = false")
    assert held.decide([])
    assert held.decide([""])
    assert not held.decide(["anybody"])
    assert not held.nothing


def test_unidentified_items_are_retained_only_where_the_policy_says_so() -> None:
    held = policy('version = 1\n[organisation]\nzdr = false\nunidentified = "retain"')
    assert held.nothing
    assert not held.decide([])


def test_an_exact_id_wins_over_patterns_and_a_longer_pattern_over_a_shorter() -> None:
    held = policy(
        """version = 1
        [organisation]
        zdr = false
        [workspaces."a*"]
        zdr = true
        [workspaces."ab*"]
        zdr = false
        [workspaces."abc*"]
        zdr = true
        [workspaces.abcd]
        zdr = false
        """
    )
    wanted = {
        "a": True,
        "ax": True,
        "ab": False,
        "abx": False,
        "abc": True,
        "abcde": True,
        "abcd": False,
        "b": False,
    }
    assert {id_: held.is_under_zdr(id_) for id_ in wanted} == wanted


def test_of_equally_long_patterns_the_strictest_wins() -> None:
    for first, second in (("true", "false"), ("false", "true")):
        held = policy(
            f"""version = 1
            [organisation]
            zdr = false
            [workspaces."eu-*"]
            zdr = {first}
            [workspaces."*-01"]
            zdr = {second}
            """
        )
        assert held.is_under_zdr("eu-01")
        assert held.is_under_zdr("eu-02") == (first == "true")
        assert held.is_under_zdr("us-01") == (second == "true")


def test_what_a_table_leaves_out_comes_from_the_longest_pattern_that_matches_it() -> None:
    held = policy(
        """version = 1
        [organisation]
        zdr = false
        [workspaces."clinic-*"]
        zdr = true
        keep_keys = ["acme.room"]
        [workspaces."clinic-eu-*"]
        keep_names = ["admission"]
        [workspaces.clinic-eu-7]
        keep_keys = []
        """
    )
    assert held.is_under_zdr("clinic-eu-1")
    assert held.terms(frozenset({"clinic-eu-1"})).keep_keys == {"acme.room"}
    assert held.terms(frozenset({"clinic-eu-1"})).keep_names == {"admission"}
    assert held.is_under_zdr("clinic-eu-7")
    assert held.terms(frozenset({"clinic-eu-7"})).keep_keys == frozenset()
    assert held.terms(frozenset({"clinic-eu-7"})).keep_names == {"admission"}


def test_inherit_follows_ids_patterns_and_chains_and_its_own_settings_win() -> None:
    held = policy(
        """version = 1
        [organisation]
        zdr = false
        [workspaces."clinic-*"]
        zdr = true
        keep_keys = ["acme.room"]
        [workspaces.a]
        inherit = "b"
        [workspaces.b]
        inherit = "clinic-1"
        keep_keys = ["acme.bed"]
        [workspaces.c]
        inherit = "clinic-*"
        zdr = false
        """
    )
    assert held.is_under_zdr("a")
    assert held.terms(frozenset({"a"})).keep_keys == {"acme.bed"}
    assert not held.is_under_zdr("c")


def test_ids_are_compared_as_text_without_case_width_and_outer_spaces() -> None:
    held = policy(
        """version = 1
        [organisation]
        zdr = false
        [workspaces." Ｃlinic-7 "]
        zdr = true
        [workspaces.42]
        zdr = true
        """
    )
    assert held.is_under_zdr("clinic-7")
    assert held.is_under_zdr("42")
    assert held.names("clinic-7")
    assert not held.names("clinic-8")


def test_keys_of_an_item_of_several_workspaces_are_kept_only_where_all_under_zdr_allow_it() -> None:
    held = policy(
        """version = 1
        [organisation]
        zdr = false
        [workspaces.a]
        zdr = true
        keep_keys = ["acme.*", "other.key"]
        [workspaces.b]
        zdr = true
        keep_keys = ["acme.room", "acme.bed.*"]
        [workspaces.open]
        zdr = false
        """
    )
    assert held.terms(frozenset({"a", "b"})).keep_keys == {"acme.room", "acme.bed.*"}
    assert held.terms(frozenset({"a", "open"})).keep_keys == {"acme.*", "other.key"}
    assert held.decide(["open", "a"])


def test_keys_and_names_of_the_environment_are_added_to_everybodys() -> None:
    document = parse_policy('version = 1\n[workspaces.a]\nkeep_keys = ["acme.room"]')
    held = Policy(document.rules(keep_keys=["acme.bed"], keep_names=["admit"]))
    assert held.terms(frozenset({"a"})).keep_keys == {"acme.room", "acme.bed"}
    assert held.terms(frozenset({"b"})).keep_keys == {"acme.bed"}
    assert held.terms(frozenset()).keep_names == {"admit"}


def test_ineligible_data_is_retained_only_where_all_workspaces_and_the_product_let_it() -> None:
    held = policy(
        """version = 1
        [organisation]
        ineligible = "retain"
        [workspaces.strict]
        ineligible = "redact"
        [products.llm]
        ineligible = "redact"
        """
    )
    assert held.retains_ineligible(frozenset({"any"}), "tts")
    assert held.retains_ineligible(frozenset({"any"}), None)
    assert not held.retains_ineligible(frozenset({"any"}), "llm")
    assert not held.retains_ineligible(frozenset({"any", "strict"}), "tts")


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter() -> None:
    document = parse_policy(b"\xef\xbb\xbfversion = 3\r\n[organisation]\r\nzdr = false\r\n")
    assert document.version == 3
    assert not document.default.under_zdr


HEAD = "version = 1\n"
INVALID = {
    # syntax, with line and column
    "an empty file": ("", "version: is missing"),
    "a comment only": ("# nothing\n", "version: is missing"),
    "no value": ("version =", "line 1, column 10"),
    "cut in a value": (HEAD + "[organisation]\nzdr = tru", "line 3, column 7"),
    "cut in a header": (HEAD + "[organisation", "line 2, column 14"),
    "cut in a text": (HEAD + '[workspaces.a]\ninherit = "b', "line 3, column 13"),
    "no equals sign": (HEAD + "[organisation]\nzdr true\n", "line 3, column 5"),
    "a control character": (HEAD + "[organisation]\x00", "line 2, column"),
    "a key given twice": (HEAD + "version = 2\n", "line 2, column 12: a key is given twice"),
    "a table given twice": (
        HEAD + "[organisation]\n[organisation]\n",
        "line 3, column 14: a table is declared twice",
    ),
    "not UTF-8": (b"version = 1\n# \xff\n", "line 2, column 3: is not UTF-8"),
    "YAML": ("version: 1\n", "line 1, column 8"),
    "JSON": ('{"version": 1}', "line 1, column 1"),
    "endless nesting": (HEAD + "x = " + "[" * 100_000, "is nested too deeply"),
    # the version
    "a text as version": ('version = "7"', "version: '7' is not allowed; allowed: a whole number"),
    "a negative version": ("version = -1", "version: -1 is not allowed"),
    "a fraction as version": ("version = 1.5", "version: 1.5 is not allowed"),
    "a truth value as version": ("version = true", "version: True is not allowed"),
    "a version beyond 64 bits": (
        "version = 9223372036854775808",
        "version: 9223372036854775808 is not allowed",
    ),
    "no version": ("[organisation]\nzdr = true\n", "version: is missing"),
    # unknown keys
    "an unknown key": (HEAD + "mode = 1", "mode: is not known; allowed: version, organisation, workspaces"),
    "another spelling": (HEAD + "[organization]\nzdr = false", "organization: is not known"),
    "an unknown key of the organisation": (
        HEAD + "[organisation]\nzrd = false",
        "organisation.zrd: is not known; allowed: zdr, unidentified, ineligible, keep_keys, keep_names",
    ),
    "an unknown key of a workspace": (HEAD + "[workspaces.a]\nZDR = true", "workspaces.a.ZDR: is not known"),
    "an unknown product": (
        HEAD + "[products.video]\nzdr = true",
        "products.video: is not known; allowed: llm, stt, tts",
    ),
    "an unknown key of a product": (HEAD + "[products.tts]\nmodel = 1", "products.tts.model: is not known"),
    # values
    "a text for a truth value": (
        HEAD + '[organisation]\nzdr = "no"',
        "organisation.zdr: 'no' is not allowed; allowed: true or false",
    ),
    "a number for a truth value": (HEAD + "[workspaces.a]\nzdr = 0", "workspaces.a.zdr: 0 is not allowed"),
    "a quoted path": (HEAD + '[workspaces."a.b"]\nzdr = 1', 'workspaces."a.b".zdr: 1 is not allowed'),
    "an unknown word for ineligible": (
        HEAD + '[organisation]\nineligible = "keep"',
        'organisation.ineligible: \'keep\' is not allowed; allowed: "redact" or "retain"',
    ),
    "a list for ineligible": (
        HEAD + '[workspaces.a]\nineligible = ["retain"]',
        "workspaces.a.ineligible: ['retain']",
    ),
    "unidentified items retained while all is under ZDR": (
        HEAD + '[organisation]\nunidentified = "retain"',
        "organisation.unidentified: 'retain' is not allowed",
    ),
    "a product that loosens": (
        HEAD + "[products.tts]\nzdr = false",
        "products.tts.zdr: False is not allowed; allowed: true",
    ),
    "a product that retains": (
        HEAD + '[products.llm]\nineligible = "retain"',
        "products.llm.ineligible: 'retain' is not allowed",
    ),
    "a value for a table": (
        HEAD + "organisation = true",
        "organisation: True is not allowed; allowed: a table",
    ),
    "a list of workspaces": (
        HEAD + 'workspaces = ["a"]',
        "workspaces: ['a'] is not allowed; allowed: a table",
    ),
    "a value for a workspace": (
        HEAD + "[workspaces]\na = true",
        "workspaces.a: True is not allowed; allowed: a table",
    ),
    # ids
    "an empty id": (HEAD + '[workspaces.""]\nzdr = true', "workspaces: '' is not allowed; allowed: an id"),
    "a blank id": (HEAD + '[workspaces." "]\nzdr = true', "workspaces: ' ' is not allowed"),
    "an overlong id": (HEAD + f"[workspaces.{'a' * 257}]\nzdr = true", "workspaces: 'aaa"),
    "a question mark": (
        HEAD + '[workspaces."clinic-?"]\nzdr = true',
        "workspaces: 'clinic-?' is not allowed",
    ),
    "a character set": (
        HEAD + '[workspaces."clinic-[12]"]\nzdr = true',
        "workspaces: 'clinic-[12]' is not allowed",
    ),
    "an id with dots and no quotes": (
        HEAD + "[workspaces.a.b]\nzdr = true",
        "workspaces.a.b: is a table inside a workspace",
    ),
    "one workspace twice": (
        HEAD + "[workspaces.Clinic]\nzdr = true\n[workspaces.clinic]\nzdr = false",
        "workspaces.clinic: is the same workspace as workspaces.Clinic",
    ),
    "one pattern twice": (
        HEAD + '[workspaces."a**"]\nzdr = true\n[workspaces."a*"]\nzdr = false',
        'workspaces."a*": is the same workspace as workspaces."a**"',
    ),
    # inherit
    "a circle of one": (
        HEAD + '[workspaces.a]\ninherit = "a"',
        "workspaces.a.inherit: goes round in a circle: a → a",
    ),
    "a circle of two": (
        HEAD + '[workspaces.a]\ninherit = "b"\n[workspaces.b]\ninherit = "A"',
        "inherit: goes round in a circle: a → b → a",
    ),
    "a circle through a pattern": (
        HEAD + '[workspaces."a-*"]\ninherit = "a-1"',
        'workspaces."a-*".inherit: goes round in a circle',
    ),
    "an endless chain": (
        HEAD + "".join(f'[workspaces.w{i}]\ninherit = "w{i + 1}"\n' for i in range(5000)),
        "inherit: goes through more than 64 workspaces",
    ),
    "a misspelt workspace": (
        HEAD + '[workspaces.a]\ninherit = "clinik"',
        "workspaces.a.inherit: 'clinik' is not allowed",
    ),
    "a number to inherit from": (
        HEAD + "[workspaces.a]\ninherit = 7",
        "workspaces.a.inherit: 7 is not allowed",
    ),
    "a pattern nobody named": (
        HEAD + '[workspaces.a]\ninherit = "b-*"',
        "workspaces.a.inherit: 'b-*' is not allowed",
    ),
    # further keys and names
    "a text for keys": (
        HEAD + '[workspaces.a]\nkeep_keys = "acme.room"',
        "workspaces.a.keep_keys: 'acme.room' is not allowed",
    ),
    "a number among keys": (
        HEAD + "[workspaces.a]\nkeep_keys = [1]",
        "workspaces.a.keep_keys[0]: 1 is not allowed",
    ),
    "an empty key": (
        HEAD + '[workspaces.a]\nkeep_keys = ["x", ""]',
        "workspaces.a.keep_keys[1]: '' is not allowed",
    ),
    "a star alone": (
        HEAD + '[organisation]\nkeep_keys = ["*"]',
        "organisation.keep_keys[0]: '*' is not allowed",
    ),
    "a star inside a key": (
        HEAD + '[organisation]\nkeep_keys = ["a.*.b"]',
        "organisation.keep_keys[0]: 'a.*.b'",
    ),
    "a content key": (
        HEAD + '[workspaces.a]\nkeep_keys = ["gen_ai.input.messages"]',
        "'gen_ai.input.messages' is not allowed; allowed: metadata keys; this one is of the content class",
    ),
    "a prefix over content": (
        HEAD + '[workspaces.a]\nkeep_keys = ["gen_ai.*"]',
        "workspaces.a.keep_keys[0]: 'gen_ai.*'",
    ),
    "a name with spaces": (
        HEAD + '[workspaces.a]\nkeep_names = ["two words"]',
        "workspaces.a.keep_names[0]: 'two words'",
    ),
    # API keys
    "API keys that are no table": (HEAD + 'api_keys = "x"', "api_keys: is not a table"),
    "a key in place of its fingerprint": (
        HEAD + '[api_keys]\nsk-1 = "a"',
        "api_keys: entry 1 has no fingerprint",
    ),
    "a short fingerprint": (
        HEAD + '[api_keys]\n"hmac-sha256:ab" = "a"',
        "api_keys: entry 1 has no fingerprint",
    ),
    "no workspace": (
        HEAD + f'[api_keys]\n"hmac-sha256:{"0" * 64}" = ""',
        "api_keys: entry 1 has no workspace",
    ),
    "a pattern for a workspace": (
        HEAD + f'[api_keys]\n"hmac-sha256:{"0" * 64}" = "a-*"',
        "api_keys: entry 1 has no workspace",
    ),
    "a list of workspaces for a key": (
        HEAD + f'[api_keys]\n"hmac-sha256:{"0" * 64}" = ["a"]',
        "api_keys: entry 1 has no",
    ),
}


def test_there_are_at_least_forty_ways_to_be_wrong() -> None:
    assert len(INVALID) >= 40


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_policy_is_an_error_that_says_where_and_what_is_allowed(case: str) -> None:
    text, message = INVALID[case]
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(text, "policy.toml")
    assert str(caught.value).startswith("policy file policy.toml: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{head}[api_keys]\n{canary} = 'a'\n",
        "{head}[api_keys]\n'{canary}' = 'a'\n",
        "{head}[api_keys]\n'{fingerprint}' = '{canary}*'\n",
        "{head}[api_keys]\n'{fingerprint}' = ['{canary}']\n",
        "{head}[api_keys]\n'{fingerprint}' = '{canary}\n",
        "{head}[api_keys]\n'{canary}' = 'a'\n'{canary}' = 'b'\n",
        "{head}[api_keys]\n{canary}.x = 'a'\n{canary} = 'b'\n",
        "{head}[api_keys.{canary}]\nx = 1\n[api_keys.{canary}]\n",
        "{head}api_keys = '{canary}'\n",
        "{head}api_keys = {{ '{canary}' = 'a', '{canary}' = 'b' }}\n",
    ],
)
def test_nothing_that_stands_under_api_keys_is_ever_repeated_in_an_error(text: str) -> None:
    canary = f"CANARY-{uuid.uuid4()}"
    written = text.format(head=HEAD, canary=canary, fingerprint="hmac-sha256:" + "0" * 64)
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(written)
    assert canary not in str(caught.value)
    assert caught.value.__cause__ is None
    # The same text somewhere else is repeated: this is what would have been seen.
    with pytest.raises(ConfigurationError, match=canary):
        parse_policy(f"{HEAD}[workspaces.a]\ninherit = '{canary}'")


def test_a_document_does_not_show_fingerprints_when_it_is_printed() -> None:
    document = parse_policy(WHOLE.format(digits="ab" * 32))
    assert "abab" not in repr(document)


def test_files_that_cannot_be_read_are_errors_that_say_why(tmp_path: os.PathLike[str]) -> None:
    folder = os.fspath(tmp_path)
    fifo, long = os.path.join(folder, "fifo"), os.path.join(folder, "long.toml")
    os.mkfifo(fifo)
    with open(long, "wb") as file:
        file.write(b"version = 1\n#" + b"x" * MAX_SIZE)
    for path, message in (
        (os.path.join(folder, "missing.toml"), "cannot be read: No such file or directory"),
        (folder, "Is a directory|not a regular file"),
        (fifo, "is not a regular file"),
        (long, f"is longer than {MAX_SIZE} bytes"),
        ("with\0zero", "cannot be read"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            read_policy(path)
