"""The software HPU: compiled once per TensorFlow, and loaded by child processes only."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest
import tensorflow as tf

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
SOURCE = HERE / 'software_hpu.cc'
CHILD = HERE / 'hpu_child.py'
COMPILE_SECONDS = 600
RUN_SECONDS = 600


def _compiler() -> str | None:
    return shutil.which(os.environ.get('CXX', 'g++')) or shutil.which('c++')


@pytest.fixture(scope='session')
def software_hpu() -> str:
    """The path of the library; skips where there is no compiler."""
    compiler = _compiler()
    if compiler is None:
        pytest.skip('no C++ compiler (g++) to build the software HPU with')
    flags = ['-O0', '-w', '-shared', '-fPIC', *tf.sysconfig.get_compile_flags()]
    what = json.dumps([SOURCE.read_text(), compiler, flags, tf.version.GIT_VERSION])
    name = f'software-hpu-{tf.__version__}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.so'
    cache = os.environ.get('TF_SLIM_SUITE_CACHE') or '~/.cache/tf-slim-suite'
    folder = pathlib.Path(cache).expanduser()
    library = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    # The first of several test processes builds it, the others wait.
    with open(folder / 'software-hpu.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if library.exists():
            return str(library)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            built = pathlib.Path(unfinished) / name
            command = [compiler, *flags, str(SOURCE), '-o', str(built)]
            result = subprocess.run(
                [*command, *tf.sysconfig.get_link_flags()],
                capture_output=True,
                text=True,
                timeout=COMPILE_SECONDS,
            )
            assert result.returncode == 0, result.stderr
            built.replace(library)
    return str(library)


@pytest.fixture(scope='session')
def on_hpu(software_hpu, server, tmp_path_factory):
    """Runs a function of hpu_child.py in a process with software HPUs; returns what it returns.

    Its process is a fork of one that has imported TensorFlow, but for a `command` (mpirun, say) in
    front, a fresh interpreter.
    """

    def run(function, *arguments, hpus=1, lacks='', command=()):
        result = tmp_path_factory.mktemp(function) / 'result.json'
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith('TF_')},
            'PYTHONPATH': str(ROOT),
            'SOFTWARE_HPUS': str(hpus),
            'SOFTWARE_HPU_LACKS': lacks,
        }
        how = {'cwd': result.parent, 'env': environment, 'timeout': RUN_SECONDS}
        words = [software_hpu, str(result), function, *arguments]
        if command:
            done = subprocess.run(
                [*command, sys.executable, str(CHILD), *words],
                capture_output=True,
                text=True,
                errors='replace',
                **how,
            )
        else:
            done = server.run(CHILD, words, **how)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return json.loads(result.read_text()) if result.exists() else None

    return run
