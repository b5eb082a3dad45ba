"""Batch norm with the moments of the batches of all workers.

Each fused batch norm below the loss is replaced in the graph, whatever layer library made it, so
that the networks, their variables and their names stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow.compat.v1 as tf

from runtime.training import randomness
from runtime.workers import cluster as cluster_lib
from slim import compat, errors

_FUSED = ('FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3')


def share_batch_moments(losses: Iterable[Any], cluster: cluster_lib.Cluster) -> int:
    """Replaces every batch norm that the losses depend on; returns how many there were.

    Call it when the forward pass is built and before gradients are. Workers have batches of equal
    size, so the moments of all are those of one batch of all images.

    Raises:
      UsageError: a batch norm that is not of TensorFlow's fused kind.
    """
    operations = [
        operation
        for operation in randomness.ancestors(losses)
        if operation.type in _FUSED and operation.get_attr('is_training')
    ]
    statistics = [v for v in tf.global_variables() if v.op.name.endswith('/moving_variance')]
    if len(operations) < len(statistics):
        raise errors.UsageError(
            f'--cross_replica_batch_norm: the network has {len(statistics)} batch norms, of which '
            f'{len(operations)} are fused ones that train; only those can be shared'
        )
    if cluster.size > 1:
        for number, operation in enumerate(operations):
            with tf.device(operation.device):
                _replace(operation, cluster, f'batch_norm_{number}')
    return len(operations)


def _replace(operation: tf.Operation, cluster: cluster_lib.Cluster, name: str) -> None:
    net, scale, offset = operation.inputs[:3]
    channels_last = operation.get_attr('data_format') == b'NHWC'
    axes = [0, 1, 2] if channels_last else [0, 2, 3]
    shape = [1, 1, 1, -1] if channels_last else [1, -1, 1, 1]
    values = tf.cast(net, scale.dtype)
    mean, variance = _moments(values, axes, cluster, name)
    factor = scale * tf.math.rsqrt(variance + operation.get_attr('epsilon'))
    normed = (values - tf.reshape(mean, shape)) * tf.reshape(factor, shape)
    output = tf.cast(normed + tf.reshape(offset, shape), net.dtype)
    output.set_shape(operation.outputs[0].shape)
    # The moving variance follows the unbiased one, as in the fused operation.
    count = tf.cast(tf.size(net) * cluster.size // tf.size(scale), variance.dtype)
    unbiased = variance * (count / tf.maximum(count - 1.0, 1.0))
    for old, new in zip(operation.outputs[:3], (output, mean, unbiased), strict=True):
        for consumer in old.consumers():
            for index, tensor in enumerate(consumer.inputs):
                if tensor is old:
                    compat.replace_input(consumer, index, new)


def _moments(values: Any, axes: list[int], cluster: cluster_lib.Cluster, name: str) -> Any:
    """Mean and variance, each [channels], over the batches of all workers.

    From the moments of each worker, without a difference of large squares: the variance of all is
    the mean of the variances plus the variance of the means (Chan et al., 1979).
    """
    local = tf.stack(tf.nn.moments(values, axes))  # [2, channels]
    # Each worker fills in its row of zeros, so that the sum has all rows, and its gradient too.
    mine = tf.one_hot(cluster.rank, cluster.size, dtype=local.dtype)[:, tf.newaxis, tf.newaxis]
    means, variances = tf.unstack(cluster.sum(mine * local, name), axis=1)  # [workers, channels]
    mean = tf.reduce_mean(means, axis=0)
    return mean, tf.reduce_mean(variances + tf.math.squared_difference(means, mean), axis=0)
