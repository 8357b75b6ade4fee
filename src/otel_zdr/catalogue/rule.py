"""A rule: what a key carries and whether a value under it may survive."""

from __future__ import annotations

from otel_zdr.catalogue.words import word_set

#: What is content: never kept, and no setting may keep it. ``identifier`` may be kept by the operator.
CONTENT_CLASSES: frozenset[str] = word_set(
    "prompt completion system_instructions tool_definition tool_arguments tool_result audio"
    " transcript tts_text embedding_input document media voice_sample voice_description error_text"
    " free_text url db_text derived caller identifier"
)
METADATA_CLASSES: frozenset[str] = word_set("usage model timing reference other_metadata")


class Rule:
    """The verdict on one key.

    ``content_class``: one of `CONTENT_CLASSES` or `METADATA_CLASSES`. ``keep``: whether a value may
    survive at all; metadata classes can be removed by default too (``maybe`` rows of the sources).
    ``shape``: a name from `otel_zdr.catalogue.shapes`, which the value has to fit. ``server_class``:
    the class instead of ``content_class`` on server and consumer spans, where the key holds what the
    caller sent (the Host header); such a value is removed there.
    """

    __slots__ = ("content_class", "keep", "server_class", "shape")

    def __init__(self, content_class: str, keep: bool, shape: str, server_class: str | None = None) -> None:
        self.content_class = content_class
        self.keep = keep
        self.shape = shape
        self.server_class = server_class

    def __repr__(self) -> str:
        return f"Rule({self.content_class!r}, keep={self.keep}, shape={self.shape!r})"

    def _identity(self) -> tuple[str, bool, str, str | None]:
        return (self.content_class, self.keep, self.shape, self.server_class)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rule) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())
