"""Settings: the environment, read once into one frozen object.

Source of every rule: the table "Settings" of the design. Empty means unset; case and surrounding
spaces of values do not matter. What cannot be understood is a :class:`ConfigurationError`, and before
it is raised the gate is closed (``on_invalid``), so that an application that catches the error still
captures nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import NoReturn

from otel_zdr.errors import ConfigurationError

PREFIX = "OTEL_ZDR_"

#: Set by the façade to "close the gate": the settings are below the SDK edge and may not import it.
on_invalid: Callable[[str], None] | None = None

# Compiled when they are asked for: most processes set none of these variables.
# Kubernetes announces a Service called otel-zdr… to every pod with variables of these shapes.
_SERVICE_LINK = (
    r"OTEL_ZDR(_\w*)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_KEY = r"[A-Za-z0-9_][A-Za-z0-9._\-/]{0,127}"
_NAME = r"[A-Za-z0-9._:/@+\-]{1,128}"
_BAGGAGE_KEY = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}"
_HOST = r"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9\-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9\-]*[a-z0-9])?)*)(:\d{1,5})?"
_MAX_WORKSPACE = 256
#: What is written by those who take the list of workspaces for a switch.
_SWITCHES = frozenset(
    (
        "all",
        "any",
        "disable",
        "disabled",
        "enable",
        "enabled",
        "false",
        "no",
        "null",
        "off",
        "on",
        "true",
        "undefined",
        "yes",
    )
)

_CHOICES = {
    "unidentified": ("redact", "retain"),
    "ineligible": ("redact", "retain"),
    "literals": ("names", "all", "none"),
    "evidence": ("counts", "off"),
    "on_failure": ("disable", "refuse"),
}
_LISTS = ("workspaces", "workspace_keys", "keep_keys", "keep_names", "inworld_hosts")
#: What a policy file says itself: beside one, these variables would make two sources of truth.
_IN_POLICY_FILE = ("workspaces", "unidentified", "ineligible")


@dataclass(frozen=True)
class Settings:
    """Everything an operator can say, validated.

    Attributes:
        workspaces: ids under ZDR, ``("*",)`` for all (unidentified too), ``()`` for none.
        policy_file: path of a TOML policy that takes the place of ``workspaces``, or None.
        unidentified: ``redact`` or ``retain`` items that no workspace is known for.
        workspace_keys: attribute keys that name the workspace; the first is used for stamping.
        ineligible: ``redact``, or ``retain`` what is provably outside the specification's promise.
        keep_keys: further metadata keys, exact or ``prefix.*``.
        keep_names: further names of spans, events, scopes and instruments, exact or ``prefix.*``.
        literals: which proven literals survive: ``names``, ``all`` or ``none``.
        evidence: ``counts`` or ``off``.
        inworld_hosts: ``host`` or ``host:port`` of the API that the specification covers.
        key_secret_file: file with the secret for API-key fingerprints, or None.
        baggage_key: baggage entry that names a workspace (only tightens), or None.
        on_failure: ``disable`` telemetry or ``refuse`` to start when the gate cannot be put in place.

    Raises:
        ConfigurationError: a value is not allowed; the gate is closed by then.
    """

    workspaces: tuple[str, ...] = ("*",)
    policy_file: str | None = None
    unidentified: str = "redact"
    workspace_keys: tuple[str, ...] = ("workspace.id",)
    ineligible: str = "redact"
    keep_keys: tuple[str, ...] = ()
    keep_names: tuple[str, ...] = ()
    literals: str = "names"
    evidence: str = "counts"
    inworld_hosts: tuple[str, ...] = ("api.inworld.ai",)
    key_secret_file: str | None = None
    baggage_key: str | None = None
    on_failure: str = "disable"

    def __new__(cls, *_args: object, **given: object) -> Settings:
        for name in given:
            if name not in cls.__dataclass_fields__:
                _refuse(f"Settings has no {name!r}; it takes {', '.join(cls.__dataclass_fields__)}")
        return object.__new__(cls)

    def __post_init__(self) -> None:
        for name in _LISTS:
            object.__setattr__(self, name, _items(name, getattr(self, name)))
        for name, allowed in _CHOICES.items():
            object.__setattr__(self, name, _choice(name, getattr(self, name), allowed))
        for name in ("policy_file", "key_secret_file", "baggage_key"):
            object.__setattr__(self, name, _optional_text(name, getattr(self, name)))
        self._check_workspaces()
        self._check_keys()
        if self.baggage_key is not None and not re.fullmatch(_BAGGAGE_KEY, self.baggage_key):
            _wrong(
                "baggage_key",
                self.baggage_key,
                "the name of one baggage entry: a token of HTTP, without spaces",
            )
        self._check_names()
        self._check_hosts()
        self._check_files()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``OTEL_ZDR_*`` from ``environ`` (default: the process's environment).

        Raises:
            ConfigurationError: an unknown variable, a value that is not allowed, or two variables that
                contradict each other; names the variable, the value and what is allowed.
        """
        environ = os.environ if environ is None else environ
        known = {variable(field.name): field.name for field in fields(cls)}
        given: dict[str, str] = {}
        for name, value in environ.items():
            if not name.upper().startswith(PREFIX):
                continue
            if name in known:
                if value.strip():
                    given[known[name]] = value.strip()
            elif not re.fullmatch(_SERVICE_LINK, name.upper()):
                _refuse(f"{name} is not a variable of otel-zdr; known are {', '.join(sorted(known))}")
        if "policy_file" in given:
            for name in _IN_POLICY_FILE:
                if name in given:
                    _refuse(
                        f"{variable(name)}={given[name]!r} beside {variable('policy_file')}="
                        f"{given['policy_file']!r}: the policy file says this itself; set only one of the two"
                    )
        values: dict[str, object] = dict(given)
        for name in _LISTS:
            if name in given:
                values[name] = _split(given[name])
        return cls(**values)  # type: ignore[arg-type]

    def _check_workspaces(self) -> None:
        items = self.workspaces
        lowered = [item.casefold() for item in items]
        if "None" in items:
            _wrong(
                "workspaces",
                "None",
                "`none` to turn it off; this one is what Python writes for a missing value",
            )
        if "none" in lowered:
            if len(items) > 1:
                _wrong("workspaces", items, "`none` alone, `*` alone, or a list of workspace ids")
            object.__setattr__(self, "workspaces", ())
        elif lowered == ["*"]:
            if self.unidentified == "retain":
                _wrong(
                    "unidentified",
                    self.unidentified,
                    f"`redact` where {variable('workspaces')} is `*` (all, unidentified too)",
                )
        else:
            for item in items:
                if any(character in item for character in "*?["):
                    _wrong(
                        "workspaces",
                        item,
                        "ids without patterns (patterns belong in the policy file), or `*` alone",
                    )
                if len(item) > _MAX_WORKSPACE:
                    _wrong("workspaces", f"{item[:16]}…", f"ids of at most {_MAX_WORKSPACE} characters")
                # Taken for an id, these would match no workspace, and all that is meant would be captured.
                if item.casefold() in _SWITCHES or items in (("0",), ("1",)):
                    _wrong(
                        "workspaces", item, "`*` for all workspaces, `none` to turn it off, or a list of ids"
                    )
                if not _is_plain_id(item):
                    _wrong(
                        "workspaces",
                        item,
                        "ids separated by commas, without quotes, white space, invisible characters and"
                        " ``;|$={}``, nor a path (an id with one of these belongs in the policy file)",
                    )

    def _check_keys(self) -> None:
        # Imported here: the catalogue is only needed where keys are named.
        if not self.workspace_keys:
            _wrong("workspace_keys", (), "at least one attribute key")
        for name in ("workspace_keys", "keep_keys"):
            for item in getattr(self, name):
                if name == "workspace_keys" and item == "workspace.id":
                    continue
                bare = item[:-2] if name == "keep_keys" and item.endswith(".*") else item
                if not re.fullmatch(_KEY, bare):
                    allowed = "attribute keys" if name == "workspace_keys" else "keys, exact or `prefix.*`"
                    _wrong(name, item, f"{allowed} of letters, digits and `._-/`")
                if name == "workspace_keys" and item.lower() == "workspace.id":
                    _wrong(name, item, "attribute keys as they are written; this one is `workspace.id`")
                from otel_zdr.catalogue import content_class_of

                content_class = content_class_of(item)
                if content_class is not None:
                    _wrong(name, item, f"metadata keys; this one is of the content class {content_class}")

    def _check_names(self) -> None:
        for item in self.keep_names:
            bare = item[:-2] if item.endswith(".*") else item
            if not re.fullmatch(_NAME, bare):
                _wrong("keep_names", item, "names, exact or `prefix.*`, of letters, digits and `._:/@+-`")

    def _check_hosts(self) -> None:
        lowered = tuple(item.lower() for item in self.inworld_hosts)
        for item in lowered if lowered != Settings.inworld_hosts else ():
            if not re.fullmatch(_HOST, item):
                _wrong("inworld_hosts", item, "`host` or `host:port`, without a scheme or path")
        object.__setattr__(self, "inworld_hosts", lowered)

    def _check_files(self) -> None:
        name = "policy_file"
        try:
            if self.policy_file is not None:
                from otel_zdr.policy.document import read_policy

                document = read_policy(self.policy_file)
                if document.api_keys and self.key_secret_file is None:
                    _refuse(
                        f"{variable('policy_file')}={self.policy_file!r} maps api_keys, which needs "
                        f"{variable('key_secret_file')}: the file with the secret of the fingerprints"
                    )
            name = "key_secret_file"
            if self.key_secret_file is not None:
                from otel_zdr.policy.fingerprint import read_secret

                read_secret(self.key_secret_file)
        except ConfigurationError as error:
            _refuse(f"{variable(name)}={getattr(self, name)!r}: {error}")


def variable(name: str) -> str:
    """The environment variable of the field ``name``."""
    return PREFIX + name.upper()


def _split(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(","))


def _items(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        _wrong(name, value, "a sequence of texts")
    items = tuple(value)
    for item in items:
        if not isinstance(item, str):
            _wrong(name, item, "a sequence of texts")
        if not item.strip():
            _wrong(name, ",".join(items), "a comma list without empty items")
    return tuple(item.strip() for item in items)


def _choice(name: str, value: object, allowed: tuple[str, ...]) -> str:
    word = value.strip().lower() if isinstance(value, str) else None
    if word is None or word not in allowed:
        _wrong(name, value, " or ".join(f"`{each}`" for each in allowed))
    return word


def _optional_text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike):
        _wrong(name, value, "a text")
    return os.fspath(value).strip() or None


def is_variable_set() -> bool:
    """Whether the environment has any variable of ours, known or not."""
    return any(name.upper().startswith(PREFIX) for name in os.environ)


def _is_plain_id(text: str) -> bool:
    """Whether a workspace id is what it looks like: `docker --env-file` keeps quotes, editors leave a BOM."""
    if not text.isprintable() or text[:1] in "/~@":
        return False
    return not any(character.isspace() or character in "'\"`;|$={}" for character in text)


def _wrong(name: str, value: object, allowed: str) -> NoReturn:
    _refuse(f"{variable(name)}={value!r} is not allowed; allowed: {allowed}")


def _refuse(message: str) -> NoReturn:
    if on_invalid is not None:
        on_invalid(message)
    raise ConfigurationError(message)
