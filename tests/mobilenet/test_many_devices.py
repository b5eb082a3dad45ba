"""Two devices, and two workers under mpirun, train as one process with the same images does."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
CHILD = ROOT / 'tests' / 'mobilenet' / 'equal_child.py'
# A step takes the same 160 images; without batch norm and dropout it does not matter who has which.
SETTINGS = ['epochs=2', 'ma_decay_rate=0.5', 'label_smoothing=0.1', 'dropout_rate=0.0']


def environment(digits):
    ours = {name: value for name, value in os.environ.items() if not name.startswith('TF_')}
    return {
        **ours,
        'TF_SLIM_SUITE_CACHE': digits.rpartition('/')[0],
        'PYTHONPATH': f'{ROOT}:{CHILD.parent}',
        'OMPI_ALLOW_RUN_AS_ROOT': '1',
        'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
        'OMPI_MCA_mpi_yield_when_idle': '1',
    }


@pytest.fixture(scope='session')
def trained(server, digits, make_once):
    """trained(name, *settings): the result of the child script, made once."""

    def trained(name, *settings, command=None):
        def make(folder):
            arguments = [str(folder / 'run'), str(folder / 'result.npz'), *SETTINGS, *settings]
            how = {'cwd': folder, 'env': environment(digits), 'timeout': 300}
            if command:
                whole = [*command, sys.executable, str(CHILD), *arguments]
                done = subprocess.run(whole, capture_output=True, text=True, **how)
            else:
                done = server.run(CHILD, arguments, **how)
            assert done.returncode == 0, done.stdout + done.stderr
            (folder / 'stdout').write_text(done.stdout)

        folder = make_once(f'keras-{name}', make)
        return folder, dict(np.load(folder / 'result.npz'))

    return trained


def assert_alike(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_two_devices_equal_one(trained):
    _, one = trained('one', 'batch_size=160')
    folder, two = trained('two-devices', 'batch_size=80', 'num_devices=2')
    assert '2 epochs of 8 steps of 160 images' in (folder / 'stdout').read_text()
    assert_alike(two, one)
    assert one['val_accuracy'].max() > 0.2


@pytest.mark.slow
def test_two_workers_equal_one(trained):
    pytest.importorskip('horovod', reason='Horovod is not installed; make horovod builds it')
    program = str(pathlib.Path(sys.executable).parent / 'mpirun')
    command = [program, '-np', '2', '--oversubscribe']
    _, one = trained('one', 'batch_size=160')
    folder, two = trained('two-workers', 'batch_size=80', 'use_horovod=true', command=command)
    out = (folder / 'stdout').read_text()
    assert out.count('Epoch 1/2') == 1 and '2 epochs of 8 steps of 160 images' in out
    assert_alike(two, one)
