"""The mpirun argument list for a number of workers, as a pure function. Open MPI's spelling.

Sources: the scaling guide and README files of Gaudi's Model-References (binding, hosts, ssh port),
Horovod's docs/mpi.rst (GPU).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime import options
from runtime.workers import worlds
from slim import errors

# What goes to other hosts: by name, or by the beginning of the name. Narrow on purpose.
_EXPORTED = frozenset(
    {'HWLOC_HIDE_ERRORS', 'LD_LIBRARY_PATH', 'LD_PRELOAD', 'MULTI_HLS_IPS', 'PYTHONPATH'}
    | {'VIRTUAL_ENV'}
)
_EXPORTED_PREFIXES = (
    *('ENABLE_', 'GC_', 'HABANA_', 'HBN_', 'HCCL_', 'HCL_', 'HOROVOD_', 'LOG_LEVEL_', 'NCCL_'),
    *('SYN_', 'TF_', 'TPC_'),
)
# Horovod's own form for GPUs: docs/mpi.rst.
_GPU_ARGUMENTS = (
    *('-bind-to', 'none', '-map-by', 'slot', '-x', 'LD_LIBRARY_PATH', '-x', 'PATH'),
    *('-mca', 'pml', 'ob1', '-mca', 'btl', '^openib'),
)


def mpi_command(
    program: str,
    command: Sequence[str],
    workers: int,
    chosen: options.LaunchOptions,
    *,
    cores: int,
    gpu: bool = False,
    root: bool = False,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """The argument list that runs `command` in `workers` processes.

    Args:
      program: mpirun.
      command: the argument list of a worker.
      workers: on all hosts together.
      chosen: the flags.
      cores: physical cores of a host; all hosts count as alike.
      gpu: whether the workers compute on GPUs, which are not bound to cores.
      root: whether this is the user root, whom mpirun otherwise refuses.
      environment: of this process; other hosts get a part of it.

    Raises:
      UsageError: hosts that do not have `workers` slots.
    """
    environment = environment or {}
    hosts = host_slots(chosen.hosts or environment.get('MULTI_HLS_IPS'), workers)
    arguments = [program]
    if root:
        arguments.append('--allow-run-as-root')
    arguments += ['--tag-output', '--merge-stderr-to-stdout']
    if chosen.mpi_log_dir:
        arguments += ['--output-filename', chosen.mpi_log_dir]
    if gpu:
        arguments += _GPU_ARGUMENTS
    else:
        map_by = chosen.map_by or environment.get('MPI_MAP_BY') or 'socket'
        arguments += _binding(map_by, cores // max(hosts.values(), default=workers), bool(hosts))
    if hosts:
        arguments += _to_hosts(hosts, chosen, environment)
    if chosen.visible_modules:
        arguments += ['-x', 'HABANA_VISIBLE_MODULES']
    if chosen.hccl_ifname:
        arguments += ['-x', f'HCCL_SOCKET_IFNAME={chosen.hccl_ifname}']
    return [*arguments, '-np', str(workers), *command]


def _binding(map_by: str, cores_per_worker: int, slots_are_given: bool) -> list[str]:
    if cores_per_worker < 1:
        return [] if slots_are_given else ['--oversubscribe']
    if map_by == 'none':
        return ['--bind-to', 'none']
    return ['--bind-to', 'core', '--map-by', f'{map_by}:PE={cores_per_worker}']


def _to_hosts(
    hosts: Mapping[str, int], chosen: options.LaunchOptions, environment: Mapping[str, str]
) -> list[str]:
    arguments = []
    if chosen.ssh_port:
        arguments += ['--mca', 'plm_rsh_args', f'-p{chosen.ssh_port}']
    interface = chosen.network_interface or environment.get('MPI_TCP_INCLUDE')
    if interface:
        arguments += ['--mca', 'btl_tcp_if_include', interface]
    if environment.get('MPI_ROOT'):
        arguments += ['--prefix', environment['MPI_ROOT']]
    arguments += ['-H', ','.join(f'{host}:{slots}' for host, slots in hosts.items())]
    set_by_flag = {
        'HABANA_VISIBLE_MODULES': chosen.visible_modules,
        'HCCL_SOCKET_IFNAME': chosen.hccl_ifname,
    }
    for name in sorted(environment):
        exported = name in _EXPORTED or name.startswith(_EXPORTED_PREFIXES)
        if exported and not set_by_flag.get(name):
            arguments += ['-x', name]
    return arguments


def host_slots(hosts: str | None, workers: int) -> dict[str, int]:
    """Host to its number of workers, of `HOST:SLOTS,...` or `HOST,...`; {} for this host alone.

    Raises:
      UsageError: the slots are no numbers, or not `workers` together.
    """
    if not hosts:
        return {}
    pairs = [word.strip().partition(':') for word in hosts.split(',')]
    share = workers // len(pairs)
    if any(not host or (colon and not slots.isdigit()) for host, colon, slots in pairs):
        raise errors.UsageError(f'--hosts={hosts}: give HOST:WORKERS,HOST:WORKERS,...')
    slots_of = {host: int(slots) if colon else share for host, colon, slots in pairs}
    total = sum(slots_of.values())
    if len(slots_of) != len(pairs) or total != workers:
        raise errors.UsageError(
            f'--hosts={hosts} has {len(slots_of)} host(s) with {total} worker(s) together, but '
            f'--num_workers={workers}'
        )
    return slots_of


def check_no_world(environment: Mapping[str, str]) -> None:
    """UsageError inside of a world that an MPI launcher has started: mpirun does not nest."""
    world = worlds.found(environment)
    if world and (world.size > 1 or 'OMPI_COMM_WORLD_SIZE' in environment):
        raise errors.UsageError(
            f'--use_horovod: {world.starter} has started this process as one of {world.size} '
            'already; run train_image_classifier.py --use_horovod there, or this command outside'
        )


def find_mpirun(environment: Mapping[str, str]) -> str:
    """mpirun of this Python's environment, of $MPI_ROOT, or on the PATH.

    Raises:
      DeviceError: there is none.
    """
    beside = Path(sys.executable).parent / 'mpirun'
    installed = Path(environment.get('MPI_ROOT', '/')) / 'bin' / 'mpirun'
    for path in (beside, installed):
        if os.access(path, os.X_OK):
            return str(path)
    found = shutil.which('mpirun', path=environment.get('PATH'))
    if not found:
        raise errors.DeviceError(
            f'--use_horovod: no mpirun in {beside.parent} or on the PATH; `make horovod` installs '
            'Open MPI and Horovod'
        )
    return found


def physical_cores() -> int:
    """Physical cores that this process may use; hyper-threads of one core count once."""
    cpus = os.sched_getaffinity(0)
    siblings = {_siblings(cpu) for cpu in cpus}
    return len(siblings)


def _siblings(cpu: int) -> str:
    path = Path(f'/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list')
    return path.read_text().strip() if path.exists() else str(cpu)
