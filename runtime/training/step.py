"""One training step as a graph: what is averaged, updated and counted, in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from runtime.checkpoints.averages import MovingAverages
from runtime.workers import cluster as cluster_lib


@dataclasses.dataclass(frozen=True)
class Update:
    """What changes the variables in a step."""

    optimizer: tf.train.Optimizer
    gradients: cluster_lib.GradientsAndVariables  # of this worker
    update_ops: Sequence[tf.Operation]  # moving statistics
    averages: MovingAverages | None
    also_run: Sequence[tf.Operation] = ()  # with every step, for what running them brings about


@dataclasses.dataclass(frozen=True)
class Step:
    """The tensors of one training step; running `fetches` performs it."""

    fetches: Mapping[str, Any]  # step, loss, learning_rate, losses, failed, stop, save, also_run
    stop_requested: Any  # bool placeholder, fed true once this process is told to stop
    save_requested: Any  # bool placeholder, fed true where a checkpoint is due after the step
    weights_finite: Any  # bool scalar, run before each save
    averages: MovingAverages | None


def build_step(
    global_step: tf.Variable,
    total_loss: Any,
    learning_rate: Any,
    update: Update,
    cluster: cluster_lib.Cluster,
    fed: Mapping[str, Any] | None = None,
) -> Step:
    """One step: average gradients over workers, update, statistics, averages, then step + 1.

    The parts are ordered by control dependencies, and loss and step belong together: the step that
    is reported is the one that the loss was computed for.

    Args:
      global_step: int64 scalar variable.
      total_loss: scalar; the step fails where it is not finite on any worker.
      learning_rate: scalar tensor.
      update: what changes the variables.
      cluster: the workers.
      fed: tensors of the input, by name (`feed.Feed.tensors`).
    """
    stop_requested = tf.placeholder_with_default(False, [], name='stop_requested')
    save_requested = tf.placeholder_with_default(False, [], name='save_requested')
    failed = tf.logical_not(tf.math.is_finite(total_loss))
    events = cluster.any_worker(tf.stack([failed, stop_requested, save_requested]), 'events')
    averages = update.averages
    pairs = cluster.average_gradients(update.gradients)
    with tf.control_dependencies(update.update_ops):
        updated = update.optimizer.apply_gradients(pairs)
    with tf.control_dependencies([updated]):
        averaged = averages.update(global_step.read_value()) if averages else tf.no_op()
    with tf.control_dependencies([averaged]):
        step = global_step.assign_add(1, read_value=True)
    fetches = {
        'step': step,
        'loss': total_loss,
        'learning_rate': learning_rate,
        'losses': _loss_parts(total_loss),
        'failed': events[0],
        'stop': events[1],
        'save': events[2],
        'also_run': list(update.also_run),
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


def _loss_parts(total_loss: Any) -> dict[str, Any]:
    """Parts of the loss by TensorBoard tag."""
    parts = {f'losses/{loss.op.name}': loss for loss in tf.losses.get_losses()}
    regularization = tf.add_n([tf.constant(0.0), *tf.losses.get_regularization_losses()])
    parts['Losses/regularization_loss'] = regularization
    parts['Losses/clone_loss'] = total_loss - regularization
    return parts
