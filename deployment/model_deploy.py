"""Clones of a model on several devices that share their variables: TF-Slim's `model_deploy`.

A *clone* is one copy of the model inside this process, on its own device, with its own part of the
batch. A *replica* is one process of several that train together through parameter servers (`ps`).

    config = model_deploy.DeploymentConfig(num_clones=2)
    with tf.device(config.inputs_device()):
        images, labels = ...                       # on the host
    clones = model_deploy.create_clones(config, clone_fn, [images, labels])
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, clones[0].scope)
    with tf.device(config.optimizer_device()):
        total_loss, grads_and_vars = model_deploy.optimize_clones(clones, optimizer)

The total loss is the mean over the clones plus the regularization losses, once. So N clones with
B examples each take the same step as one clone with N * B (batch norm apart: its statistics are
those of one clone's part).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import slim
from slim.errors import UsageError, unknown_name

_HOST = '/device:CPU:0'


class _Placement(NamedTuple):
    """Device strings without the job; `{}` stands for the number of the clone."""

    variables: str
    parameter_server: str
    clones: str


_PLACEMENTS = {
    # The HPU strings are those of the Gaudi fork, parameter servers included.
    'HPU': _Placement('/device:HPU:0', '/device:HPU:0', '/device:HPU:{}'),
    # A parameter server usually has no GPU.
    'GPU': _Placement('/device:GPU:0', _HOST, '/device:GPU:{}'),
    'CPU': _Placement(_HOST, _HOST, _HOST),
}
# TF-Slim's own, for a process that never chose: variables on the host, where all GPUs find them.
_CLASSIC_PLACEMENT = _Placement(_HOST, _HOST, '/device:GPU:{}')


class Clone(NamedTuple):
    """One copy of the model: what `model_fn` returned, the scope and the device of its ops."""

    outputs: Any
    scope: str  # '' for the only clone, else 'clone_0/', as tf.get_collection wants it
    device: str


class DeployedModel(NamedTuple):
    """What `deploy` built; None stands for an op that there was nothing to build from."""

    train_op: tf.Tensor | None
    summary_op: tf.Tensor | None
    total_loss: tf.Tensor | None
    clones: list[Clone]
    config: DeploymentConfig


class DeploymentConfig:
    """Where inputs, variables, clones and the optimizer go, as TensorFlow device strings."""

    def __init__(
        self,
        num_clones: int = 1,
        clone_on_cpu: bool = False,
        replica_id: int = 0,
        num_replicas: int = 1,
        num_ps_tasks: int = 0,
        worker_job_name: str = 'worker',
        ps_job_name: str = 'ps',
        device_type: str | None = None,
    ) -> None:
        """Checks the setting and settles the device type.

        Args:
          num_clones: copies of the model in this process, one per device.
          clone_on_cpu: the clones run on the CPU; variables and optimizer stay where they are.
          replica_id: the number of this process among `num_replicas`.
          num_replicas: processes that train together; more than one needs parameter servers.
          num_ps_tasks: parameter servers that hold the variables, in turn; 0 for none.
          worker_job_name: TensorFlow's job name of the processes that compute.
          ps_job_name: TensorFlow's job name of the parameter servers.
          device_type: 'HPU', 'GPU' or 'CPU', for variables, optimizer and clones alike. None takes
            the device that the process has chosen (`runtime.devices.devices`); before any choice,
            HPU where TensorFlow lists one, and otherwise TF-Slim's placement: variables and
            optimizer on the CPU, clone i on GPU i.

        Raises:
          UsageError: (a ValueError) for counts, names and numbers that do not fit together.
        """
        if num_clones < 1:
            raise UsageError(f'num_clones must be at least 1, not {num_clones}')
        if num_replicas > 1 and num_ps_tasks < 1:
            raise UsageError('When using replicas num_ps_tasks must be positive')
        if num_ps_tasks > 0 and not worker_job_name:
            raise UsageError('Must specify worker_job_name when using replicas')
        if num_ps_tasks > 0 and not ps_job_name:
            raise UsageError('Must specify ps_job_name when using parameter server')
        if replica_id >= num_replicas:
            raise UsageError('replica_id must be less than num_replicas')

        self._placement = _placement(device_type)
        self._num_clones = num_clones
        self._clone_on_cpu = clone_on_cpu
        self._replica_id = replica_id
        self._num_replicas = num_replicas
        self._num_ps_tasks = num_ps_tasks
        self._worker_device = f'/job:{worker_job_name}' if num_ps_tasks > 0 else ''
        self._ps_device = f'/job:{ps_job_name}' if num_ps_tasks > 0 else ''

    @property
    def num_clones(self) -> int:
        return self._num_clones

    @property
    def clone_on_cpu(self) -> bool:
        return self._clone_on_cpu

    @property
    def replica_id(self) -> int:
        return self._replica_id

    @property
    def num_replicas(self) -> int:
        return self._num_replicas

    @property
    def num_ps_tasks(self) -> int:
        return self._num_ps_tasks

    @property
    def ps_device(self) -> str:
        """`/job:ps`, or '' without parameter servers."""
        return self._ps_device

    @property
    def worker_device(self) -> str:
        """`/job:worker`, or '' without parameter servers."""
        return self._worker_device

    def caching_device(self) -> Callable[[tf.Operation], str] | None:
        """For a variable's `caching_device`: a copy is read per step where the variable is used.

        None without parameter servers, where there is nothing to save.
        """
        return (lambda op: op.device) if self._num_ps_tasks > 0 else None

    def clone_device(self, clone_index: int) -> str:
        """The device of a clone's ops.

        Raises:
          UsageError: (a ValueError) if there is no such clone.
        """
        self._check_clone(clone_index)
        device = _HOST if self._clone_on_cpu else self._placement.clones.format(clone_index)
        return self._worker_device + device

    def clone_scope(self, clone_index: int) -> str:
        """The name scope of a clone's ops: '' for the only clone, else `clone_0`, `clone_1`, ...

        Raises:
          UsageError: (a ValueError) if there is no such clone.
        """
        self._check_clone(clone_index)
        return f'clone_{clone_index}' if self._num_clones > 1 else ''

    def optimizer_device(self) -> str:
        """The device where the clones' gradients are summed and the loss is totalled."""
        return self._worker_device + self._placement.variables

    def inputs_device(self) -> str:
        """The host of this process: reading, decoding, batching."""
        return self._worker_device + _HOST

    def variables_device(self) -> str | Callable[[tf.Operation], str]:
        """For `tf.device` around the creation of variables.

        With parameter servers it is a function that gives each new variable to the next server,
        beginning at task 0, and leaves every other op alone.
        """
        if self._num_ps_tasks > 0:
            return self._round_robin(self._placement.parameter_server)
        return self._placement.variables

    def _counters_device(self) -> str | Callable[[tf.Operation], str]:
        """Like `variables_device`, on the host: an HPU has no int64, the type of a global step."""
        return self._round_robin(_HOST) if self._num_ps_tasks > 0 else _HOST

    def _round_robin(self, device: str) -> Callable[[tf.Operation], str]:
        tasks = itertools.cycle(range(self._num_ps_tasks))

        def choose(op: tf.Operation) -> str:
            # An inner tf.device has the last word. `Variable`, `VariableV2`: reference variables;
            # `VarHandleOp`: resource variables.
            if op.device or not (op.type.startswith('Variable') or op.type == 'VarHandleOp'):
                return op.device
            return f'{self._ps_device}{device}/task:{next(tasks)}'

        return choose

    def _check_clone(self, clone_index: int) -> None:
        if not 0 <= clone_index < self._num_clones:
            raise UsageError('clone_index must be less than num_clones')


def _placement(device_type: str | None) -> _Placement:
    if device_type is None:
        device_type = _chosen_device_type()
    if device_type is None:
        return _PLACEMENTS['HPU'] if tf.config.list_physical_devices('HPU') else _CLASSIC_PLACEMENT
    if device_type not in _PLACEMENTS:
        raise unknown_name('device_type', device_type, _PLACEMENTS)
    return _PLACEMENTS[device_type]


def _chosen_device_type() -> str | None:
    from runtime.devices import devices

    return devices.chosen_device_type()


def create_clones(
    config: DeploymentConfig,
    model_fn: Callable[..., Any],
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> list[Clone]:
    """Calls `model_fn(*args, **kwargs)` once per clone, on its device and in its name scope.

    The first call creates the variables, by slim's layers on `config.variables_device()`; the
    others reuse them. Losses, update ops and summaries go to the graph's collections, where the
    scope of a clone tells them apart.

    Returns:
      The clones in the order of their numbers.
    """
    clones = []
    with slim.arg_scope([slim.model_variable, slim.variable], device=config.variables_device()):
        for index in range(config.num_clones):
            device = config.clone_device(index)
            # Entering the current variable scope anew starts its layers' numbers anew, so that
            # every clone comes to the same variable names.
            with (
                tf.name_scope(config.clone_scope(index)) as scope,
                tf.device(device),
                tf.variable_scope(tf.get_variable_scope(), reuse=True if index > 0 else None),
            ):
                outputs = model_fn(*(args or ()), **(kwargs or {}))
            clones.append(Clone(outputs, scope, device))
    return clones


def optimize_clones(
    clones: Sequence[Clone],
    optimizer: tf.train.Optimizer,
    regularization_losses: Sequence[tf.Tensor] | None = None,
    **kwargs: Any,
) -> tuple[tf.Tensor, list[tuple[tf.Tensor | tf.IndexedSlices, tf.Variable]]]:
    """The total loss and its gradients, computed on each clone's device and summed here.

    Args:
      clones: from `create_clones`, with their losses in `tf.GraphKeys.LOSSES`.
      optimizer: its `compute_gradients` is called once per clone that has a loss.
      regularization_losses: added once, on the first clone. None takes the graph's collection.
      **kwargs: for `compute_gradients`.

    Returns:
      The scalar total loss and (gradient, variable) pairs. A variable that no clone's loss
      depends on is left out. A gradient is sparse if it is in every clone.

    Raises:
      UsageError: (a ValueError) if no clone has a loss.
    """
    losses = []
    clone_gradients = []
    for clone, loss in _clone_losses(clones, regularization_losses):
        with tf.name_scope(clone.scope), tf.device(clone.device):
            clone_gradients.append(optimizer.compute_gradients(loss, **kwargs))
        losses.append(loss)
    if not losses:
        raise UsageError(
            f'No loss to optimize in {len(clones)} clone(s): model_fn must add one to tf.GraphKeys.'
            'LOSSES, as the functions of slim.losses do.'
        )
    return tf.add_n(losses, name='total_loss'), _summed_gradients(clone_gradients)


def deploy(
    config: DeploymentConfig,
    model_fn: Callable[..., Any],
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    optimizer: tf.train.Optimizer | None = None,
    summarize_gradients: bool = False,
) -> DeployedModel:
    """Clones the model and adds what is needed to train it, or without an optimizer to evaluate it.

    Args:
      config: where things go.
      model_fn: called once per clone; see `create_clones`.
      args: its positional arguments.
      kwargs: its keyword arguments.
      optimizer: applies the summed gradients and counts the global step.
      summarize_gradients: histogram and norm of every gradient, as `VARIABLE/gradient` and
        `VARIABLE/gradient_norm`.

    Returns:
      A `DeployedModel`. Its train op runs the first clone's update ops (batch norm) and the
      optimizer, and yields the total loss. Its summary op merges the summaries that were in the
      graph before, those of the first clone, and the total loss.

    Raises:
      UsageError: (a ValueError) if an optimizer is given and there is nothing to optimize.
    """
    summaries = tf.get_collection(tf.GraphKeys.SUMMARIES)
    clones = create_clones(config, model_fn, args, kwargs)
    train_op = None
    with tf.device(config.optimizer_device()):
        if optimizer is not None:
            total_loss, grads_and_vars = optimize_clones(clones, optimizer)
            train_op = _train_op(config, clones[0], optimizer, total_loss, grads_and_vars)
            if summarize_gradients:
                with tf.device(_HOST):
                    summaries += slim.learning.add_gradients_summaries(grads_and_vars)
        else:
            losses = [loss for _, loss in _clone_losses(clones, None)]
            total_loss = tf.add_n(losses, name='total_loss') if losses else None

        summaries += tf.get_collection(tf.GraphKeys.SUMMARIES, clones[0].scope)
        with tf.device(_HOST):
            if total_loss is not None:
                summaries.append(_total_loss_summary(total_loss))
            by_name = {summary.name: summary for summary in summaries}
            summary_op = (
                tf.summary.merge(list(by_name.values()), name='summary_op') if by_name else None
            )
    return DeployedModel(train_op, summary_op, total_loss, clones, config)


def _total_loss_summary(total_loss: tf.Tensor) -> tf.Tensor:
    """Under the tag `total_loss`; tf.summary.scalar would add `_1`, for an op has that name."""
    summary = tf.raw_ops.ScalarSummary(tags='total_loss', values=total_loss)
    tf.add_to_collection(tf.GraphKeys.SUMMARIES, summary)
    return summary


def _train_op(
    config: DeploymentConfig,
    first_clone: Clone,
    optimizer: tf.train.Optimizer,
    total_loss: tf.Tensor,
    grads_and_vars: list[tuple[Any, tf.Variable]],
) -> tf.Tensor:
    """The total loss, handed out after the update."""
    if not grads_and_vars:
        raise UsageError('The loss depends on no trainable variable: nothing to optimize.')
    with tf.device(config._counters_device()):
        global_step = tf.train.get_or_create_global_step()
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS, first_clone.scope)
    updates.append(optimizer.apply_gradients(grads_and_vars, global_step=global_step))
    with tf.control_dependencies([tf.group(*updates)]):
        return tf.identity(total_loss, name='train_op')


def _clone_losses(
    clones: Sequence[Clone], regularization_losses: Sequence[tf.Tensor] | None
) -> list[tuple[Clone, tf.Tensor]]:
    """Each clone's share of the total loss, summarized; clones that have none are left out."""
    if regularization_losses is None:
        regularization_losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    shares = []
    for index, clone in enumerate(clones):
        with tf.name_scope(clone.scope):
            loss = _clone_loss(clone, len(clones), [] if index else regularization_losses)
        if loss is not None:
            shares.append((clone, loss))
    return shares


def _clone_loss(
    clone: Clone, num_clones: int, regularization_losses: Sequence[tf.Tensor]
) -> tf.Tensor | None:
    """The clone's own losses / num_clones + the regularization losses; None if there is neither."""
    parts = []
    summaries = {}
    own_losses = tf.get_collection(tf.GraphKeys.LOSSES, clone.scope)
    with tf.device(clone.device):
        if own_losses:
            loss = tf.add_n(own_losses, name='clone_loss')
            if num_clones > 1:
                loss = tf.realdiv(loss, float(num_clones), name='scaled_clone_loss')
            parts.append(loss)
            # sic: with several clones the scope ends in a slash and comes twice in the tag.
            summaries['/'.join(filter(None, ('Losses', clone.scope, 'clone_loss')))] = loss
        if regularization_losses:
            regularization_loss = tf.add_n(regularization_losses, name='regularization_loss')
            parts.append(regularization_loss)
            summaries['Losses/regularization_loss'] = regularization_loss
        total = tf.add_n(parts) if parts else None
    # A card has no kernel for strings.
    with tf.device(_HOST):
        for tag, value in summaries.items():
            tf.summary.scalar(tag, value)
    return total


def _summed_gradients(
    clone_gradients: Sequence[Sequence[tuple[Any, tf.Variable]]],
) -> list[tuple[Any, tf.Variable]]:
    """Sums over the clones, which list the same variables in the same order."""
    sums = []
    for pairs in zip(*clone_gradients, strict=True):
        variable = pairs[0][1]
        gradients = [gradient for gradient, _ in pairs if gradient is not None]
        if gradients:
            sums.append((_sum(gradients, f'{variable.op.name}/sum_grads'), variable))
    return sums


def _sum(gradients: Sequence[tf.Tensor | tf.IndexedSlices], name: str) -> Any:
    if len(gradients) == 1:
        return gradients[0]
    if not all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients):
        return tf.add_n([tf.convert_to_tensor(gradient) for gradient in gradients], name=name)
    # One after the other they are the sum: optimizers add up what has the same index.
    with tf.name_scope(name):
        return tf.IndexedSlices(
            tf.concat([gradient.values for gradient in gradients], axis=0),
            tf.concat([gradient.indices for gradient in gradients], axis=0),
            dense_shape=gradients[0].dense_shape,
        )
