"""The three losses of a SqueezeDet-like detector.

N is the number of matched anchors of the whole batch, A that of the anchors of one picture. Where
there is no object at all, what is divided by N is 0.
"""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from detection import boxes as box_forms
from detection import outputs as network_outputs
from detection.matching import Targets
from detection.outputs import Outputs

_CLASS_WEIGHT = 1.0
_BOX_WEIGHT = 5.0
# Of the confidence of anchors with an object, and of those without.
_POSITIVE_WEIGHT = 75.0
_NEGATIVE_WEIGHT = 100.0


def losses(
    outputs: Outputs, targets: Targets, anchors: Any, height: int, width: int
) -> dict[str, Any]:
    """The losses of a batch, scalars named 'class', 'confidence' and 'box'.

    The frame's height and width, in pixels, are what boxes are clipped to before their confidence
    is compared with their IoU.
    """
    boxes = network_outputs.decoded(outputs, anchors, height, width)
    # Without the gradient: a confidence follows the box, a box must not follow the confidence.
    overlap = tf.stop_gradient(box_forms.iou(boxes, targets.boxes))
    return {
        'class': class_loss(outputs.class_logits, targets),
        'confidence': confidence_loss(outputs.confidence_logits, overlap, targets),
        'box': box_loss(outputs.deltas, targets),
    }


def _objects(targets: Targets) -> Any:
    """N, at least 1."""
    number = tf.reduce_sum(targets.matched)
    return tf.maximum(number, tf.ones_like(number))


def class_loss(logits: Any, targets: Targets) -> Any:
    """Cross-entropy of matched anchors, each class for itself, on softmax's probabilities.

    The logarithm of 1 - p is that of the other classes' share, never of a difference: it is finite
    in float32 for every finite logit, and so is its gradient.
    """
    logits = tf.convert_to_tensor(logits)
    everything = tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
    itself = tf.eye(int(logits.shape[-1]), dtype=logits.dtype)
    # One row for each class, without that class.
    others = tf.reduce_logsumexp(logits[..., tf.newaxis, :] - 1e9 * itself, axis=-1)
    entropy = targets.classes * (logits - everything)
    entropy += (1 - targets.classes) * (others - everything)
    matched = tf.reduce_sum(entropy, axis=-1) * targets.matched
    return -_CLASS_WEIGHT * tf.reduce_sum(matched) / _objects(targets)


def confidence_loss(logits: Any, overlap: Any, targets: Targets) -> Any:
    """Squared distance of the confidence from the box's IoU, and from 0 where there is no object.

    Mean over pictures of the sums over anchors. Pictures without objects count: they teach what is
    background. Those anchors are weighted by 1 / (A - N), with the batch's N as in the seed, but
    not by more than 2 / A: with thousands of objects in a batch the difference would reach 0.

    Args:
      logits: [B, A].
      overlap: IoU of the decoded boxes with their objects, [B, A].
      targets: of the batch.
    """
    logits = tf.convert_to_tensor(logits)
    number, anchors = _objects(targets), float(logits.shape[-1])
    negatives = tf.maximum(anchors - tf.reduce_sum(targets.matched), anchors / 2)
    weights = targets.matched * (_POSITIVE_WEIGHT / number)
    weights += (1 - targets.matched) * (_NEGATIVE_WEIGHT / negatives)
    wanted = overlap * targets.matched
    squares = tf.math.squared_difference(wanted, tf.sigmoid(logits))
    return tf.reduce_mean(tf.reduce_sum(squares * weights, axis=-1))


def box_loss(deltas: Any, targets: Targets) -> Any:
    """Squared distance of matched anchors' deltas [B, A, 4] from the objects'."""
    squares = tf.math.squared_difference(deltas, targets.deltas)
    matched = tf.reduce_sum(squares, axis=-1) * targets.matched
    return _BOX_WEIGHT * tf.reduce_sum(matched) / _objects(targets)
