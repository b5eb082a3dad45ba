"""The task: losses of a clone, and the counts behind top-1 and top-5."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

# Weight of an auxiliary head's loss (Inception, NASNet), as in the classic suite.
_AUXILIARY_WEIGHT = 0.4


def training_clone(
    next_batch: Callable[[], tuple[Any, Any]],
    network_fn: Callable[..., tuple[Any, dict[str, Any]]],
    num_classes: int,
    label_smoothing: float,
) -> dict[str, Any]:
    """One clone: takes a batch, builds the network and adds its losses to tf.GraphKeys.LOSSES.

    Args:
      next_batch: gives (images float32 [b, s, s, c], labels int64 [b], or float32 [b, num_classes]:
        the shares of the classes in each image).
      network_fn: images to (logits [b, num_classes], end points).
      num_classes: number of logits.
      label_smoothing: share of the label spread evenly over all classes.

    Returns:
      the end points.
    """
    images, labels = next_batch()
    one_hot = labels if labels.dtype.is_floating else tf.one_hot(labels, num_classes)
    logits, end_points = network_fn(images)
    heads: list[tuple[Any, float, str | None]] = [(logits, 1.0, None)]
    if 'AuxLogits' in end_points:
        heads.insert(0, (end_points['AuxLogits'], _AUXILIARY_WEIGHT, 'aux_loss'))
    for head, weight, scope in heads:
        tf.losses.softmax_cross_entropy(
            one_hot, head, weights=weight, label_smoothing=label_smoothing, scope=scope
        )
    return end_points


@dataclasses.dataclass(frozen=True)
class Counts:
    """Of one batch, int64 scalars: real images, those right in first, and those right in five; and
    a float64 scalar: the sum of their losses, the cross entropies without anything added."""

    images: Any
    top_1: Any
    top_5: Any
    loss: Any

    @property
    def all(self) -> tuple[Any, ...]:
        """To be fetched, and summed over batches and workers."""
        return self.images, self.top_1, self.top_5, self.loss


def count_correct(logits: Any, labels: Any, real: Any) -> Counts:
    """Counts over the images of a batch for which `real` is true.

    Images with a logit that is not finite are wrong.

    Args:
      logits: float [b, classes].
      labels: int64 [b].
      real: bool [b]; false for the filling of the last batch.
    """
    place, finite = places(logits, labels)

    def count(flags: Any) -> Any:
        return tf.reduce_sum(tf.cast(flags & real, tf.int64))

    top_1, top_5 = (place < 1) & finite, (place < 5) & finite
    logits = tf.cast(logits, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    losses = tf.where(real, tf.cast(losses, tf.float64), tf.zeros_like(losses, tf.float64))
    return Counts(count(tf.ones_like(real)), count(top_1), count(top_5), tf.reduce_sum(losses))


def places(logits: Any, labels: Any) -> tuple[Any, Any]:
    """The place of each label, int32 [b] from 0, and whether all logits of the image are finite.

    A label's place is the worst that its logit allows: every other class with a logit as high
    stands before it. So what a network cannot tell apart does not count in its favour; logits
    without ties have the places of a sort.

    Args:
      logits: float [b, classes].
      labels: int64 [b].
    """
    logits = tf.cast(logits, tf.float32)
    classes = int(logits.shape[-1])
    own_class = tf.one_hot(labels, classes) > 0.5
    own = tf.reduce_max(tf.where(own_class, logits, -np.inf * tf.ones_like(logits)), axis=-1)
    before = tf.logical_and(logits >= own[:, tf.newaxis], tf.logical_not(own_class))
    place = tf.reduce_sum(tf.cast(before, tf.int32), axis=-1)
    finite = tf.reduce_all(tf.math.is_finite(logits), axis=-1)
    return place, finite
