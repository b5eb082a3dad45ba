"""What the channels of the network's last layer mean."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow.compat.v1 as tf

from detection import boxes as box_forms


def channels(num_classes: int, shapes: int) -> int:
    """Width of the last layer: classes, confidence and four deltas for each shape."""
    return shapes * (num_classes + 1 + 4)


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The last layer of B pictures, for each of A anchors."""

    class_logits: Any  # [B, A, C]
    confidence_logits: Any  # [B, A]
    deltas: Any  # [B, A, 4]


def split(layer: Any, num_classes: int, shapes: int) -> Outputs:
    """Takes the last layer apart.

    Args:
      layer: [B, rows, columns, channels]: first the logits of all classes for the first shape, then
        for the next; then the confidence of each shape; then the four deltas of each.
      num_classes: C.
      shapes: anchors in a cell.
    """
    layer = tf.convert_to_tensor(layer)
    rows, columns = layer.shape[1], layer.shape[2]
    count = rows * columns * shapes
    parts = tf.split(layer, [shapes * num_classes, shapes, shapes * 4], axis=-1)
    return Outputs(
        tf.reshape(parts[0], [-1, count, num_classes]),
        tf.reshape(parts[1], [-1, count]),
        tf.reshape(parts[2], [-1, count, 4]),
    )


def scores(outputs: Outputs) -> tuple[Any, Any]:
    """Score of each anchor, [B, A], 0..1, and its class, int64 [B, A].

    The score is the probability of the likeliest class times the confidence that there is anything.
    """
    probabilities = tf.nn.softmax(outputs.class_logits)
    confidence = tf.sigmoid(outputs.confidence_logits)
    return (
        tf.reduce_max(probabilities, axis=-1) * confidence,
        tf.argmax(outputs.class_logits, axis=-1),
    )


def class_scores(outputs: Outputs) -> Any:
    """Score of each class at each anchor, [B, A, C]; the highest is that of `scores`."""
    confidence = tf.sigmoid(outputs.confidence_logits)
    return tf.nn.softmax(outputs.class_logits) * confidence[..., tf.newaxis]


def decoded(outputs: Outputs, anchors: Any, height: int, width: int) -> Any:
    """The boxes, corner form [B, A, 4], in pixels of the frame, clipped to it."""
    centres = box_forms.decode(outputs.deltas, anchors)
    return box_forms.clip(box_forms.to_corners(centres), height, width)
