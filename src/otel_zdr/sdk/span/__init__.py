"""Spans: decided at the start, cleaned as they are written, marked at the end.

The patched methods are those every span goes through, whoever made its provider and when: a span that
was open before the gate is taken under it at the next of them.

Each module imports only those above it:

- ``state``: what is known of one span;
- ``lists``: its events and links;
- ``cleaning``: its parts, each by itself;
- ``forms``, ``skeleton``: the whole span, as it stands raw, hidden, redacted, or reduced to the least;
- ``live``: the state that acts on its span;
- ``deciding``: whose a span is;
- ``adoption``: spans that were open before the gate or the policy;
- ``making``, ``arguments``, ``fresh``: making a span, and what it starts with;
- ``starting``, ``unrecorded``, ``writing``, ``exceptions``, ``ending``, ``reading``: the patched methods;
- ``passed``, ``copying``: for the second wall.
"""

from otel_zdr.sdk import patches
from otel_zdr.sdk.span.ending import patched_end
from otel_zdr.sdk.span.exceptions import patched_record_exception
from otel_zdr.sdk.span.reading import patched_readable_span
from otel_zdr.sdk.span.starting import patched_init, patched_start
from otel_zdr.sdk.span.unrecorded import patched_start_span
from otel_zdr.sdk.span.writing import (
    patched_add_event,
    patched_set_attribute,
    patched_set_status,
    patched_update_name,
)

__all__ = [
    "patched_add_event",
    "patched_end",
    "patched_init",
    "patched_readable_span",
    "patched_record_exception",
    "patched_set_attribute",
    "patched_set_status",
    "patched_start",
    "patched_start_span",
    "patched_update_name",
]

patches.loaded(__name__)
