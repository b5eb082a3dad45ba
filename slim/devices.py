"""HPU | GPU | CPU: find it, load its library, name it. Only importer of habana_frameworks."""

from __future__ import annotations

import dataclasses
import glob
import importlib
import importlib.metadata
import pathlib
import sys
from collections.abc import Callable

from slim import errors

_BRIDGE_PACKAGE = 'habana-tensorflow'
_HPU_NODES = '/sys/class/accel/accel*/device/device_type'


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
        _chosen = _first_available()
    else:
        missing = _MISSING[wanted]()
        if missing:
            raise errors.DeviceError(
                f'--device={wanted}: {missing}. --device=auto takes what is there'
            )
        _chosen = Device(wanted.upper(), f'--device={wanted}')
    if _chosen.kind == 'HPU':
        _load_bridge()
    return _chosen


def _first_available() -> Device:
    reasons: list[str] = []
    for name, find_missing in _MISSING.items():
        missing = find_missing()
        if not missing:
            return Device(name.upper(), '; '.join(reasons) or 'found')
        reasons.append(missing)
    raise AssertionError('the CPU is always there')


def _hpu_missing() -> str:
    """What an HPU lacks on this machine, or ''. Looks at the kernel's nodes and package metadata.

    Nothing is imported: a broken driver stack can take the process with it.
    """
    missing = []
    if not any('hl' in _read(path) or 'gaudi' in _read(path) for path in glob.glob(_HPU_NODES)):
        missing.append('no Gaudi card')
    try:
        importlib.metadata.version(_BRIDGE_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        missing.append(
            f'no package {_BRIDGE_PACKAGE} (Python 3.10 and TF 2.15.0; '
            f'here Python {sys.version_info[0]}.{sys.version_info[1]})'
        )
    return ' and '.join(missing)


def _gpu_missing() -> str:
    import tensorflow as tf

    return '' if tf.config.list_physical_devices('GPU') else 'TensorFlow lists no GPU'


_MISSING: dict[str, Callable[[], str]] = {
    'hpu': _hpu_missing,
    'gpu': _gpu_missing,
    'cpu': lambda: '',
}


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text().lower()
    except OSError:
        return ''


def _load_bridge() -> None:
    try:
        bridge = importlib.import_module('habana_frameworks.tensorflow')
        bridge.load_habana_module()
    except Exception as error:
        raise errors.DeviceError(
            f'The HPU library {_BRIDGE_PACKAGE} does not load: {error}'
        ) from error
    import tensorflow as tf

    if not tf.config.list_physical_devices('HPU'):
        raise errors.DeviceError(
            f'The HPU library {_BRIDGE_PACKAGE} is loaded, but TensorFlow lists no HPU: is the '
            'card in use by another process?'
        )
