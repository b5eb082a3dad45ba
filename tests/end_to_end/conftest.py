"""Scripts run as a user runs them: another process, another working directory."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SMALL = [
    '--model_name=mobilenet_v2_035',
    '--preprocessing_name=digits',
    '--batch_size=16',
]


def user_environment(cache):
    """The environment of a user who has set nothing of TensorFlow's."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith('TF_')}
    return {**ours, 'TF_SLIM_SUITE_CACHE': str(cache)}


def worker_environment(cache):
    """The environment under mpirun, also for root."""
    return {
        **user_environment(cache),
        'OMPI_ALLOW_RUN_AS_ROOT': '1',
        'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
        'OMPI_MCA_mpi_yield_when_idle': '1',
        'PYTHONPATH': str(ROOT),
    }


def mpirun(workers):
    """The start of a command for many workers of this Python."""
    program = pathlib.Path(sys.executable).parent / 'mpirun'
    return [str(program), '-np', str(workers), '--oversubscribe']


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='session')
def digits(cache):
    """Folder of the built-in sample's records."""
    from datasets import digits

    return digits.ensure_sample(str(cache))


@pytest.fixture
def script(tmp_path, cache):
    """Runs a script in an empty working directory; checks its exit code; returns its output."""

    def run(name, *arguments, code=0, environment=(), timeout=300):
        finished = subprocess.run(
            [sys.executable, str(ROOT / name), *arguments],
            cwd=tmp_path,
            env={**user_environment(cache), **dict(environment)},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert finished.returncode == code, finished.stdout + finished.stderr
        assert 'Traceback' not in finished.stderr, finished.stderr
        return finished

    return run
