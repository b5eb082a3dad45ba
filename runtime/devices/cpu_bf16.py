"""bf16 on a CPU: TensorFlow's own graph rewrite, helped where oneDNN has no fast bf16 code.

`enable` switches on the rewrite that TensorFlow does when a session first runs a graph
(auto_mixed_precision_onednn_bfloat16): convolutions, matrix products and what lies between them
compute in bfloat16; variables, optimizer, statistics and loss stay float32.

As it comes, the rewrite makes mobilenet_v2 slower (docs/devices.md has the figures), for reasons
that `adapt_training_graph` removes, operation by operation:

- The input gradient of a depthwise convolution with a stride: no fast code, 5 to 10 times as long
  as in float32. Likewise batch norm over channels that are no multiple of 16. They stay float32:
  the rewrite leaves alone what a session is asked to run by name.
- Relu and Relu6 are TensorFlow's own code, which emulates bfloat16 with float32, at three times the
  cost of float32. An identity convolution before them makes TensorFlow's remapper fuse the three
  into one operation of oneDNN's, at a sixth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from slim import compat

# One of these in /proc/cpuinfo: the CPU multiplies bfloat16 itself.
_INSTRUCTIONS = frozenset({'avx512_bf16', 'amx_bf16', 'avx_ne_convert', 'bf16'})
# One of these: oneDNN computes in bfloat16, if need be by other instructions. Without, TensorFlow's
# rewrite leaves the graph in float32 and does not say so.
_ENOUGH = _INSTRUCTIONS | {'avx512f'}
# bfloat16 numbers in a vector register of 512 bits, over two.
_FAST_CHANNELS = 16
_BATCH_NORMS = ('FusedBatchNormV3', 'FusedBatchNormGradV3')
_ACTIVATIONS = ('Relu', 'Relu6')


def has_instructions(cpuinfo: str) -> bool:
    """Whether the text of /proc/cpuinfo names instructions for bfloat16."""
    return bool(_INSTRUCTIONS & _flags(cpuinfo))


def is_possible(cpuinfo: str) -> bool:
    """Whether TensorFlow computes in bfloat16 at all on the CPU of this /proc/cpuinfo."""
    return bool(_ENOUGH & _flags(cpuinfo))


def _flags(cpuinfo: str) -> set[str]:
    line = next(
        (
            line.partition(':')[2]
            for line in cpuinfo.splitlines()
            if line.startswith(('flags', 'Features'))
        ),
        '',
    )
    return set(line.split())


def enable(config: tf.ConfigProto) -> None:
    """Sessions with this configuration compute in bfloat16 where it is fit."""
    rewrite = config.graph_options.rewrite_options
    rewrite.auto_mixed_precision_onednn_bfloat16 = rewrite.ON


def adapt_training_graph(graph: tf.Graph, total_loss: Any) -> tuple[Any, Sequence[tf.Operation]]:
    """Makes a graph with its gradients fit for the rewrite; call it before the first session.

    Args:
      graph: has the network and its gradients.
      total_loss: float32 scalar.

    Returns:
      The loss, which is NaN where the fused activations would hide that there are NaNs, and the
      operations that stay float32 in every session.run that is also asked to run them.
    """
    operations = graph.get_operations()
    kept = [operation for operation in operations if _is_slow_in_bf16(operation)]
    means = [_fuse(operation) for operation in operations if _can_be_fused(operation)]
    if not means:
        return total_loss, kept
    with graph.as_default(), tf.name_scope('bf16'):
        # oneDNN's Relu6 of NaN is 0; the mean over a batch with NaN is NaN.
        seen = tf.add_n([tf.reduce_sum(mean) for mean in means])
        return tf.where(tf.math.is_finite(seen), total_loss, seen), kept


def _is_slow_in_bf16(operation: tf.Operation) -> bool:
    if operation.type == 'DepthwiseConv2dNativeBackpropInput':
        return max(operation.get_attr('strides')) > 1
    if operation.type in _BATCH_NORMS:
        channels = operation.inputs[0].shape[-1]
        return not channels or channels % _FAST_CHANNELS != 0
    return False


def _can_be_fused(operation: tf.Operation) -> bool:
    if operation.type not in _ACTIVATIONS:
        return False
    source = operation.inputs[0].op
    return (
        source.type == 'FusedBatchNormV3'
        and source.get_attr('is_training')
        and source.get_attr('data_format') == b'NHWC'
        and operation.inputs[0].shape.rank == 4
        and not _is_slow_in_bf16(source)
    )


def _fuse(activation: tf.Operation) -> Any:
    """Puts x * 1 + 0 before an activation; returns the batch mean of the batch norm before it."""
    features = activation.inputs[0]
    channels = features.shape[-1]
    with (
        activation.graph.as_default(),
        tf.control_dependencies(None),
        tf.device(activation.device),
        tf.name_scope('bf16/'),
    ):
        # A constant bias of zero would be optimized away before it is fused.
        zero = tf.placeholder_with_default(tf.zeros([channels]), [channels])
        same = tf.nn.depthwise_conv2d(features, tf.ones([1, 1, channels, 1]), [1] * 4, 'SAME')
        compat.replace_input(activation, 0, tf.nn.bias_add(same, zero))
    return features.op.outputs[1]
