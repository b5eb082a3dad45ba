"""Record files that are compressed as a whole: GZIP and ZLIB, as TensorFlow writes them.

Nothing in a name says so. A file is compressed when its first bytes are no length of a record with
its checksum, but those that every file of such a format begins with.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, Protocol

from datasets.records.checksums import HEADER_SIZE, is_header

NONE, GZIP, ZLIB = '', 'GZIP', 'ZLIB'  # as tf.data.TFRecordDataset calls them

_GZIP_START = b'\x1f\x8b\x08'
_DEFLATE, _ZLIB_DIVISOR = 8, 31  # of the two bytes that a ZLIB file begins with
_ANY_WRAPPER = 32 + zlib.MAX_WBITS
_CHUNK = 1 << 16


class DamageError(Exception):
    """Compressed bytes that are damaged, or that end early."""


def kind(head: bytes) -> str:
    """NONE, GZIP or ZLIB, from the first bytes of a file (HEADER_SIZE of them)."""
    if is_header(head):
        return NONE
    if head.startswith(_GZIP_START):
        return GZIP
    if len(head) > 1 and head[0] & 15 == _DEFLATE and (head[0] << 8 | head[1]) % _ZLIB_DIVISOR == 0:
        return ZLIB
    return NONE


def opened(file: BinaryIO) -> Readable:
    """The contents of a file, which is at its beginning and can be rewound."""
    head = file.read(HEADER_SIZE)
    file.seek(0)
    return file if kind(head) == NONE else _Inflated(file, several=kind(head) == GZIP)


class Readable(Protocol):
    """What a reader of records needs of a file."""

    def read(self, size: int, /) -> bytes: ...


class _Inflated:
    """The contents of a compressed file, never more of them in memory than were asked for."""

    def __init__(self, file: Readable, several: bool):
        self._file = file
        self._several = several  # GZIP files may follow each other in one
        self._inflate = zlib.decompressobj(_ANY_WRAPPER)
        self._packed = b''

    def read(self, size: int, /) -> bytes:
        """`size` bytes, fewer at the end. DamageError where the file is not whole."""
        parts: list[bytes] = []
        while size:
            self._packed = self._packed or self._file.read(_CHUNK)
            if self._inflate.eof:
                if not self._packed or not self._several:
                    break
                self._inflate = zlib.decompressobj(_ANY_WRAPPER)
            try:
                part = self._inflate.decompress(self._packed, size)
            except zlib.error as error:
                raise DamageError(f'the compressed bytes are damaged ({error})') from None
            if not part and not self._packed and not self._inflate.eof:
                raise DamageError('the compressed file is cut off')
            self._packed = self._inflate.unconsumed_tail or self._inflate.unused_data
            parts.append(part)
            size -= len(part)
        return b''.join(parts)
