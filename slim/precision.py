"""fp32 | bf16 on each device. What the HPU's bridge reads is set before TensorFlow is imported."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any

from slim import errors, options


def check(device_type: str, chosen: options.DeviceOptions) -> None:
    """UsageError for a precision that the device does not train in.

    Args:
      device_type: 'HPU', 'GPU' or 'CPU'.
      chosen: the flags.
    """
    if chosen.dtype == 'bf16' and device_type == 'GPU':
        raise errors.UsageError(
            '--dtype=bf16 is not available on GPU, where TensorFlow rewrites graphs to fp16 only; '
            'use --dtype=fp32 there'
        )
    path = chosen.bf16_config_path
    if path and chosen.dtype != 'bf16':
        raise errors.UsageError(f'--bf16_config_path={path} has no effect without --dtype=bf16')
    if path and not os.path.isfile(path):
        raise errors.UsageError(f'--bf16_config_path={path}: no such file')
    if path and device_type != 'HPU':
        raise errors.UsageError(
            f'--bf16_config_path={path} is for HPUs; the computing device is a {device_type}'
        )


def prepare_environment(chosen: options.DeviceOptions) -> None:
    """Sets TF_BF16_CONVERSION for the HPU's bridge (facts: its user guide, Runtime Variables).

    '0' is off, 'full' converts every operation that can be, a path names a JSON file with lists of
    operations. A value that the user has set stays, unless --dtype=bf16 asks for another.
    """
    if chosen.dtype == 'bf16':
        os.environ['TF_BF16_CONVERSION'] = chosen.bf16_config_path or 'full'
    else:
        os.environ.setdefault('TF_BF16_CONVERSION', '0')


def configure(config: Any, device_type: str, dtype: str) -> None:
    """Sets the precision of the sessions of a ConfigProto. An HPU's bridge needs nothing here."""
    if (device_type, dtype) == ('CPU', 'bf16'):
        from slim import cpu_bf16

        cpu_bf16.enable(config)


def adapt_training_graph(device_type: str, dtype: str, total_loss: Any) -> tuple[Any, Sequence]:
    """Fits the default graph, which has its gradients, to the precision.

    Returns:
      The loss, and operations that every training step must run: they stay float32 by that.
    """
    if (device_type, dtype) != ('CPU', 'bf16'):
        return total_loss, []
    from slim import cpu_bf16

    return cpu_bf16.adapt_training_graph(total_loss.graph, total_loss)


def describe(device_type: str, dtype: str) -> str:
    """The precision for the log, with a warning where it costs time."""
    if (device_type, dtype) != ('CPU', 'bf16'):
        return dtype
    from slim import cpu_bf16

    try:
        cpuinfo = pathlib.Path('/proc/cpuinfo').read_text()
    except OSError:
        return f'{dtype} (/proc/cpuinfo does not say whether this CPU has instructions for it)'
    if cpu_bf16.has_instructions(cpuinfo):
        return dtype
    return f'{dtype} (slower than fp32 here: this CPU has no bf16 instructions)'
