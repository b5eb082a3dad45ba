"""TFRecord files record by record, without TensorFlow.

A record is its length (uint64), the masked CRC-32C of the length, the bytes, and their masked
CRC-32C (uint32, all little-endian).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import google_crc32c

_LENGTH, _CHECKSUM = struct.Struct('<Q'), struct.Struct('<I')
_HEADER_SIZE = _LENGTH.size + _CHECKSUM.size
_MASK_DELTA = 0xA282EAD8
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Frame:
    """A record of a file: its bytes, or what is wrong with it."""

    number: int  # from 0
    data: bytes
    problem: str = ''  # then `data` cannot be relied on


def write_record(file: BinaryIO, data: bytes) -> int:
    """Writes one record; the number of bytes in the file that it takes."""
    length = _LENGTH.pack(len(data))
    file.write(length + _CHECKSUM.pack(masked_crc32c(length)))
    file.write(data)
    file.write(_CHECKSUM.pack(masked_crc32c(data)))
    return _HEADER_SIZE + len(data) + _CHECKSUM.size


def read_records(path: str) -> Iterator[Frame]:
    """Every record of a file, also those with damaged bytes.

    A damaged length or a file that ends early, be it inside a length (which TensorFlow's reader
    takes for the end of the file), is the problem of the last frame: nothing tells where the next
    record would begin. Raises OSError.
    """
    number = 0
    with open(path, 'rb', buffering=_BUFFER) as file:
        while header := file.read(_HEADER_SIZE):
            if len(header) < _HEADER_SIZE:
                yield Frame(number, b'', 'the file ends inside the length of this record')
                return
            (length,) = _LENGTH.unpack_from(header)
            if not _matches(header[: _LENGTH.size], header[_LENGTH.size :]):
                yield Frame(
                    number, b'', 'its length is damaged, so that the rest of the file is lost'
                )
                return
            data, checksum = file.read(length), file.read(_CHECKSUM.size)
            if len(checksum) < _CHECKSUM.size:
                missing = length + _CHECKSUM.size - len(data) - len(checksum)
                yield Frame(number, b'', f'the file ends {missing} bytes before this record does')
                return
            problem = '' if _matches(data, checksum) else 'its bytes do not fit their checksum'
            yield Frame(number, data, problem)
            number += 1


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord files: rotated and shifted, as files may hold checksums as data."""
    checksum = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _matches(data: bytes, checksum: bytes) -> bool:
    return checksum == _CHECKSUM.pack(masked_crc32c(data))
