"""An image file as a record.

The pixels are not decoded: size and colours come from the file's header. Only files that training
could not read as RGB or gray JPEG (PNG under a .JPEG name, CMYK) are encoded anew. No TensorFlow:
each of the processes that write would need seconds and 600 MB for it.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from datasets.records import example_format, object_boxes
from datasets.records.object_boxes import Box
from slim.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_COLORSPACES = {'RGB': ('RGB', 3), 'L': ('Grayscale', 1)}  # Pillow's mode: name, channels
_REENCODED_QUALITY = 95


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image to be written, its class, and its boxes or the XML file that has them."""

    path: str
    label: int
    synset: str = ''
    text: str = ''
    boxes: tuple[Box, ...] = ()
    annotation: str = ''  # path, read when the image is written


def make_record(image: ImageFile) -> tuple[tf.train.Example, bool]:
    """The record of an image file, and whether it had to be encoded anew. DataError if no image."""
    import tensorflow as tf

    record, is_new = encode_record(image)
    return tf.train.Example.FromString(record), is_new


def encode_record(image: ImageFile, rgb_only: bool = False) -> tuple[bytes, bool]:
    """The serialized record of an image file, and whether the image had to be encoded anew.

    DataError, which names the file, for one that is no image or not whole, and for boxes that
    cannot be read.
    """
    with _reading(image.path):
        with open(image.path, 'rb') as file:
            encoded = file.read()
        with Image.open(io.BytesIO(encoded)) as opened:
            width, height = opened.size
            mode = opened.mode
            kept = {'RGB'} if rgb_only else _COLORSPACES
            as_it_is = encoded.startswith(_JPEG_START) and mode in kept
            if not as_it_is:
                encoded, mode = _rgb_jpeg(opened), 'RGB'
            elif not encoded.endswith(_JPEG_END):
                opened.load()  # bytes after the end are harmless, an end that is missing is not
    colorspace, channels = _COLORSPACES[mode]
    boxes = object_boxes.read(image.annotation) if image.annotation else image.boxes
    record = example_format.encode_example(
        encoded,
        image.label,
        height,
        width,
        colorspace=colorspace,
        channels=channels,
        filename=os.path.basename(image.path),
        synset=image.synset,
        text=image.text,
        bboxes=boxes,
    )
    return record, not as_it_is


def as_rgb_jpeg(encoded: bytes) -> bytes:
    """Any image file as an RGB JPEG. DataError if it is no image."""
    with _reading('The image'), Image.open(io.BytesIO(encoded)) as opened:
        return _rgb_jpeg(opened)


def rgb_pixels(encoded: bytes) -> np.ndarray:
    """Any image file as uint8 [height, width, 3]. DataError if it is no image."""
    with _reading('The image'), Image.open(io.BytesIO(encoded)) as opened:
        return np.asarray(opened.convert('RGB'))


def _rgb_jpeg(opened: Image.Image) -> bytes:
    encoded = io.BytesIO()
    opened.convert('RGB').save(encoded, 'JPEG', quality=_REENCODED_QUALITY, subsampling=0)
    return encoded.getvalue()


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turns what Pillow and the file system say into a DataError that names `path`."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise DataError(f'{path} cannot be read as an image: of no known format') from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise DataError(f'{path} cannot be read as an image: {reason}') from error
