"""The workers of a run: Horovod, or its twin of one process. Only importer of horovod.

Both have the same interface, so the trainer has one path. Rank 0 alone writes checkpoints and logs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow.compat.v1 as tf

from slim import compat, devices, errors, options

GradientsAndVariables = Sequence[tuple[Any, tf.Variable]]


class Cluster(Protocol):
    """What the trainer asks of its workers."""

    rank: int
    size: int
    local_rank: int

    def average_gradients(self, pairs: GradientsAndVariables) -> GradientsAndVariables:
        """The (gradient, variable) pairs with each gradient averaged over the workers."""

    def broadcast(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        """An operation that sets the variables to their values on rank 0; every worker runs it."""

    def any_worker(self, flag: Any, name: str) -> Any:
        """bool scalar: whether the bool scalar `flag` is true on any worker; `name` is unique."""


class SingleProcess:
    """A run of one worker."""

    rank, size, local_rank = 0, 1, 0

    def average_gradients(self, pairs: GradientsAndVariables) -> GradientsAndVariables:
        return pairs

    def broadcast(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        return tf.no_op()

    def any_worker(self, flag: Any, name: str) -> Any:
        return tf.identity(flag)


class Horovod:
    """The workers that mpirun or horovodrun has started."""

    def __init__(self, hvd: Any) -> None:
        self._hvd = hvd
        self.rank, self.size, self.local_rank = hvd.rank(), hvd.size(), hvd.local_rank()

    def average_gradients(self, pairs: GradientsAndVariables) -> GradientsAndVariables:
        return [
            (None if gradient is None else self._average(gradient, variable), variable)
            for gradient, variable in pairs
        ]

    def _average(self, gradient: Any, variable: tf.Variable) -> Any:
        # Every worker names its tensors by the variable, so that Horovod pairs them.
        name = f'gradient_{variable.op.name.replace("/", "_")}'
        with self._placed():
            return self._hvd.allreduce(gradient, op=self._hvd.Average, name=name)

    def _placed(self) -> contextlib.AbstractContextManager:
        """On the CPU, unless Horovod was built for the device that the process computes on."""
        kernels = compat.device_types_of_kernels('HorovodAllreduce')
        built_for_device = devices.chosen_device_type() in kernels
        return contextlib.nullcontext() if built_for_device else tf.device('/device:CPU:0')

    def broadcast(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        return self._hvd.broadcast_variables(list(variables), root_rank=0)

    def any_worker(self, flag: Any, name: str) -> Any:
        with tf.device('/device:CPU:0'):
            return self._hvd.allreduce(tf.cast(flag, tf.int32), op=self._hvd.Sum, name=name) > 0


def start(chosen: options.ClusterOptions) -> Cluster:
    """The workers of this run. After the device is loaded, before any graph is built.

    Raises:
      UsageError: `--num_workers` is not the real number of workers, or several processes were
        started that would each train alone.
      DeviceError: Horovod is asked for and not installed.
    """
    started = int(os.environ.get('OMPI_COMM_WORLD_SIZE', '1'))
    if started > 1 and not chosen.use_horovod:
        raise errors.UsageError(
            f'mpirun started {started} processes, which would all write the same folder: '
            'give --use_horovod'
        )
    cluster: Cluster = _start_horovod() if chosen.use_horovod else SingleProcess()
    if chosen.num_workers not in (1, cluster.size):
        raise errors.UsageError(
            f'--num_workers={chosen.num_workers}, but {cluster.size} worker(s) run; start with '
            f'mpirun -np {chosen.num_workers} python3 train_image_classifier.py --use_horovod'
        )
    return cluster


def _start_horovod() -> Horovod:
    try:
        hvd = importlib.import_module('horovod.tensorflow')
        hvd.init()
    except ImportError as error:
        raise errors.DeviceError(
            f'--use_horovod: Horovod does not import ({error}); `make test` builds and installs it'
        ) from error
    return Horovod(hvd)
