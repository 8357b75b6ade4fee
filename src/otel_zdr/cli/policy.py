"""``otel-zdr policy``: look at a policy, check it, make fingerprints of API keys for it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import import_module
from typing import Any

from otel_zdr.cli._terminal import FOUND, OK, WRONG, error, plain
from otel_zdr.errors import ConfigurationError
from otel_zdr.policy.decision import Policy
from otel_zdr.policy.rules import Rules
from otel_zdr.policy.terms import Terms

_FILE = "OTEL_ZDR_POLICY_FILE"
_SECRET = "OTEL_ZDR_KEY_SECRET_FILE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three commands."""
    parser.description = "Look at a policy, check it, make fingerprints of API keys for it."
    commands = parser.add_subparsers(
        dest="policy_command", required=True, metavar="show|validate|fingerprint"
    )
    show = commands.add_parser(
        "show",
        help="what holds, and for which workspaces",
        description="What the policy says: of FILE, or of this environment's OTEL_ZDR_* variables.",
    )
    show.add_argument("file", nargs="?", metavar="FILE")
    show.add_argument(
        "--workspace",
        action="append",
        default=[],
        metavar="ID",
        help="what holds for this one; several: for an item of all",
    )
    show.add_argument("--json", action="store_true", help="for machines")
    validate = commands.add_parser(
        "validate",
        help="whether a policy file can be used",
        description="Check policy files, and say of each workspace whether it is under ZDR: exit code 1 if one "
        f"is not valid, 2 if one cannot be read. Default: {_FILE}.",
    )
    validate.add_argument("files", nargs="*", metavar="FILE")
    validate.add_argument("--json", action="store_true", help="for machines")
    validate.add_argument(
        "--against",
        metavar="OLD",
        help="also say whether the policy is looser than OLD anywhere (exit code 1)",
    )
    fingerprint = commands.add_parser(
        "fingerprint",
        help="the fingerprint of an API key, for [api_keys]",
        description="Read API keys from standard input, one a line, and print what stands for them under "
        "[api_keys]. They are never taken from the command line, where others could see them.",
    )
    fingerprint.add_argument("--secret-file", metavar="FILE", help=f"default: {_SECRET}")
    fingerprint.add_argument("--json", action="store_true", help="for machines")


def run(args: argparse.Namespace) -> int:
    """Run one of them; the exit code."""
    command = {"show": _show, "validate": _validate, "fingerprint": _fingerprint}[args.policy_command]
    return command(args)


# show


def _show(args: argparse.Namespace) -> int:
    try:
        held = _policy(args.file)
    except ConfigurationError as problem:
        return error(str(problem))
    if args.workspace:
        return _show_item(held, args.workspace, as_json=args.json)
    (rules,) = held.rules
    if args.json:
        print(json.dumps(_as_dict(rules), indent=2))
        return OK
    print(f"policy version   {rules.version}")
    print(f"anybody else     {_words(rules.default)}")
    print(f"unidentified     {_words(rules.unidentified)}")
    lines = [*sorted(rules.exact.items()), *rules.patterns.items]
    if lines:
        print("workspaces       (ids first, then patterns, the longest first: the first that fits holds)")
        width = max(len(plain(id_)) for id_, _ in lines)
        for id_, terms in lines:
            print(f"  {plain(id_):{width}}  {_words(terms)}")
    if rules.products:
        print(f"products         always under ZDR: {', '.join(sorted(rules.products))}")
    if rules.products_redacted:
        print(
            f"                 nothing retained as ineligible: {', '.join(sorted(rules.products_redacted))}"
        )
    if rules.api_keys:
        print(f"API keys         {len(rules.api_keys)} mapped (not shown)")
    return OK


def _show_item(held: Policy, texts: list[str], *, as_json: bool) -> int:
    from otel_zdr.workspaces import normalise

    ids = []
    for text in texts:
        id_ = normalise(text)
        if id_ is None:
            return error("policy show: --workspace has to be an id of 1 to 256 characters")
        ids.append(id_)
    terms = held.terms(frozenset(ids))
    named = {id_: held.names(id_) for id_ in ids}
    if as_json:
        print(json.dumps({"workspaces": named, "version": held.version, **_terms(terms)}, indent=2))
        return OK
    print(f"{', '.join(map(plain, ids))}: {_words(terms)} (policy {held.version})")
    for id_, is_named in named.items():
        if not is_named:
            print(f"{plain(id_)} is named by no list or policy: what holds for anybody else holds for it")
    return OK


def _policy(file: str | None) -> Policy:
    from otel_zdr.policy.document import read_policy
    from otel_zdr.settings import Settings

    if file is not None:
        return Policy(read_policy(file).rules())
    return Policy.from_settings(Settings.from_env())


def _as_dict(rules: Rules) -> dict[str, Any]:
    return {
        "version": rules.version,
        "default": _terms(rules.default),
        "unidentified": _terms(rules.unidentified),
        "workspaces": {id_: _terms(terms) for id_, terms in sorted(rules.exact.items())},
        "patterns": [{"pattern": pattern, **_terms(terms)} for pattern, terms in rules.patterns.items],
        "products": sorted(rules.products),
        "products_redacted": sorted(rules.products_redacted),
        "api_keys": len(rules.api_keys),
    }


def _terms(terms: Terms) -> dict[str, Any]:
    return {
        "zdr": terms.under_zdr,
        "ineligible": "retain" if terms.ineligible_retain else "redact",
        "keep_keys": sorted(terms.keep_keys),
        "keep_names": sorted(terms.keep_names),
    }


def _words(terms: Terms) -> str:
    if not terms.under_zdr:
        return "not under ZDR"
    words = ["under ZDR"]
    if terms.ineligible_retain:
        words.append("what is provably not eligible is retained")
    if terms.keep_keys:
        words.append("keeps keys " + ", ".join(sorted(terms.keep_keys)))
    if terms.keep_names:
        words.append("keeps names " + ", ".join(sorted(terms.keep_names)))
    return "; ".join(words)


# validate


def _validate(args: argparse.Namespace) -> int:
    from otel_zdr.policy.document import parse_policy, read_bytes

    files = args.files or [file for file in (os.environ.get(_FILE, "").strip(),) if file]
    if not files:
        return error(f"policy validate: no file given, and {_FILE} is not set")
    code, found = OK, []
    for file in [*([args.against] if args.against else []), *files]:
        entry: dict[str, Any] = {"file": file, "valid": False}
        found.append(entry)
        try:
            content, _ = read_bytes(file)
        except ConfigurationError as problem:
            entry["error"] = str(problem)
            code = WRONG
            continue
        try:
            document = parse_policy(content, file)
        except ConfigurationError as problem:
            entry["error"] = str(problem)
            code = max(code, FOUND)
            continue
        entry.update(valid=True, version=document.version, rules=document.rules())
        entry.update(_who(entry["rules"]), silent=_silent(content, entry["rules"]))
    if args.against:
        old = found[0]
        for entry in found[1:]:
            if old["valid"] and entry["valid"]:
                entry["looser"] = not entry["rules"].at_least_as_strict_as(old["rules"])
                entry["version_rises"] = entry["version"] > old["version"]
                if entry["looser"]:
                    code = max(code, FOUND)
    for entry in found:
        entry.pop("rules", None)
    if args.json:
        print(json.dumps(found, indent=2))
        return code
    for entry in found:
        _tell(entry)
    return code


def _who(rules: Rules) -> dict[str, Any]:
    """Who is under ZDR, by what the file names."""
    lines = [*sorted(rules.exact.items()), *rules.patterns.items]
    return {
        "anybody_else": rules.default.under_zdr,
        "unidentified": rules.unidentified.under_zdr,
        "workspaces": {id_: terms.under_zdr for id_, terms in lines},
    }


def _silent(content: bytes, rules: Rules) -> list[str]:
    """Workspaces whose table says nothing about zdr and that are not under ZDR: easily not what was meant."""
    from otel_zdr.policy.patterns import canonical, is_pattern
    from otel_zdr.workspaces import normalise

    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    tables: dict[str, dict[str, Any]] = toml.loads(content.decode("utf-8-sig")).get("workspaces", {})
    of_patterns = dict(rules.patterns.items)
    silent = []
    for name, table in tables.items():
        id_ = canonical(name) if is_pattern(name) else normalise(name)
        terms = of_patterns.get(id_ or "") or rules.exact.get(id_ or "")
        if "zdr" not in table and terms is not None and not terms.under_zdr:
            silent.append(id_ or name)
    return sorted(silent)


def _tell(entry: dict[str, Any]) -> None:
    if not entry["valid"]:
        print(plain(entry["error"], 1000), file=sys.stderr)
        return
    print(f"policy file {plain(entry['file'])}: valid, version {entry['version']}")
    lines = {
        **entry["workspaces"],
        "anybody else": entry["anybody_else"],
        "unidentified": entry["unidentified"],
    }
    width = max(len(plain(id_)) for id_ in lines)
    for id_, under_zdr in lines.items():
        holds = "under ZDR" if under_zdr else "not under ZDR"
        if id_ in entry["silent"]:
            holds += (
                ": its table has no zdr, and what it inherits, the longest pattern that fits it or [organisation] "
                "says false; write zdr = true or zdr = false into it"
            )
        print(f"  {plain(id_):{width}}  {holds}")
    if entry.get("looser"):
        print("  looser than the other file for some workspace, or not provably as strict")
        if not entry["version_rises"]:
            print("  its version is not higher: a running process would not follow it")


# fingerprint


def _fingerprint(args: argparse.Namespace) -> int:
    from otel_zdr.policy.fingerprint import fingerprint, read_secret

    path = args.secret_file or os.environ.get(_SECRET, "").strip()
    if not path:
        return error(f"policy fingerprint: name --secret-file or set {_SECRET}")
    try:
        secret = read_secret(path)
    except ConfigurationError as problem:
        return error(str(problem))
    if sys.stdin is None or sys.stdin.closed:
        return error("policy fingerprint: there is no standard input to read a key from")
    keys = _typed_key() if sys.stdin.isatty() else [line.strip() for line in sys.stdin]
    keys = [key for key in keys if key]
    if not keys:
        return error("policy fingerprint: no key on standard input")
    prints = [fingerprint(key, secret) for key in keys]
    if args.json:
        print(json.dumps(prints, indent=2))
    else:
        for each in prints:
            print(each)
    return OK


def _typed_key() -> list[str]:
    import getpass

    try:
        return [getpass.getpass("API key (not shown): ").strip()]
    except (EOFError, KeyboardInterrupt):
        return []
