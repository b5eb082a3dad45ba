"""Replicas of the network in one process: a tf.distribute strategy over the devices of a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from slim import errors


def strategy(kind: str, wanted: int | None, workers: int = 1) -> tf.distribute.Strategy:
    """The strategy for `wanted` replicas on devices of `kind`, 'CPU', 'GPU' or 'HPU'.

    None: every GPU, or one device of another kind. More than one on a CPU make as many logical
    devices of it, which must come before the first operation of the process.

    Raises:
      DeviceError: there are fewer devices.
      UsageError: many replicas in one of many workers.
    """
    if workers > 1:
        if wanted not in (None, 1):
            raise errors.UsageError(
                '--num_devices with --use_horovod: one worker drives one device; start more workers'
            )
        return tf.distribute.get_strategy()
    if kind == 'CPU' and wanted and wanted > 1:
        _split_cpu(wanted)
    there = [device.name for device in tf.config.list_logical_devices(kind)]
    count = wanted or (len(there) if kind == 'GPU' else 1)
    if count > len(there):
        raise errors.DeviceError(
            f'--num_devices={count}: here are {len(there)} of kind {kind}; give at most as many'
        )
    if count == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(there[:count])


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices('CPU')[0]
    try:
        if len(tf.config.get_logical_device_configuration(cpu) or []) != count:
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
            )
    except RuntimeError as error:
        raise errors.DeviceError(
            f'--num_devices={count}: TensorFlow runs already with its CPU as one device ({error})'
        ) from error


def spread(used: tf.distribute.Strategy, make: Callable[[], Any]) -> Any:
    """What `make` gives, called for each replica in turn; for a single one its own value."""
    if used.num_replicas_in_sync == 1:
        return make()
    return used.experimental_distribute_values_from_function(lambda context: make())
