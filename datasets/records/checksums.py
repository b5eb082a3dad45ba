"""The checksums of TFRecord files, and how to tell the head of a record by its own."""

from __future__ import annotations

import struct

import google_crc32c

LENGTH, _CHECKSUM = struct.Struct('<Q'), struct.Struct('<I')
HEADER_SIZE = LENGTH.size + _CHECKSUM.size  # bytes before those of a record
_MASK_DELTA = 0xA282EAD8


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord files: rotated and shifted, as files may hold checksums as data."""
    checksum = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF


def matches(data: bytes, checksum: bytes) -> bool:
    return checksum == _CHECKSUM.pack(masked_crc32c(data))


def is_header(header: bytes) -> bool:
    """Whether the bytes are the length of a record and the checksum of that."""
    return matches(header[: LENGTH.size], header[LENGTH.size : HEADER_SIZE])
