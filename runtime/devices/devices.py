"""HPU | GPU | CPU: find it, load its library, name it. Only importer of habana_frameworks."""

from __future__ import annotations

import dataclasses
import glob
import importlib
import importlib.metadata
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable

from runtime import options
from runtime.devices import precision, xla
from slim import errors

BRIDGE_PACKAGE = 'habana-tensorflow'
_BRIDGE_TENSORFLOW, _BRIDGE_PYTHON = '2.15.0', '3.10'
_HPU_NODES = '/sys/class/accel/accel*/device/device_type'
_TRIAL_SECONDS = 180
# Run before the library is loaded here: it may crash or hang where the driver is broken.
_TRIAL = (
    'from habana_frameworks.tensorflow import load_habana_module\n'
    'load_habana_module()\n'
    'import tensorflow as tf\n'
    'raise SystemExit(0 if tf.config.list_physical_devices("HPU") else "TensorFlow lists no HPU")'
)
# What Gaudi's public samples set for this kind of network; a value that is there stays.
_BRIDGE_ENVIRONMENT = {'TF_DISABLE_MKL': '1', 'TF_ALLOW_CONTROL_EDGES_IN_HABANA_OPS': '1'}
# Read by older releases only.
_OUTDATED_ENVIRONMENT = {
    'TF_ENABLE_BF16_CONVERSION': 'TF_BF16_CONVERSION',
    'HLS1_MODULE_ID': 'HABANA_VISIBLE_MODULES',
    'HLS1_MODULE_ID_LIST': 'HABANA_VISIBLE_MODULES',
}


@dataclasses.dataclass(frozen=True)
class Device:
    """The device that a process computes on."""

    kind: str  # 'HPU', 'GPU' or 'CPU'
    reason: str  # why this one, for the log

    @property
    def name(self) -> str:
        """The device string; a process uses one card, so the index is always 0."""
        return f'/device:{self.kind}:0'


_chosen: Device | None = None


def chosen_device_type() -> str | None:
    """'HPU', 'GPU' or 'CPU' once `choose` has decided for this process, else None."""
    return _chosen.kind if _chosen else None


def prepare_environment(chosen: options.DeviceOptions) -> list[str]:
    """Sets what an HPU's library reads from the environment, where one will be loaded.

    Before TensorFlow is imported. What the user has set stays, unless it contradicts a flag.

    Returns:
      lines for the log: what was set, what was kept, what is out of date.
    """
    if chosen.device not in ('auto', 'hpu') or hpu_missing():
        return []
    lines = []
    wanted = {
        name: value for name, value in _BRIDGE_ENVIRONMENT.items() if name not in os.environ
    } | precision.bridge_environment(chosen, os.environ)
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            lines.append(f'{name}={value} set, was {os.environ.get(name, "not set")}')
            os.environ[name] = value
    for name, successor in _OUTDATED_ENVIRONMENT.items():
        if name in os.environ:
            lines.append(f'{name} is out of date and has no effect: use {successor}')
    return lines


def choose(wanted: str) -> Device:
    """Finds the device, loads what it needs, and remembers the choice for this process.

    Before any graph is built and before Horovod starts: the HPU's library must come first.

    Args:
      wanted: 'auto' (HPU, then GPU, then CPU), 'hpu', 'gpu' or 'cpu'.

    Raises:
      DeviceError: the device is not there; the message names what is missing.
    """
    global _chosen
    if wanted == 'auto':
        device = _first_available()
    else:
        missing = MISSING[wanted]()
        if missing:
            raise errors.DeviceError(
                f'--device={wanted}: {", ".join(missing)}. --device=auto takes what is there'
            )
        device = Device(wanted.upper(), f'--device={wanted}')
    if device.kind == 'HPU':
        try_bridge()
        _load_bridge()
    _chosen = device
    return device


def check_clones(clones: options.CloneOptions) -> None:
    """UsageError for more clones than the chosen kind of card has cards; a CPU takes any number."""
    if _chosen is None or _chosen.kind == 'CPU' or clones.clone_on_cpu:
        return
    import tensorflow as tf

    cards = len(tf.config.list_physical_devices(_chosen.kind))
    if clones.num_clones > max(1, cards):  # One is what the choice has found.
        raise errors.UsageError(
            f'--num_clones={clones.num_clones} is one clone for each card, but TensorFlow lists '
            f'{cards} {_chosen.kind}(s)'
        )


def _first_available() -> Device:
    reasons: list[str] = []
    for name, find_missing in MISSING.items():
        missing = find_missing()
        if not missing:
            return Device(name.upper(), ', '.join(reasons) or 'found')
        reasons.append(missing[0])
    raise AssertionError('the CPU is always there')


def hpu_missing() -> list[str]:
    """What an HPU lacks on this machine. Looks at the kernel's nodes and at package metadata.

    Nothing is imported: a broken driver stack can take the process with it.
    """
    missing = []
    if not hpu_cards():
        missing.append('no Gaudi card')
    python = f'{sys.version_info[0]}.{sys.version_info[1]}'
    tensorflow = package_version('tensorflow')
    if not package_version(BRIDGE_PACKAGE):
        missing.append(f'no package {BRIDGE_PACKAGE}')
    if tensorflow != _BRIDGE_TENSORFLOW:
        missing.append(f'TensorFlow {_BRIDGE_TENSORFLOW} is needed, here is {tensorflow}')
    if python != _BRIDGE_PYTHON:
        missing.append(f'Python {_BRIDGE_PYTHON} is needed, here is {python}')
    return missing


def hpu_cards() -> int:
    """The number of Gaudi cards that the kernel's driver shows."""
    return sum('hl' in _read(path) or 'gaudi' in _read(path) for path in glob.glob(_HPU_NODES))


def package_version(package: str) -> str:
    """The version of an installed package, '' for none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ''


def _gpu_missing() -> list[str]:
    import tensorflow as tf

    if tf.config.list_physical_devices('GPU'):
        return []
    if xla.gpu_is_seen():
        return [
            'TensorFlow lists no GPU although there is one: its driver is too old for this '
            "TensorFlow, or NVIDIA's libraries are not in this environment"
        ]
    return ['TensorFlow lists no GPU']


# What each device lacks, in the order in which --device=auto takes them.
MISSING: dict[str, Callable[[], list[str]]] = {
    'hpu': hpu_missing,
    'gpu': _gpu_missing,
    'cpu': list,
}


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text().lower()
    except OSError:
        return ''


def try_bridge() -> None:
    """Loads the HPU's library in a child process first; DeviceError where that fails."""
    failed = f'The HPU library {BRIDGE_PACKAGE} does not load in a trial process: '
    try:
        trial = subprocess.run(
            [sys.executable, '-c', _TRIAL],
            capture_output=True,
            text=True,
            errors='replace',
            timeout=_TRIAL_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise errors.DeviceError(
            f'{failed}it was not done after {_TRIAL_SECONDS} seconds. Look at hl-smi and dmesg'
        ) from error
    if trial.returncode < 0:
        raise errors.DeviceError(
            f'{failed}{signal.Signals(-trial.returncode).name} ended it. Look at dmesg'
        )
    if trial.returncode:
        said = trial.stderr.strip().splitlines() or [f'exit code {trial.returncode}']
        raise errors.DeviceError(
            f'{failed}{said[-1]}. Is the card in use by another process? See hl-smi'
        )


def _load_bridge() -> None:
    try:
        bridge = importlib.import_module('habana_frameworks.tensorflow')
        bridge.load_habana_module()
    except Exception as error:
        raise errors.DeviceError(
            f'The HPU library {BRIDGE_PACKAGE} does not load: {error}'
        ) from error
    import tensorflow as tf

    if not tf.config.list_physical_devices('HPU'):
        raise errors.DeviceError(
            f'The HPU library {BRIDGE_PACKAGE} is loaded, but TensorFlow lists no HPU: is the '
            'card in use by another process?'
        )
