"""A canary in every place of OTLP, for the strictest sender and for one that is not under ZDR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_zdr.catalogue import _compiled, exact_rules
from otel_zdr.collector import generate
from otel_zdr.redaction.redactor import Redactor
from otel_zdr.settings import Settings
from tests.collector.compare import attributes_of
from tests.collector.running import REQUESTS, Collector, Destination, parsed, running, wait_until
from tests.collector.telemetry import (
    METADATA,
    Everywhere,
    canary,
    counter,
    leaks,
    logs,
    metrics,
    span,
    traces,
    value,
)

Both = tuple[Collector, Destination]


@pytest.fixture(scope="module")
def listed(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A gateway for a list of workspaces; whoever is not known is under ZDR."""
    folder = tmp_path_factory.mktemp("listed")
    config = folder / "gateway.yaml"
    settings = Settings(
        workspaces=("clinic-7", "Ward-3", "42"),
        keep_keys=("acme.room", "acme.floor.*"),
        keep_names=("acme.job", "acme.jobs.*"),
    )
    config.write_text(generate(settings, "gateway"))
    with running(binary, config, folder) as both:
        yield both


def export(both: Both, kind: str, *requests: Any) -> list[Any]:
    """What arrives of the requests."""
    collector, destination = both
    destination.take()
    for request in requests:
        assert collector.send(kind, request.SerializeToString()) == 200
    bodies: list[tuple[str, bytes]] = []
    wait_until(lambda: bodies.extend(destination.take()) or bodies, 15, "an export")
    return parsed(bodies, kind)


def spans_of(requests: list[Any]) -> list[Any]:
    return [s for r in requests for g in r.resource_spans for scope in g.scope_spans for s in scope.spans]


@pytest.mark.parametrize("kind", list(REQUESTS))
def test_no_place_lets_content_through(kind: str, gateway: Both) -> None:
    collector, _ = gateway
    planted = Everywhere()
    request = getattr(planted, kind)()
    group = request.ListFields()[0][1][0]
    group.resource.entity_refs.add(type=planted.plant("entity"), id_keys=[planted.plant("entity key")])
    sent = request.SerializeToString()
    assert set(leaks(sent, planted.canaries)) == set(planted.canaries), "the control: every place is planted"
    arrived = export(gateway, kind, request)
    content = b"".join(each.SerializeToString() for each in arrived)
    assert leaks(content, planted.canaries) == []
    assert leaks(collector.log.read_bytes(), planted.canaries) == []


@pytest.mark.parametrize("kind", list(REQUESTS))
def test_a_listed_workspace_is_cleaned_and_another_is_not(kind: str, listed: Both) -> None:
    strict, free = Everywhere({"workspace.id": "clinic-7"}), Everywhere({"workspace.id": "studio"})
    arrived = export(listed, kind, getattr(strict, kind)(), getattr(free, kind)())
    content = b"".join(each.SerializeToString() for each in arrived)
    assert leaks(content, strict.canaries) == []
    shared = ("resource", "scope", "description", "unit", "metadata", "empty", "gauge without")
    lost = [place for place in free.canaries if place not in leaks(content, free.canaries)]
    own = [place for place in lost if not place.endswith((" state", " pruned", "schema"))]
    if kind == "metrics":
        own = [place for place in own if not place.startswith(shared)]
    assert [place for place in own if not place.startswith("zdr")] == []


def test_metadata_survives(gateway: Both) -> None:
    made = span({**METADATA, "gen_ai.input.messages": canary()})
    (arrived,) = spans_of(export(gateway, "traces", traces(made, resource={"service.name": "shop"})))
    kept = attributes_of(arrived.attributes)
    assert kept["gen_ai.usage.input_tokens"] == 1111
    assert kept["acme.usageMetadata.promptTokenCount"] == 333
    assert kept["gen_ai.response.finish_reasons"] == ["stop"]
    assert "1333" in str(kept["llm.usage.cost_details"])
    assert arrived.name == "chat gpt-4o"
    assert arrived.trace_id == made.trace_id
    assert "gen_ai.input.messages" not in kept


@pytest.mark.parametrize(
    ("own", "shared", "under"),
    [
        ("clinic-7", None, True),
        (" CLINIC-7\t", None, True),
        ("ward-3", None, True),
        (42, None, True),
        ("studio", None, False),
        (None, "studio", False),
        (None, "clinic-7", True),
        ("studio", "clinic-7", True),
        ("clinic-7", "studio", True),
        (None, None, True),
        (["studio", "clinic-7"], None, True),
        (["studio", "hall"], None, False),
        (["studio", 4.5], None, True),
        (["studio"] * 20, None, True),
        (b"studio", None, True),
        (True, None, True),
        ({"a": "studio"}, None, True),
        (7.0, None, True),
        ("", None, True),
        ("\u00a0", None, True),
        ("clinic\uff0d7", None, True),
        ("x" * 300, None, True),
    ],
)
def test_who_an_item_is_for(own: Any, shared: Any, under: bool, listed: Both) -> None:
    content = canary()
    attributes = {"gen_ai.input.messages": content}
    if own is not None:
        attributes["workspace.id"] = own
    resource = {} if shared is None else {"workspace.id": shared}
    arrived = export(listed, "traces", traces(span(attributes), resource=resource))
    assert (content.encode() not in arrived[0].SerializeToString()) is under


@pytest.mark.parametrize("other", ["clinic-7", "studio"])
def test_a_second_attribute_of_the_same_name_makes_nobody_free(other: str, listed: Both) -> None:
    content = canary()
    made = span({"gen_ai.input.messages": content, "workspace.id": "studio"})
    made.attributes.add(key="workspace.id", value=value(other))
    arrived = export(listed, "traces", traces(made))
    assert content.encode() not in arrived[0].SerializeToString()


@pytest.mark.parametrize(("said", "under"), [(True, True), ("yes", True), (False, False), ("False", False)])
def test_a_resource_can_put_itself_under_zdr(said: Any, under: bool, listed: Both) -> None:
    content = canary()
    made = span({"gen_ai.input.messages": content, "workspace.id": "studio"})
    arrived = export(listed, "traces", traces(made, resource={"workspace.zdr": said}))
    assert (content.encode() not in arrived[0].SerializeToString()) is under


def test_items_of_several_workspaces_in_one_request_do_not_bleed(listed: Both) -> None:
    kept, gone, nobody = canary(), canary(), canary()
    request = traces(
        span({"gen_ai.input.messages": kept, "workspace.id": "studio"}, "anything at all"),
        span({"gen_ai.input.messages": gone, "workspace.id": "clinic-7"}),
        span({"gen_ai.input.messages": nobody}),
        resource={"workspace.id": "hall"},
    )
    arrived = export(listed, "traces", request)
    content = b"".join(each.SerializeToString() for each in arrived)
    assert kept.encode() in content
    assert gone.encode() not in content
    assert nobody.encode() not in content, "the resource does not speak for items beside other workspaces"
    assert b"zdr.collector.state" not in content
    assert b"zdr.collector.mixed" not in content


def test_what_the_configuration_writes_for_itself_cannot_be_sent(listed: Both) -> None:
    content = canary()
    made = span({"gen_ai.input.messages": content, "workspace.id": "clinic-7"})
    for key, sent in {
        "zdr.collector.state": False,
        "zdr.collector.odd": True,
        "zdr.collector.name": False,
        "zdr.collector.json": {"u": {"gen_ai.input.messages": content}},
        "zdr.collector.pruned": {"gen_ai.output.messages": content},
    }.items():
        made.attributes.add(key=key, value=value(sent))
    resource = {"zdr.collector.state": {"free": True}, "zdr.collector.mixed": False}
    arrived = export(listed, "traces", traces(made, resource=resource))
    assert content.encode() not in arrived[0].SerializeToString()


@pytest.mark.parametrize(
    "content",
    [
        "ann.lee@clinic.example",
        "4915112345678",
        "200",
        "0.7",
        7,
        2**40,
        0.5,
        True,
        "true",
        "input",
        "LLM",
        "OK",
    ],
)
def test_what_a_key_takes_is_what_it_takes_in_the_python_tier(content: Any, gateway: Both) -> None:
    """One key an item, so that the short way decides where it can, and then all of them at once."""
    keys = [
        key
        for key, rule in exact_rules().items()
        if rule.keep
        and (rule.shape in ("decimal", "flag", "quantity") or rule.shape.startswith("enum:"))
        and "N" not in key.split(".")
    ]
    together = span(dict.fromkeys(keys, content))
    arrived = spans_of(export(gateway, "traces", traces(together, *(span({key: content}) for key in keys))))
    expected = Redactor().attributes(dict.fromkeys(keys, content), {})
    found = attributes_of(arrived[0].attributes)
    found.pop("zdr.collector.redacted", None)
    assert found == expected
    for key, each in zip(keys, arrived[1:], strict=True):
        left = attributes_of(each.attributes)
        assert left.get(key) == expected.get(key), key
        assert type(left.get(key)) is type(expected.get(key)), key


@pytest.mark.parametrize("kind", list(REQUESTS))
def test_a_resource_and_a_scope_without_items_bring_nothing_along(kind: str, gateway: Both) -> None:
    planted = Everywhere()
    request = getattr(planted, kind)()
    (groups,) = (found for _, found in request.ListFields())
    bare, empty = groups.add(), groups.add()
    lonely, scoped = canary(), canary()
    bare.resource.attributes.add(key="service.name", value=value(f"{lonely} a b"))
    empty.resource.attributes.add(key="note", value=value(scoped))
    name = next(field.name for field in empty.DESCRIPTOR.fields if field.name.startswith("scope_"))
    getattr(empty, name).add().scope.name = f"{scoped} a b"
    arrived = export(gateway, kind, request)
    content = b"".join(each.SerializeToString() for each in arrived)
    assert lonely.encode() not in content
    assert scoped.encode() not in content


def test_operators_keep_keys_and_names(listed: Both) -> None:
    gone = canary()
    attributes = {
        "workspace.id": "clinic-7",
        "acme.room": "r1",
        "acme.floor.plan": "p-2",
        "acme.floor.text": f"{gone} with spaces",
        "acme.roomy": gone,
    }
    first, second, third = (
        spans_of(export(listed, "traces", traces(span(attributes, name))))[0]
        for name in ("acme.job", "acme.jobs.nightly", "acme.other")
    )
    assert attributes_of(first.attributes) == {
        "workspace.id": "clinic-7",
        "acme.room": "r1",
        "acme.floor.plan": "p-2",
    }
    assert (first.name, second.name, third.name) == ("acme.job", "acme.jobs.nightly", "client")


def test_measurements_of_unknown_instruments_go_for_those_under_zdr_only(listed: Both) -> None:
    strict, free = (
        counter("acme.secret", {"workspace.id": "clinic-7"}),
        counter("acme.open", {"workspace.id": "studio"}),
    )
    known = counter("gen_ai.client.token.usage", {"workspace.id": "clinic-7", "note": canary()})
    arrived = export(listed, "metrics", metrics(strict, free, known))
    names = {m.name for r in arrived for g in r.resource_metrics for s in g.scope_metrics for m in s.metrics}
    assert names == {"acme.open", "gen_ai.client.token.usage"}


def test_bare_words_stay_on_measurements_of_the_instruments_that_write_them(gateway: Both) -> None:
    words = {key: "tcp" for _, key, _ in _compiled.MEASURED}
    fitting = {
        "family": 2,
        "type": 1,
        "protocol": "tcp",
        "state": "TIME_WAIT",
        "device": "eth0",
        "count": "2",
    }
    instruments = ("system.network.connections", "system.disk.io", "process.runtime.cpython.gc_count")
    for instrument in (
        *instruments,
        "cpython.gc.collections",
        "flower.task.runtime.seconds",
        "system.cpu.time",
    ):
        for attributes in (words, fitting, dict.fromkeys(words, f"{canary()} said")):
            (request,) = export(gateway, "metrics", metrics(counter(instrument, attributes)))
            (metric,) = request.resource_metrics[0].scope_metrics[0].metrics
            found = attributes_of(metric.sum.data_points[0].attributes)
            assert found == Redactor().measurement_attributes(attributes, {}, instrument)


def test_points_that_became_the_same_are_one(gateway: Both) -> None:
    metric = counter("gen_ai.client.token.usage", {"gen_ai.request.model": "m", "user.id": "a"}, 3)
    metric.sum.data_points.add().CopyFrom(metric.sum.data_points[0])
    metric.sum.data_points[1].attributes[1].value.string_value = "b"
    arrived = export(gateway, "metrics", metrics(metric))
    points = arrived[0].resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    assert [point.as_int for point in points] == [6]


def test_frames_of_a_stack_trace_pass_line_by_line(gateway: Both) -> None:
    gone = canary()
    trace = f"httpx.ReadTimeout\nshop.py:31 Cart.pay\nValueError: {gone}\n{gone}\n+3 frames"
    (arrived,) = spans_of(export(gateway, "traces", traces(span({"exception.stacktrace": trace}))))
    kept = attributes_of(arrived.attributes)["exception.stacktrace"]
    assert kept == "httpx.ReadTimeout\nshop.py:31 Cart.pay\n+3 frames"


def test_the_sdks_mark_is_not_trusted_by_default(gateway: Both) -> None:
    name, body = canary(), canary() + " template"
    marks = {"zdr.redacted": True}
    arrived = export(gateway, "traces", traces(span(marks, name)))
    assert name.encode() not in arrived[0].SerializeToString()
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from tests.collector.telemetry import pairs

    record = LogRecord(time_unix_nano=1, body=value(body), attributes=pairs(marks))
    arrived = export(gateway, "logs", logs(record))
    assert body.encode() not in arrived[0].SerializeToString()


def test_trusted_marks_keep_what_has_the_shape_of_a_name(binary: str, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(generate(Settings(), "gateway", trust_sdk_marks=True))
    gone = canary()
    with running(binary, config, tmp_path) as both:
        marked = span(
            {"zdr.redacted": True, "zdr.removed": ["prompt:2"], "gen_ai.input.messages": gone}, "my_function"
        )
        unmarked = span({"zdr.removed": ["prompt:2"]}, "my_function")
        prose = span({"zdr.redacted": True}, f"a name of far too many words: {gone}")
        arrived = {s.span_id: s for s in spans_of(export(both, "traces", traces(marked, unmarked, prose)))}
    assert arrived[marked.span_id].name == "my_function"
    kept = {pair.key for pair in arrived[marked.span_id].attributes}
    assert kept == {"zdr.redacted", "zdr.removed", "zdr.collector.redacted"}
    assert arrived[unmarked.span_id].name == "client"
    assert {pair.key for pair in arrived[unmarked.span_id].attributes} == {"zdr.collector.redacted"}
    assert arrived[prose.span_id].name == "client"


CARD = 4111111111111111


@pytest.mark.parametrize(
    "value", [17, 0.5, CARD, -CARD, float(CARD), str(CARD), "gpt-4o", True, 25_000_000_000]
)
def test_values_of_keys_that_nobody_listed_are_bounded_as_in_the_python_tier(
    value: Any, gateway: Both
) -> None:
    given = dict.fromkeys(
        [
            *("usage", "tokens", "attempt", "image_count", "model", "model_id", "acme.model", "acme.tokens"),
            *("acme.usage.total_cost", "acme.request.latency_us", "acme.settings.seed", "haystack.async"),
            *("ai.settings.temperature", "ai.settings.maxRetries", "settings.patient.temperature"),
            *("patient.usage.tokens", "gen_ai.cost.input", "gen_ai.usage.input_tokens", "room.temperature"),
            *("acme.request.modelId", "settings.top_p", "gen_ai.request.temperature", "gen_ai.request.model"),
        ],
        value,
    )
    expected = Redactor().attributes(given, {})
    (arrived,) = spans_of(export(gateway, "traces", traces(span(given))))
    assert attributes_of(arrived.attributes) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("acme.request.duration_ns", 86_400 * 10**9),
        ("acme.time_to_first_token_ns", 1_250_000_000),
        ("acme.first_token_time", 1_780_000_000_250_000),
        ("acme.first_token_time", 1_780_000_000_250_000_000),
        ("acme.usage.total_cost", 99_999_999_999),
        ("llm.usage", '{"total_tokens":12345,"total_cost":99999999999}'),
        ("llm.usage", f'{{"total_tokens":12345,"input_tokens":{CARD},"total_cost":{CARD}}}'),
        ("llm.usage", '{"total_tokens":12345,"timestamp":1780000000250}'),
        ("llm.usage", f'{{"total_tokens":12345,"model":"{CARD}"}}'),
        ("llm.usage", '{"total_tokens":12345,"model":"hosted/gpt-4o-2026-01-02"}'),
        ("llm.invocation_parameters", f'{{"temperature":0.5,"model":"{CARD}"}}'),
        ("llm.invocation_parameters", '{"temperature":0.5,"model":"gpt-4o"}'),
    ],
)
def test_what_is_measured_and_paid_stays_in_every_unit(key: str, value: Any, gateway: Both) -> None:
    expected = Redactor().attributes({key: value}, {})
    (arrived,) = spans_of(export(gateway, "traces", traces(span({key: value}))))
    kept = attributes_of(arrived.attributes)[key]
    assert kept == (value if kept == value else ("json", kept[1]))
    if isinstance(value, str):
        assert json.loads(kept[1]) == json.loads(str(expected[key]))
    else:
        assert expected == {key: value}
