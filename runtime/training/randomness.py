"""Random draws of a training step as a function of (seed, global step), so that a resume is exact.

TensorFlow's stateful random operations keep their state in the process: after a restart, dropout
would repeat the masks of the first steps. Here each such operation below the loss is replaced by
its stateless twin, whatever layer library made it.

TensorFlow's dropout also selects between its input and a scalar zero. Grappler's layout optimizer
cannot read the shape of that zero where the input has four dimensions, and gives up on the whole
graph, which nearly halves the speed of a GPU. So the select becomes a product with the mask, of the
same value wherever the input is finite.
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


def make_draws_follow_step(losses: Iterable[Any], global_step: Any, seed: int) -> int:
    """Replaces every random operation that the losses depend on; returns how many there were.

    Call it when the forward pass is built and before gradients are.

    Args:
      losses: tensors.
      global_step: int64 scalar, a variable or a tensor.
      seed: the run's seed, different for each worker so that their masks differ.
    """
    is_variable = isinstance(global_step, tf.Variable)
    random_operations = [op for op in ancestors(losses) if op.type in _STATELESS_TWINS]
    for operation in random_operations:
        selects = _selects_by(operation.outputs[0])
        # The name keeps two dropout layers of one step apart.
        name_seed = seed ^ (zlib.crc32(operation.name.encode()) & 0x7FFFFFFF)
        dtype = operation.outputs[0].dtype
        with tf.device(operation.device):
            step = global_step.read_value() if is_variable else global_step
            step_seed = tf.stack([tf.cast(name_seed, tf.int64), step])
            draw = _STATELESS_TWINS[operation.type](
                operation.inputs[0], seed=step_seed, dtype=tf.float32 if dtype.size == 2 else dtype
            )
        _use(draw, operation.outputs[0])
        for select in selects:
            mask, kept = select.inputs[:2]
            with tf.device(select.device):
                _replace(select.outputs[0], kept * tf.cast(mask, kept.dtype))
    return len(random_operations)


def _use(draw: Any, old: Any) -> None:
    """`draw` instead of `old`; float32 instead of 16 bits, also where it is compared.

    A draw of bfloat16 has too few values for a share such as 0.8.
    """
    if old.dtype != draw.dtype:
        for comparison in [user for user in old.consumers() if user.type == 'GreaterEqual']:
            with tf.device(comparison.device):
                limit = tf.cast(comparison.inputs[1], tf.float32)
                _replace(comparison.outputs[0], tf.greater_equal(draw, limit))
        with tf.device(old.op.device):
            draw = tf.cast(draw, old.dtype)
    _replace(old, draw)


def _selects_by(draw: Any) -> list[tf.Operation]:
    """The operations that keep a value where a comparison of the draw says so, and else have 0."""
    comparisons = [user for user in draw.consumers() if user.type == 'GreaterEqual']
    return [
        user
        for comparison in comparisons
        for user in comparison.outputs[0].consumers()
        if user.type == 'SelectV2' and _is_zero(user.inputs[2])
    ]


def _is_zero(tensor: Any) -> bool:
    value = tf.get_static_value(tensor)
    return value is not None and not value.any()


def _replace(old: Any, new: Any) -> None:
    """Every user of a tensor takes another one."""
    for consumer in old.consumers():
        for index, tensor in enumerate(consumer.inputs):
            if tensor is old:
                compat.replace_input(consumer, index, new)


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
