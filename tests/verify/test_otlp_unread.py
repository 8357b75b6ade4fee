"""What no reader looks at is found: wherever a text stands in a file, it is read or said not to be understood."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_zdr.settings import Settings
from otel_zdr.verify import otlp
from otel_zdr.verify.canary import Search
from otel_zdr.verify.cleaning import Cleaner, NotUnderstood, Removal
from otel_zdr.verify.otlp_unread import document_unread
from otel_zdr.verify.scan import item_places, shared_places

from .test_otlp import LOGS, METRICS, TRACES, fixed, places, write

DOCUMENTS = [TRACES, LOGS, METRICS]
NAMES = ["traces", "logs", "metrics"]
CORPUS = Path(__file__).parents[1] / "corpus"


@pytest.fixture
def secret() -> str:
    return f"the patient of room {uuid.uuid4().hex}"


def seen(document: dict[str, Any], text: str) -> bool:
    """Whether a reader sees the text in some place of some item."""
    search = Search([text], fragments=False)
    return any(
        search.find_in(value)
        for item in otlp.document_items(document)
        for place in (item_places(item), shared_places(item))
        for _, _, value in place
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_a_sound_document_is_understood_whatever_it_is_stored_as(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    assert list(document_unread(document)) == []
    for stored in (json.dumps(document).encode(), otlp.encode_protobuf(document)):
        (read,) = otlp.read_documents(write(tmp_path / "stored", stored))
        assert list(document_unread(read)) == []


def test_everything_that_real_instrumentations_export_is_understood() -> None:
    recorded = [path for path in CORPUS.rglob("*.json") if path.suffixes[:1] != [".meta"]]
    stored = [path for path in recorded if {".traces", ".logs", ".metrics"} & set(path.suffixes)]
    assert len(stored) > 100
    for path in stored:
        for document in otlp.read_documents(path):
            assert list(document_unread(document)) == [], path


SHAPES: dict[str, Callable[[str], Any]] = {
    "text": lambda text: text,
    "list": lambda text: [text],
    "object": lambda text: {"note": text},
    "objects": lambda text: [{"note": text}],
    "value": lambda text: {"stringValue": text},
    "name": lambda text: {text: 1},
    "nested": lambda text: {"values": [{"stringValue": text}]},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_in_place_of_any_field_a_text_is_read_or_not_understood(
    document: dict[str, Any], shape: str, secret: str
) -> None:
    not_understood = 0
    for index in range(len(places(document))):
        damaged = copy.deepcopy(document)
        container, key = places(damaged)[index]
        container[key] = SHAPES[shape](secret)
        found = list(document_unread(damaged))
        not_understood += bool(found)

        assert found or seen(damaged, secret), (index, key)
        assert secret not in repr(found) + "".join(map(str, found))
    assert not_understood


@pytest.mark.parametrize("name", ["extra", "field with spaces"])
@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_a_field_that_otlp_has_not_is_found_in_every_object(
    document: dict[str, Any], name: str, secret: str
) -> None:
    objects = [container for container, _ in places({"all": document}) if isinstance(container, dict)]
    distinct = {id(node) for node in objects}
    for index in range(len(distinct)):
        damaged = copy.deepcopy(document)
        nodes = list(
            {id(node): node for node, _ in places({"all": damaged}) if isinstance(node, dict)}.values()
        )
        if "all" in nodes[index]:
            continue
        nodes[index][name] = secret
        found = list(document_unread(damaged))

        assert [each.expected for each in found] == [""], (index, found)
        assert secret not in str(found[0])
        assert ("extra" in str(found[0])) is (name == "extra")


def twice(node: Any, target: dict[str, Any], key: str, first: Any) -> str:
    """JSON in which one object has a key twice."""
    if isinstance(node, dict):
        members = []
        for name, value in node.items():
            if node is target and name == key:
                members.append(f"{json.dumps(name)}: {json.dumps(first)}")
            members.append(f"{json.dumps(name)}: {twice(value, target, key, first)}")
        return "{" + ", ".join(members) + "}"
    if isinstance(node, list):
        return "[" + ", ".join(twice(member, target, key, first) for member in node) + "]"
    return json.dumps(node)


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_a_name_that_is_given_twice_hides_nothing(
    tmp_path: Path, document: dict[str, Any], secret: str
) -> None:
    for container, key in places(document):
        if not isinstance(container, dict):
            continue
        path = write(tmp_path / "stored", twice(document, container, key, secret))
        (read,) = otlp.read_documents(path)

        assert not seen(read, secret)  # the last one wins
        assert list(document_unread(read)), key


# --- protobuf -----------------------------------------------------------------------------------


def messages(message: Any) -> Iterator[Any]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for member in [value] if hasattr(value, "ListFields") else value:
            yield from messages(member)


def parsed(document: dict[str, Any]) -> Any:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    kinds = {
        "resourceSpans": ExportTraceServiceRequest,
        "resourceLogs": ExportLogsServiceRequest,
        "resourceMetrics": ExportMetricsServiceRequest,
    }
    (name,) = document
    return kinds[name].FromString(otlp.encode_protobuf(document))


def field(number: int, content: bytes) -> bytes:
    head = bytearray()
    for rest in (number << 3 | 2, len(content)):
        while rest > 0x7F:
            head.append(rest & 0x7F | 0x80)
            rest >>= 7
        head.append(rest)
    return bytes(head) + content


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_a_field_that_no_schema_has_is_found_in_every_message_of_protobuf(
    tmp_path: Path, document: dict[str, Any], secret: str
) -> None:
    count = len(list(messages(parsed(document))))
    assert count > 5
    for index in range(1, count):  # the request itself: see below
        request = parsed(document)
        list(messages(request))[index].MergeFromString(field(127, secret.encode()))
        path = write(tmp_path / "stored", request.SerializeToString())
        assert secret.encode() in path.read_bytes()  # positive control
        (read,) = otlp.read_documents(path)

        assert ["127" in each.field for each in document_unread(read)] == [True], index


def test_a_field_that_no_schema_has_in_the_request_itself_is_found_behind_a_length(
    tmp_path: Path, secret: str
) -> None:
    request = otlp.encode_protobuf(TRACES) + field(127, secret.encode())
    with pytest.raises(otlp.OtlpError):
        list(otlp.read_documents(write(tmp_path / "stored", fixed(request))))


@pytest.mark.parametrize(
    "span",
    [
        field(5, b"SECRET") + field(5, b"name"),  # the last name wins
        field(5, b"name") + field(5 << 5, b"SECRET"),
        field(9, field(1, b"key") + field(2, field(1, b"SECRET") + field(1, b"value"))),
        field(9, field(1, b"key") + field(2, field(1, b"SECRET") + b"\x10\x01")),  # a text, then a bool
        field(9, field(1, b"key") + field(2, field(1, b"SECRET")) + field(2, field(1, b"value"))),
        field(7, b"SECRET--"),  # a time as text
        field(15, field(2, b"SECRET")) + field(15, field(2, b"message")),  # two parts of one message
        field(1, b"SECRET of no sixteen bytes"),
    ],
)
def test_what_protobuf_itself_passes_over_is_found(tmp_path: Path, span: bytes, secret: str) -> None:
    content = span.replace(b"SECRET", b"secret")
    request = field(1, field(2, field(2, field(2, b"\x00" * 8) + content)))
    path = write(tmp_path / "stored", request)
    (read,) = otlp.read_documents(path, signal="traces")

    assert not seen(read, "secret")
    assert len(list(document_unread(read))) == 1


def test_what_an_encoder_writes_without_need_is_no_finding(tmp_path: Path) -> None:
    # Some write empty texts and the same value twice.
    span = field(2, b"\x00" * 8) + field(3, b"") + field(5, b"") + field(5, b"name") + field(5, b"name")
    path = write(tmp_path / "stored", field(1, field(2, field(2, span))))
    (read,) = otlp.read_documents(path, signal="traces")

    assert [item.name for item in otlp.document_items(read)] == ["name"]  # type: ignore[union-attr]
    assert list(document_unread(read)) == []


# --- cleaning -----------------------------------------------------------------------------------


def examined(
    document: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], Cleaner, list[NotUnderstood], list[Removal]]:
    unread: list[NotUnderstood] = []
    removals: list[Removal] = []
    cleaner = Cleaner(settings, report=removals.append, report_unread=unread.append)
    return cleaner.clean(document), cleaner, unread, removals


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_nothing_goes_without_being_counted(document: dict[str, Any], shape: str, secret: str) -> None:
    sound = Cleaner(Settings()).clean(document)
    assert examined(sound, Settings())[2:] == ([], [])
    for index in range(len(places(sound))):
        damaged = copy.deepcopy(sound)
        container, key = places(damaged)[index]
        container[key] = SHAPES[shape](secret)
        cleaned, cleaner, unread, removals = examined(damaged, Settings())

        assert secret not in json.dumps(cleaned), (index, key)
        assert unread or removals, (index, key)
        assert cleaner.not_understood == len(unread)
        assert sum(cleaner.removed.values()) == len(removals) + len(unread)


CLINIC = Settings(workspaces=("clinic",), unidentified="retain")


def trace(attributes: Any, **more: Any) -> dict[str, Any]:
    prompt = {"key": "gen_ai.prompt", "value": {"stringValue": "some prompt"}}
    events = [{"name": "note", "attributes": [prompt]}]
    return {
        "resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": attributes, "events": events, **more}]}]}]
    }


STUDIO = {"key": "workspace.id", "value": {"stringValue": "studio"}}


@pytest.mark.parametrize(
    "attributes",
    [
        {"workspace.id": "clinic"},
        "workspace.id=clinic",
        [STUDIO, "clinic"],
        [STUDIO, {"key": "workspace.id", "value": "clinic"}],
        [{**STUDIO, "more": "clinic"}],
    ],
)
def test_what_may_hide_whose_an_item_is_puts_it_under_zdr(attributes: Any) -> None:
    cleaned, cleaner, unread, _ = examined(trace(attributes), CLINIC)

    assert "some prompt" not in json.dumps(cleaned)
    assert unread
    assert cleaner.redacted == 1
    # Positive controls: what is understood passes, and where nobody is under ZDR so does everything.
    passing, _, none, _ = examined(trace([STUDIO], extra="its own"), CLINIC)
    assert "some prompt" in json.dumps(passing)
    assert none == []
    everything, *_ = examined(trace(attributes), Settings(workspaces=()))
    assert "some prompt" in json.dumps(everything)


def test_a_list_of_items_that_is_none_puts_its_resource_under_zdr() -> None:
    studio = {"attributes": [STUDIO]}
    for broken in ({"spans": "text of a patient"}, {"spans": ["text of a patient"]}, "text of a patient"):
        document = {"resourceSpans": [{"resource": studio, "scopeSpans": [broken]}]}
        cleaned, _, unread, _ = examined(document, CLINIC)

        assert "patient" not in json.dumps(cleaned)
        assert len(unread) == 1


def test_a_metric_without_measurements_is_counted_when_its_name_goes() -> None:
    metric = {"name": "text of a patient", "description": "text of a patient"}
    for data in ({}, {"gauge": {}}, {"gauge": {"dataPoints": []}}):
        document = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{**metric, **data}]}]}]}
        cleaned, _, _, removals = examined(document, Settings())

        assert "patient" not in json.dumps(cleaned)
        assert {removal.place for removal in removals} == {"instrument name", "description"}
