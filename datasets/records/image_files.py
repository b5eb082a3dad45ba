"""An image file as a record.

The pixels are not decoded: size and colours come from the file's header. Only files that training
could not read as RGB or gray JPEG (PNG under a .JPEG name, CMYK, a JPEG without its end marker) are
encoded anew. No TensorFlow: each of the processes that write would need seconds and 600 MB for it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from datasets.records import example_format, image_ends, object_boxes, picture_modes
from datasets.records.object_boxes import Box
from slim.errors import DataError, SuiteError

if TYPE_CHECKING:
    import tensorflow as tf

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_JPEG_MAX_SIDE = 65_500
MAX_PIXELS = (1 << 29) // 3  # TensorFlow's decoders refuse as many bytes of RGB, and more
_ORIENTATION = 0x0112  # the tag of EXIF; 1 is upright
_PIXELS = re.compile(r'\((\d+) pixels\)')  # in what Pillow says of a picture that is too large
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


@dataclass(frozen=True)
class Rules:
    """What is done with image files that are not as they should be."""

    skip_bad: bool = False  # leave unreadable files out rather than raise
    rgb_only: bool = False  # encode gray images anew as RGB
    upright: bool = False  # encode anew, turned, what EXIF says is not upright
    # A small file may say that it is huge, and fill the memory. What training could not decode is
    # written with fewer pixels.
    max_megapixels: float = 178.9


DEFAULT_RULES = Rules()


def make_record(image: ImageFile, rules: Rules = DEFAULT_RULES) -> tuple[tf.train.Example, bool]:
    """The record of an image file, and whether it had to be encoded anew. DataError if no image."""
    import tensorflow as tf

    record, is_new = encode_record(image, rules)
    return tf.train.Example.FromString(record), is_new


def encode_record(image: ImageFile, rules: Rules = DEFAULT_RULES) -> tuple[bytes, bool]:
    """The serialized record of an image file, and whether the image had to be encoded anew.

    DataError, which names the file, for one that is no image or not whole, for pixels that cannot
    be brought to 8 bits, and for boxes that cannot be read.
    """
    with reading(image.path, rules.max_megapixels):
        with open(image.path, 'rb') as file:
            encoded = file.read()
        with Image.open(io.BytesIO(encoded)) as opened:
            width, height = opened.size
            mode = opened.mode
            kept = {'RGB'} if rules.rgb_only else _COLORSPACES
            as_it_is = encoded.startswith(_JPEG_START) and mode in kept
            if as_it_is and rules.upright and opened.getexif().get(_ORIENTATION, 1) != 1:
                as_it_is = False
            as_it_is = as_it_is and width * height < MAX_PIXELS
            if as_it_is and not encoded.endswith(_JPEG_END):
                opened.load()
                # Bytes after the end are harmless; without it TensorFlow refuses the file.
                as_it_is = image_ends.jpeg_is_whole(encoded)
            if not as_it_is:
                picture = ImageOps.exif_transpose(opened) if rules.upright else opened
                encoded, (width, height) = _rgb_jpeg(picture)
                mode = 'RGB'
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
    with reading('The image'), Image.open(io.BytesIO(encoded)) as opened:
        return _rgb_jpeg(opened)[0]


def rgb_pixels(encoded: bytes) -> np.ndarray:
    """Any image file as uint8 [height, width, 3]. DataError if it is no image."""
    with reading('The image'), Image.open(io.BytesIO(encoded)) as opened:
        return np.asarray(picture_modes.as_rgb(opened))


def _rgb_jpeg(opened: Image.Image) -> tuple[bytes, tuple[int, int]]:
    """The file, and width and height."""
    picture = picture_modes.as_rgb(opened)
    while picture.width * picture.height >= MAX_PIXELS:
        picture = picture.reduce(2)
    if max(picture.size) > _JPEG_MAX_SIDE:
        raise ValueError(f'no side of a JPEG may have more than {_JPEG_MAX_SIDE:,} pixels')
    encoded = io.BytesIO()
    picture.save(encoded, 'JPEG', quality=_REENCODED_QUALITY, subsampling=0)
    return encoded.getvalue(), picture.size


@contextlib.contextmanager
def reading(path: str, max_megapixels: float = DEFAULT_RULES.max_megapixels) -> Iterator[None]:
    """Turns what Pillow, its decoders and the file system say into a DataError that names `path`.

    A decoder raises whatever its library does, so that everything counts as a bad file.
    """
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = int(max_megapixels * 1e6 / 2)  # Pillow raises at twice this number
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    except SuiteError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f'{path} cannot be read as an image: of no known format') from error
    except Image.DecompressionBombError as error:
        found = _PIXELS.search(str(error))
        pixels = f'{int(found[1]) / 1e6:,.0f} million' if found else 'too many'
        raise DataError(
            f'{path} cannot be read as an image: it has {pixels} pixels, which may be a trap that '
            f'fills the memory; --max_megapixels takes more than {max_megapixels:g} million'
        ) from error
    except Exception as error:
        reason = getattr(error, 'strerror', None) or str(error) or type(error).__name__
        raise DataError(f'{path} cannot be read as an image: {reason}') from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
