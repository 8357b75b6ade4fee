"""Running it: a change of policy, a crash with a full queue, receivers that know their senders."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otel_zdr.collector import generate
from otel_zdr.settings import Settings
from tests.collector.conftest import CONFIGS
from tests.collector.running import Collector, Destination, free_port, parsed, running, wait_until
from tests.collector.telemetry import METADATA, canary, span, traces


def ids_in(bodies: list[tuple[str, bytes]]) -> list[bytes]:
    return [
        s.span_id
        for r in parsed(bodies, "traces")
        for g in r.resource_spans
        for scope in g.scope_spans
        for s in scope.spans
    ]


def test_a_changed_policy_is_reloaded_without_loss(binary: str, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(generate(Settings(workspaces=("clinic-7",)), "gateway"))
    sent: list[bytes] = []
    stop = threading.Event()
    with running(binary, config, tmp_path) as (collector, destination):

        def send() -> None:
            while not stop.is_set():
                made = span({"workspace.id": "studio", "gen_ai.input.messages": content})
                while not stop.is_set():
                    try:
                        if collector.send("traces", traces(made).SerializeToString()) == 200:
                            sent.append(made.span_id)
                            break
                    except OSError:
                        pass  # the receiver is being started anew: a client tries again
                    time.sleep(0.02)
                time.sleep(0.01)

        content = canary()
        sender = threading.Thread(target=send)
        sender.start()
        bodies: list[tuple[str, bytes]] = []
        wait_until(lambda: bodies.extend(destination.take()) or bodies, 15, "an export")
        assert content.encode() in bodies[-1][1], "the control: the workspace is not under ZDR yet"

        config.write_text(generate(Settings(workspaces=("clinic-7", "studio")), "gateway"))
        collector.reload()

        def is_in_force() -> bool:
            fresh = destination.take()
            bodies.extend(fresh)
            return bool(ids_in(fresh)) and content.encode() not in fresh[-1][1]

        wait_until(is_in_force, 90, "the new policy")
        stop.set()
        sender.join()

        def all_arrived() -> bool:
            bodies.extend(destination.take())
            return set(sent) <= set(ids_in(bodies))

        wait_until(all_arrived, 20, "the arrival of what was sent during the reload")
        assert content.encode() not in bodies[-1][1]


def test_the_queue_on_disk_holds_no_content_and_survives_a_kill(binary: str, tmp_path: Path) -> None:
    destination = Destination()
    destination.open = False
    collector = Collector(binary, CONFIGS / "gateway.yaml", tmp_path, destination=destination.url)
    content = canary()
    model = "model-" + canary()
    made = [
        span({**METADATA, "gen_ai.request.model": model, "gen_ai.input.messages": content * 50})
        for _ in range(500)
    ]
    try:
        collector.start()
        for start in range(0, 500, 50):
            assert collector.send("traces", traces(*made[start : start + 50]).SerializeToString()) == 200
        collector.kill()
        files = b"".join(path.read_bytes() for path in collector.queue.rglob("*") if path.is_file())
        assert model.encode() in files, "the control: the queue holds the items"
        assert content.encode() not in files
        destination.open = True
        collector.start()
        bodies: list[tuple[str, bytes]] = []

        def all_arrived() -> bool:
            bodies.extend(destination.take())
            return {each.span_id for each in made} <= set(ids_in(bodies))

        wait_until(all_arrived, 40, "the arrival of what was queued")
        assert content.encode() not in b"".join(body for _, body in bodies)
        assert content.encode() not in collector.log.read_bytes()
    finally:
        collector.stop()
        destination.close()


_LITTLE_MEMORY = """\
processors:
  memory_limiter:
    check_interval: 20ms
    min_gc_interval_when_soft_limited: 500ms
    min_gc_interval_when_hard_limited: 100ms
    limit_percentage: 0
    spike_limit_percentage: 0
    limit_mib: 80
    spike_limit_mib: 20
"""


def test_the_memory_limiter_refuses_under_load_and_nothing_is_lost(binary: str, tmp_path: Path) -> None:
    little = tmp_path / "little.yaml"
    little.write_text(_LITTLE_MEMORY)
    content = canary()
    text = f"{content} and more " * 1000
    made = [span({**METADATA, "gen_ai.input.messages": text}) for _ in range(64 * 24)]
    bodies = [traces(*made[at : at + 64]).SerializeToString() for at in range(0, len(made), 64)]
    refused: list[int] = []
    with running(binary, CONFIGS / "gateway.yaml", tmp_path, more_configs=(little,)) as (
        collector,
        destination,
    ):

        def send(body: bytes) -> None:
            while (status := collector.send("traces", body)) != 200:
                refused.append(status)
                time.sleep(0.3)

        with ThreadPoolExecutor(8) as senders:
            list(senders.map(send, bodies))
        arrived: list[tuple[str, bytes]] = []

        def all_arrived() -> bool:
            arrived.extend(destination.take())
            return {each.span_id for each in made} <= set(ids_in(arrived))

        wait_until(all_arrived, 60, "the arrival of every span")
        assert refused, "the control: it was more than the memory allows"
        assert set(refused) <= {429, 503}, "clients send again what was refused like this"
        assert content.encode() not in b"".join(body for _, body in arrived)
        assert content.encode() not in collector.log.read_bytes()


@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed: no certificate for the test"
)
def test_a_secured_receiver_takes_nothing_without_the_token(binary: str, tmp_path: Path) -> None:
    certificate, key, token = tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "token"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    secret = canary()
    token.write_text(secret)
    environment = {
        "ZDR_TOKEN_FILE": str(token),
        "ZDR_TLS_CERT_FILE": str(certificate),
        "ZDR_TLS_KEY_FILE": str(key),
    }
    with running(
        binary,
        CONFIGS / "gateway.yaml",
        tmp_path,
        more_configs=(CONFIGS / "receiver-auth.yaml",),
        environment=environment,
    ) as (collector, destination):
        context = ssl.create_default_context(cafile=str(certificate))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

        def send(headers: dict[str, str]) -> int:
            request = urllib.request.Request(
                f"https://127.0.0.1:{collector.http_port}/v1/traces",
                traces(span()).SerializeToString(),
                {"Content-Type": "application/x-protobuf", **headers},
            )
            try:
                with opener.open(request, timeout=10) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code

        assert send({}) == 401
        assert send({"Authorization": "Bearer wrong"}) == 401
        assert send({"Authorization": f"Bearer {secret}"}) == 200
        wait_until(lambda: ids_in(destination.take()), 10, "the arrival of the span")
        assert secret.encode() not in collector.log.read_bytes()


def test_a_collector_without_the_gate_does_not_start(binary: str, tmp_path: Path) -> None:
    """Failing closed: a forgotten flag means no Collector, not one that lets everything through."""
    started = subprocess.run(
        [binary, "--config", str(CONFIGS / "gateway.yaml")],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            "PATH": "/usr/bin:/bin",
            "ZDR_QUEUE_DIRECTORY": str(tmp_path),
            "ZDR_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{free_port()}",
            "ZDR_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{free_port()}",
            "ZDR_HEALTH_ENDPOINT": f"127.0.0.1:{free_port()}",
        },
    )
    assert started.returncode != 0
    assert "ottl.functions.enableLambda" in started.stderr or "undefined function" in started.stderr
