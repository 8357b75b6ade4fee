"""The places of all three signals that a canary is put in, as data, and the canaries themselves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

TEXT, TOKEN, NUMBERS = "text", "token", "numbers"
"""Shapes of a canary: with spaces, one word (where a place takes nothing else), a numeric vector."""

CONFIGURED, OWN = "configured", "own"
"""Whose providers: those the environment configures, or some that an application makes itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """`pipelines`: where it can be reached. `shared`: it belongs to a provider, so all tenants share it."""

    signal: str
    name: str
    shape: str = TEXT
    pipelines: tuple[str, ...] = (CONFIGURED, OWN)
    shared: bool = False

    @property
    def id(self) -> str:
        return f"{self.signal}: {self.name}"


PLACES: tuple[Place, ...] = (
    Place("traces", "span name"),
    Place("traces", "attribute of a content key"),
    Place("traces", "attribute of an unknown key"),
    Place("traces", "attribute key", TOKEN),
    Place("traces", "list of texts"),
    Place("traces", "bytes"),
    Place("traces", "nested map"),
    Place("traces", "numeric vector", NUMBERS),
    Place("traces", "text beside usage in JSON"),
    Place("traces", "text under a key of usage"),
    Place("traces", "status description"),
    Place("traces", "event name"),
    Place("traces", "event attribute"),
    Place("traces", "exception message"),
    Place("traces", "link attribute"),
    Place("traces", "trace state", TOKEN),
    Place("traces", "trace state of a link", TOKEN),
    Place("traces", "scope name"),
    Place("traces", "scope version"),
    Place("traces", "scope schema URL"),
    Place("traces", "scope attribute"),
    Place("traces", "resource attribute", TOKEN, shared=True),
    Place("traces", "span given to the exporter itself", pipelines=(OWN,)),
    Place("logs", "body, text"),
    Place("logs", "body, structured"),
    Place("logs", "key in a structured body", TOKEN),
    Place("logs", "attribute"),
    Place("logs", "attribute key", TOKEN),
    Place("logs", "event name"),
    Place("logs", "severity text"),
    Place("logs", "exception object"),
    Place("logs", "scope name"),
    Place("logs", "scope version"),
    Place("logs", "resource attribute", TOKEN, shared=True),
    Place("logs", "argument of logging", pipelines=(CONFIGURED,)),
    Place("logs", "extra of logging", pipelines=(CONFIGURED,)),
    Place("logs", "exception of logging", pipelines=(CONFIGURED,)),
    Place("metrics", "instrument name", TOKEN),
    Place("metrics", "description"),
    Place("metrics", "unit"),
    Place("metrics", "attribute"),
    Place("metrics", "attribute key", TOKEN),
    Place("metrics", "attribute of an observation"),
    Place("metrics", "exemplar", pipelines=(OWN,)),
    Place("metrics", "scope name"),
    Place("metrics", "resource attribute", TOKEN, shared=True),
)


def canary(shape: str) -> str:
    """A text that has stood nowhere before; parts of two never look alike."""
    if shape == NUMBERS:
        # An odd last digit: a zero there would not be printed again.
        return ", ".join(f"0.{10**8 + 2 * secrets.randbelow(45 * 10**7) + 1}" for _ in range(6))
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(secrets.choice(letters) for _ in range(7)) for _ in range(5)]
    return (" " if shape == TEXT else "-").join(words)
