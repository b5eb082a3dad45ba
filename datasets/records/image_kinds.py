"""Names of image formats that training does not decode, by the first bytes of a file."""

from __future__ import annotations

import re

_KINDS = (
    (rb'RIFF....WEBP', 'WebP'),
    (rb'....ftyp(avif|avis)', 'AVIF'),
    (rb'....ftyp(heic|heix|heim|heis|mif1|msf1)', 'HEIF'),
    (rb'BM', 'BMP'),
    (rb'II\*\0|MM\0\*', 'TIFF'),
    (rb'\0\0\0\x0cjP  |\xff\x4f\xff\x51', 'JPEG 2000'),
    (rb'\0\0\0\x0cJXL |\xff\x0a', 'JPEG XL'),
    (rb'qoif', 'QOI'),
    (rb'DDS ', 'DDS'),
    (rb'\0\0\x01\0', 'ICO'),
    (rb'P[1-7]\s', 'PNM'),
    (rb'(<\?xml|<svg)', 'SVG'),
)


def of(encoded: bytes) -> str:
    """`a WebP file` and so on, '' for what has no name here."""
    for start, name in _KINDS:
        if re.match(start, encoded, re.DOTALL):
            article = 'an' if name in ('AVIF', 'ICO', 'SVG') else 'a'
            return f'{article} {name} file'
    return ''
