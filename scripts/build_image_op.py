"""Has the environment's Python build the compiled image operation; called by `setup_env.py`.

Where that fails, the set-up goes on: training then takes TensorFlow's operations, which are slower.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import environment
from environment import ROOT, say

STAMP_NAME = '.image-op-stamp.json'
SOURCES = ('preprocessing/image_op.cc', 'preprocessing/image_op.py')
_BUILD_SECONDS = 900


def source_digest(root: Path = ROOT) -> str:
    return hashlib.sha256(b''.join((root / name).read_bytes() for name in SOURCES)).hexdigest()


def build(venv: Path) -> Path:
    """Builds it; the library's path. Raises SetupError with the compiler's or Python's words."""
    command = [str(environment.venv_python(venv)), '-m', 'preprocessing.image_op']
    environ = {**environment.clean_environ(venv), 'TF_CPP_MIN_LOG_LEVEL': '3'}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=_BUILD_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise environment.SetupError(f'no end after {_BUILD_SECONDS} seconds') from error
    if done.returncode:
        # What stands before is TensorFlow's chatter, or a traceback where that is all.
        words = done.stderr[max(0, done.stderr.find('error: ')) :].strip()
        print(words, file=sys.stderr)
        raise environment.SetupError(f'exit code {done.returncode}; its own words are above')
    return Path(done.stdout.splitlines()[-1])


def ensure(venv: Path) -> None:
    """The operation in the environment, if there is a compiler. Does nothing when it is there."""
    digest = source_digest()
    stamp = environment.read_stamp(venv / STAMP_NAME) or {}
    if stamp.get('sources') == digest and Path(str(stamp.get('library'))).exists():
        return
    try:
        if not any(map(shutil.which, environment.compilers(os.environ))):
            raise environment.SetupError('there is no C++ compiler')
        library = build(venv)
    except environment.SetupError as problem:
        say(
            f"the image operation is not built ({problem}); training takes TensorFlow's "
            'operations, which are slower (docs/input.md)'
        )
        return
    environment.write_stamp(venv / STAMP_NAME, {'sources': digest, 'library': str(library)})
