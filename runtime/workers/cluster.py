"""The workers of a run: Horovod, or its twin of one process. Only importer of horovod.

Both have the same interface, so the trainer has one path. Rank 0 alone writes checkpoints and logs.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow.compat.v1 as tf

from runtime import options
from runtime.devices import devices
from runtime.workers import worlds
from slim import compat, errors

GradientsAndVariables = Sequence[tuple[Any, tf.Variable]]


class Cluster(Protocol):
    """What the trainer asks of its workers.

    Everything but the attributes is collective: all workers call or run it, in the same order.
    Where another worker ends meanwhile, running it fails; see `lost_worker`.
    """

    rank: int
    size: int
    local_rank: int
    hosts: Sequence[str]  # by rank
    threads: int  # of this worker's share of its host's cores; 0 for TensorFlow's own choice

    def gather(self, value: Any) -> list[Any]:
        """What each worker gave, by rank; anything that JSON holds. Blocks; outside of a graph."""

    def average_gradients(self, pairs: GradientsAndVariables) -> GradientsAndVariables:
        """The (gradient, variable) pairs with each gradient averaged over the workers."""

    def broadcast(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        """An operation that sets the variables to their values on rank 0."""

    def average(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        """An operation that sets the variables to their mean over the workers."""

    def sum(self, tensor: Any, name: str) -> Any:
        """The sum of `tensor` over the workers, with a gradient; `name` is unique."""

    def any_worker(self, flags: Any, name: str) -> Any:
        """bool tensor: which of the bool `flags` is true on any worker; `name` is unique."""


class SingleProcess:
    """A run of one worker."""

    rank, size, local_rank, threads = 0, 1, 0, 0
    hosts: Sequence[str] = ('localhost',)

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def average_gradients(self, pairs: GradientsAndVariables) -> GradientsAndVariables:
        return pairs

    def broadcast(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        return tf.no_op()

    def average(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        return tf.no_op()

    def sum(self, tensor: Any, name: str) -> Any:
        return tf.identity(tensor)

    def any_worker(self, flags: Any, name: str) -> Any:
        return tf.identity(flags)


class Horovod:
    """The workers that mpirun or horovodrun has started."""

    def __init__(self, hvd: Any, compression: str = 'none') -> None:
        self._hvd = hvd
        self._compression = getattr(hvd.Compression, compression)
        self._gathered = 0
        self.rank, self.size, self.local_rank = hvd.rank(), hvd.size(), hvd.local_rank()
        self.threads = worlds.threads_of_worker(hvd.local_size())
        self.hosts: Sequence[str] = self.gather(socket.gethostname())

    def gather(self, value: Any) -> list[Any]:
        data = np.frombuffer(json.dumps(value).encode(), np.uint8)
        self._gathered += 1
        # TensorFlow takes the number of its threads from the first session of a process, this one.
        config = tf.ConfigProto(device_count={'GPU': 0}, intra_op_parallelism_threads=self.threads)
        with tf.Graph().as_default(), tf.device('/device:CPU:0'), tf.Session(config=config) as run:
            operations = [
                self._hvd.allgather(tf.constant(array), name=f'gather_{part}_{self._gathered}')
                for part, array in (('size', [data.size]), ('data', data))
            ]
            try:
                sizes, joined = run.run(operations)
            except tf.errors.OpError as error:
                raise lost_worker(error, self) or error from error
        parts = np.split(joined, np.cumsum(sizes)[:-1])
        return [json.loads(part.tobytes()) for part in parts]

    def average_gradients(self, pairs: GradientsAndVariables) -> GradientsAndVariables:
        return [
            (
                None
                if gradient is None
                else self._average(gradient, f'gradient_{_flat(variable)}', self._compression),
                variable,
            )
            for gradient, variable in pairs
        ]

    def _average(self, tensor: Any, name: str, compression: Any = None) -> Any:
        # Every worker names its tensors by the variable, so that Horovod pairs them. A sparse
        # gradient (tf.IndexedSlices) stays one: its rows are gathered and divided.
        with self._placed():
            return self._hvd.allreduce(
                tensor,
                op=self._hvd.Average,
                name=name,
                compression=compression or self._hvd.Compression.none,
            )

    def _placed(self) -> contextlib.AbstractContextManager:
        """On the CPU, unless Horovod was built for the device that the process computes on."""
        kernels = compat.device_types_of_kernels('HorovodAllreduce')
        built_for_device = devices.chosen_device_type() in kernels
        return contextlib.nullcontext() if built_for_device else tf.device('/device:CPU:0')

    def broadcast(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        return self._hvd.broadcast_variables(list(variables), root_rank=0)

    def average(self, variables: Sequence[tf.Variable]) -> tf.Operation:
        return tf.group(
            *(
                variable.assign(self._average(variable.read_value(), f'mean_{_flat(variable)}'))
                for variable in variables
            )
        )

    def sum(self, tensor: Any, name: str) -> Any:
        with self._placed():
            return self._hvd.allreduce(tensor, op=self._hvd.Sum, name=name)

    def any_worker(self, flags: Any, name: str) -> Any:
        with tf.device('/device:CPU:0'):
            return self._hvd.allreduce(tf.cast(flags, tf.int32), op=self._hvd.Sum, name=name) > 0


def _flat(variable: tf.Variable) -> str:
    # Not of its operation, which a variable of eager execution does not have.
    return variable.name.partition(':')[0].replace('/', '_')


def start(chosen: options.WorkerOptions) -> Cluster:
    """The workers of this run. After the device is loaded, before any graph is built.

    Raises:
      UsageError: `--num_workers` is not the real number of workers, or several processes were
        started that would each run alone.
      DeviceError: Horovod is asked for and not installed.
    """
    world = worlds.found(os.environ)
    if world and world.size > 1 and not chosen.use_horovod:
        raise errors.UsageError(
            f'{world.starter} started {world.size} processes, each of which would do all of the '
            'work and write the same folder: give --use_horovod'
        )
    # One worker on its own needs no Horovod; MPI would look for its daemon, and end the process
    # where that is not installed under the path that it was built for.
    if not chosen.use_horovod or worlds.alone(os.environ):
        cluster: Cluster = SingleProcess()
    else:
        cluster = _start_horovod(chosen)
    if chosen.num_workers not in (1, cluster.size):
        raise errors.UsageError(
            f'--num_workers={chosen.num_workers}, but {cluster.size} worker(s) run; start with '
            f'mpirun -np {chosen.num_workers} python3 train_image_classifier.py --use_horovod'
        )
    return cluster


def _start_horovod(chosen: options.WorkerOptions) -> Horovod:
    compression = 'none'
    if isinstance(chosen, options.ClusterOptions):
        compression = chosen.gradient_compression
        os.environ.update(worlds.horovod_environment(chosen, os.environ))
    try:
        hvd = importlib.import_module('horovod.tensorflow')
        hvd.init()
    except ImportError as error:
        raise errors.DeviceError(
            f'--use_horovod: Horovod does not import ({error}); `make test` builds and installs it'
        ) from error
    return Horovod(hvd, compression)


def lost_worker(error: tf.errors.OpError, cluster: Cluster) -> errors.WorkerError | None:
    """The error to report where an operation failed because another worker ended, else None."""
    if cluster.size == 1 or 'horovod' not in str(error).lower():
        return None
    return errors.WorkerError(
        f'Rank {cluster.rank} on {cluster.hosts[cluster.rank]} ends because another worker ended '
        'or no longer answers; what it said stands before this line'
    )
