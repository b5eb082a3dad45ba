"""A large batch in parts, for a device whose memory does not hold it: gradients are averaged over
several batches before an update.

The parts are a loop in the graph whose body is a copy of the forward and the backward pass, so that
an update is one run of the session like any other: a checkpoint never lies between two parts, and
all that counts steps counts updates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from runtime.input import feed
from runtime.training import repetition
from runtime.training.batch_norm import MovingStatistic
from runtime.workers import cluster as cluster_lib
from slim import compat, errors


@dataclasses.dataclass(frozen=True)
class Pass:
    """What the forward and the backward pass give to an update."""

    loss: Any
    losses: Mapping[str, Any]  # its parts
    gradients: cluster_lib.GradientsAndVariables
    fed: Mapping[str, Any]  # of the input; see `feed.Feed.tensors`


def draw_number(global_step: tf.Variable) -> Any:
    """What random draws follow, in place of the step: each part of a batch has its own."""
    return tf.placeholder_with_default(global_step.read_value(), [], name='draw_number')


def over_parts(
    one: Pass,
    update_ops: Sequence[Any],
    statistics: Sequence[MovingStatistic],
    count: int,
    number: Any,
) -> Pass:
    """The pass over `count` batches: means, in float32 as they are, and dense.

    Moving statistics change once, by the mean of what the parts would have changed them by: these
    updates are in the graph and get another value.

    Args:
      one: over one batch.
      update_ops: of one clone.
      statistics: what they are about.
      count: of parts.
      number: of `draw_number`.

    Raises:
      UsageError: an update of another kind.
    """
    if len(statistics) != len(update_ops):
        raise errors.UsageError(
            '--accumulate_steps: the network updates something else than the statistics of batch '
            f'norm: {len(update_ops)} updates, of which {len(statistics)} are known'
        )
    changes = [statistic.assignment.inputs[1] for statistic in statistics]
    gradients = [tf.convert_to_tensor(g) for g, _ in one.gradients if g is not None]
    averaged = {'loss': one.loss, 'losses': one.losses, 'g': gradients, 'changes': changes}
    means, stacked = _looped(averaged, one.fed, count, number)
    for statistic, change in zip(statistics, means['changes'], strict=True):
        compat.replace_input(statistic.assignment, 1, change)
    left = iter(means['g'])
    pairs = [(None if g is None else next(left), variable) for g, variable in one.gradients]
    return Pass(means['loss'], means['losses'], pairs, feed.joined(stacked))


def _looped(
    averaged: Mapping[str, Any], fed: Mapping[str, Any], count: int, number: Any
) -> tuple[Any, dict[str, Any]]:
    """Means of tensors over `count` runs of what they come from; what is `fed` stacked."""
    summed, single = tf.nest.flatten(averaged), list(fed.values())
    tensors = [*summed, *single]
    body_graph, shared = repetition.copy_of(tensors)
    first = tf.cast(tf.train.get_global_step().read_value(), tf.int64) * count

    def one_more(part: Any, sums: Any, lists: Any) -> tuple[Any, ...]:
        taken = {name: tf.identity(tensor) for name, tensor in shared.items()}
        if number.name in taken:
            taken[number.name] = first + tf.cast(part, tf.int64)
        # The one before it is done, so that its memory is free.
        with tf.control_dependencies([part, *sums[:1]]):
            outcome = tf.import_graph_def(
                body_graph,
                input_map=taken,
                return_elements=[tensor.name for tensor in tensors],
                name='',
            )
        sums = [_added(total, value) for total, value in zip(sums, outcome, strict=False)]
        with tf.device('/device:CPU:0'):
            lists = [
                found.write(part, value)
                for found, value in zip(lists, outcome[len(summed) :], strict=True)
            ]
            return part + 1, sums, lists

    zeros = []
    for tensor in summed:
        with tf.device(tensor.device):
            zeros.append(tf.zeros(tensor.shape, tensor.dtype))
    with tf.device('/device:CPU:0'):
        lists = [tf.TensorArray(t.dtype, count, element_shape=t.shape) for t in single]
        _, sums, lists = tf.while_loop(
            lambda part, *_: part < count,
            one_more,
            [tf.constant(0), zeros, lists],
            parallel_iterations=1,
        )
        stacked = {name: found.stack() for name, found in zip(fed, lists, strict=True)}
    means = []
    for tensor, total in zip(summed, sums, strict=True):
        with tf.device(tensor.device):
            means.append(total / count)
    return tf.nest.pack_sequence_as(averaged, means), stacked


def _added(total: Any, value: Any) -> Any:
    with tf.device(value.device):
        return total + value
