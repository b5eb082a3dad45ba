"""The statistics of batch norm: frozen, or computed anew over many batches.

In training, batch norm normalizes by the moments of the batch, and its moving statistics follow
these by an exponential average. In a run of few steps they lag behind. Two ways out of that:

- `freeze`: a fine-tuned network normalizes by the statistics of its checkpoint, which stay.
- `Recalibration`: mean and variance of the population over some batches, with the weights as they
  are at the end ("precise batch norm": Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021).

Both find batch norm in the graph, whatever layer library made it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.checkpoints.averages import MovingAverages
from runtime.workers import cluster as cluster_lib
from slim import compat, errors

_FUSED = ('FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3')
# Outputs of a fused batch norm in training, to the input that is there in inference instead.
_MEAN, _VARIANCE = 1, 2


@dataclasses.dataclass(frozen=True)
class MovingStatistic:
    """A variable that follows a moment of the batch."""

    variable: tf.Variable
    update: Any  # of the collection
    assignment: tf.Operation  # variable -= (variable - moment) * (1 - decay)
    difference: tf.Operation  # variable - moment
    decay: float

    @property
    def moment(self) -> Any:
        """Of the batch, [channels]."""
        return self.difference.inputs[1]

    @property
    def fused(self) -> tuple[tf.Operation, int] | None:
        """The operation that gives the moment, and as which output; None for another kind."""
        operation = self.moment.op
        return (operation, self.moment.value_index) if operation.type in _FUSED else None


def moving_statistics(update_ops: Sequence[Any]) -> list[MovingStatistic]:
    """Those that the updates of a graph are about; before a step is built of them."""
    variables = {variable.handle.op.name: variable for variable in tf.global_variables()}
    found = []
    for update in update_ops:
        operation = _assignment(getattr(update, 'op', update))
        if operation is None:
            continue
        product = operation.inputs[1].op
        if product.type != 'Mul' or product.inputs[0].op.type != 'Sub':
            continue
        rest = tf.get_static_value(product.inputs[1])
        decay = 1.0 - float(rest) if rest is not None else 0.0
        handle = operation.inputs[0].op.name
        difference = product.inputs[0].op
        found.append(MovingStatistic(variables[handle], update, operation, difference, decay))
    return found


def _assignment(operation: tf.Operation) -> tf.Operation | None:
    """The operation that changes the variable; an update may be a value that is read after it."""
    waiting, seen = [operation], set()
    while waiting:
        operation = waiting.pop()
        if operation.type == 'AssignSubVariableOp':
            return operation
        if operation.type in ('NoOp', 'Identity', 'ReadVariableOp') and operation.name not in seen:
            seen.add(operation.name)
            waiting += [*operation.control_inputs, *(tensor.op for tensor in operation.inputs)]
    return None


def freeze() -> int:
    """Every batch norm of the default graph normalizes by its moving statistics, which stay.

    Scale and offset go on learning. Call it when the forward pass is built and before gradients
    are. Returns how many there were.

    Raises:
      UsageError: there is none, or one that is not of TensorFlow's fused kind.
    """
    updates = tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS)
    statistics = moving_statistics(updates)
    by_operation: dict[str, dict[int, MovingStatistic]] = {}
    for statistic in statistics:
        if statistic.fused:
            operation, output = statistic.fused
            by_operation.setdefault(operation.name, {})[output] = statistic
    _check(statistics, '--freeze_batch_norm', len(by_operation))
    for moments in by_operation.values():
        operation = moments[_MEAN].moment.op
        with tf.device(operation.device):
            frozen = tf.raw_ops.FusedBatchNormV3(
                x=operation.inputs[0],
                scale=operation.inputs[1],
                offset=operation.inputs[2],
                mean=moments[_MEAN].variable.read_value(),
                variance=moments[_VARIANCE].variable.read_value(),
                epsilon=operation.get_attr('epsilon'),
                data_format=operation.get_attr('data_format').decode(),
                is_training=False,
            )
        old = operation.outputs[0]
        frozen.y.set_shape(old.shape)
        for consumer in old.consumers():
            for index, tensor in enumerate(consumer.inputs):
                if tensor is old:
                    compat.replace_input(consumer, index, frozen.y)
    gone = {id(statistic.update) for statistic in statistics}
    updates[:] = [update for update in updates if id(update) not in gone]
    return len(by_operation)


def _check(statistics: Sequence[MovingStatistic], flag: str, fused: int | None = None) -> None:
    if not statistics:
        raise errors.UsageError(f'{flag}: the network has no batch norm')
    if fused is not None and 2 * fused != len(statistics):
        raise errors.UsageError(
            f'{flag}: the network has {len(statistics) // 2} batch norms, of which {fused} are '
            'fused ones; only those can be frozen'
        )


class Recalibration:
    """Sets the moving statistics to those of the population, for weights and averages alike."""

    def __init__(
        self,
        statistics: Sequence[MovingStatistic],
        averages: MovingAverages | None,
        cluster: cluster_lib.Cluster,
        network_images: Any,
        batches: tf.data.Dataset,
    ) -> None:
        """Built in the graph of the run, when its step is.

        Args:
          statistics: of one clone.
          averages: of the weights.
          cluster: the workers, each of which takes `batches` of its own.
          network_images: what the clone takes its images from.
          batches: of images of its kind, the same ones at each time.

        Raises:
          UsageError: there is no batch norm.
        """
        _check(statistics, '--recalibrate_batch_norm')
        self._images = network_images
        iterator = tf.data.make_initializable_iterator(batches)
        self._begin, self._next = iterator.initializer, iterator.get_next()
        self._moments = [statistic.moment for statistic in statistics]
        self._shares = [_biased_share(statistic) for statistic in statistics]
        # A mean and then its variance, for each batch norm.
        kinds = [statistic.variable.op.name.rpartition('/') for statistic in statistics]
        self._means = {scope: i for i, (scope, _, name) in enumerate(kinds) if 'mean' in name}
        self._scopes = [scope for scope, _, _ in kinds]
        self._swap = averages.swap() if averages else None
        self._local = tf.placeholder(tf.float32, [None])
        self._over_workers = cluster.sum(self._local, 'batch_norm_statistics') / cluster.size
        self._values = [tf.placeholder(tf.float32, s.variable.shape) for s in statistics]
        self._assign = tf.group(
            *(
                statistic.variable.assign(value, read_value=False)
                for statistic, value in zip(statistics, self._values, strict=True)
            )
        )

    def run(self, session: tf.Session) -> None:
        """Changes the moving statistics and nothing else; all workers run it together."""
        self._once(session)
        if self._swap is not None:
            session.run(self._swap)
            try:
                self._once(session)
            finally:
                session.run(self._swap)

    def _once(self, session: tf.Session) -> None:
        session.run(self._begin)
        batches = []
        while True:
            try:
                images = session.run(self._next)
            except tf.errors.OutOfRangeError:
                break
            batches.append(session.run(self._moments, {self._images: images}))
        each = [np.array(moments, np.float64) for moments in zip(*batches, strict=True)]
        means = self._mean_over_workers(session, [moments.mean(axis=0) for moments in each])
        # The variance of all is the mean of the variances, and the variance of the means.
        spreads = []
        for place, scope in enumerate(self._scopes):
            mean = self._means[scope]
            spread = ((each[mean] - means[mean]) ** 2).mean(axis=0)
            spreads.append(spread if place != mean else np.zeros_like(spread))
        spreads = self._mean_over_workers(session, spreads)
        values = [
            share * mean + spread
            for share, mean, spread in zip(self._shares, means, spreads, strict=True)
        ]
        session.run(self._assign, dict(zip(self._values, values, strict=True)))

    def _mean_over_workers(self, session: tf.Session, arrays: list[Any]) -> list[Any]:
        ends = np.cumsum([array.size for array in arrays])[:-1]
        local = np.concatenate(arrays)
        return np.split(session.run(self._over_workers, {self._local: local}), ends)


def _biased_share(statistic: MovingStatistic) -> float:
    """(n - 1) / n, where the moment is a variance over n values that was divided by n - 1."""
    if not statistic.fused or statistic.fused[1] != _VARIANCE:
        return 1.0
    net = statistic.fused[0].inputs[0].shape
    values = (net.num_elements() or 0) // statistic.moment.shape[0]
    return (values - 1) / values if values > 1 else 1.0
