"""TFRecord files record by record, without TensorFlow.

A record is its length (uint64), the masked CRC-32C of the length, the bytes, and their masked
CRC-32C (uint32, all little-endian). A file may be compressed as a whole (`compressed.py`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from datasets.records import compressed
from datasets.records.checksums import HEADER_SIZE, LENGTH, is_header, masked_crc32c, matches
from datasets.records.compressed import Readable

_CHECKSUM = struct.Struct('<I')
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Frame:
    """A record of a file: its bytes, or what is wrong with it."""

    number: int  # from 0
    data: bytes
    problem: str = ''  # then `data` cannot be relied on


def write_record(file: BinaryIO, data: bytes) -> int:
    """Writes one record; the number of bytes in the file that it takes."""
    length = LENGTH.pack(len(data))
    file.write(length + _CHECKSUM.pack(masked_crc32c(length)))
    file.write(data)
    file.write(_CHECKSUM.pack(masked_crc32c(data)))
    return HEADER_SIZE + len(data) + _CHECKSUM.size


def read_records(path: str) -> Iterator[Frame]:
    """Every record of a file, compressed or not, also those with damaged bytes.

    A damaged length or a file that ends early, be it inside a length (which TensorFlow's reader
    takes for the end of the file), is the problem of the last frame: nothing tells where the next
    record would begin. Raises OSError.
    """
    with open(path, 'rb', buffering=_BUFFER) as file:
        yield from frames(compressed.opened(file))


def frames(file: Readable) -> Iterator[Frame]:
    """The same of an open file that is not compressed, or of what is in one that is."""
    number = 0
    try:
        while header := file.read(HEADER_SIZE):
            if len(header) < HEADER_SIZE:
                yield Frame(number, b'', 'the file ends inside the length of this record')
                return
            if not is_header(header):
                yield Frame(
                    number, b'', 'its length is damaged, so that the rest of the file is lost'
                )
                return
            (length,) = LENGTH.unpack_from(header)
            data, checksum = _read(file, length), file.read(_CHECKSUM.size)
            if len(checksum) < _CHECKSUM.size:
                missing = length + _CHECKSUM.size - len(data) - len(checksum)
                yield Frame(number, b'', f'the file ends {missing} bytes before this record does')
                return
            problem = '' if matches(data, checksum) else 'its bytes do not fit their checksum'
            yield Frame(number, data, problem)
            number += 1
    except compressed.DamageError as error:
        yield Frame(number, b'', str(error))


def _read(file: Readable, length: int) -> bytes:
    """Up to `length` bytes; a length that is too large by far takes no memory."""
    if length <= _BUFFER:
        return file.read(length)
    parts = []
    while length and (part := file.read(min(length, _BUFFER))):
        parts.append(part)
        length -= len(part)
    return b''.join(parts)
