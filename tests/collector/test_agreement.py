"""The recorded corpus through the real Collector: no content, and what the Python tier keeps."""

from __future__ import annotations

import base64
import json
import re
import time

from otel_zdr.settings import Settings
from tests.collector.compare import cleaned_by_python, differences, items
from tests.collector.running import REQUESTS, Collector, Destination, parsed, wait_until
from tests.corpus.replay import ROOT

#: Places where the tiers differ, each with its reason; the README of collector-config has the same list.
EXCEPTIONS = {
    "links": "the attributes of a single link cannot be reached, so links go whole",
    "scope schema url": "entity references cannot be reached; resources and scopes are built anew without them",
    "resource schema url": "the same",
    # What a scope or template is cannot be proven here; the core over files does not prove it either.
}


def test_the_corpus_leaves_no_canary_and_the_tiers_agree(gateway: tuple[Collector, Destination]) -> None:
    collector, destination = gateway
    destination.take()
    documents = []
    planted: set[str] = set()
    for path in sorted(ROOT.glob("*/*.json")):
        kind = path.name.rsplit(".", 2)[-2]
        content = path.read_text(encoding="utf-8")
        if kind in REQUESTS:
            assert collector.send(kind, content.encode(), "application/json") == 200, path
            documents.append((kind, content))
        elif kind == "meta":
            planted |= {entry["canary"] for entry in json.loads(content)["planted"]}
    assert len(documents) > 100
    assert len(planted) > 300
    sent = {
        kind: [cleaned_by_python(kind, content, Settings()) for of, content in documents if of == kind]
        for kind in REQUESTS
    }
    expected = {kind: sum(1 for _ in items(kind, requests)) for kind, requests in sent.items()}
    bodies: list[tuple[str, bytes]] = []

    def arrived() -> bool:
        bodies.extend(destination.take())
        return all(sum(1 for _ in items(kind, parsed(bodies, kind))) >= expected[kind] for kind in REQUESTS)

    wait_until(arrived, 60, "the arrival of every item")
    time.sleep(0.5)
    bodies.extend(destination.take())

    exported = b"".join(body for _, body in bodies)
    raw = "".join(content for _, content in documents).encode()
    assert len(re.findall(rb"CANARY-[a-z]+-[0-9]+", raw)) > 1000, "the control: what is sent is full of them"
    assert re.findall(rb"CANARY-[a-zA-Z]*-?[0-9]*", exported) == []
    encoded = {text for canary in planted for text in _encodings(canary)}
    assert [text for text in encoded if text in exported] == []

    found = []
    for kind in REQUESTS:
        for place, python, collector_keeps in differences(kind, sent[kind], parsed(bodies, kind)):
            if place not in EXCEPTIONS:
                found.append((kind, place, python, collector_keeps))
    assert found == []


def _encodings(canary: str) -> list[bytes]:
    """The canary in base64, at every alignment, without the characters its neighbours decide."""
    return [
        base64.b64encode(b"\0" * shift + canary.encode() + b"\0\0\0")[4 if shift else 0 : 20]
        for shift in range(3)
    ]
