"""Literals end to end: what stands in the source of the application stays, what was made of data goes."""

from __future__ import annotations

import asyncio
import logging
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.logging.handler import LoggingHandler as ContribHandler
from opentelemetry.sdk._logs import LoggingHandler as SdkHandler

import otel_zdr
from otel_zdr.settings import Settings
from otel_zdr.testing import assert_no_content, canary


@pytest.fixture
def secret() -> str:
    return canary()


@pytest.fixture
def names() -> None:
    otel_zdr.install(Settings())


@pytest.fixture
def everything() -> None:
    otel_zdr.install(Settings(literals="all"))


@pytest.fixture
def none() -> None:
    otel_zdr.install(Settings(literals="none"))


def span_names(pipeline: Any) -> list[str]:
    return [span.name for span in pipeline.span_exporter.spans]


# --- names


def test_a_literal_span_name_stays_and_one_made_of_data_goes(names: None, pipeline: Any, secret: str) -> None:
    with pipeline.tracer.start_as_current_span("charge the card"):
        pass
    for made in (f"charge {secret}", "charge " + secret, "charge %s" % secret, secret):  # noqa: UP031
        with pipeline.tracer.start_as_current_span(made):
            pass
    pipeline.tracer.start_span("refund the card").end()

    assert span_names(pipeline) == ["charge the card", *["internal"] * 4, "refund the card"]
    assert_no_content(pipeline.data, [secret])


def test_a_span_is_renamed_to_a_literal_or_not(names: None, pipeline: Any, secret: str) -> None:
    for name in ("renamed by literal", f"renamed {secret}"):
        span = pipeline.tracer.start_span(secret)
        span.update_name("renamed by literal" if name == "renamed by literal" else name)
        span.end()

    assert span_names(pipeline) == ["renamed by literal", "internal"]
    assert_no_content(pipeline.data, [secret])


def test_decorated_functions_and_coroutines_keep_the_name_of_their_decorator(
    names: None, pipeline: Any, secret: str
) -> None:
    tracer = pipeline.tracer

    @tracer.start_as_current_span("a decorated function")
    def function() -> None:
        pass

    @tracer.start_as_current_span("a decorated coroutine")
    async def coroutine() -> None:
        await asyncio.sleep(0)

    @tracer.start_as_current_span(f"decorated with {secret}")
    def dynamic() -> None:
        pass

    function()
    asyncio.run(coroutine())
    dynamic()

    assert span_names(pipeline) == ["a decorated function", "a decorated coroutine", "internal"]
    assert_no_content(pipeline.data, [secret])


def test_one_call_site_that_passes_a_literal_and_then_data(names: None, pipeline: Any, secret: str) -> None:
    def work(name: str = "") -> None:
        pipeline.tracer.start_span(name or "work without a name").end()

    for name in ("", secret, "", sys.intern(secret)):
        work(name)

    assert span_names(pipeline) == ["work without a name", "internal"] * 2
    assert_no_content(pipeline.data, [secret])


def test_a_prompt_that_a_library_takes_as_a_name_goes(names: None, pipeline: Any) -> None:
    def library(prompt: str) -> None:
        with pipeline.tracer.start_as_current_span(prompt) as span:
            span.add_event(prompt)

    library("You are the doctor of a clinic")
    pipeline.tracer.start_span("You are the doctor of a clinic").end()  # positive control

    assert span_names(pipeline) == ["internal", "You are the doctor of a clinic"]


def test_event_names(names: None, pipeline: Any, secret: str) -> None:
    with pipeline.tracer.start_as_current_span("a span") as span:
        span.add_event("the card was charged")
        span.add_event(f"charged {secret}")

    assert [event.name for event in pipeline.span_exporter.spans[0].events] == [
        "the card was charged",
        "event",
    ]
    assert_no_content(pipeline.data, [secret])


def test_model_written_code_names_nothing(names: None, pipeline: Any, secret: str) -> None:
    source = f"tracer.start_span({secret!r}).end()"
    exec(source, {"tracer": pipeline.tracer})
    exec(compile(source, __file__, "exec"), {"tracer": pipeline.tracer, "__name__": __name__})

    assert span_names(pipeline) == ["internal"] * 2
    assert_no_content(pipeline.data, [secret])


def test_scopes_are_proven_when_they_are_made(names: None, pipeline: Any, secret: str) -> None:
    literal = pipeline.tracer_provider.get_tracer("billing department")
    dynamic = pipeline.tracer_provider.get_tracer(f"department {secret}")

    def elsewhere(tracer: Any) -> None:
        tracer.start_span("a span").end()

    elsewhere(literal)
    elsewhere(dynamic)

    scopes = [scope.scope.name for _, scope, _ in pipeline.span_exporter.parsed()]
    assert scopes == ["billing department", ""]
    assert_no_content(pipeline.data, [secret])


def test_instruments_are_proven_when_they_are_made(names: None, pipeline: Any, secret: str) -> None:
    tag = secret.rsplit(" ", 1)[-1]
    literal = pipeline.meter.create_counter("acme.cards.charged")
    dynamic = pipeline.meter.create_counter(f"acme.{tag}")

    def elsewhere(counter: Any) -> None:
        counter.add(1, {"acme.room": secret, "gen_ai.request.model": "gpt-5"})

    elsewhere(literal)
    elsewhere(dynamic)
    pipeline.collect()

    found = {metric.name: metric for metric in pipeline.metric_exporter.metrics if metric.name[:4] == "acme"}
    assert set(found) == {"acme.cards.charged"}
    (point,) = found["acme.cards.charged"].sum.data_points
    assert [attribute.key for attribute in point.attributes] == ["gen_ai.request.model"]
    assert_no_content(pipeline.data, [secret, tag])


def test_series_that_merge_are_said_once_an_instrument(
    names: None, pipeline: Any, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tag = secret.rsplit(" ", 1)[-1]
    lossy = pipeline.meter.create_counter("acme.lossy")
    whole = pipeline.meter.create_counter("acme.whole")
    known = pipeline.meter.create_counter("acme.known")
    dropped = pipeline.meter.create_counter(f"acme.{tag}")
    for number in range(40):
        lossy.add(1, {f"acme.{tag}": number, "gen_ai.request.model": "gpt-5"})
        whole.add(1, {"gen_ai.request.model": "gpt-5"})
        known.add(1, {"gen_ai.prompt": secret, "url.full": secret, "gen_ai.request.model": secret})
        dropped.add(1, {"acme.room": secret})
    pipeline.collect()

    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if "lose an attribute" in line]
    assert len(lines) == 1
    assert "'acme.lossy'" in lines[0]
    assert "OTEL_ZDR_KEEP_KEYS" in lines[0]
    assert tag not in said
    assert secret not in said


def test_observable_instruments_are_proven_too(names: None, pipeline: Any) -> None:
    def observe(_options: Any) -> Iterator[metrics.Observation]:
        yield metrics.Observation(7)

    pipeline.meter.create_observable_gauge("acme.queue.length", [observe])
    pipeline.meter.create_observable_gauge("acme." + uuid.uuid4().hex, [observe])
    pipeline.collect()

    names_ = {metric.name for metric in pipeline.metric_exporter.metrics if metric.name.startswith("acme")}
    assert names_ == {"acme.queue.length"}


def test_names_given_to_proxies_before_there_is_a_provider(names: None, pipeline: Any) -> None:
    from opentelemetry.metrics._internal import _ProxyMeterProvider

    provider = _ProxyMeterProvider()
    meter = provider.get_meter("billing department")
    literal = meter.create_counter("acme.proxied.cards")
    dynamic = meter.create_counter("acme." + uuid.uuid4().hex)

    def later() -> None:
        provider.on_set_meter_provider(pipeline.meter_provider)
        literal.add(1)
        dynamic.add(1)

    later()
    pipeline.collect()

    names_ = {metric.name for metric in pipeline.metric_exporter.metrics if metric.name.startswith("acme")}
    assert names_ == {"acme.proxied.cards"}


def test_a_proxy_tracer_keeps_the_name_of_its_scope(names: None, make_pipeline: Any) -> None:
    tracer = trace.ProxyTracer("billing of a proxy")
    pipeline = make_pipeline()

    def later(given: str) -> None:
        pipeline.tracer_provider.get_tracer(given).start_span("a span").end()

    later(tracer._instrumenting_module_name)  # as the proxy itself does when a provider has come

    assert [scope.scope.name for _, scope, _ in pipeline.span_exporter.parsed()] == ["billing of a proxy"]


def test_none_keeps_no_literal(none: None, pipeline: Any) -> None:
    with pipeline.tracer.start_as_current_span("charge the card") as span:
        span.add_event("the card was charged")
    pipeline.meter.create_counter("acme.cards.dropped").add(1)
    pipeline.collect()

    (exported,) = pipeline.span_exporter.spans
    assert (exported.name, exported.events[0].name) == ("internal", "event")
    assert b"acme.cards" not in pipeline.data


# --- log templates


@pytest.fixture(params=[SdkHandler, ContribHandler], ids=["sdk handler", "contrib handler"])
def logger(request: pytest.FixtureRequest, pipeline: Any) -> logging.Logger:
    made = logging.Logger(f"acme.{uuid.uuid4().hex}")
    if request.param is SdkHandler:
        with pytest.warns(DeprecationWarning, match="LoggingHandler"):
            made.addHandler(SdkHandler(logger_provider=pipeline.logger_provider))
    else:
        made.addHandler(ContribHandler(logger_provider=pipeline.logger_provider))
    return made


def bodies(pipeline: Any) -> list[str]:
    return [record.body.string_value for record in pipeline.log_exporter.records]


def test_templates_stay_and_arguments_go(everything: None, pipeline: Any, logger: Any, secret: str) -> None:
    logger.info("charge failed for %s", secret)
    logger.info("nothing to format")
    logger.error("charge failed for %(name)s", {"name": secret})
    logging.LoggerAdapter(logger, {"card": secret}).warning("adapted for %s", secret)

    assert bodies(pipeline) == [
        "charge failed for %s",
        "nothing to format",
        "charge failed for %(name)s",
        "adapted for %s",
    ]
    assert_no_content(pipeline.data, [secret])


def test_messages_made_of_data_go(everything: None, pipeline: Any, logger: Any, secret: str) -> None:
    logger.info(f"charge failed for {secret}")
    logger.info("charge failed for " + secret)
    logger.info("charge failed for %s" % secret)  # noqa: UP031
    logger.info("charge failed for {}".format(secret))  # noqa: UP032
    logger.info(secret)
    logger.info(sys.intern(secret))
    logger.info({"prompt": secret})
    logger.info([secret])
    logger.info(KeyError(secret))
    logger.info("x" if len(secret) > 1000 else secret[:1])

    assert bodies(pipeline) == [""] * 10
    assert_no_content(pipeline.data, [secret])


def test_templates_go_with_the_default_setting(names: None, pipeline: Any, logger: Any, secret: str) -> None:
    logger.info("charge failed for %s", secret)

    assert bodies(pipeline) == [""]


def test_a_prompt_that_a_library_logs_goes(everything: None, pipeline: Any, logger: Any) -> None:
    def library(prompt: str) -> None:
        logger.info(prompt)
        logger.info("sending the prompt: %s", prompt)

    library("You are the doctor of a clinic.")

    assert bodies(pipeline) == ["", "sending the prompt: %s"]


def test_model_written_code_logs_nothing(everything: None, pipeline: Any, logger: Any, secret: str) -> None:
    exec(f"def f(logger):\n    logger.info({secret!r})", scope := {"__name__": __name__})
    scope["f"](logger)  # type: ignore[operator]

    assert bodies(pipeline) == [""]
    assert_no_content(pipeline.data, [secret])


def test_structlog_through_logging_keeps_its_event(
    everything: None, pipeline: Any, logger: Any, secret: str
) -> None:
    log = structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    wrapped = structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    log.info("the card was charged", card=secret)
    wrapped.info("the card was charged twice", card=secret)
    log.info(f"the card of {secret}", card=secret)

    assert bodies(pipeline) == ["the card was charged", "the card was charged twice", ""]
    assert_no_content(pipeline.data, [secret])


def test_structlog_straight_to_the_logs_api_keeps_its_event(
    everything: None, pipeline: Any, secret: str
) -> None:
    from opentelemetry._logs import LogRecord

    class ToOpenTelemetry:
        def msg(self, event: str, **_values: Any) -> None:
            raise AssertionError("not reached")

    def emit(_logger: Any, _method: str, event_dict: Any) -> Any:
        pipeline.logger.emit(LogRecord(body=event_dict["event"]))
        raise structlog.DropEvent

    log = structlog.wrap_logger(ToOpenTelemetry(), processors=[emit])
    log.msg("the card was charged", card=secret)

    # The processor is code of this test, so the innermost frame is its own: not proven.
    assert bodies(pipeline) == [""]
    # What the application gives to the Logs API by itself is no template either.
    pipeline.logger.emit(LogRecord(body="the card was charged"))
    assert bodies(pipeline) == ["", ""]


def test_a_workspace_that_is_not_under_zdr_is_logged_as_ever(pipeline: Any, logger: Any, secret: str) -> None:
    otel_zdr.install(Settings(workspaces=("clinic",), unidentified="retain", literals="all"))

    logger.info("charge failed for %s", secret)

    assert bodies(pipeline) == [f"charge failed for {secret}"]
