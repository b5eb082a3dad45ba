"""Boxes in the graph: two forms, and their distance from anchors. Nothing here adds 1 to a size.

Corner form: (xmin, ymin, xmax, ymax). Centre form: (cx, cy, width, height) with
width = xmax - xmin. The last axis has the four numbers; all are pixels of one frame. The functions
keep the type that they are given: float32 is exact to about 1e-3 pixels, float64 to 1e-9.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow.compat.v1 as tf

# From here on, the size of a decoded box grows linearly with the prediction, not exponentially.
_LINEAR_FROM = 1.0
_SLOPE = math.exp(_LINEAR_FROM)


def to_centres(corners: Any) -> Any:
    """Corner form [..., 4] to centre form [..., 4]."""
    corners = tf.convert_to_tensor(corners)
    low, high = corners[..., :2], corners[..., 2:]
    return tf.concat([(low + high) / 2, high - low], axis=-1)


def to_corners(centres: Any) -> Any:
    """Centre form [..., 4] to corner form [..., 4]."""
    centres = tf.convert_to_tensor(centres)
    middle, half = centres[..., :2], centres[..., 2:] / 2
    return tf.concat([middle - half, middle + half], axis=-1)


def safe_exp(x: Any) -> Any:
    """e^x up to 1, and its tangent there above: no prediction makes it overflow."""
    x = tf.convert_to_tensor(x)
    curve = tf.exp(tf.minimum(x, _LINEAR_FROM))
    return tf.where(x <= _LINEAR_FROM, curve, _SLOPE * (x - _LINEAR_FROM + 1))


def safe_log(y: Any) -> Any:
    """The inverse of `safe_exp`, for y > 0."""
    y = tf.convert_to_tensor(y)
    return tf.where(y <= _SLOPE, tf.math.log(y), y / _SLOPE + _LINEAR_FROM - 1)


def encode(centres: Any, anchors: Any) -> Any:
    """What a network has to predict for boxes, in centre form, at anchors.

    Args:
      centres: [..., 4], sizes above 0.
      anchors: centre form, of a shape that fits.

    Returns:
      deltas [..., 4]: the centre's distance in sizes of the anchor, and the logarithm of the sizes'
      ratio (`safe_log`). `decode` is the exact inverse for boxes of any size.
    """
    centres, anchors = tf.convert_to_tensor(centres), tf.convert_to_tensor(anchors)
    middle, size = anchors[..., :2], anchors[..., 2:]
    return tf.concat(
        [(centres[..., :2] - middle) / size, safe_log(centres[..., 2:] / size)], axis=-1
    )


def decode(deltas: Any, anchors: Any) -> Any:
    """Deltas [..., 4] at anchors in centre form [..., 4] to boxes in centre form [..., 4]."""
    deltas, anchors = tf.convert_to_tensor(deltas), tf.convert_to_tensor(anchors)
    middle, size = anchors[..., :2], anchors[..., 2:]
    return tf.concat([middle + deltas[..., :2] * size, size * safe_exp(deltas[..., 2:])], axis=-1)


def clip(corners: Any, height: int, width: int) -> Any:
    """Corners [..., 4] brought into a frame: x to 0 .. width - 1, y to 0 .. height - 1."""
    corners = tf.convert_to_tensor(corners)
    highest = tf.constant([width - 1, height - 1, width - 1, height - 1], corners.dtype)
    return tf.clip_by_value(corners, tf.zeros_like(highest), highest)


def iou(first: Any, second: Any) -> Any:
    """Intersection over union of corner forms, [..., 4] each, of shapes that fit: [...].

    0 where the boxes do not meet, and for boxes without area or with corners in wrong order.
    """
    first, second = tf.convert_to_tensor(first), tf.convert_to_tensor(second)
    low = tf.maximum(first[..., :2], second[..., :2])
    high = tf.minimum(first[..., 2:], second[..., 2:])
    shared = _area(high - low)
    union = _area(first[..., 2:] - first[..., :2]) + _area(second[..., 2:] - second[..., :2])
    return tf.math.divide_no_nan(shared, union - shared)


def _area(size: Any) -> Any:
    size = tf.maximum(size, tf.zeros_like(size))
    return size[..., 0] * size[..., 1]
