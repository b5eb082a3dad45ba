"""The mpirun argument lists of Gaudi's and Horovod's documents, and where mpirun is."""

import os
import sys

import pytest

from runtime import options
from runtime.workers import mpi_command
from slim import errors

pytestmark = pytest.mark.once

COMMAND = ['python', '/p/train_image_classifier.py', '--batch_size=96', '--use_horovod']
TAGS = ['--tag-output', '--merge-stderr-to-stdout']


def built(workers=8, cores=48, environment=None, gpu=False, root=False, **flags):
    return mpi_command.mpi_command(
        'mpirun',
        COMMAND,
        workers,
        options.LaunchOptions(**flags),
        cores=cores,
        gpu=gpu,
        root=root,
        environment=environment,
    )


def test_eight_cards_on_48_cores():
    binding = ['--bind-to', 'core', '--map-by', 'socket:PE=6']
    assert built(root=True) == [
        *('mpirun', '--allow-run-as-root', *TAGS, *binding, '-np', '8', *COMMAND)
    ]
    assert built() == ['mpirun', *TAGS, *binding, '-np', '8', *COMMAND]
    assert built(mpi_log_dir='/logs') == [
        *('mpirun', *TAGS, '--output-filename', '/logs', *binding, '-np', '8', *COMMAND)
    ]


def test_two_hosts_of_eight_cards():
    environment = {
        'HABANA_LOGS': '/l',
        'HCCL_SOCKET_IFNAME': 'old',
        'HOME': '/root',
        'MPI_ROOT': '/opt/openmpi',
        'PATH': '/bin',
        'PYTHONPATH': '/p',
        'TOKEN': 'secret',
    }
    flags = {'ssh_port': 3022, 'network_interface': '10.0.0.0/24', 'hccl_ifname': 'ens'}
    assert built(16, environment=environment, hosts='ip1:8,ip2:8', **flags) == [
        *('mpirun', *TAGS, '--bind-to', 'core', '--map-by', 'socket:PE=6'),
        *('--mca', 'plm_rsh_args', '-p3022', '--mca', 'btl_tcp_if_include', '10.0.0.0/24'),
        *('--prefix', '/opt/openmpi', '-H', 'ip1:8,ip2:8', '-x', 'HABANA_LOGS'),
        *('-x', 'PYTHONPATH', '-x', 'HCCL_SOCKET_IFNAME=ens', '-np', '16', *COMMAND),
    ]
    listed = {'MULTI_HLS_IPS': 'ip1,ip2', 'MPI_TCP_INCLUDE': 'eth0', 'MPI_MAP_BY': 'slot'}
    command = built(4, environment=listed)
    assert command[command.index('-H') + 1] == 'ip1:2,ip2:2'
    assert command[command.index('btl_tcp_if_include') + 1] == 'eth0'
    assert command[command.index('--map-by') + 1] == 'slot:PE=24'


def test_four_of_eight_cards():
    command = built(4, visible_modules='4,5,6,7')
    assert command[-len(COMMAND) - 4 : -len(COMMAND)] == [
        *('-x', 'HABANA_VISIBLE_MODULES', '-np', '4')
    ]


def test_gpus_take_horovods_form():
    assert built(gpu=True) == [
        *('mpirun', *TAGS, '-bind-to', 'none', '-map-by', 'slot', '-x', 'LD_LIBRARY_PATH'),
        *('-x', 'PATH', '-mca', 'pml', 'ob1', '-mca', 'btl', '^openib', '-np', '8', *COMMAND),
    ]


def test_more_workers_than_cores_are_not_bound():
    assert built(cores=4) == ['mpirun', *TAGS, '--oversubscribe', '-np', '8', *COMMAND]
    assert '--bind-to' not in built(cores=2, hosts='a:4,b:4')
    assert built(map_by='none')[3:5] == ['--bind-to', 'none']


@pytest.mark.parametrize('hosts', ['a:8,b:7', 'a:x,b:8', ':8,b:8', 'a:8,a:8', 'a,b,c'])
def test_hosts_that_do_not_hold_the_workers(hosts):
    with pytest.raises(errors.UsageError, match='--hosts='):
        built(16, hosts=hosts)


@pytest.mark.parametrize(
    ('environment', 'starter'),
    [
        ({'OMPI_COMM_WORLD_SIZE': '1'}, 'mpirun'),
        ({'SLURM_STEP_NUM_TASKS': '4'}, 'srun'),
        ({'HOROVOD_SIZE': '2'}, 'horovodrun'),
        ({'PMI_SIZE': '2'}, 'PMI'),
    ],
)
def test_no_mpirun_inside_of_a_world(environment, starter):
    with pytest.raises(errors.UsageError, match=starter):
        mpi_command.check_no_world(environment)


def test_a_shell_of_one_task_under_slurm_is_no_world():
    mpi_command.check_no_world({'SLURM_STEP_NUM_TASKS': '1'})
    mpi_command.check_no_world({'SLURM_NTASKS': '8'})


def test_mpirun_is_looked_up_beside_python_then_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'venv' / 'bin' / 'python'))
    with pytest.raises(errors.DeviceError, match='make horovod'):
        mpi_command.find_mpirun({'PATH': str(tmp_path)})
    for folder in ('path', 'root/bin', 'venv/bin'):
        program = tmp_path / folder / 'mpirun'
        program.parent.mkdir(parents=True)
        program.touch(0o755)
        environment = {'PATH': str(tmp_path / 'path'), 'MPI_ROOT': str(tmp_path / 'root')}
        assert mpi_command.find_mpirun(environment) == str(program)


def test_physical_cores_are_at_most_the_processors():
    assert 1 <= mpi_command.physical_cores() <= len(os.sched_getaffinity(0))
