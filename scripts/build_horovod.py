"""Horovod 0.28.1 in an environment of the project: built once, kept as a wheel, moved freely.

    python3 scripts/setup_env.py --tf 2.21.0 --horovod

The index has Horovod as a source archive only. It is built against the environment's TensorFlow
and Open MPI, with the Gloo transport beside MPI and without PyTorch and MXNet. The wheel goes to
the cache folder (see `environment.cache_dir`), one per TensorFlow, Python, platform and build
options, so that a fresh checkout installs it in seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import environment
from environment import SetupError, say

VERSION = '0.28.1'
# Raise this when the build changes, so that wheels in the cache are built anew.
RECIPE = 1
STAMP_NAME = '.horovod-stamp.json'
BUILD_OPTIONS = {
    'HOROVOD_WITH_TENSORFLOW': '1',
    'HOROVOD_WITH_MPI': '1',
    'HOROVOD_WITH_GLOO': '1',
    'HOROVOD_WITHOUT_PYTORCH': '1',
    'HOROVOD_WITHOUT_MXNET': '1',
}
# What a user may set for the build. HOROVOD_* has runtime settings too (HOROVOD_TIMELINE, say), and
# those must not make another wheel.
USER_OPTIONS = (
    'HOROVOD_BUILD_',
    'HOROVOD_CPU_OPERATIONS',
    'HOROVOD_CUDA_',
    'HOROVOD_GPU',
    'HOROVOD_NCCL_',
    'HOROVOD_ROCM_',
    'HOROVOD_WITH',
)
# The instruction sets that Horovod's half-precision sums can use, as /proc/cpuinfo names them.
CPU_FEATURES = ('f16c', 'avx', 'fma')

XLA_SOURCE = 'xla_mpi_ops.cc'
LINK_COMMAND = 'target_link_libraries(${TF_TARGET_LIB} '
# One library of TensorFlow's has no soname, so naming its file would put the file's full path into
# ours; named by -l: it goes in as a bare name that the run path finds.
BARE_NAME = (
    'string(REPLACE "${Tensorflow_LIB_PATH}/python/_pywrap_tensorflow_internal.so"'
    ' "-L${Tensorflow_LIB_PATH}/python -l:_pywrap_tensorflow_internal.so"'
    ' TF_LINKER_LIBS "${TF_LINKER_LIBS}")'
)
# From site-packages/horovod/tensorflow/ to TensorFlow and to the environment's lib/ with Open MPI.
RUN_PATH = (
    'set_target_properties(${TF_TARGET_LIB} PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH'
    ' "$ORIGIN/../../tensorflow:$ORIGIN/../../tensorflow/python:$ORIGIN/../../../..")'
)
# Without debug information the build is shorter and the library a fifth of the size.
NO_DEBUG_INFO = (
    'string(REPLACE "-g" "" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")'
)

# Two workers add up their rank + 1: 1 + 2.
SMOKE_PROGRAM = """
import tensorflow.compat.v1 as tf
import horovod.tensorflow as hvd
hvd.init()
assert hvd.size() == 2, f'{hvd.size()} workers'
with tf.Graph().as_default(), tf.Session() as session:
    total = session.run(hvd.allreduce(tf.constant(hvd.rank() + 1.0), op=hvd.Sum))
assert total == 3.0, f'allreduce gave {total}'
"""


def without_xla(cmake: str) -> str:
    """Horovod's tensorflow/CMakeLists.txt without its XLA operations.

    They include TensorFlow headers that are gone since 2.16. Raises SetupError unless exactly one
    line names them.
    """
    lines = cmake.splitlines(keepends=True)
    kept = [line for line in lines if XLA_SOURCE not in line]
    found = len(lines) - len(kept)
    if found != 1:
        raise SetupError(
            f'Horovod {VERSION}: expected one line naming {XLA_SOURCE} in its CMakeLists.txt, '
            f'found {found}; the source archive is not the known one'
        )
    return ''.join(kept)


def relocatable(cmake: str) -> str:
    """The same file with a library that finds TensorFlow and MPI relative to itself."""
    head, command, tail = cmake.partition(LINK_COMMAND)
    if not command:
        raise SetupError(
            f'Horovod {VERSION}: its CMakeLists.txt has no {LINK_COMMAND.strip()}...); '
            'the source archive is not the known one'
        )
    return f'{head}{BARE_NAME}\n{command}{tail.rstrip()}\n{RUN_PATH}\n{NO_DEBUG_INFO}\n'


def minor_version(version: str) -> tuple[int, int]:
    major, minor = version.split('.')[:2]
    return int(major), int(minor)


def adapted_cmake(cmake: str, tf_version: str) -> str:
    if minor_version(tf_version) >= (2, 16):
        cmake = without_xla(cmake)
    return relocatable(cmake)


def arch_flags(cpuinfo: str) -> str:
    """Compiler flags for what this processor has of CPU_FEATURES; '' where cpuinfo lists none."""
    for line in cpuinfo.splitlines():
        name, _, features = line.partition(':')
        if name.strip() == 'flags':
            present = features.split()
            return ' '.join(f'-m{feature}' for feature in CPU_FEATURES if feature in present)
    return ''


def build_options(environ: Mapping[str, str]) -> dict[str, str]:
    """Horovod's build settings: ours, then the user's (say HOROVOD_GPU_OPERATIONS=NCCL)."""
    options = dict(BUILD_OPTIONS)
    cpuinfo = Path('/proc/cpuinfo')
    flags = arch_flags(cpuinfo.read_text()) if cpuinfo.exists() else ''
    if flags:
        options['HOROVOD_BUILD_ARCH_FLAGS'] = flags
    options.update({name: environ[name] for name in environ if name.startswith(USER_OPTIONS)})
    return options


def wheel_key(tf_version: str, options: Mapping[str, str]) -> str:
    """Folder name in the cache: readable, and different for whatever makes a different wheel."""
    libc = '-'.join(part for part in platform.libc_ver() if part)
    facts = json.dumps([RECIPE, VERSION, libc, sorted(options.items())])
    digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
    major, minor = sys.version_info[:2]
    return f'horovod-{VERSION}-tf{tf_version}-cp{major}{minor}-{sysconfig.get_platform()}-{digest}'


def toolchain_problem(
    environ: Mapping[str, str], which: Callable[[str], str | None] = shutil.which
) -> str | None:
    """One line when no compiler or no make is there."""
    compilers = environment.compilers(environ)
    lacking = []
    if not any(which(name) for name in compilers):
        lacking.append(f'C++ compiler ({", ".join(compilers)})')
    if not which('make'):
        lacking.append('make')
    if not lacking:
        return None
    return (
        f'building Horovod {VERSION} needs a {" and ".join(lacking)}, not found on PATH; install '
        'it (on Debian and Ubuntu the packages g++ and make) or name a compiler with CXX='
    )


def fetch_source(venv: Path, folder: Path) -> Path:
    """The source tree, unpacked into the folder."""
    environment.run_pip(
        venv,
        'download',
        '--no-deps',
        '--no-build-isolation',
        '--no-binary=horovod',
        f'--dest={folder}',
        f'horovod=={VERSION}',
    )
    with tarfile.open(folder / f'horovod-{VERSION}.tar.gz') as archive:
        if hasattr(tarfile, 'data_filter'):
            archive.extractall(folder, filter='data')
        else:
            archive.extractall(folder)
    return folder / f'horovod-{VERSION}'


def compile_wheel(venv: Path, source: Path, folder: Path, options: Mapping[str, str]) -> Path:
    """Builds the wheel into the folder. The compiler's words go to the environment's build log."""
    log = venv / 'horovod-build.log'
    environ = {
        name: value
        for name, value in environment.clean_environ(venv).items()
        # A calling make hands its own job server down, which this build cannot reach.
        if not name.startswith('HOROVOD_') and name not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL')
    }
    environ.update(options, MAKEFLAGS=f'-j{len(os.sched_getaffinity(0))}')
    command = [str(environment.venv_python(venv)), '-I', '-m', 'pip', 'wheel', '-v', '--no-deps']
    command += ['--disable-pip-version-check', '--no-build-isolation', '--no-cache-dir']
    command += [f'--wheel-dir={folder}', str(source)]
    with open(log, 'w') as output:
        code = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, env=environ
        ).returncode
    wheels = sorted(folder.glob('horovod-*.whl'))
    if code or not wheels:
        print(''.join(log.read_text().splitlines(keepends=True)[-30:]), file=sys.stderr)
        raise SetupError(f'building Horovod {VERSION} failed; the end of {log} is above')
    return wheels[0]


def build(venv: Path, tf_version: str, target: Path, options: Mapping[str, str]) -> None:
    """Builds and puts the wheel into the target folder, whole or not at all."""
    problem = toolchain_problem(os.environ)
    if problem:
        raise SetupError(problem)
    say(f'building Horovod {VERSION} for TensorFlow {tf_version}: a few minutes, once')
    with tempfile.TemporaryDirectory(prefix='horovod-build-') as name:
        source = fetch_source(venv, Path(name))
        cmake = source / 'horovod' / 'tensorflow' / 'CMakeLists.txt'
        cmake.write_text(adapted_cmake(cmake.read_text(), tf_version))
        wheel = compile_wheel(venv, source, Path(name), options)
        target.mkdir(parents=True, exist_ok=True)
        part = target / f'{wheel.name}.part'
        shutil.copyfile(wheel, part)
        part.replace(target / wheel.name)


def cached_wheel(target: Path) -> Path | None:
    return next(iter(sorted(target.glob('horovod-*.whl'))), None)


def smoke_command(venv: Path) -> list[str]:
    command = [str(venv / 'bin' / 'mpirun'), '-np', '2', '--oversubscribe', '--bind-to', 'none']
    return [*command, str(environment.venv_python(venv)), '-c', SMOKE_PROGRAM]


def smoke_problem(venv: Path) -> str | None:
    """One line when two workers under mpirun cannot add up two numbers."""
    environ = environment.clean_environ(venv)
    # Open MPI refuses to run as root (a container, mostly) unless both of these say so.
    environ.update(OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')
    environ.update(TF_CPP_MIN_LOG_LEVEL='3', CUDA_VISIBLE_DEVICES='')
    try:
        result = subprocess.run(
            smoke_command(venv), env=environ, capture_output=True, text=True, timeout=180
        )
    except subprocess.TimeoutExpired:
        return 'mpirun -np 2 did not finish an allreduce in 180 seconds'
    if result.returncode:
        print(result.stdout + result.stderr, file=sys.stderr)
        return f'mpirun -np 2 with an allreduce ended with exit code {result.returncode}'
    return None


def install(venv: Path, wheel: Path) -> str | None:
    """Installs the wheel and tries it; the problem, or None."""
    environment.run_pip(venv, 'install', '--force-reinstall', '--no-deps', str(wheel))
    return smoke_problem(venv)


def ensure(venv: Path, tf_version: str) -> None:
    """Horovod in the environment, tried with two workers. Does nothing when it is there already."""
    options = build_options(os.environ)
    key = wheel_key(tf_version, options)
    stamp = {'wheel': key}
    if environment.read_stamp(venv / STAMP_NAME) == stamp:
        return
    wheels = environment.cache_dir() / 'wheels'
    target = wheels / key
    try:
        wheels.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f'cannot write the cache folder {wheels} ({error.strerror}); '
            'name another with TF_SLIM_SUITE_CACHE=DIR'
        ) from error
    with environment.only_one(wheels):
        wheel = cached_wheel(target)
        if wheel:
            say(f'installing Horovod {VERSION} from {target}')
            problem = install(venv, wheel)
            if problem:
                say(f'the cached Horovod does not work here ({problem}); building it anew')
                shutil.rmtree(target)
                wheel = None
        if not wheel:
            build(venv, tf_version, target, options)
            wheel = cached_wheel(target)
            assert wheel is not None
            problem = install(venv, wheel)
            if problem:
                shutil.rmtree(target)
                raise SetupError(f'Horovod {VERSION} was built but does not work: {problem}')
    environment.write_stamp(venv / STAMP_NAME, stamp)
