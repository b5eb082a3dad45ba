"""The order-sensitive start of a process, in one place: precision, device, workers."""

from __future__ import annotations

import dataclasses
from typing import Any

from slim import options


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What a process computes on, and with whom."""

    device: Any  # devices.Device
    cluster: Any  # cluster.Cluster

    def session_config(self) -> Any:
        """ConfigProto of sessions: no soft placement, so that a wrong placement is an error."""
        import tensorflow.compat.v1 as tf

        return tf.ConfigProto(allow_soft_placement=self.device.kind != 'CPU')


def start(device: options.DeviceOptions, workers: options.ClusterOptions | None = None) -> Runtime:
    """Environment, then device, then Horovod: the HPU's bridge stands between them.

    Args:
      device: flags of the device.
      workers: flags of the workers; None for a single process.

    Raises:
      DeviceError, UsageError: the device, its precision or the workers are not to be had.
    """
    from slim import app, precision

    app.quiet_tensorflow()
    precision.prepare_environment(device)
    # Imported here: TensorFlow must see the environment.
    from slim import cluster as cluster_lib
    from slim import devices

    chosen = devices.choose(device.device)
    precision.check(chosen.kind, device)
    cluster = cluster_lib.start(workers or options.ClusterOptions())
    return Runtime(chosen, cluster)
