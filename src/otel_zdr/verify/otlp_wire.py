"""The bytes of protobuf: where requests end, which signal one is, and what of them no schema names."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from otel_zdr.verify.otlp_fields import Document, Overfull

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

Field = tuple[int, int, bytes]
"""Number, wire type and bytes of one field."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 256  # protobuf itself stops at 100


def is_request(content: bytes) -> bool:
    """Whether this may be one export request: nothing but its first field, again and again."""
    position = 0
    while position < len(content):
        field = _field(content, position)
        if field is None or (field[0], field[1]) != (1, _LENGTH):
            return False
        position = field[3]
    return True


def split_fixed(content: bytes) -> list[bytes] | None:
    """Requests behind lengths of four bytes, big endian; None if these are none."""

    def length(position: int) -> tuple[int, int] | None:
        if position + 4 > len(content):
            return None
        return int.from_bytes(content[position : position + 4], "big"), position + 4

    return _split(content, length)


def split_varint(content: bytes) -> list[bytes] | None:
    """Requests behind lengths that are varints; None if these are none."""
    return _split(content, lambda position: _varint(content, position))


def _split(content: bytes, length: Callable[[int], tuple[int, int] | None]) -> list[bytes] | None:
    frames, position = [], 0
    while position < len(content):
        read = length(position)
        if read is None:
            return None
        size, start = read
        frame = content[start : start + size]
        if len(frame) != size or not is_request(frame):
            return None
        frames.append(frame)
        position = start + size
    return frames


def guess_signal(frame: bytes) -> str | None:
    """Which request a frame is, by the wire types of its first innermost items.

    Spans have fixed 64 bit times in fields 7 and 8 and a 16 byte id in field 1; log records a fixed
    64 bit time in field 1 or 11; metrics a text in field 1 and data in length-delimited fields
    (opentelemetry/proto/{trace,logs,metrics}/v1).
    """
    for resource in _nested(frame, 1):
        for scope in _nested(resource, 2):
            for item in _nested(scope, 2):
                wires = {(number, wire): value for number, wire, value in _fields(item) or ()}
                if (7, _FIXED64) in wires or (8, _FIXED64) in wires:
                    return "traces"
                if (1, _FIXED64) in wires or (11, _FIXED64) in wires or (2, _VARINT) in wires:
                    return "logs"
                if any((number, _LENGTH) in wires for number in (5, 7, 9, 10, 11)):
                    ids = len(wires.get((1, _LENGTH), b"")), len(wires.get((2, _LENGTH), b""))
                    return "traces" if ids == (16, 8) else "metrics"
    return None


# --- what no schema names -----------------------------------------------------------------------


def outside(content: bytes, kind: Any, node: Document, depth: int = 0) -> Document:
    """`node` with what `content`, of which it was read, holds and no reader sees, beside it.

    That is: fields that the schema has not, fields of another wire type than the schema says, and
    earlier values of a field that may stand once, of which the last one wins. `kind` is the descriptor
    of the message.
    """
    fields = _fields(content)
    if fields is None or depth > _MAX_DEPTH:
        return Overfull(node, [("#0", _shown(content))])
    beside: list[tuple[str, object]] = []
    known: dict[int, list[bytes]] = {}
    chosen: dict[str, int] = {}  # one of several: the last one wins
    for number, wire, value in fields:
        field = kind.fields_by_number.get(number)
        if field is None or wire not in _wires(field):
            beside.append((f"#{number}", _shown(value)))
            continue
        known.setdefault(number, []).append(value)
        if field.containing_oneof is not None:
            chosen[field.containing_oneof.name] = number
    read = dict(node)
    for number, values in known.items():
        field = kind.fields_by_number[number]
        one_of = field.containing_oneof
        lost = one_of is not None and chosen[one_of.name] != number
        if lost or not _is_message(field):
            last = values[-1]
            if not _is_repeated(field):
                gone = values if lost else [value for value in values[:-1] if value not in (b"", last)]
                beside += [(f"#{number}", _shown(value)) for value in gone]
            continue
        inner = read.get(field.json_name)
        if _is_repeated(field):
            members = inner if isinstance(inner, list) else []
            if len(members) == len(values):
                read[field.json_name] = [
                    outside(value, field.message_type, member, depth + 1)
                    for value, member in zip(values, members, strict=True)
                ]
        elif isinstance(inner, dict):
            # Parts of one message are merged.
            read[field.json_name] = outside(b"".join(values), field.message_type, inner, depth + 1)
    return Overfull(read, beside) if beside else read


def _shown(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _is_message(field: FieldDescriptor) -> bool:
    return field.message_type is not None


def _is_repeated(field: FieldDescriptor) -> bool:
    known: Any = field  # newer versions of protobuf have a property, older ones a label
    return bool(known.is_repeated if hasattr(known, "is_repeated") else known.label == known.LABEL_REPEATED)


def _wires(field: FieldDescriptor) -> tuple[int, ...]:
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE):
        return (_LENGTH,)
    if field.type in (field.TYPE_FIXED64, field.TYPE_SFIXED64, field.TYPE_DOUBLE):
        wire = _FIXED64
    elif field.type in (field.TYPE_FIXED32, field.TYPE_SFIXED32, field.TYPE_FLOAT):
        wire = _FIXED32
    else:
        wire = _VARINT
    return (wire, _LENGTH) if _is_repeated(field) else (wire,)


# --- wire ---------------------------------------------------------------------------------------


def _nested(content: bytes, number: int) -> Iterator[bytes]:
    for found, wire, value in _fields(content) or ():
        if found == number and wire == _LENGTH:
            yield value


def _fields(content: bytes) -> list[Field] | None:
    """The fields of a message; None if it is none."""
    fields: list[Field] = []
    position = 0
    while position < len(content):
        field = _field(content, position)
        if field is None:
            return None
        number, wire, start, position = field
        fields.append((number, wire, content[start:position]))
    return fields


def _field(content: bytes, position: int) -> tuple[int, int, int, int] | None:
    """Number, wire type, and where the value of the field at `position` begins and ends; None if there is none."""
    read = _varint(content, position)
    if read is None:
        return None
    tag, position = read
    wire, end = tag & 7, 0
    if wire == _VARINT:
        read = _varint(content, position)
        if read is None:
            return None
        end = read[1]
    elif wire == _FIXED64:
        end = position + 8
    elif wire == _FIXED32:
        end = position + 4
    elif wire == _LENGTH:
        read = _varint(content, position)
        if read is None:
            return None
        size, position = read
        end = position + size
    else:
        return None
    if end > len(content) or tag >> 3 == 0:
        return None
    return tag >> 3, wire, position, end


def _varint(content: bytes, position: int) -> tuple[int, int] | None:
    value = shift = 0
    while position < len(content) and shift < 64:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return None
