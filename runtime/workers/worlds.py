"""Who started this process, and how the cores of a host are shared. Pure Python.

MPI launchers tell their processes in the environment how many there are; each has its own names.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from runtime import options

# Launcher, and the variable that holds the number of processes. Slurm sets SLURM_NTASKS for a batch
# script too, but SLURM_STEP_NUM_TASKS for what srun starts.
_STARTERS = (
    ('mpirun', 'OMPI_COMM_WORLD_SIZE'),
    ('horovodrun', 'HOROVOD_SIZE'),
    ('mpirun (MVAPICH)', 'MV2_COMM_WORLD_SIZE'),
    ('srun', 'SLURM_STEP_NUM_TASKS'),
    ('a PMI launcher', 'PMI_SIZE'),
)


@dataclasses.dataclass(frozen=True)
class World:
    """The processes that one launcher has started."""

    starter: str
    size: int


def found(environment: Mapping[str, str]) -> World | None:
    """The world that the environment of a process tells of; None for a process on its own."""
    for starter, size in _STARTERS:
        if environment.get(size, '').isdigit():
            return World(starter, int(environment[size]))
    return None


def alone(environment: Mapping[str, str]) -> bool:
    """Whether no launcher of whatever kind has started this process as one of many."""
    return found(environment) is None and not any(
        name.startswith(('PMIX_', 'PMI_')) for name in environment
    )


def threads_of_worker(local_size: int) -> int:
    """How many threads a worker should compute with, so that those of a host share its cores.

    A worker that its launcher bound to fewer cores than the launcher has uses those.

    Args:
      local_size: workers on this host.
    """
    mine = len(os.sched_getaffinity(0))
    try:
        of_launcher = len(os.sched_getaffinity(os.getppid()))
    except OSError:  # The launcher has ended, or is of another user.
        of_launcher = mine
    return max(1, min(mine, of_launcher // local_size))


def horovod_environment(
    chosen: options.ClusterOptions, environment: Mapping[str, str]
) -> dict[str, str]:
    """What Horovod reads when it starts, from the flags; what the user has set stays.

    A flag that was left at None sets nothing. See "Stall check" and "Tensor Fusion" in Horovod's
    documentation: thresholds in bytes, cycle time in milliseconds, times in seconds.
    """
    wanted: dict[str, float | None] = {
        'HOROVOD_FUSION_THRESHOLD': (
            None if chosen.fusion_threshold_mb is None else chosen.fusion_threshold_mb * 2**20
        ),
        'HOROVOD_CYCLE_TIME': chosen.fusion_cycle_ms,
        'HOROVOD_STALL_CHECK_TIME_SECONDS': max(1, chosen.worker_timeout_secs // 2),
        'HOROVOD_STALL_SHUTDOWN_TIME_SECONDS': chosen.worker_timeout_secs,
    }
    return {
        name: str(value)
        for name, value in wanted.items()
        if value is not None and name not in environment
    }
