"""What makes a detector of a network: one convolution that says boxes at each place."""

from __future__ import annotations

import tensorflow.compat.v1 as tf

import slim
from nets import full_precision


def add(net: tf.Tensor, num_classes: int, shapes: int, dropout_keep_prob: float) -> tf.Tensor:
    """The head, as `conv_predict` in the current variable scope.

    Its weights begin so small that every class is as likely and every box is its anchor.

    Args:
      net: [batch, rows, columns, channels].
      num_classes: C.
      shapes: K anchors at each place.
      dropout_keep_prob: share of `net` that is kept, in training.

    Returns:
      float32 [batch, rows, columns, K * (C + 5)]: K groups of C class logits, K logits of
      confidence, K groups of four deltas.
    """
    net = slim.dropout(net, keep_prob=dropout_keep_prob, scope='dropout_predict')
    return slim.conv2d(
        full_precision.in_float32(net),
        shapes * (num_classes + 5),
        [3, 3],
        activation_fn=None,
        normalizer_fn=None,
        weights_initializer=tf.truncated_normal_initializer(stddev=1e-4),
        weights_regularizer=None,
        scope='conv_predict',
    )
