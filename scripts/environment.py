"""The project's virtual environments: made from the pinned files, reused while nothing changed.

Standard library only: this runs before anything is installed. `setup_env.py` is the entry, and
checks the interpreter before this module (which needs Python 3.10 syntax) is read.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP_NAME = '.setup-stamp.json'
# Raise this when the way of setting up changes, so that existing environments are made anew.
RECIPE = 1


class SetupError(Exception):
    """What stops the set-up, as one line with the way out."""


def say(message: str) -> None:
    """Progress goes to stderr: stdout carries the environment's path for the Makefile."""
    print(f'setup: {message}', file=sys.stderr, flush=True)


def requirements_file(tf_version: str, root: Path = ROOT) -> Path:
    return root / 'requirements' / f'tf-{tf_version}.txt'


def venv_dir(tf_version: str, root: Path = ROOT) -> Path:
    major, minor = sys.version_info[:2]
    return root / f'.venv-tf{tf_version}-py{major}.{minor}'


def venv_python(venv: Path) -> Path:
    return venv / 'bin' / 'python'


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """What outlives a checkout: TF_SLIM_SUITE_CACHE, else tf-slim-suite in the user's cache."""
    chosen = environ.get('TF_SLIM_SUITE_CACHE')
    if chosen:
        return Path(chosen).expanduser().resolve()
    base = environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser().resolve() / 'tf-slim-suite'


def compilers(environ: Mapping[str, str]) -> list[str]:
    """The C++ compilers to look for: the program of $CXX, or the usual names."""
    chosen = environ.get('CXX', '').split()
    return chosen[:1] or ['c++', 'g++', 'clang++']


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Holds the lock of a folder or file: a second set-up waits instead of making the same."""
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f'another set-up works on {path}; waiting for it')
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def expected_stamp(venv: Path, requirements: Path) -> dict[str, object]:
    """What the environment is made of. The path is part of it: a venv cannot be moved."""
    return {
        'recipe': RECIPE,
        'requirements': hashlib.sha256(requirements.read_bytes()).hexdigest(),
        'python': platform.python_version(),
        'base': os.path.realpath(sys.base_prefix),
        'venv': str(venv),
    }


def read_stamp(path: Path) -> dict[str, object] | None:
    """The stamp, or None where there is none or it was cut off while being written."""
    try:
        stamp = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def write_stamp(path: Path, stamp: Mapping[str, object]) -> None:
    path.write_text(json.dumps(dict(stamp), indent=1) + '\n')


def is_current(venv: Path, requirements: Path) -> bool:
    return venv_python(venv).exists() and read_stamp(venv / STAMP_NAME) == expected_stamp(
        venv, requirements
    )


def clean_environ(venv: Path) -> dict[str, str]:
    """This process' environment with the venv's programs first and no foreign Python settings."""
    environ = dict(os.environ)
    for name in ('PYTHONHOME', 'PYTHONPATH'):
        environ.pop(name, None)
    environ['PATH'] = os.pathsep.join([str(venv / 'bin'), environ.get('PATH', os.defpath)])
    environ['VIRTUAL_ENV'] = str(venv)
    return environ


def run_pip(venv: Path, *arguments: str) -> None:
    """Runs the venv's pip, isolated from the user's site and PYTHON* variables."""
    command = [str(venv_python(venv)), '-I', '-m', 'pip', '--disable-pip-version-check']
    command += ['--no-input', '-qq', *arguments]
    code = subprocess.run(command, stdout=sys.stderr, env=clean_environ(venv)).returncode
    if code:
        raise SetupError(
            f'pip {arguments[0]} ended with exit code {code}; its own words are above. '
            'Mend that (network, disk space) and give the same command again.'
        )


def make_venv(venv: Path) -> None:
    """An empty environment with pip, of the Python that runs this."""
    command = [sys.executable, '-m', 'venv', str(venv)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        words = (made.stdout + made.stderr).strip().splitlines() or ['(it printed nothing)']
        raise SetupError(
            f'{sys.executable} cannot make a virtual environment ({words[-1].strip()}); mend its '
            'venv and ensurepip modules, or choose another interpreter with PYTHON='
        )


def compile_modules(venv: Path) -> None:
    """Bytecode of all that was installed: pip does it on one core, this on all.

    All of it, and now: a module that is compiled later, when it is first imported, is cut short
    where the disk is full (Python renames what it could write), and then fails at every start.
    Tests of packages, a third of all, are left out. Some packages bring files that are no Python of
    this version; nothing imports them, and pip passes over them as well, so the exit code is not
    looked at.
    """
    command = [str(venv_python(venv)), '-I', '-m', 'compileall', '-q', '-q', '-j', '0']
    command += ['-x', r'site-packages.*[/\\]tests?[/\\]']
    subprocess.run([*command, str(venv / 'lib')], stdout=sys.stderr, env=clean_environ(venv))


def create(venv: Path, requirements: Path) -> None:
    """Makes the venv from nothing. The stamp is written last, so a set-up cut short is seen."""
    if venv.exists():
        say(f'{venv.name} is incomplete or out of date; making it anew')
        # First, so that no stamp ever vouches for a half removed environment.
        (venv / STAMP_NAME).unlink(missing_ok=True)
        shutil.rmtree(venv)
    pins = [line for line in requirements.read_text().splitlines() if '==' in line]
    say(
        f'installing {len(pins)} packages of requirements/{requirements.name} into {venv.name}: '
        'a minute or two and up to 2.8 GB of disk, once'
    )
    make_venv(venv)
    run_pip(venv, 'install', '--no-compile', '--only-binary=:all:', '-r', str(requirements))
    compile_modules(venv)
    write_stamp(venv / STAMP_NAME, expected_stamp(venv, requirements))


def ensure(tf_version: str, root: Path = ROOT) -> Path:
    """The environment for this TensorFlow and this Python, ready for use."""
    venv, requirements = venv_dir(tf_version, root), requirements_file(tf_version, root)
    if not is_current(venv, requirements):
        with only_one(requirements):
            # The set-up that was waited for may have been this very one.
            if not is_current(venv, requirements):
                create(venv, requirements)
    return venv
