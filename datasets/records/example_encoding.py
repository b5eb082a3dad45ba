"""tf.train.Example as bytes, without TensorFlow: importing that takes seconds and 600 MB a process.

The message of tensorflow/core/example/feature.proto in the encoding of protocol buffers
(protobuf.dev/programming-guides/encoding): Example {1: Features {1: map of string to Feature}}, and
Feature {1: BytesList | 2: FloatList | 3: Int64List}, each list {1: values}.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Mapping

_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_UINT64 = 1 << 64

Value = bytes | float | int


_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))


def bytes_feature(*values: bytes) -> bytes:
    return _field(_BYTES_LIST, b''.join(_field(1, value) for value in values))


def float_feature(*values: float) -> bytes:
    packed = struct.pack(f'<{len(values)}f', *values)
    return _field(_FLOAT_LIST, _field(1, packed) if values else b'')


@functools.lru_cache(1024)  # labels and sides of images come again and again
def int64_feature(*values: int) -> bytes:
    packed = b''.join(_varint(value % _UINT64) for value in values)
    return _field(_INT64_LIST, _field(1, packed) if values else b'')


def example(features: Mapping[str, bytes]) -> bytes:
    """The Example of features made by the functions above, the keys in sorted order.

    These are the bytes that `SerializeToString(deterministic=True)` makes.
    """
    entries = (_field(1, _key(key) + _field(2, features[key])) for key in sorted(features))
    return _field(1, b''.join(entries))


def decode(serialized: bytes) -> dict[str, list[Value]]:
    """Key and values of every feature. ValueError for bytes that are no Example."""
    features: dict[str, list[Value]] = {}
    for number, message in _messages(memoryview(serialized)):
        for entry_number, entry in _messages(message) if number == 1 else ():
            if entry_number == 1:
                parts = dict(_messages(entry))
                features[bytes(parts.get(1, b'')).decode()] = _values(parts.get(2, memoryview(b'')))
    return features


def _values(feature: memoryview) -> list[Value]:
    values: list[Value] = []
    for kind, list_message in _messages(feature):
        for number, wire_type, content in _fields(list_message):
            if number != 1:
                continue
            if kind == _BYTES_LIST and isinstance(content, memoryview):
                values.append(bytes(content))
            elif kind == _FLOAT_LIST and isinstance(content, memoryview):
                if len(content) % 4:
                    raise ValueError('numbers of which one is cut off')
                values += struct.unpack(f'<{len(content) // 4}f', content)
            elif kind == _INT64_LIST and wire_type == _VARINT and isinstance(content, int):
                values.append(_signed(content))
            elif kind == _INT64_LIST and isinstance(content, memoryview):
                position = 0
                while position < len(content):
                    value, position = _read_varint(content, position)
                    values.append(_signed(value))
            else:
                raise ValueError('a feature with values of a type that is not its own')
    return values


def _messages(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    for number, _, value in _fields(content):
        if isinstance(value, memoryview):
            yield number, value


def _fields(content: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type and value of each field of a message."""
    position = 0
    while position < len(content):
        tag, position = _read_varint(content, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _read_varint(content, position)
            yield number, wire_type, value
            continue
        if wire_type == _LENGTH_DELIMITED:
            size, position = _read_varint(content, position)
        elif wire_type in (_FIXED32, _FIXED64):
            size = 4 if wire_type == _FIXED32 else 8
        else:
            raise ValueError(f'wire type {wire_type}, which does not exist')
        if position + size > len(content):
            raise ValueError('a field that is longer than the message')
        yield number, wire_type, content[position : position + size]
        position += size


@functools.lru_cache(256)
def _key(key: str) -> bytes:
    return _field(1, key.encode())


def _field(number: int, content: bytes) -> bytes:
    return b''.join((_ONE_BYTE[number << 3 | _LENGTH_DELIMITED], _varint(len(content)), content))


def _varint(value: int) -> bytes:
    if value <= 0x7F:
        return _ONE_BYTE[value]
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(content: memoryview, position: int) -> tuple[int, int]:
    """The value and the position behind it."""
    value = shift = 0
    while position < len(content) and shift < 64:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError('a number without an end')


def _signed(value: int) -> int:
    return value - _UINT64 if value >= _UINT64 // 2 else value
