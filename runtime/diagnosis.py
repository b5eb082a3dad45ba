"""What is there and what is missing on this machine, per device and for many workers."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

from runtime import startup
from runtime.devices import devices
from runtime.workers import mpi_command
from slim import errors

_TENSORFLOWS = ((2, 15), (2, 21))
_PYTHONS = ((3, 10), (3, 13))
_TRIAL_SECONDS = 120
_HOROVOD_TRIAL = 'import horovod.tensorflow as h; print("MPI" if h.mpi_built() else "no MPI")'
_SET_UP = 'python3 scripts/setup_env.py'
_BUILD_HOROVOD = 'python3 scripts/setup_env.py --horovod'


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the table."""

    subject: str
    found: str
    mend: str = ''  # what to do where it is not as it should be; '' where it is
    needed_for: tuple[str, ...] = ()  # 'cpu', 'gpu', 'hpu', 'many workers'

    @property
    def good(self) -> bool:
        return not self.mend


_ALL = ('cpu', 'gpu', 'hpu')
_WORKERS = ('many workers',)


def examine() -> list[Finding]:
    """Looks at everything. What could take the process with it is tried in a child process."""
    if not has_tensorflow():
        return [*_python(), *_tensorflow()]
    startup.import_tensorflow_quietly()
    return [finding for look in _LOOKS for finding in look()]


def has_tensorflow() -> bool:
    return bool(devices.package_version('tensorflow'))


def image_operation(load: Callable[[], object | None], build_command: str) -> Finding:
    """Whether the compiled operation of the input is there; training works without.

    `load` gives None where it has not been built, and raises a SuiteError where it does not load.
    """
    try:
        found = 'built' if load() else 'not built'
    except errors.SuiteError as error:
        found = str(error)
    mend = '' if found == 'built' else build_command
    return Finding('image operation', found, mend, ('faster input',))


def can_train(findings: list[Finding], device: str, many_workers: bool) -> bool:
    """Whether nothing that the wanted device needs is missing."""
    # auto ends on the CPU where there is nothing else.
    needs = {'cpu' if device == 'auto' else device}
    if many_workers:
        needs |= set(_WORKERS)
    return not any(needs & set(finding.needed_for) for finding in findings if not finding.good)


def table(findings: list[Finding]) -> str:
    """One line per finding, and below what mends what is missing."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        mark = 'ok     ' if finding.good else 'missing'
        lines.append(f'{mark}  {finding.subject:{width}}  {finding.found}')
        if finding.mend:
            needed = ', '.join(finding.needed_for)
            lines.append(f'{"":7}  {"":{width}}  for {needed}: {finding.mend}')
    return '\n'.join(lines)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split('.')[:2] if part.isdigit())


def _python() -> list[Finding]:
    fits = _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]
    found = f'{sys.version.split()[0]}, {sys.executable}'
    return [Finding('Python', found, '' if fits else f'{_SET_UP} with Python 3.10 to 3.13', _ALL)]


def _tensorflow() -> list[Finding]:
    version = devices.package_version('tensorflow')
    fits = bool(version) and _TENSORFLOWS[0] <= _version(version) <= _TENSORFLOWS[1]
    keras = devices.package_version('tf-keras')
    beside = _version(keras) == _version(version)
    mend = f'pip install tf-keras=={".".join(map(str, _version(version)))}.*'
    return [
        Finding('TensorFlow', version or 'not installed', '' if fits else _SET_UP, _ALL),
        Finding('tf_keras', keras or 'not installed', '' if beside else mend, _ALL),
    ]


def _tf_slim() -> list[Finding]:
    from slim import compat

    try:
        compat.repaired_tf_slim()
    except Exception as error:
        return [Finding('tf-slim', f'does not import: {error}', _SET_UP, _ALL)]
    return [Finding('tf-slim', f'{devices.package_version("tf-slim")}, repaired', '', _ALL)]


def _cpu() -> list[Finding]:
    from runtime.devices import precision

    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return [Finding('CPU', f'{cores} core(s), {precision.describe("CPU", "bf16")}')]


def _gpu() -> list[Finding]:
    missing = devices.MISSING['gpu']()
    if not missing:
        return [Finding('GPU', 'there')]
    package = f'tensorflow[and-cuda]=={devices.package_version("tensorflow")}'
    return [Finding('GPU', missing[0], f"with an NVIDIA card: pip install '{package}'", ('gpu',))]


def _hpu() -> list[Finding]:
    missing = devices.hpu_missing()
    found = f'{devices.hpu_cards()} card(s)'
    mend = ''
    if missing:
        found = ', '.join(missing)
        mend = 'on a machine with a card, in Python 3.10: pip install ".[gaudi]" (docs/gaudi.md)'
    else:
        try:
            devices.try_bridge()
        except errors.DeviceError as error:
            found, mend = str(error), 'free the card, or install its driver anew'
    return [Finding('HPU', found, mend, ('hpu',))]


def _horovod() -> list[Finding]:
    version = devices.package_version('horovod')
    if not version:
        return [Finding('Horovod', 'not installed', _BUILD_HOROVOD, _WORKERS)]
    built_for = _tensorflow_of_horovod()
    command = [sys.executable, '-c', _HOROVOD_TRIAL]
    try:
        trial = subprocess.run(command, capture_output=True, text=True, timeout=_TRIAL_SECONDS)
        said = (trial.stdout if trial.returncode == 0 else trial.stderr).strip()
    except subprocess.TimeoutExpired:
        return [Finding('Horovod', f'{version}, its import hangs', _BUILD_HOROVOD, _WORKERS)]
    found = f'{version} for TensorFlow {built_for}, {(said or "no message").splitlines()[-1]}'
    return [Finding('Horovod', found, _BUILD_HOROVOD if trial.returncode else '', _WORKERS)]


def _tensorflow_of_horovod() -> str:
    """The TensorFlow that Horovod was built for, as its build has written it down."""
    path = importlib.metadata.distribution('horovod').locate_file('horovod/metadata.json')
    try:
        return str(json.loads(pathlib.Path(str(path)).read_text())['tensorflow'])
    except (OSError, ValueError, KeyError):
        return '(unknown)'


def _mpirun() -> list[Finding]:
    try:
        return [Finding('mpirun', mpi_command.find_mpirun(os.environ), '', _WORKERS)]
    except errors.DeviceError:
        return [Finding('mpirun', 'not found', _BUILD_HOROVOD, _WORKERS)]


_LOOKS: tuple[Callable[[], list[Finding]], ...] = (
    _python,
    _tensorflow,
    _tf_slim,
    _cpu,
    _gpu,
    _hpu,
    _horovod,
    _mpirun,
)
