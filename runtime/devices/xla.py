"""XLA: whether the sessions of a run compile their graphs, and where that is kept for the next run.

XLA reads two variables of the environment when TensorFlow is imported. What the user has set there
stays, flag by flag.

What was compiled is kept for GPUs alone, and by the versions of TensorFlow that were seen to do it.
XLA ends the process at a flag that it does not know; and TensorFlow 2.15.0, told to keep what it
compiles, fails to compile it, on a CPU at least.
"""

from __future__ import annotations

import glob
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime import options
from slim import errors

_GPU_NODES = ('/dev/nvidia[0-9]*', '/dev/dxg')
_CACHE_VARIABLE = 'TF_SLIM_SUITE_CACHE'


# The node of TensorFlow that compiles a cluster of operations, in an error's message.
_COMPILING = re.compile(r'\{\{node [^}]*xla_compile\}\}')
_HEADING = 'Graph execution error:'


class _Setting(NamedTuple):
    """A flag in one of the variables that XLA reads."""

    variable: str
    flag: str
    folder: str = ''  # its value, below the cache
    versions: tuple[str, ...] = ()  # of TensorFlow, such as '2.21'; all of them where it is empty


# Executables of whole clusters, and the choice among kernels for each operation.
_FOR_GPU = (
    _Setting('TF_XLA_FLAGS', '--tf_xla_persistent_cache_directory', 'clusters', ('2.21',)),
    _Setting('XLA_FLAGS', '--xla_gpu_per_fusion_autotune_cache_dir', 'autotuning', ('2.21',)),
)
_FOR_CPU = (_Setting('TF_XLA_FLAGS', '--tf_xla_cpu_global_jit'),)


def prepare_environment(chosen: options.DeviceOptions, tensorflow: str) -> list[str]:
    """Sets what XLA reads, where it may be used. Before TensorFlow is imported.

    Args:
      chosen: the flags.
      tensorflow: its version, such as '2.21.0'.

    Returns:
      lines for the log.
    """
    if chosen.xla == 'off' or chosen.device == 'hpu':
        return []
    on_gpu = chosen.device != 'cpu' and gpu_is_seen()
    if not on_gpu and chosen.xla == 'auto':
        return []
    cache = _cache_folder(os.environ) / 'xla' / tensorflow
    lines = []
    for setting in _FOR_GPU if on_gpu else _FOR_CPU:
        present = os.environ.get(setting.variable, '')
        version = '.'.join(tensorflow.split('.')[:2])
        if setting.flag in present or version not in (setting.versions or (version,)):
            continue
        word = setting.flag
        if setting.folder:
            folder = cache / setting.folder
            if not _is_made(folder):
                lines.append(f'XLA keeps nothing for the next start: {folder} cannot be written')
                continue
            word = f'{setting.flag}={folder}'
        os.environ[setting.variable] = f'{present} {word}'.strip()
    return lines


def gpu_is_seen() -> bool:
    """Whether the system shows a GPU, which TensorFlow may or may not be able to use."""
    return any(glob.glob(pattern) for pattern in _GPU_NODES)


def _cache_folder(environ: Mapping[str, str]) -> pathlib.Path:
    """As of the built-in sample: $TF_SLIM_SUITE_CACHE, or below $XDG_CACHE_HOME or ~/.cache."""
    if environ.get(_CACHE_VARIABLE):
        return pathlib.Path(environ[_CACHE_VARIABLE])
    user_cache = environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    return pathlib.Path(user_cache) / 'tf-slim-suite'


def _is_made(folder: pathlib.Path) -> bool:
    # XLA splits its flags at blanks.
    if ' ' in str(folder):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def is_on(device_type: str, wanted: str) -> bool:
    """Whether sessions compile: `wanted` is --xla, auto for a GPU alone.

    Raises:
      UsageError: XLA is wanted on an HPU.
    """
    if wanted == 'on' and device_type == 'HPU':
        raise errors.UsageError('--xla=on: an HPU has a compiler of its own; leave the flag away')
    return wanted == 'on' or (wanted == 'auto' and device_type == 'GPU')


def configure(config: Any) -> None:
    """Sessions with this ConfigProto compile what they can of their graphs."""
    optimizer = config.graph_options.optimizer_options
    optimizer.global_jit_level = optimizer.ON_1


def failure(error: Exception) -> str:
    """What to tell about an error of compilation; '' for another error."""
    message = str(getattr(error, 'message', error))
    if not _COMPILING.search(message):
        return ''
    said = [line.strip() for line in message.splitlines()]
    reason = next((line for line in said if line and line != _HEADING), 'for no reason given')
    return f'XLA cannot compile the graph: {errors.shortened(reason, 160)}; use --xla=off'
