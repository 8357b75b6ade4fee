"""The policy file: a TOML document, checked and compiled.

::

    version = 7                        # a whole number that rises with every change
    [organisation]                     # what holds for every workspace that no table below names
    zdr = true                         # default true
    unidentified = "redact"            # items that no workspace is known for; or "retain" where zdr = false
    ineligible = "redact"              # or "retain"
    keep_keys = []                     # further metadata keys, exact or `prefix.*`
    keep_names = []                    # further names of spans, events, scopes and instruments
    [workspaces."clinic-*"]            # an id or a pattern; the same four settings, or
    inherit = "clinic-1"               # those of another workspace of this file
    [products.tts]                     # tts, stt, llm, voice_cloning, voice_design: may only tighten
    zdr = true
    ineligible = "redact"
    [api_keys]                         # fingerprint = workspace, see `otel-zdr policy fingerprint`
    "hmac-sha256:…" = "clinic-1"

Exact ids win over patterns, longer patterns over shorter, of equally long ones the strictest. What a table
leaves out comes from the workspace it inherits from; without ``inherit``, from the longest other pattern
that matches it; else from ``[organisation]``. Every mistake is an error: nothing is guessed, since a
misread policy may mean capture.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NoReturn

from otel_zdr.errors import ConfigurationError
from otel_zdr.policy.fingerprint import is_fingerprint
from otel_zdr.policy.patterns import PatternIndex, canonical, is_pattern
from otel_zdr.policy.rules import Rules
from otel_zdr.policy.terms import Terms, strictest

#: The products of the specification.
PRODUCTS = ("llm", "stt", "tts", "voice_cloning", "voice_design")
#: Bytes: a policy is written by people.
MAX_SIZE = 1024 * 1024
_MAX_VERSION = 2**63 - 1
_MAX_ID = 256
_MAX_KEEP = 256
_MAX_DEPTH = 64

_TOP = ("version", "organisation", "workspaces", "products", "api_keys")
_ORGANISATION = ("zdr", "unidentified", "ineligible", "keep_keys", "keep_names")
_WORKSPACE = ("zdr", "inherit", "ineligible", "keep_keys", "keep_names")
_PRODUCT = ("zdr", "ineligible")
_REDACT_OR_RETAIN = ("redact", "retain")

# Compiled when a policy file is read: most processes have none.
_KEY = r"[A-Za-z0-9_][A-Za-z0-9._\-/]{0,127}"
_NAME = r"[A-Za-z0-9._:/@+\-]{1,128}"
_BARE = r"[A-Za-z0-9_\-]+"
_PLACE = r"\(at (?:line (\d+), column (\d+)|end of document)\)"


@dataclass(frozen=True, slots=True)
class Document:
    """A valid policy.

    Attributes:
        version: rises with every change.
        default: terms of a workspace that is not named.
        unidentified: terms of an item that no workspace is known for.
        exact: terms by normalised id.
        patterns: (pattern, terms), longest first.
        products: products under ZDR whatever the workspace.
        products_redacted: products of which nothing ineligible is retained whatever the workspace.
        api_keys: normalised workspace id by fingerprint; never shown.
    """

    version: int
    default: Terms
    unidentified: Terms
    exact: Mapping[str, Terms]
    patterns: tuple[tuple[str, Terms], ...]
    products: frozenset[str] = frozenset()
    products_redacted: frozenset[str] = frozenset()
    api_keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def rules(self, keep_keys: Iterable[str] = (), keep_names: Iterable[str] = ()) -> Rules:
        """Compile, with the keys and names of the environment added to everybody's."""
        more_keys, more_names = frozenset(keep_keys), frozenset(keep_names)

        def add(terms: Terms) -> Terms:
            return Terms(
                under_zdr=terms.under_zdr,
                ineligible_retain=terms.ineligible_retain,
                keep_keys=terms.keep_keys | more_keys,
                keep_names=terms.keep_names | more_names,
            )

        return Rules(
            version=str(self.version),
            default=add(self.default),
            unidentified=add(self.unidentified),
            exact={id_: add(terms) for id_, terms in self.exact.items()},
            patterns=[(pattern, add(terms)) for pattern, terms in self.patterns],
            products=self.products,
            products_redacted=self.products_redacted,
            api_keys=self.api_keys,
        )


def read_policy(path: str | os.PathLike[str]) -> Document:
    """Read and check a policy file.

    Raises:
        ConfigurationError: it cannot be read (the message says why) or used (line and column, or the
            dotted key, and what is allowed).
    """
    return parse_policy(read_bytes(path)[0], os.fspath(path))


def read_bytes(path: str | os.PathLike[str]) -> tuple[bytes, os.stat_result]:
    """The content of a policy file and the state of exactly the file that was read.

    Raises:
        ConfigurationError: it cannot be read, is not a regular file or is too long.
    """
    import stat

    name = os.fspath(path)
    try:
        # Not blocking: a named pipe must not stop the process.
        descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            state = os.fstat(descriptor)
            regular = stat.S_ISREG(state.st_mode)
            content = file.read(MAX_SIZE + 1) if regular else b""
    except OSError as error:
        _refuse(name, f"cannot be read: {error.strerror or type(error).__name__}")
    except ValueError:
        _refuse(name, "cannot be read: not a path")
    if not regular:
        _refuse(name, "is not a regular file")
    if len(content) > MAX_SIZE:
        _refuse(name, f"is longer than {MAX_SIZE} bytes")
    return content, state


def parse_policy(content: bytes | str, name: str = "policy") -> Document:
    """Check and compile the text of a policy; ``name`` stands in front of errors.

    Raises:
        ConfigurationError: see :func:`read_policy`.
    """
    return _Reader(name).document(_load(content, name))


def _load(content: bytes | str, name: str) -> dict[str, Any]:
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    text = content if isinstance(content, str) else _decode(content, name)
    try:
        loaded: dict[str, Any] = toml.loads(text)
        return loaded
    except RecursionError:
        _refuse(name, "is nested too deeply")
    except ValueError as error:
        _refuse(name, _describe(str(error), text))


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        _refuse(name, f"line {line}, column {column}: is not UTF-8")


def _describe(message: str, content: str) -> str:
    """A syntax error with its place and without any text of the file (it may stand under ``api_keys``)."""
    found = re.search(_PLACE, message)
    what = message[: found.start()].strip() if found else "is not TOML"
    for told, said in (
        ("Cannot declare", "a table is declared twice"),
        ("Cannot overwrite", "a key is given twice"),
        ("Duplicate inline table key", "a key is given twice"),
        ("Cannot mutate", "a table is given twice"),
    ):
        if what.startswith(told):
            what = said
    # What the parser quotes are single characters and the like; anything longer is left out.
    what = re.sub(r"(['\"]).{4,}\1", "…", what)
    if found and found[1]:
        return f"line {found[1]}, column {found[2]}: {what}"
    lines = content.split("\n")
    return f"line {len(lines)}, column {len(lines[-1]) + 1}: {what} (the file ends here)"


class _Reader:
    """Checks one loaded document. ``name`` is the file's, for messages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tables: dict[str, dict[str, Any]] = {}
        self._resolved: dict[str, Terms] = {}

    def document(self, loaded: dict[str, Any]) -> Document:
        self._known((), loaded, _TOP)
        version = self._version(loaded)
        organisation = self._table((), loaded, "organisation")
        path = ("organisation",)
        self._known(path, organisation, _ORGANISATION)
        zdr = self._boolean(path, organisation, "zdr", True)
        unidentified = self._choice(path, organisation, "unidentified", "redact")
        if zdr and unidentified == "retain":
            self._wrong(
                (*path, "unidentified"),
                "retain",
                '"redact" where organisation.zdr is true (items of no known workspace are under ZDR too)',
            )
        default = self._terms(path, organisation, Terms(under_zdr=zdr))
        self._organisation = default
        self._workspaces(self._table((), loaded, "workspaces"))
        products, products_redacted = self._products(self._table((), loaded, "products"))
        return Document(
            version=version,
            default=default,
            unidentified=Terms(
                under_zdr=unidentified == "redact",
                ineligible_retain=default.ineligible_retain,
                keep_keys=default.keep_keys,
                keep_names=default.keep_names,
            ),
            exact={id_: terms for id_, terms in self._resolved.items() if not is_pattern(id_)},
            patterns=PatternIndex(item for item in self._resolved.items() if is_pattern(item[0])).items,
            products=products,
            products_redacted=products_redacted,
            api_keys=self._api_keys(self._table((), loaded, "api_keys")),
        )

    def _version(self, loaded: dict[str, Any]) -> int:
        if "version" not in loaded:
            self._fail("version", "is missing; allowed: a whole number that rises with every change")
        version = loaded["version"]
        if type(version) is not int or not 0 <= version <= _MAX_VERSION:
            self._wrong(("version",), version, "a whole number from 0 that rises with every change")
        return version

    # workspaces

    def _workspaces(self, tables: dict[str, Any]) -> None:
        written: dict[str, str] = {}
        for key in tables:
            table = self._table(("workspaces",), tables, key)
            id_ = self._id(("workspaces",), key, patterns=True)
            if id_ in written:
                self._fail(
                    _dotted(("workspaces", key)),
                    f"is the same workspace as {_dotted(('workspaces', written[id_]))} "
                    "(case, width and outer spaces do not count)",
                )
            written[id_] = key
            self._tables[id_] = table
            path = ("workspaces", key)
            nested = [inner for inner, value in table.items() if isinstance(value, dict)]
            if nested and nested[0] not in _WORKSPACE:
                self._fail(
                    _dotted((*path, nested[0])),
                    "is a table inside a workspace; an id with dots is written in quotes",
                )
            self._known(path, table, _WORKSPACE)
        self._written = written
        self._index = PatternIndex((id_, id_) for id_ in self._tables if is_pattern(id_))
        for id_ in self._tables:
            self._resolve(id_, [])

    def _resolve(self, id_: str, behind: list[str]) -> Terms:
        if id_ in self._resolved:
            return self._resolved[id_]
        path = ("workspaces", self._written[id_])
        if id_ in behind:
            circle = " → ".join(self._written[each] for each in [*behind[behind.index(id_) :], id_])
            self._fail(_dotted((*path, "inherit")), f"goes round in a circle: {circle}")
        if len(behind) > _MAX_DEPTH:
            self._fail(_dotted((*path, "inherit")), f"goes through more than {_MAX_DEPTH} workspaces")
        table = self._tables[id_]
        if "inherit" in table:
            base = self._inherited(path, id_, table["inherit"], behind)
        else:
            base = self._matched(id_, [*behind, id_]) or self._organisation
        zdr = self._boolean(path, table, "zdr", base.under_zdr)
        terms = self._terms(
            path,
            table,
            Terms(
                under_zdr=zdr,
                ineligible_retain=base.ineligible_retain,
                keep_keys=base.keep_keys,
                keep_names=base.keep_names,
            ),
        )
        self._resolved[id_] = terms
        return terms

    def _inherited(self, path: tuple[str, ...], id_: str, value: Any, behind: list[str]) -> Terms:
        key = (*path, "inherit")
        if not isinstance(value, str):
            self._wrong(key, value, "the id of a workspace of this file")
        target = self._id(key, value, patterns=True)
        behind = [*behind, id_]
        if target in self._tables:
            return self._resolve(target, behind)
        matched = None if is_pattern(target) else self._matched(target, behind)
        if matched is None:
            self._wrong(
                key, value, "an id or pattern that this file names (a misspelt one would inherit nothing)"
            )
        return matched

    def _matched(self, id_: str, behind: list[str]) -> Terms | None:
        """The terms of the longest patterns that match an id, or all of another pattern."""
        found = self._index.find(id_, but=id_)
        return strictest([self._resolve(pattern, behind) for pattern in found]) if found else None

    # the other tables

    def _products(self, tables: dict[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
        self._known(("products",), tables, PRODUCTS)
        zdr, redacted = set(), set()
        for product in tables:
            path = ("products", product)
            table = self._table(("products",), tables, product)
            self._known(path, table, _PRODUCT)
            if "zdr" in table:
                if not self._boolean(path, table, "zdr", True):
                    self._wrong(
                        (*path, "zdr"), False, "true: a product may only tighten what holds for workspaces"
                    )
                zdr.add(product)
            if "ineligible" in table:
                if self._choice(path, table, "ineligible", "redact") == "retain":
                    self._wrong(
                        (*path, "ineligible"),
                        "retain",
                        '"redact": a product may only tighten what holds for workspaces',
                    )
                redacted.add(product)
        return frozenset(zdr), frozenset(redacted)

    def _api_keys(self, table: dict[str, Any]) -> dict[str, str]:
        # Somebody may have pasted a key where its fingerprint belongs: nothing of an entry is repeated.
        workspaces: dict[str, str] = {}
        for number, (fingerprint, value) in enumerate(table.items(), 1):
            entry = f"api_keys: entry {number}"
            if not is_fingerprint(fingerprint):
                self._fail(
                    entry,
                    "has no fingerprint on its left; allowed: what `otel-zdr policy fingerprint` prints",
                )
            workspace = _normalise(value) if isinstance(value, str) else None
            if workspace is None or is_pattern(workspace):
                self._fail(entry, "has no workspace on its right; allowed: the id of one workspace")
            workspaces[fingerprint] = workspace
        return workspaces

    # values

    def _terms(self, path: tuple[str, ...], table: dict[str, Any], base: Terms) -> Terms:
        retain = self._choice(path, table, "ineligible", "retain" if base.ineligible_retain else "redact")
        return Terms(
            under_zdr=base.under_zdr,
            ineligible_retain=retain == "retain",
            keep_keys=self._keep_keys(path, table) if "keep_keys" in table else base.keep_keys,
            keep_names=self._keep_names(path, table) if "keep_names" in table else base.keep_names,
        )

    def _keep_keys(self, path: tuple[str, ...], table: dict[str, Any]) -> frozenset[str]:
        from otel_zdr.catalogue import content_class_of

        allowed = "keys, exact or `prefix.*`, of letters, digits and `._-/`"
        keys = self._texts(path, table, "keep_keys")
        for number, key in enumerate(keys):
            place = (*path, f"keep_keys[{number}]")
            if not re.fullmatch(_KEY, key[:-2] if key.endswith(".*") else key):
                self._wrong(place, key, allowed)
            content_class = content_class_of(key)
            if content_class is not None:
                self._wrong(place, key, f"metadata keys; this one is of the content class {content_class}")
        return frozenset(keys)

    def _keep_names(self, path: tuple[str, ...], table: dict[str, Any]) -> frozenset[str]:
        names = self._texts(path, table, "keep_names")
        for number, name in enumerate(names):
            if not re.fullmatch(_NAME, name[:-2] if name.endswith(".*") else name):
                self._wrong(
                    (*path, f"keep_names[{number}]"),
                    name,
                    "names, exact or `prefix.*`, of letters, digits and `._:/@+-`",
                )
        return frozenset(names)

    def _texts(self, path: tuple[str, ...], table: dict[str, Any], key: str) -> list[str]:
        value = table[key]
        if not isinstance(value, list) or len(value) > _MAX_KEEP:
            self._wrong((*path, key), value, f"a list of at most {_MAX_KEEP} texts")
        for number, item in enumerate(value):
            if not isinstance(item, str) or not item.strip():
                self._wrong((*path, f"{key}[{number}]"), item, "a text that is not empty")
        return [item.strip() for item in value]

    def _table(self, path: tuple[str, ...], tables: dict[str, Any], key: str) -> dict[str, Any]:
        table = tables.get(key, {})
        if not isinstance(table, dict):
            if key == "api_keys":
                self._fail("api_keys", "is not a table")
            self._wrong((*path, key), table, f"a table, written [{_dotted((*path, key))}]")
        return table

    def _known(self, path: tuple[str, ...], table: dict[str, Any], allowed: tuple[str, ...]) -> None:
        for key in table:
            if key not in allowed:
                self._fail(_dotted((*path, key)), f"is not known; allowed: {', '.join(allowed)}")

    def _boolean(self, path: tuple[str, ...], table: dict[str, Any], key: str, default: bool) -> bool:
        value = table.get(key, default)
        if not isinstance(value, bool):
            self._wrong((*path, key), value, "true or false")
        return value

    def _choice(self, path: tuple[str, ...], table: dict[str, Any], key: str, default: str) -> str:
        value = table.get(key, default)
        word = value.strip().lower() if isinstance(value, str) else None
        if word not in _REDACT_OR_RETAIN:
            self._wrong((*path, key), value, '"redact" or "retain"')
        return word

    def _id(self, path: tuple[str, ...], text: str, *, patterns: bool) -> str:
        id_ = _normalise(text)
        if id_ is None:
            self._wrong(path, text, f"an id of 1 to {_MAX_ID} characters")
        if not id_.isprintable():
            self._wrong(path, text, "an id without invisible characters")
        if any(sign in id_ for sign in "?[]"):
            self._wrong(path, text, "an id, or a pattern whose only sign is `*`")
        return canonical(id_)

    def _wrong(self, path: tuple[str, ...], value: Any, allowed: str) -> NoReturn:
        shown = repr(value)
        self._fail(
            _dotted(path),
            f"{shown if len(shown) <= 80 else shown[:79] + '…'} is not allowed; allowed: {allowed}",
        )

    def _fail(self, key: str, message: str) -> NoReturn:
        _refuse(self._name, f"{key}: {message}" if not key.startswith("api_keys: ") else f"{key} {message}")


def _normalise(text: str) -> str | None:
    # Imported here: ids are read by the module that also knows the OpenTelemetry context.
    from otel_zdr.workspaces import normalise

    return normalise(text)


def _dotted(path: tuple[str, ...]) -> str:
    """The key as it would be written in the file."""
    import json

    return ".".join(
        part if re.fullmatch(_BARE, part.split("[")[0]) else json.dumps(part, ensure_ascii=False)
        for part in path
    )


def _refuse(name: str, message: str) -> NoReturn:
    raise ConfigurationError(f"policy file {name}: {message}")
