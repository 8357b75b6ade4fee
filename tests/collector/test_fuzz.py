"""Telemetry nobody would write: no leak, no refused batch, no panic."""

from __future__ import annotations

import time
import uuid
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_zdr import catalogue
from tests.collector.running import REQUESTS, Collector, Destination, parsed, wait_until
from tests.collector.telemetry import counter, logs, metrics, pairs, span, traces, value

#: All canaries begin with it; it has spaces in it, which no metadata has.
PREFIX = f"a secret {uuid.uuid4().hex[:8]} "
_listed = sorted(key for key in catalogue.exact_rules() if "N" not in key.split("."))
_own = [
    *("zdr.collector.state", "zdr.collector.pruned", "zdr.collector.odd", "zdr.collector.json"),
    *("zdr.collector.name", "zdr.collector.mixed", "zdr.redacted", "exception.stacktrace", "output.value"),
]
keys = st.one_of(
    st.sampled_from(_listed),
    st.sampled_from(_own),
    st.text(max_size=12),
    st.just(""),
    st.just(PREFIX + "key"),
    st.from_regex(r"acme\.[a-zA-Z_.]{1,12}(?:[tT]okens?|_count|model|\.usage|_id)", fullmatch=True),
)
texts = st.one_of(
    st.just(PREFIX),
    st.text(max_size=20).map(lambda text: PREFIX + text),
    st.just(PREFIX * 3000),
    st.just(f'{{"usage": {{"total_tokens": 1, "note": "{PREFIX}"}}, "x": ['),
    st.just(
        f'{{"usage": {{"total_tokens": 1, "type": "{PREFIX}", "a.b": null}}, "model": null, "k": [[[1]]]}}'
    ),
    st.just(f'["{PREFIX}"]'),
    st.just("[" * 5000 + f'"{PREFIX}"'),
    st.just(""),
    st.just('{"usage":' * 60 + f'{{"total_tokens": 5, "x": "{PREFIX}"}}' + "}" * 60),
)
scalars = st.one_of(
    texts,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=8).map(lambda raw: PREFIX.encode() + raw),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=20), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
attributes = st.dictionaries(keys, values, max_size=8)


def deep(levels: int) -> Any:
    content: Any = PREFIX
    for level in range(levels):
        content = {"usage": content} if level % 2 else [content]
    return content


def broken(message: Any) -> bytes:
    """The request with invalid UTF-8 where a canary begins: protobuf in Python would not write it."""
    raw: bytes = message.SerializeToString()
    return raw.replace(b"a secret", b"\xff\xfe\xc3 cret")


@settings(
    max_examples=120, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=False
)
@given(
    own=attributes,
    shared=attributes,
    name=texts,
    body=values,
    broken_text=st.booleans(),
    twice=keys,
    depth=st.integers(0, 20),
)
def _send(
    collector: Collector,
    sent: list[int],
    own: Any,
    shared: Any,
    name: str,
    body: Any,
    broken_text: bool,
    twice: str,
    depth: int,
) -> None:
    own = {**own, "tags": deep(depth)}
    made = span(own, name)
    made.attributes.append(pairs({twice: body})[0])
    made.attributes.append(pairs({twice: PREFIX})[0])
    made.trace_state = name[:100]
    made.status.message = name[:1000]
    made.kind = depth % 8  # type: ignore[assignment]
    made.events.add(name=name[:500]).attributes.extend(pairs(own))
    made.links.add(trace_id=b"1" * 16, span_id=b"1" * 8).attributes.extend(pairs(shared))
    record = LogRecord(
        time_unix_nano=1,
        severity_text=name[:300],
        event_name=name[:300],
        body=value(body),
        attributes=pairs(own),
    )
    unset = Metric(name=name[:100], description=name[:300])
    point = counter("gen_ai.client.token.usage", own, unit=name[:20], description=name[:300])
    point.sum.data_points[0].exemplars.add(as_int=1).filtered_attributes.extend(pairs(shared))
    for kind, request in (
        ("traces", traces(made, resource=shared, scope=name[:300])),
        ("logs", logs(record, resource=shared)),
        ("metrics", metrics(point, unset, counter(name[:200] or "x", own), resource=shared)),
    ):
        content = broken(request) if broken_text else request.SerializeToString()
        assert collector.send(kind, content) == 200
    sent.append(1)


def test_nothing_that_can_be_sent_leaks_is_refused_or_breaks_it(
    gateway: tuple[Collector, Destination],
) -> None:
    collector, destination = gateway
    destination.take()
    sent: list[int] = []
    _send(collector, sent)  # type: ignore[call-arg]
    bodies: list[tuple[str, bytes]] = []

    def arrived() -> bool:
        bodies.extend(destination.take())
        spans = sum(
            len(s.spans) for r in parsed(bodies, "traces") for g in r.resource_spans for s in g.scope_spans
        )
        return spans >= len(sent)

    wait_until(arrived, 60, "the arrival of every span")
    time.sleep(0.5)
    bodies.extend(destination.take())
    content = b"".join(body for _, body in bodies)
    log = collector.log.read_bytes()
    needle = PREFIX[9:17].encode()  # the random part, which invalid UTF-8 does not touch
    assert len(sent) >= 100
    assert set(REQUESTS) >= {kind for kind, _ in bodies}
    assert content.count(needle) == 0
    assert needle not in log
    assert b"panic" not in log
    assert b"\terror\t" not in log
