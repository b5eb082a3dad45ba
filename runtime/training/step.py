"""One training step as a graph: what is averaged, updated and counted, in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from runtime.checkpoints.averages import MovingAverages
from runtime.training import loss_scale
from runtime.workers import cluster as cluster_lib
from slim import compat, errors


@dataclasses.dataclass(frozen=True)
class Update:
    """What changes the variables in a step."""

    optimizer: tf.train.Optimizer
    gradients: cluster_lib.GradientsAndVariables  # of this worker
    update_ops: Sequence[tf.Operation]  # moving statistics
    averages: MovingAverages | None
    also_run: Sequence[tf.Operation] = ()  # with every step, for what running them brings about
    only_if_finite: bool = False  # else the step changes no variable but the global step
    scale: loss_scale.LossScale | None = None  # of the gradients
    # What is made of them when they are averaged over the workers.
    clip: Callable[[cluster_lib.GradientsAndVariables], cluster_lib.GradientsAndVariables] = list

    @property
    def measures(self) -> bool:
        """Whether the optimizer finds its rate by gradients, so that one that is not finite would
        stay in what it has measured."""
        return hasattr(self.optimizer, 'tuned')


@dataclasses.dataclass(frozen=True)
class Step:
    """The tensors of one training step; running `fetches` performs it."""

    fetches: Mapping[str, Any]  # see build_step
    stop_requested: Any  # bool placeholder, fed true once this process is told to stop
    save_requested: Any  # bool placeholder, fed true where a checkpoint is due after the step
    weights_finite: Any  # bool scalar, run before each save
    averages: MovingAverages | None
    # Of several steps in a run (repetition.py), which have an axis of steps in the fetches:
    count: Any = None  # int32 placeholder, fed their number
    most: int = 1
    reached: Any = None  # the global step, outside of them


def build_step(
    global_step: tf.Variable,
    total_loss: Any,
    learning_rate: Any,
    update: Update,
    cluster: cluster_lib.Cluster,
    fed: Mapping[str, Any] | None = None,
    losses: Mapping[str, Any] | None = None,
) -> Step:
    """One step: average gradients over workers, update, statistics, averages, then step + 1.

    The parts are ordered by control dependencies, and loss and step belong together: the step that
    is reported is the one that the loss was computed for.

    A step fails where the loss is not finite on any worker. With `update.only_if_finite`, and where
    the optimizer measures, it also fails where a gradient, averaged over the workers, is not; it
    then leaves all variables as they are, alike on all workers, and counts. With `update.scale`
    such gradients have overflowed: the step is left out and counts likewise, but has not failed.

    The fetches: `step`, `loss`, `learning_rate`, `losses`, `failed`, `stop`, `save`, `also_run`;
    with a scale `overflowed` and `loss_scale`, that of the next step; and what is `fed`.

    Args:
      global_step: int64 scalar variable.
      total_loss: scalar.
      learning_rate: scalar tensor.
      update: what changes the variables.
      cluster: the workers.
      fed: tensors of the input, by name (`feed.Feed.tensors`).
      losses: parts of the loss, by TensorBoard tag; None: those of the graph.
    """
    stop_requested = tf.placeholder_with_default(False, [], name='stop_requested')
    save_requested = tf.placeholder_with_default(False, [], name='save_requested')
    failed = tf.logical_not(tf.math.is_finite(total_loss))
    events = cluster.any_worker(tf.stack([failed, stop_requested, save_requested]), 'events')
    averages = update.averages
    scale = update.scale
    gradients = scale.unscaled(update.gradients) if scale else update.gradients
    pairs = cluster.average_gradients(gradients)
    failed = left_out = events[0]
    overflowed = None

    def change_variables() -> tf.Operation:
        updated = update.optimizer.apply_gradients(update.clip(pairs))
        with tf.control_dependencies([updated]):
            return averages.update(global_step.read_value()) if averages else tf.no_op()

    can_leave_out = update.only_if_finite or update.measures or scale is not None
    if can_leave_out:
        left_out = failed | tf.logical_not(_all_finite(pairs))
        hold_back(update.update_ops, left_out)
    if scale:
        overflowed = left_out & tf.logical_not(failed)
    else:
        failed = left_out
    with tf.control_dependencies(update.update_ops):
        changed = (
            tf.cond(left_out, tf.no_op, change_variables) if can_leave_out else change_variables()
        )
    parts = dict(losses if losses is not None else loss_parts_of(total_loss))
    with tf.control_dependencies([changed]):
        if update.measures:
            learning_rate, parts['momentum'] = update.optimizer.tuned()
        scaled = (
            {
                'overflowed': overflowed,
                'loss_scale': scale.update(overflowed, tf.logical_not(left_out)),
            }
            if scale
            else {}
        )
    with tf.control_dependencies([changed, *scaled.values()]):
        step = global_step.assign_add(1, read_value=True)
    fetches = {
        'step': step,
        'loss': total_loss,
        'learning_rate': learning_rate,
        'losses': parts,
        'failed': failed,
        'stop': events[1],
        'save': events[2],
        'also_run': list(update.also_run),
        **scaled,
        **(fed or {}),
    }
    norms = [tf.nn.l2_loss(variable.read_value()) for _, variable in pairs]
    return Step(
        fetches,
        stop_requested,
        save_requested,
        weights_finite=tf.math.is_finite(tf.add_n(norms)),
        averages=averages,
    )


def _all_finite(pairs: cluster_lib.GradientsAndVariables) -> Any:
    norms = [tf.nn.l2_loss(getattr(g, 'values', g)) for g, _ in pairs if g is not None]
    return tf.reduce_all([tf.math.is_finite(norm) for norm in norms])


# Where an operation takes the value that it puts into a variable, and what keeps the variable.
_KEEPING = {
    'AssignSubVariableOp': lambda operation, value: tf.zeros_like(value),
    'AssignAddVariableOp': lambda operation, value: tf.zeros_like(value),
    'AssignVariableOp': lambda operation, value: tf.raw_ops.ReadVariableOp(
        resource=operation.inputs[0], dtype=value.dtype
    ),
}
_LEADS_TO_UPDATES = ('NoOp', 'Identity', 'ReadVariableOp')


def hold_back(update_ops: Sequence[Any], failed: Any) -> int:
    """Updates that are in the graph change nothing where `failed`; returns how many there are.

    They are of the forward pass, built long before it is known whether the loss is finite: so each
    gets another value.

    Raises:
      UsageError: an update in other words than those of the table.
    """
    waiting = [getattr(update, 'op', update) for update in update_ops]
    seen: dict[str, tf.Operation] = {}
    while waiting:
        operation = waiting.pop()
        if operation.name in seen:
            continue
        if operation.type in _KEEPING:
            seen[operation.name] = operation
        elif operation.type in _LEADS_TO_UPDATES:
            waiting += [*operation.control_inputs, *(tensor.op for tensor in operation.inputs)]
        elif operation.type != 'VarHandleOp':
            raise errors.UsageError(
                'a step cannot be left out, as --on_nan=skip and --dtype=fp16 need it: it updates '
                f'{operation.name} ({operation.type})'
            )
    for operation in seen.values():
        value = operation.inputs[1]
        with tf.device(operation.device):
            kept = _KEEPING[operation.type](operation, value)
            compat.replace_input(operation, 1, tf.where(failed, kept, value))
    return len(seen)


def loss_parts_of(total_loss: Any) -> dict[str, Any]:
    """Parts of the loss by TensorBoard tag."""
    parts = {f'losses/{loss.op.name}': loss for loss in tf.losses.get_losses()}
    regularization = tf.add_n([tf.constant(0.0), *tf.losses.get_regularization_losses()])
    parts['Losses/regularization_loss'] = regularization
    parts['Losses/clone_loss'] = total_loss - regularization
    return parts
