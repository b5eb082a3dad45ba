"""What a process reads from its launcher, and what Horovod reads from the flags."""

import os

import pytest

from runtime import options
from runtime.workers import worlds

pytestmark = pytest.mark.once


def test_the_world_of_a_process():
    assert worlds.found({}) is None
    assert worlds.found({'SLURM_NTASKS': '4'}) is None
    assert worlds.alone({'SLURM_NTASKS': '4'})
    assert not worlds.alone({'PMIX_RANK': '0'})
    # mpirun inside of a job of Slurm's.
    both = {'OMPI_COMM_WORLD_SIZE': '2', 'SLURM_STEP_NUM_TASKS': '1'}
    assert worlds.found(both) == worlds.World('mpirun', 2)


def test_workers_of_a_host_share_its_cores(monkeypatch):
    cores = {0: set(range(8)), os.getppid(): set(range(16))}
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: cores[pid])
    # Bound to eight of sixteen.
    assert [worlds.threads_of_worker(n) for n in (1, 2, 4, 32)] == [8, 8, 4, 1]


def test_flags_become_horovods_settings_where_the_user_has_set_none():
    chosen = options.ClusterOptions(
        fusion_threshold_mb=32, fusion_cycle_ms=2.5, worker_timeout_secs=90
    )
    assert worlds.horovod_environment(chosen, {'HOROVOD_CYCLE_TIME': '1'}) == {
        'HOROVOD_FUSION_THRESHOLD': str(32 * 2**20),
        'HOROVOD_STALL_CHECK_TIME_SECONDS': '45',
        'HOROVOD_STALL_SHUTDOWN_TIME_SECONDS': '90',
    }
    assert 'HOROVOD_FUSION_THRESHOLD' not in worlds.horovod_environment(
        options.ClusterOptions(), {}
    )
