"""The order-sensitive start of a process, in one place: precision, device, workers."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Collection, Iterator
from typing import Any

from runtime import options


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What a process computes on, and with whom."""

    device: Any  # devices.Device
    cluster: Any  # cluster.Cluster
    dtype: str = 'fp32'
    xla: bool = False  # whether sessions compile their graphs
    changed: tuple[str, ...] = ()  # what the environment was given for the device

    def __str__(self) -> str:
        from runtime.devices import precision

        shown = precision.describe(self.device.kind, self.dtype)
        compiled = ', XLA' if self.xla else ''
        device = f'device {self.device.kind} ({self.device.reason}), {shown}{compiled}'
        return '\n'.join((*self.changed, device))

    def with_threads(self, chosen: Any, given: Collection[str]) -> Any:
        """The option class with a thread for each of this worker's cores to make images with, and
        no fewer than the default, unless `--num_preprocessing_threads` is among the `given` flags.
        """
        if 'num_preprocessing_threads' in given:
            return chosen
        threads = self.cluster.threads or len(os.sched_getaffinity(0))
        wanted = max(threads, chosen.input.num_preprocessing_threads)
        return options.with_values(chosen, {'num_preprocessing_threads': wanted})

    def prefetched(self, wanted: int) -> int:
        """Batches that wait on the device: on a GPU as many as wanted, elsewhere none."""
        return wanted if self.device.kind == 'GPU' else 0

    def session_config(self) -> Any:
        """ConfigProto of sessions. Cards leave to the CPU what they have no kernel for."""
        import tensorflow.compat.v1 as tf

        from runtime.devices import precision, xla

        config = tf.ConfigProto(
            allow_soft_placement=self.device.kind != 'CPU',
            intra_op_parallelism_threads=self.cluster.threads,
        )
        if self.device.kind == 'GPU' and self.cluster.size > 1:
            # One process uses one card: the host's workers take them in turn.
            config.gpu_options.visible_device_list = str(self.cluster.local_rank)
        precision.configure(config, self.device.kind, self.dtype)
        if self.xla:
            xla.configure(config)
        return config


def start(device: options.DeviceOptions, workers: options.WorkerOptions | None = None) -> Runtime:
    """Environment, then device, then Horovod: the HPU's bridge stands between them.

    Args:
      device: flags of the device.
      workers: flags of the workers; None for a single process.

    Raises:
      DeviceError, UsageError: the device, its precision or the workers are not to be had.
    """
    from runtime.devices import devices, precision, xla

    precision.check_flags(device)
    changed = devices.prepare_environment(device)
    changed += xla.prepare_environment(device, devices.package_version('tensorflow'))
    # Only now: TensorFlow must see the environment.
    import_tensorflow_quietly()
    from runtime.workers import cluster as cluster_lib

    chosen = devices.choose(device.device)
    precision.check_device(chosen.kind, device)
    compiled = xla.is_on(chosen.kind, device.xla)
    cluster = cluster_lib.start(workers or options.WorkerOptions())
    return Runtime(chosen, cluster, device.dtype, compiled, tuple(changed))


# What TensorFlow writes on each start whatever TF_CPP_MIN_LOG_LEVEL says.
_CHATTER = re.compile(
    rb'absl::InitializeLog|oneDNN custom operations|cudart_stub|cuInit|cpu_feature_guard|'
    rb'To enable the following instructions|Unable to register cu|TF-TRT Warning'
)


# What it writes as an error when it finds what XLA has kept, which it then uses all the same.
_XLA_CHATTER = 'Error parsing text-format tensorflow.XlaSerializedCacheEntry'


@contextlib.contextmanager
def stderr_goes_to(descriptor: int) -> Iterator[None]:
    """What Python and the libraries below it write to standard error within goes there."""
    sys.stderr.flush()
    real_stderr = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(real_stderr, 2)
        os.close(real_stderr)


@contextlib.contextmanager
def without_xla_chatter(compiled: bool = True) -> Iterator[None]:
    """Leaves out of standard error what XLA writes in a good run, where it is used.

    Another process sieves it, so that what is said before this one is ended still comes through.
    """
    sieve = shutil.which('grep')
    if not compiled or not sieve or 'TF_CPP_MIN_LOG_LEVEL' in os.environ:
        yield
        return
    # A session of its own: Ctrl-C is for this process.
    command = [sieve, '--line-buffered', '-a', '-v', '-F', _XLA_CHATTER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=2, start_new_session=True
    ) as process:
        assert process.stdin
        with stderr_goes_to(process.stdin.fileno()):
            yield


def _take_one_keras() -> None:
    """From 2.16 on TensorFlow imports Keras 3, which takes a fifth of its time, unless asked for
    tf_keras, which tf-slim and this project use anyway."""
    from runtime.devices import devices

    version = re.match(r'(\d+)\.(\d+)', devices.package_version('tensorflow'))
    if version and (int(version[1]), int(version[2])) >= (2, 16):
        os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')


@contextlib.contextmanager
def _little_garbage_collection() -> Iterator[None]:
    """No looking for garbage within, little of it afterwards, and none at the end of the process.

    TensorFlow is half a million objects that stay, and a graph that is built is full of new ones:
    to walk through them all, again and again, was a sixth of the time of a short run.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(20_000, 10, 10)
        # Registered before all others, it is called after them.
        atexit.register(gc.freeze)


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow without its start-up chatter, unless the user has set its log level."""
    with _little_garbage_collection():
        _import_tensorflow_quietly()


def _import_tensorflow_quietly() -> None:
    _take_one_keras()
    if 'TF_CPP_MIN_LOG_LEVEL' in os.environ:
        import tensorflow.compat.v1 as tf  # As the user wants it: nothing is kept quiet.

        return
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
    with tempfile.TemporaryFile() as caught:
        try:
            with stderr_goes_to(caught.fileno()):
                import tensorflow.compat.v1 as tf

                # Looking for a GPU has its own messages where there is none.
                tf.config.list_physical_devices('GPU')
        finally:
            # TensorFlow has read it; the scripts that this one starts decide for themselves.
            del os.environ['TF_CPP_MIN_LOG_LEVEL']
            caught.seek(0)
            for line in caught:
                if not _CHATTER.search(line):
                    sys.stderr.buffer.write(line)
            sys.stderr.flush()
    tf.logging.set_verbosity(tf.logging.ERROR)
    warnings.filterwarnings('ignore', message='`(layer.apply|tf.layers)')
