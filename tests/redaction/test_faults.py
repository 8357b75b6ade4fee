"""Each inner function raising in turn: nothing raises, nothing leaks, what needs no failed part survives."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from otel_zdr import catalogue
from otel_zdr.catalogue import lookup, vocabulary
from otel_zdr.redaction import Redactor, json_pruning, naming, shaping

MODULES = (shaping, json_pruning, naming, vocabulary, catalogue, lookup)


def _functions() -> Iterator[tuple[object, str]]:
    for module in MODULES:
        for name, member in vars(module).items():
            if inspect.isfunction(member) and member.__module__ == module.__name__:
                yield module, name
    for owner in (naming.Names, lookup.Lookup):
        for name, member in vars(owner).items():
            if inspect.isfunction(member) and name != "__init__":
                yield owner, name


FUNCTIONS = sorted(_functions(), key=lambda pair: (str(pair[0]), pair[1]))


def _use_everything(redactor: Redactor, secret: str) -> list[Any]:
    said = f"the patient said {secret}"
    removed: dict[str, int] = {}
    attributes = {
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.input.messages": said,
        "my.note": said,
        "acme.usage.tokens": 5,
        "acme.llm.model": said,
        "output.value": f'{{"usage":{{"total_tokens":3}},"text":"{said}"}}',
        "gen_ai.usage.raw": {"total_tokens": 3, said: said},
        "gen_ai": {"prompt": said},
        "http.route": said,
        "http.request.method": said,
        "gen_ai.response.finish_reasons": [said],
        "langfuse.observation.completion_start_time": said,
    }
    return [
        redactor.attributes(attributes, removed),
        {key: redactor.attribute(key, value, removed) for key, value in attributes.items()},
        redactor.measurement_attributes(attributes, removed, "http.server.duration"),
        redactor.resource_attributes(attributes, removed),
        redactor.span_name(said, "client", {"gen_ai.operation.name": "chat"}, removed),
        redactor.event_name(said, removed),
        redactor.log_event_name(said, removed),
        redactor.scope_name(said, removed),
        redactor.knows_instrument(said),
        redactor.body({"content": said, "message": {"role": "user"}}, "gen_ai.user.message", removed),
        redactor.body(said, said, removed),
        redactor.severity_text(said, removed),
        redactor.token(said, removed, "free_text"),
        redactor.schema_url(said, removed),
        redactor.trace_state([("ot", said), (said, "x")], removed),
        redactor.skeleton(attributes),
        removed,
    ]


@pytest.mark.parametrize(
    ("owner", "name"), FUNCTIONS, ids=[f"{owner.__name__}.{name}" for owner, name in FUNCTIONS]
)  # type: ignore[attr-defined]
def test_a_failing_part_leaks_nothing_and_raises_nothing(
    owner: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    redactor = Redactor(keep_names=["nightly"], keep_keys=["acme.room"], module_known=lambda module: False)
    secret = f"CANARY-{uuid.uuid4()}"

    def fail(*args: object, **kwargs: object) -> object:
        raise RuntimeError(f"failed on {args!r}")

    monkeypatch.setattr(owner, name, fail)
    out = _use_everything(redactor, secret)
    assert secret not in repr(out)
    assert out[0]["gen_ai.usage.input_tokens"] == 3
    assert out[0]["gen_ai.request.model"] == "m"


def test_without_a_fault_everything_is_as_it_should_be() -> None:
    out = _use_everything(Redactor(module_known=lambda module: False), "x")
    assert out[0]["acme.usage.tokens"] == 5
    assert out[0]["output.value"] == '{"usage":{"total_tokens":3}}'
    assert out[0]["gen_ai.usage.raw"] == {"total_tokens": 3}
