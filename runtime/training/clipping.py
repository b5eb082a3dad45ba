"""Gradients that are too long are made shorter: each by itself, or all together."""

from __future__ import annotations

from typing import Any

import tensorflow.compat.v1 as tf

from runtime import options
from runtime.workers import cluster as cluster_lib


def clipped(
    chosen: options.OptimizerOptions, pairs: cluster_lib.GradientsAndVariables
) -> cluster_lib.GradientsAndVariables:
    """The (gradient, variable) pairs as `--clip_gradient_norm` and `--clip_global_norm` have them.

    The gradients are those of the update: averaged over clones, parts and workers, without a loss
    scale. With both flags each is clipped first.
    """
    each, together = chosen.clip_gradient_norm, chosen.clip_global_norm
    if each:
        pairs = [(_times(g, _factor(each, _norm([g]))), v) for g, v in pairs if g is not None]
    if together:
        present = [(g, v) for g, v in pairs if g is not None]
        factor = _factor(together, _norm([g for g, _ in present]))
        pairs = [(_times(g, factor), v) for g, v in present]
    return pairs


def _norm(gradients: list[Any]) -> Any:
    # Rows of a sparse gradient may lie upon each other.
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    return tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(gradient) for gradient in dense]))


def _factor(limit: float, norm: Any) -> Any:
    return tf.where(norm > limit, limit / norm, tf.ones_like(norm))


def _times(gradient: Any, factor: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        values = gradient.values * factor
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return gradient * factor
