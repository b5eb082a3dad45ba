"""Scripts run as a user runs them: another process, another working directory."""

import subprocess
import sys

import processes
import pytest


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='session')
def digits(cache):
    """Folder of the built-in sample's records."""
    from datasets.conversion import digits

    return digits.ensure_sample(str(cache))


@pytest.fixture
def script(tmp_path, cache):
    """Runs a script in an empty working directory; checks its exit code; returns its output."""

    def run(name, *arguments, code=0, environment=(), timeout=300):
        finished = subprocess.run(
            [sys.executable, str(processes.ROOT / name), *arguments],
            cwd=tmp_path,
            env={**processes.user_environment(cache), **dict(environment)},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert finished.returncode == code, finished.stdout + finished.stderr
        assert 'Traceback' not in finished.stderr, finished.stderr
        return finished

    return run
