"""Pictures together with the boxes of their objects, for detectors.

Training shifts, mirrors and changes brightness and saturation; evaluation only resizes. The aspect
ratio is not kept: a picture is stretched to the network's frame, bilinearly, and its boxes with it.
Boxes are (xmin, ymin, xmax, ymax) in continuous coordinates: a pixel's left edge has the number of
its column, its right edge one more, so that mirrored in a frame of width W, x becomes W - x.

Pictures come as uint8 [h, w, 3]; results are float32 in -1..1.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from preprocessing import inception_preprocessing
from preprocessing.image_op import ImageOp
from preprocessing.image_steps import split_seed

# SqueezeDet's, as parts of its frame: 150 of 1242 columns, 100 of 375 rows.
MAX_SHIFT = (100 / 375, 150 / 1242)
_AT_THE_EDGE = 2.0  # pixels; published boxes end on the last pixel or one before


def preprocess_for_train(
    image: tf.Tensor,
    boxes: tf.Tensor,
    height: int,
    width: int,
    seed: tf.Tensor | None = None,
    custom_op: ImageOp | None = None,
    max_shift: tuple[float, float] = MAX_SHIFT,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A shifted view, mirrored in half of the cases, in other colours, and the boxes in it.

    No shift moves a box over the edge; what it uncovers has the colours of the edge.

    Args:
      image: uint8 [h, w, 3].
      boxes: float32 [n, 4], in pixels of the image; cut off at its edges.
      height, width: of the frame, in pixels.
      seed: integer [2]; the same seed gives the same view.
      custom_op: computes the pixels in one pass; None: TensorFlow's operations.
      max_shift: rows and columns, as parts of the height and width.

    Returns float32 [height, width, 3] and float32 [n, 4], in pixels of the frame.
    """
    shift_seed, draw_seed = split_seed(seed, 2)
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    boxes = clip(boxes, size)
    shift = _shift(boxes, size, max_shift, tf.random.stateless_uniform([2], shift_seed))
    draws = tf.random.stateless_uniform([3], draw_seed)
    view = inception_preprocessing.distorted_view(image, height, width, draws, shift, custom_op)
    boxes = to_frame(boxes + tf.tile(shift[::-1], [2]), size, height, width)
    # `distorted_view` mirrors below one half.
    return view, tf.where(draws[0] < 0.5, mirror(boxes, width), boxes)


def preprocess_for_eval(
    image: tf.Tensor, height: int, width: int, custom_op: ImageOp | None = None
) -> tf.Tensor:
    """The whole picture, uint8 [h, w, 3], resized to float32 [height, width, 3]."""
    return inception_preprocessing.whole_view(image, height, width, custom_op)


def to_frame(boxes: tf.Tensor, size: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Boxes [n, 4] of a picture of `size` (float32 [2], height and width) in the frame."""
    y, x = tf.unstack(tf.constant([height, width], tf.float32) / size)
    return boxes * tf.stack([x, y, x, y])


def mirror(boxes: tf.Tensor, width: float) -> tf.Tensor:
    """Boxes [n, 4] after left and right have changed places in a frame of `width` pixels."""
    left, top, right, bottom = tf.unstack(boxes, axis=-1)
    return tf.stack([width - right, top, width - left, bottom], axis=-1)


def clip(boxes: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Boxes [n, 4] inside of a picture of `size` (float32 [2], height and width)."""
    return tf.clip_by_value(boxes, 0.0, tf.tile(size[::-1], [2]))


def to_picture(boxes: np.ndarray, size: tuple[int, int], height: int, width: int) -> np.ndarray:
    """The inverse of `to_frame`, in numpy: boxes [n, 4] in the frame of `height` and `width` as
    float64 [n, 4] in pixels of a picture of `size` (height, width), inside of it."""
    factors = np.array([size[1] / width, size[0] / height] * 2)
    limits = np.array([size[1], size[0]] * 2, np.float64)
    return np.clip(np.asarray(boxes, np.float64).reshape(-1, 4) * factors, 0.0, limits)


def _shift(
    boxes: tf.Tensor, size: tf.Tensor, max_shift: tuple[float, float], draws: tf.Tensor
) -> tf.Tensor:
    """Rows and columns, whole pixels as float32 [2], that leave all boxes in the picture.

    Nor is the picture moved away from an edge at which a box ends: more of the object would have to
    be seen there.
    """
    most = tf.floor(size * max_shift)
    # Without boxes these are infinite, and `most` alone counts.
    first = tf.reduce_min(boxes, axis=0)[:2][::-1]
    last = tf.reduce_max(boxes, axis=0)[2:][::-1]
    low = -tf.minimum(most, tf.floor(first))
    high = tf.minimum(most, tf.floor(size - last))
    low = tf.where(last > size - _AT_THE_EDGE, 0.0, low)
    high = tf.where(first < _AT_THE_EDGE, 0.0, high)
    return tf.round(low + draws * (high - low))
