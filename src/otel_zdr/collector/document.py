"""The configuration as a YAML document: receivers, processors, exporters and what starts them."""

from __future__ import annotations

from collections.abc import Iterator

from otel_zdr.collector.keys import STATE
from otel_zdr.collector.ottl import LAMBDA_GATE, without_spare_parentheses
from otel_zdr.collector.signals import DROPPED, Group, Plan, log_groups, metric_groups, trace_groups

KINDS = ("gateway", "agent")
SIGNALS = ("traces", "logs", "metrics")

_EXPORTERS = {
    "gateway": """\
  otlp_http:
    endpoint: ${env:ZDR_DESTINATION:-http://127.0.0.1:14318}
    headers:
      # Empty by default; the destination's credentials.
      authorization: ${env:ZDR_DESTINATION_AUTHORIZATION:-}
""",
    "agent": """\
  otlp_grpc:
    # One name with the addresses of all gateways: enforcement has no state, any gateway takes any batch.
    endpoint: ${env:ZDR_GATEWAY:-dns:///localhost:4317}
    balancer_name: round_robin
    tls:
      insecure: ${env:ZDR_GATEWAY_INSECURE:-false}
      ca_file: ${env:ZDR_GATEWAY_CA_FILE:-}
    headers:
      authorization: ${env:ZDR_GATEWAY_AUTHORIZATION:-}
""",
}
_LISTEN = {"gateway": "0.0.0.0", "agent": "127.0.0.1"}
#: What a queue on disk holds is clean already: the queue stands behind the processors.
_QUEUE = """\
    retry_on_failure:
      initial_interval: 1s
      max_interval: 15s
      max_elapsed_time: 0s
    sending_queue:
      storage: file_storage
      sizer: items
      queue_size: 500000
      # A full queue is said to the sender, who keeps what he has.
      block_on_overflow: false
      batch:
        flush_timeout: 200ms
        min_size: 2000
        max_size: 4000
"""


def document(kind: str, plan: Plan, header: list[str]) -> str:
    """The whole file for ``kind``."""
    lines = [f"# {line}".rstrip() for line in (_start(kind), *header)]
    return "\n".join([*lines, "", *_body(kind, plan)]) + "\n"


def _start(kind: str) -> str:
    return f"otelcol-zdr --config {kind}.yaml --feature-gates={LAMBDA_GATE}"


def _body(kind: str, plan: Plan) -> Iterator[str]:
    host = _LISTEN[kind]
    name = next(iter(_EXPORTERS[kind].split(":"))).strip()
    yield f"""\
extensions:
  health_check:
    endpoint: ${{env:ZDR_HEALTH_ENDPOINT:-{host}:13133}}
  file_storage:
    directory: ${{env:ZDR_QUEUE_DIRECTORY:-/tmp/otelcol-zdr/{kind}}}
    create_directory: true

receivers:
  otlp:
    protocols:
      grpc:
        endpoint: ${{env:ZDR_OTLP_GRPC_ENDPOINT:-{host}:4317}}
        max_recv_msg_size_mib: 64
      http:
        endpoint: ${{env:ZDR_OTLP_HTTP_ENDPOINT:-{host}:4318}}

processors:
  memory_limiter:
    check_interval: 1s
    limit_percentage: 75
    spike_limit_percentage: 20"""
    enforced = not plan.who.nothing
    if enforced:
        yield "  transform/zdr:"
        yield "    # The last wall: a statement that fails refuses the request. None is known to."
        yield "    error_mode: propagate"
        yield from _groups("trace_statements", trace_groups(plan))
        yield from _groups("log_statements", log_groups(plan))
        yield from _groups("metric_statements", metric_groups(plan))
        yield "  # Builds each resource anew from its attributes: its entity references cannot be reached otherwise."
        yield "  groupbyattrs/zdr:"
        yield "    keys: []"
        yield "  # Instruments that are neither known nor listed: their measurements go."
        yield "  filter/zdr:"
        yield "    error_mode: propagate"
        yield "    metric_conditions:"
        for condition in _dropped(plan):
            yield f"      - {_scalar(condition)}"
    yield ""
    yield "exporters:"
    yield _EXPORTERS[kind] + _QUEUE
    yield "service:"
    yield "  extensions: [health_check, file_storage]"
    yield "  telemetry:"
    yield "    logs:"
    yield "      # Pinned: `debug` prints every item as it arrived."
    yield "      level: info"
    yield "    metrics:"
    yield "      readers:"
    yield "        - pull:"
    yield "            exporter:"
    yield "              prometheus:"
    yield "                host: ${env:ZDR_METRICS_HOST:-127.0.0.1}"
    yield "                port: ${env:ZDR_METRICS_PORT:-8888}"
    yield "  pipelines:"
    for signal in SIGNALS:
        processors = ["memory_limiter"]
        if enforced:
            processors.append("transform/zdr")
            if signal == "metrics":
                processors.append("filter/zdr")
            processors.append("groupbyattrs/zdr")
        yield f"    {signal}:"
        yield "      receivers: [otlp]"
        yield f"      processors: [{', '.join(processors)}]"
        yield f"      exporters: [{name}]"


def _dropped(plan: Plan) -> list[str]:
    if plan.who.everything:
        return [f'metric.name == "{DROPPED}"']
    return [f'datapoint.attributes["{STATE}"] == "{DROPPED}"']


def _groups(name: str, groups: list[Group]) -> Iterator[str]:
    yield f"    {name}:"
    for group in groups:
        yield f"      - context: {group.context}"
        if group.silent:
            yield "        error_mode: silent"
        if group.conditions:
            yield "        conditions:"
            for condition in group.conditions:
                yield f"          - {_scalar(condition)}"
        yield "        statements:"
        for statement in group.statements:
            yield f"          - {_scalar(without_spare_parentheses(statement))}"


def _scalar(text: str) -> str:
    """A YAML text in single quotes; ``$`` is doubled, since the Collector expands it."""
    return "'" + text.replace("$", "$$").replace("'", "''") + "'"
