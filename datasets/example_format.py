"""The record format: keys of ImageNet's TFRecords, once, for the writer and for the reader."""

from __future__ import annotations

from collections.abc import Sequence

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


def make_example(
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
) -> tf.train.Example:
    """One record. `bboxes`: (ymin, xmin, ymax, xmax) each, parts (0..1) of the image sides."""
    columns = list(zip(*bboxes, strict=True)) or [()] * len(BBOX_SIDES)
    feature = {
        ENCODED: _bytes(encoded),
        FORMAT: _bytes(image_format.encode()),
        FILENAME: _bytes(filename.encode(errors='surrogateescape')),
        HEIGHT: _int64(height),
        WIDTH: _int64(width),
        COLORSPACE: _bytes(colorspace.encode()),
        CHANNELS: _int64(channels),
        LABEL: _int64(label),
        SYNSET: _bytes(synset.encode()),
        TEXT: _bytes(text.encode()),
        BBOX_LABEL: _int64(*[label] * len(bboxes)),
    }
    for side, column in zip(BBOX_SIDES, columns, strict=True):
        feature[side] = tf.train.Feature(float_list=tf.train.FloatList(value=column))
    return tf.train.Example(features=tf.train.Features(feature=feature))


def parse_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """One serialized record (string scalar) as the items that `Dataset.parse` promises.

    A record without an image or a label fails the step that reads it, naming the key.
    """
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
    return tf.io.decode_jpeg(encoded, channels=channels)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64(*values: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
