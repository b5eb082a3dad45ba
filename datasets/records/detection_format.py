"""The record format of pictures with objects: keys, encoding, and what training reads.

Boxes are in pixels of the picture (KITTI) or parts of its sides (Pascal VOC), by the set. Three
lists of boxes are in a record, in the order of the label file, whose line numbers stand beside
them: the objects to be found (`image/object/bbox/`), those of other types (`image/object/other/`),
which a score leaves out of account, and regions without labels (`image/object/dontcare/`).

TensorFlow is imported where it is used, because the writer's processes do without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from datasets.records import example_encoding
from datasets.records.example_encoding import Value, bytes_feature, float_feature, int64_feature
from datasets.records.example_format import (
    BBOX_LABEL,
    CHANNELS,
    ENCODED,
    FILENAME,
    FORMAT,
    HEIGHT,
    WIDTH,
)
from datasets.records.kitti_labels import DONT_CARE, PictureObject

if TYPE_CHECKING:
    import tensorflow as tf

SHAPE = 'image/shape'
OBJECTS, OTHERS, DONT_CARES = 'image/object/bbox', 'image/object/other', 'image/object/dontcare'
SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
_SIDE_KEYS = tuple(f'{OBJECTS}/{side}' for side in SIDES)

ITEMS_TO_DESCRIPTIONS = {
    'encoded': 'The image file, PNG or JPEG.',
    'label': 'A class that is in the picture, for checks; 0 where there is none.',
    'bbox': 'Boxes of the objects: ymin, xmin, ymax, xmax as parts of the image sides.',
    'boxes': 'The same: xmin, ymin, xmax, ymax in pixels of the picture.',
    'labels': 'The classes of the boxes.',
    'size': 'Height and width of the picture in pixels.',
    'filename': 'The name of the file that the image came from, empty where unknown.',
}


def encode(
    encoded: bytes,
    image_format: str,
    height: int,
    width: int,
    channels: int,
    filename: str,
    objects: Sequence[PictureObject],
    labels: Mapping[str, int],
    relative: bool = False,
) -> bytes:
    """One serialized record.

    Args:
      encoded: the image file.
      image_format: 'PNG' or 'JPEG'.
      height, width, channels: of the image.
      filename: of the image.
      objects: with boxes in pixels.
      labels: by the types that are to be found.
      relative: boxes become parts of the picture's sides.
    """
    regions = [one for one in objects if one.type == DONT_CARE and one.has_area]
    wanted = [one for one in objects if one.type in labels]
    others = [one for one in objects if one.type != DONT_CARE and one.type not in labels]
    scale = (1.0 / width, 1.0 / height) * 2 if relative else (1.0,) * 4
    features = {
        ENCODED: bytes_feature(encoded),
        FORMAT: bytes_feature(image_format.encode()),
        FILENAME: bytes_feature(filename.encode(errors='surrogateescape')),
        HEIGHT: int64_feature(height),
        WIDTH: int64_feature(width),
        CHANNELS: int64_feature(channels),
        SHAPE: int64_feature(height, width, channels),
        BBOX_LABEL: int64_feature(*(labels[one.type] for one in wanted)),
    }
    for place, listed in ((OBJECTS, wanted), (OTHERS, others), (DONT_CARES, regions)):
        for index, side in enumerate(SIDES):
            features[f'{place}/{side}'] = float_feature(
                *(one.box[index] * scale[index] for one in listed)
            )
        features[f'{place}/line'] = int64_feature(*(one.line for one in listed))
        if place != DONT_CARES:
            features |= {
                f'{place}/label_text': bytes_feature(*(one.type.encode() for one in listed)),
                f'{place}/truncated': _truncated(listed, relative),
                f'{place}/occluded': int64_feature(*(one.occluded for one in listed)),
                f'{place}/difficult': int64_feature(*(one.difficult for one in listed)),
            }
    return example_encoding.example(features)


def _truncated(objects: Sequence[PictureObject], relative: bool) -> bytes:
    """KITTI has a part here, Pascal VOC a mark, which its records have always held as integers."""
    values = [one.truncated for one in objects]
    return int64_feature(*map(int, values)) if relative else float_feature(*values)


class Picture(NamedTuple):
    """A record without its image."""

    name: str  # of the image's file, '' where unknown
    size: tuple[int, int]  # height and width in pixels
    objects: list[PictureObject]  # and DontCare regions, by line; boxes in pixels


def picture_of(features: Mapping[str, Sequence[Value]], relative: bool = False) -> Picture:
    """What a score needs of a decoded record (`example_encoding.decode`).

    Boxes have as many decimals as in the label file (of seven digits). Records that others have
    written may lack everything but sizes, sides of boxes and types. ValueError without a size.
    """
    height, width = _one(features, HEIGHT), _one(features, WIDTH)
    names = features.get(FILENAME) or [b'']
    name = names[0].decode(errors='surrogateescape') if isinstance(names[0], bytes) else ''
    return Picture(name, (height, width), _objects(features, height, width, relative))


def _objects(
    features: Mapping[str, Sequence[Value]], height: int, width: int, relative: bool
) -> list[PictureObject]:
    scale = (width, height) * 2 if relative else (1, 1, 1, 1)
    found = []
    for place in (OBJECTS, OTHERS, DONT_CARES):
        columns = [features.get(f'{place}/{side}', ()) for side in SIDES]
        for number, sides in enumerate(zip(*columns, strict=True)):

            def value(name: str, default: Value, place: str = place, number: int = number) -> Any:
                values = features.get(f'{place}/{name}', ())
                return values[number] if number < len(values) else default

            kind = value('label_text', DONT_CARE.encode() if place == DONT_CARES else b'')
            left, top, right, bottom = (
                _decimal(float(side), by) for side, by in zip(sides, scale, strict=True)
            )
            unknown = -1 if place == DONT_CARES else 0
            found.append(
                PictureObject(
                    kind.decode(errors='replace'),
                    (left, top, right, bottom),
                    _decimal(float(value('truncated', unknown))),
                    int(value('occluded', unknown)),
                    int(value('difficult', 0)),
                    int(value('line', 0)),
                )
            )
    return sorted(found, key=lambda one: one.line)


def _one(features: Mapping[str, Sequence[Value]], key: str) -> int:
    values = features.get(key, ())
    if len(values) != 1 or not isinstance(values[0], int):
        raise ValueError(f'{key!r} is not one whole number')
    return values[0]


def _decimal(value: float, by: int = 1) -> float:
    """The decimal number that was rounded to the float32 `value`, times `by` rounded to 1/1000.

    A score compares heights with 25 and 40: 350.17 - 325.17 has to be what it is in the label file.
    """
    return float(f'{value:.7g}') if by == 1 else round(value * by, 3)


def parse(serialized: tf.Tensor, relative: bool = False) -> dict[str, tf.Tensor]:
    """One serialized record (string scalar) as the items of `ITEMS_TO_DESCRIPTIONS`.

    'boxes' float32 [n, 4], 'labels' int64 [n], 'size' int32 [2], 'bbox' float32 [1, n, 4]. A record
    without an image or its size, or with other numbers of labels than of boxes, fails the step that
    reads it.
    """
    import tensorflow as tf

    parsed = tf.io.parse_single_example(
        serialized,
        {
            ENCODED: tf.io.FixedLenFeature([], tf.string),
            HEIGHT: tf.io.FixedLenFeature([], tf.int64),
            WIDTH: tf.io.FixedLenFeature([], tf.int64),
            FILENAME: tf.io.FixedLenFeature([], tf.string, default_value=''),
            BBOX_LABEL: tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
            **{
                key: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
                for key in _SIDE_KEYS
            },
        },
    )
    size = tf.stack([parsed[HEIGHT], parsed[WIDTH]])
    sides = tf.cast(tf.concat([size[::-1]] * 2, axis=0), tf.float32)
    boxes = tf.stack([parsed[key] for key in _SIDE_KEYS], axis=-1)
    pixels, parts = (boxes * sides, boxes) if relative else (boxes, boxes / sides)
    labels = parsed[BBOX_LABEL]
    # Whatever label is out of range is one of these two.
    extremes = tf.reduce_min(labels), tf.reduce_max(tf.concat([labels, [0]], axis=0))
    return {
        'encoded': parsed[ENCODED],
        'label': tf.where(extremes[0] < 0, *extremes),
        'bbox': tf.gather(parts, [1, 0, 3, 2], axis=1)[tf.newaxis],
        'boxes': pixels,
        'labels': labels,
        'size': tf.cast(size, tf.int32),
        'filename': parsed[FILENAME],
    }
