"""`suppression` as operations of a graph, for a network that leaves the suite.

Nothing here is a loop or has a shape that depends on values, so that every runtime takes it.
"""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from detection import boxes as box_forms
from detection.suppression import SAME_OBJECT, THRESHOLD, TOP


def detections(
    boxes: Any,
    scores: Any,
    classes: Any,
    top: int = TOP,
    threshold: float = THRESHOLD,
    same_object: float = SAME_OBJECT,
) -> tuple[Any, Any, Any]:
    """The detections of `suppression.detections`, of one picture, in as many places as `top`.

    Args:
      boxes: float32 [A, 4], corner form; A is known.
      scores: float32 [A].
      classes: integer [A].
      top: the most detections.
      threshold: least score, where there are no more than `top` boxes.
      same_object: IoU from which on two boxes of a class are one object.

    Returns:
      boxes [top, 4], scores [top] and classes int32 [top], the best score first. What is left of
      the places is 0 throughout.
    """
    count = int(scores.shape[0])
    if count <= top:
        scores = tf.where(scores > threshold, scores, tf.zeros_like(scores))
    # Of equal scores the first comes first, as in numpy's stable order.
    scores, places = tf.math.top_k(scores, min(top, count))
    boxes, classes = tf.gather(boxes, places), tf.gather(tf.cast(classes, tf.int32), places)
    scores *= _kept(_drops(boxes, classes, same_object))
    scores, places = tf.math.top_k(scores, min(top, count))
    there = tf.cast(scores > 0, tf.float32)
    boxes = tf.gather(boxes, places) * there[:, tf.newaxis]
    classes = tf.gather(classes, places) * tf.cast(there, tf.int32)
    rest = [0, top - min(top, count)]
    return tf.pad(boxes, [rest, [0, 0]]), tf.pad(scores, [rest]), tf.pad(classes, [rest])


def _drops(boxes: Any, classes: Any, same_object: float) -> Any:
    """1.0 where the box of the row, if it is kept, drops that of the column: float32 [N, N]."""
    size = int(boxes.shape[0])
    overlap = box_forms.iou(boxes[:, tf.newaxis], boxes[tf.newaxis]) > same_object
    same_class = tf.equal(classes[:, tf.newaxis], classes[tf.newaxis])
    later = tf.constant([[float(row < column) for column in range(size)] for row in range(size)])
    return tf.cast(overlap & same_class, tf.float32) * later


def _kept(drops: Any) -> Any:
    """1.0 for each box that is kept, else 0.0: float32 [N].

    A box is dropped where one before it drops it and is kept itself. The first is right from the
    beginning, and each round makes the next one right for good.
    """
    size = int(drops.shape[0])
    kept = tf.ones([1, size])
    for _ in range(size - 1):
        kept = tf.nn.relu(1.0 - tf.matmul(kept, drops))
    return kept[0]
