"""Random draws of a training step as a function of (seed, global step), so that a resume is exact.

TensorFlow's stateful random operations keep their state in the process: after a restart, dropout
would repeat the masks of the first steps. Here each such operation below the loss is replaced by
its stateless twin, whatever layer library made it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import tensorflow.compat.v1 as tf

from slim import compat

_STATELESS_TWINS = {
    'RandomUniform': tf.random.stateless_uniform,
    'RandomStandardNormal': tf.random.stateless_normal,
    'TruncatedNormal': tf.random.stateless_truncated_normal,
}


def make_draws_follow_step(losses: Iterable[Any], global_step: tf.Variable, seed: int) -> int:
    """Replaces every random operation that the losses depend on; returns how many there were.

    Call it when the forward pass is built and before gradients are.

    Args:
      losses: tensors.
      global_step: int64 scalar variable.
      seed: the run's seed, different for each worker so that their masks differ.
    """
    random_operations = [op for op in ancestors(losses) if op.type in _STATELESS_TWINS]
    for operation in random_operations:
        # The name keeps two dropout layers of one step apart.
        name_seed = seed ^ (zlib.crc32(operation.name.encode()) & 0x7FFFFFFF)
        with tf.device(operation.device):
            step_seed = tf.stack([tf.cast(name_seed, tf.int64), global_step.read_value()])
            draw = _STATELESS_TWINS[operation.type](
                operation.inputs[0], seed=step_seed, dtype=operation.outputs[0].dtype
            )
        for consumer in operation.outputs[0].consumers():
            for index, tensor in enumerate(consumer.inputs):
                if tensor is operation.outputs[0]:
                    compat.replace_input(consumer, index, draw)
    return len(random_operations)


def ancestors(tensors: Iterable[Any]) -> list[tf.Operation]:
    """The operations that the tensors are computed from, in the order of their creation."""
    waiting = [tensor.op for tensor in tensors]
    seen: dict[str, tf.Operation] = {}
    while waiting:
        operation = waiting.pop()
        if operation.name not in seen:
            seen[operation.name] = operation
            waiting.extend(tensor.op for tensor in operation.inputs)
    order = {
        operation.name: i for i, operation in enumerate(tf.get_default_graph().get_operations())
    }
    return sorted(seen.values(), key=lambda operation: order[operation.name])
