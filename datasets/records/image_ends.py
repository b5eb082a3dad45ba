"""Whether image files are whole, as TensorFlow's decoders see it; Pillow forgives more.

The pixels are not looked at: only the parts that a file is made of are followed to its end.
"""

from __future__ import annotations

import re
import struct
import zlib

_CHUNK_HEAD = struct.Struct('>I4s')
_CRC = struct.Struct('>I')
_PNG_START = b'\x89PNG\r\n\x1a\n'

# Not zero (an escaped 0xff), not a restart: what ends a stretch of compressed data.
_MARKER = re.compile(rb'\xff+([^\x00\xff\xd0-\xd7])')
_JPEG_END = 0xD9
_WITHOUT_CONTENT = (0x01, 0xD8)

_GIF_HEAD = 13  # bytes
_GIF_PICTURE = 0x2C
_GIF_HEADS = {_GIF_PICTURE: 11, 0x21: 2}  # first byte of a part of the file to bytes of its head


def jpeg_is_whole(encoded: bytes) -> bool:
    """Whether the marker that ends the picture is there, be it followed by other bytes.

    Of a file whose pixels could be decoded.
    """
    if encoded.endswith(bytes((0xFF, _JPEG_END))):
        return True  # Nearly always; to follow the parts takes half as long as to decode them.
    position = 2
    while found := _MARKER.search(encoded, position):
        marker = found[1][0]
        if marker == _JPEG_END:
            return True
        position = found.end()
        if marker not in _WITHOUT_CONTENT:
            position += int.from_bytes(encoded[position : position + 2], 'big')
    return False


def png_is_whole(encoded: bytes) -> bool:
    """Whether there are all chunks to the last one, those that matter with sound checksums."""
    position = len(_PNG_START)
    while position + _CHUNK_HEAD.size + _CRC.size <= len(encoded):
        size, kind = _CHUNK_HEAD.unpack_from(encoded, position)
        end = position + _CHUNK_HEAD.size + size
        if end + _CRC.size > len(encoded):
            return False
        is_critical = kind[:1].isupper()
        checksum = zlib.crc32(encoded[position + 4 : end])
        if is_critical and (checksum,) != _CRC.unpack_from(encoded, end):
            return False
        if kind == b'IEND':
            return True
        position = end + _CRC.size
    return False


def count_gif_pictures(encoded: bytes) -> int:
    """The pictures in a GIF file, without one that is cut off."""
    if len(encoded) < _GIF_HEAD:
        return 0
    position = _GIF_HEAD + _colours(encoded[_GIF_HEAD - 3])
    pictures = 0
    while position + 10 < len(encoded) and encoded[position] in _GIF_HEADS:
        is_picture = encoded[position] == _GIF_PICTURE
        own_colours = _colours(encoded[position + 9]) if is_picture else 0
        position += _GIF_HEADS[encoded[position]] + own_colours
        while position < len(encoded) and encoded[position]:
            position += 1 + encoded[position]  # a block, its length first
        if position >= len(encoded):
            break
        pictures += is_picture
        position += 1
    return pictures


def _colours(flags: int) -> int:
    """The bytes of a table of colours."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0
