"""The software HPU: compiled once per TensorFlow, and loaded by child processes only."""

from __future__ import annotations

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
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Several test processes may build it at once; each moves a whole file into place.
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


@pytest.fixture(scope='module')
def on_hpu(software_hpu, tmp_path_factory):
    """Runs a function of hpu_child.py in a process with software HPUs; returns what it returns."""

    def run(function, *arguments, hpus=1, lacks='', command=()):
        result = tmp_path_factory.mktemp(function) / 'result.json'
        environment = {
            **os.environ,
            'PYTHONPATH': str(ROOT),
            'SOFTWARE_HPUS': str(hpus),
            'SOFTWARE_HPU_LACKS': lacks,
            'TF_CPP_MIN_LOG_LEVEL': '1',
        }
        words = [sys.executable, str(CHILD), software_hpu, str(result), function, *arguments]
        done = subprocess.run(
            [*command, *words],
            env=environment,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=RUN_SECONDS,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return json.loads(result.read_text()) if result.exists() else None

    return run
