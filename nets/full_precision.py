"""The classifier in float32, whatever the layers before it compute in."""

from __future__ import annotations

import tensorflow.compat.v1 as tf


def in_float32(net: tf.Tensor) -> tf.Tensor:
    """The input of a layer of logits; itself, and no new operation, where it is float32.

    Logits of 16 bits would lose what tells close classes apart. And XLA finds no 16-bit kernel for
    their convolution, whose 1,001 outputs are no multiple of 8.
    """
    return net if net.dtype == tf.float32 else tf.cast(net, tf.float32)
