"""Names that are known and low in cardinality: instruments, events, spans and scopes (``data/names.tsv``).

Span names here are those that instrumentations give literally, whatever the request; names made of the
operation and the model, or of the method and the route, are checked against the span's own attributes.
"""

from __future__ import annotations

from otel_zdr.catalogue import _compiled
from otel_zdr.catalogue.words import word_set

INSTRUMENTS = word_set(_compiled.INSTRUMENTS)
#: Names of span events and log events. Phrases are names with spaces that a library writes literally.
EVENTS = word_set(_compiled.EVENTS) | frozenset(_compiled.EVENT_PHRASES)
SPANS = word_set(_compiled.SPANS) | frozenset(_compiled.SPAN_PHRASES)
#: Instrumentation scopes; the scopes below them are known too.
SCOPES = word_set(_compiled.SCOPES)
