"""A fleet on one machine: an agent, two gateways behind one name, one of them killed under load.

``ZDR_FLEET_SECONDS`` (default 60) is how long spans are sent.
"""

from __future__ import annotations

import http.client
import os
import random
import socket
import struct
import threading
import time
from pathlib import Path

from tests.collector.conftest import CONFIGS
from tests.collector.running import Collector, Destination, free_port, parsed, wait_until
from tests.collector.telemetry import METADATA, canary, span, traces

SECONDS = float(os.environ.get("ZDR_FLEET_SECONDS", "60"))
RATE = 2000
BATCH = 100
CONNECTIONS = 2
ADDRESSES = ("127.0.0.2", "127.0.0.3")
ODD_KEYS = ("acme.usageMetadata.promptTokenCount", "llm.usage.cost_details")


class Names:
    """A name server on loopback that gives the addresses of both gateways for any name."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                query, sender = self.socket.recvfrom(4096)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            (kind,) = struct.unpack("!H", query[end - 4 : end - 2])
            found = ADDRESSES if kind == 1 else ()
            answer = query[:2] + struct.pack("!HHHHH", 0x8580, 1, len(found), 0, 0) + query[12:end]
            for address in found:
                answer += b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(address)
            self.socket.sendto(answer, sender)

    def close(self) -> None:
        self.socket.close()


class Load:
    """Batches of spans of 4 kB, each span with an id of its own; sent again until they are taken."""

    def __init__(self, agent: Collector, content: str) -> None:
        text = " ".join([content, *("word" for _ in range(380))])
        content_of_all = {"gen_ai.input.messages": text, "gen_ai.output.messages": text}
        # Most spans are of the conventions, and some have keys that only their words or their JSON speak for.
        usual = {key: value for key, value in METADATA.items() if key not in ODD_KEYS}
        made = [span({**(usual if n % 10 else METADATA), **content_of_all}) for n in range(BATCH)]
        self.template = traces(*made, resource={"service.name": "shop"}).SerializeToString()
        self.size = len(self.template) / BATCH
        self.places = [self.template.index(each.span_id) for each in made]
        self.port = agent.http_port
        self.taken = 0
        self.lock = threading.Lock()
        self.stop = threading.Event()

    def body(self) -> bytes:
        body = bytearray(self.template)
        with self.lock:
            first = self.taken
            self.taken += BATCH
        for number, place in enumerate(self.places, first + 1):
            body[place : place + 8] = struct.pack("!Q", number)
        return bytes(body)

    def start(self) -> None:
        self.begin = time.monotonic()
        self.senders = [threading.Thread(target=self._run) for _ in range(CONNECTIONS)]
        for sender in self.senders:
            sender.start()

    def finish(self) -> None:
        self.stop.set()
        for sender in self.senders:
            sender.join()
        self.rate = self.taken / (time.monotonic() - self.begin)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.stop.is_set():
            body = self.body()
            while True:
                try:
                    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == 200:
                        break
                except (OSError, http.client.HTTPException):
                    connection.close()
                time.sleep(0.05 + random.random() / 20)
            ahead = self.taken / RATE - (time.monotonic() - self.begin)
            if ahead > 0:
                self.stop.wait(ahead)
        connection.close()


def test_a_killed_gateway_loses_nothing_and_nothing_leaks(binary: str, tmp_path: Path) -> None:
    destination, names = Destination(), Names()
    port = free_port()
    gateways = [
        Collector(
            binary,
            CONFIGS / "gateway.yaml",
            tmp_path / address,
            destination=destination.url,
            host=address,
            grpc_port=port,
        )
        for address in ADDRESSES
    ]
    agent = Collector(
        binary,
        CONFIGS / "agent.yaml",
        tmp_path / "agent",
        environment={
            "ZDR_GATEWAY": f"dns://127.0.0.1:{names.port}/gateway.test:{port}",
            "ZDR_GATEWAY_INSECURE": "true",
        },
    )
    content = canary()
    everybody = [agent, *gateways]
    try:
        for collector in everybody:
            collector.start()
        load = Load(agent, content)
        assert load.size > 3900
        assert load.template.count(content.encode()) == 2 * BATCH, "the control: every span holds the canary"
        load.start()
        time.sleep(SECONDS / 3)
        gateways[0].kill()
        time.sleep(SECONDS / 3)
        gateways[0].start()
        time.sleep(SECONDS / 3)
        load.finish()
        seen: set[bytes] = set()
        leaked = 0

        def all_arrived() -> bool:
            nonlocal leaked
            for kind, body in destination.take():
                leaked += content.encode() in body
                for request in parsed([(kind, body)], "traces"):
                    seen.update(
                        s.span_id
                        for g in request.resource_spans
                        for scope in g.scope_spans
                        for s in scope.spans
                    )
            return len(seen) >= load.taken

        wait_until(all_arrived, 180 + SECONDS, "the arrival of every span")
        assert {struct.unpack("!Q", each)[0] for each in seen} == set(range(1, load.taken + 1))
        assert leaked == 0
        for path in tmp_path.rglob("*"):
            if path.is_file():
                assert content.encode() not in path.read_bytes(), path
        # Three Collectors, the senders and the destination share what may be two cores, and others use them.
        assert load.rate >= 0.6 * RATE, "the machine did not take the load"
        print(f"{load.rate:,.0f} spans/s taken")
    finally:
        for collector in everybody:
            collector.stop()
        destination.close()
        names.close()
