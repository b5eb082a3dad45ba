"""Devices, workers and clones: what computes."""

from __future__ import annotations

import dataclasses

from runtime.options.fields import option

DEVICES = ('auto', 'hpu', 'gpu', 'cpu')
DTYPES = ('fp32', 'bf16', 'fp16')
XLA_CHOICES = ('auto', 'on', 'off')
GRADIENT_COMPRESSIONS = ('none', 'fp16')
_PARAMETER_SERVERS = (
    'parameter-server training is not supported; use Horovod: '
    'mpirun -np N python3 train_image_classifier.py --use_horovod'
)


@dataclasses.dataclass(frozen=True)
class DeviceOptions:
    """Where to compute, and in which precision."""

    device: str = option(
        'auto', 'device that computes; auto takes HPU, then GPU, then CPU', choices=DEVICES
    )
    dtype: str = option(
        'fp32', 'precision of activations and gradients; fp16 on a GPU alone', choices=DTYPES
    )
    xla: str = option(
        'auto',
        'compile the graph with XLA, which a first start takes a minute or two for; auto: on a GPU',
        choices=XLA_CHOICES,
    )
    bf16_config_path: str | None = option(
        None, 'JSON file for the bf16 conversion pass of the HPU', path='read'
    )


@dataclasses.dataclass(frozen=True)
class WorkerOptions:
    """Many workers, in training and evaluation alike."""

    use_horovod: bool = option(False, 'data parallelism with Horovod; start with mpirun')
    num_workers: int = option(
        1, 'number of workers; must be the real one (mpirun -np) where it is given', at_least=1
    )


@dataclasses.dataclass(frozen=True)
class ClusterOptions(WorkerOptions):
    """Many workers in training."""

    worker_timeout_secs: int = option(
        600,
        'seconds without a step after which a worker counts as hung and the whole run ends; more '
        'than the first step takes',
        at_least=2,
    )
    gradient_compression: str = option(
        'none', 'how gradients travel between workers', choices=GRADIENT_COMPRESSIONS
    )
    fusion_threshold_mb: int | None = option(
        None, 'gradients are sent in bundles of this size; default: that of Horovod', at_least=0
    )
    fusion_cycle_ms: float | None = option(
        None, 'time in which a bundle is collected; default: that of Horovod', above=0
    )
    check_workers_every_n_steps: int = option(
        1000,
        'steps between two comparisons of all variables of all workers; they are also compared '
        'before the first step and at each save',
        at_least=1,
    )
    cross_replica_batch_norm: bool = option(
        False, 'batch norm uses the moments of the batches of all workers'
    )
    master: str = option('', 'TensorFlow session target; empty computes in this process')
    task: int = option(0, 'index of this replica', refused=_PARAMETER_SERVERS)
    worker_replicas: int = option(1, 'number of replicas', refused=_PARAMETER_SERVERS)
    num_ps_tasks: int = option(0, 'number of parameter servers', refused=_PARAMETER_SERVERS)
    sync_replicas: bool = option(False, 'synchronous updates', refused=_PARAMETER_SERVERS)
    replicas_to_aggregate: int = option(
        1, 'gradients gathered per synchronous update', refused=_PARAMETER_SERVERS
    )


@dataclasses.dataclass(frozen=True)
class LaunchOptions:
    """How the launcher starts many workers."""

    hosts: str | None = option(
        None,
        'hosts of the workers, HOST:WORKERS,...; default: $MULTI_HLS_IPS, or else this host',
    )
    map_by: str | None = option(
        None,
        'how workers get cores of their own; default: $MPI_MAP_BY, or else socket',
        choices=('socket', 'slot', 'none'),
    )
    ssh_port: int | None = option(None, 'port of the SSH servers of --hosts', at_least=1)
    network_interface: str | None = option(
        None, 'interface or network (CIDR) between the hosts; default: $MPI_TCP_INCLUDE'
    )
    hccl_ifname: str | None = option(None, "beginning of the name of HCCL's network interface")
    visible_modules: str | None = option(None, 'Gaudi cards to use, such as 4,5,6,7')
    mpi_log_dir: str | None = option(
        None, 'folder where mpirun puts the output of each worker', path='written'
    )
    stop_grace_secs: int = option(
        30,
        'seconds that workers have to save after a signal, or after one of them died',
        at_least=1,
    )
    max_restarts: int = option(
        0, 'how often training that failed goes on from its last checkpoint', at_least=0
    )
    dry_run: bool = option(False, 'print the commands and run nothing')


@dataclasses.dataclass(frozen=True)
class CloneOptions:
    """Replicas of the network inside one process."""

    num_clones: int = option(1, 'replicas of the network in this process', at_least=1)
    clone_on_cpu: bool = option(False, 'put the clones on the CPU')
