"""The record format: keys of ImageNet's TFRecords, once, for the writer and for the reader.

TensorFlow is imported where it is used, because the writer's processes do without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datasets.records import example_encoding
from datasets.records.example_encoding import bytes_feature, float_feature, int64_feature

if TYPE_CHECKING:
    import tensorflow as tf

ENCODED = 'image/encoded'
FORMAT = 'image/format'
FILENAME = 'image/filename'
HEIGHT = 'image/height'
WIDTH = 'image/width'
COLORSPACE = 'image/colorspace'
CHANNELS = 'image/channels'
LABEL = 'image/class/label'
SYNSET = 'image/class/synset'
TEXT = 'image/class/text'
BBOX_YMIN = 'image/object/bbox/ymin'
BBOX_XMIN = 'image/object/bbox/xmin'
BBOX_YMAX = 'image/object/bbox/ymax'
BBOX_XMAX = 'image/object/bbox/xmax'
BBOX_LABEL = 'image/object/bbox/label'

BBOX_SIDES = (BBOX_YMIN, BBOX_XMIN, BBOX_YMAX, BBOX_XMAX)

ITEMS_TO_DESCRIPTIONS = {
    'encoded': 'The image file, JPEG unless the record says otherwise.',
    'label': 'The class, a whole number from 0.',
    'bbox': 'Boxes of objects of the class: ymin, xmin, ymax, xmax as parts of the image sides.',
    'filename': 'The name of the file that the image came from, empty where unknown.',
}


def encode_example(
    encoded: bytes,
    label: int,
    height: int,
    width: int,
    *,
    image_format: str = 'JPEG',
    colorspace: str = 'RGB',
    channels: int = 3,
    filename: str = '',
    synset: str = '',
    text: str = '',
    bboxes: Sequence[Sequence[float]] = (),
) -> bytes:
    """One serialized record. `bboxes`: (ymin, xmin, ymax, xmax) each, parts of the image sides.

    The same arguments give the same bytes, everywhere. TensorFlow is not imported.
    """
    columns = list(zip(*bboxes, strict=True)) or [()] * len(BBOX_SIDES)
    features = {
        ENCODED: bytes_feature(encoded),
        FORMAT: bytes_feature(image_format.encode()),
        FILENAME: bytes_feature(filename.encode(errors='surrogateescape')),
        HEIGHT: int64_feature(height),
        WIDTH: int64_feature(width),
        COLORSPACE: bytes_feature(colorspace.encode()),
        CHANNELS: int64_feature(channels),
        LABEL: int64_feature(label),
        SYNSET: bytes_feature(synset.encode()),
        TEXT: bytes_feature(text.encode()),
        BBOX_LABEL: int64_feature(*[label] * len(bboxes)),
    }
    for side, column in zip(BBOX_SIDES, columns, strict=True):
        features[side] = float_feature(*column)
    return example_encoding.example(features)


def make_example(*args: Any, **kwargs: Any) -> tf.train.Example:
    """The record of `encode_example`, which takes the same arguments, as a message."""
    import tensorflow as tf

    return tf.train.Example.FromString(encode_example(*args, **kwargs))


def parse_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """One serialized record (string scalar) as the items that `Dataset.parse` promises.

    A record without an image or a label fails the step that reads it, naming the key.
    """
    import tensorflow as tf

    parsed = tf.io.parse_single_example(
        serialized,
        {
            ENCODED: tf.io.FixedLenFeature([], tf.string),
            LABEL: tf.io.FixedLenFeature([], tf.int64),
            FILENAME: tf.io.FixedLenFeature([], tf.string, default_value=''),
            **{side: tf.io.VarLenFeature(tf.float32) for side in BBOX_SIDES},
        },
    )
    sides = [tf.sparse.to_dense(parsed[side]) for side in BBOX_SIDES]
    return {
        'encoded': parsed[ENCODED],
        'label': parsed[LABEL],
        'bbox': tf.stack(sides, axis=-1)[tf.newaxis],  # float32 [1, n, 4]
        'filename': parsed[FILENAME],
    }


def decode_image(encoded: tf.Tensor, channels: int = 3) -> tf.Tensor:
    """uint8 [h, w, channels] from a JPEG file (string scalar); PNG and GIF are recognized, too."""
    import tensorflow as tf

    # Newer versions make [1, h, w, 3] of WebP; older ones know none.
    return tf.ensure_shape(tf.io.decode_jpeg(encoded, channels=channels), [None, None, channels])
