"""fp32 | bf16 on each device. What the HPU's bridge reads is set before TensorFlow is imported."""

from __future__ import annotations

import os

from slim import errors, options


def check(device_type: str, chosen: options.DeviceOptions) -> None:
    """UsageError for a precision that the device does not train in yet.

    Args:
      device_type: 'HPU', 'GPU' or 'CPU'.
      chosen: the flags.
    """
    if chosen.dtype == 'bf16' and device_type != 'HPU':
        raise errors.UsageError(
            f'--dtype=bf16 is not available on {device_type}; use --dtype=fp32 there'
        )
    if chosen.bf16_config_path and chosen.dtype != 'bf16':
        raise errors.UsageError(
            f'--bf16_config_path={chosen.bf16_config_path} has no effect without --dtype=bf16'
        )
    if chosen.bf16_config_path and not os.path.isfile(chosen.bf16_config_path):
        raise errors.UsageError(f'--bf16_config_path={chosen.bf16_config_path}: no such file')


def prepare_environment(chosen: options.DeviceOptions) -> None:
    """Sets TF_BF16_CONVERSION for the HPU's bridge (facts: its user guide, Runtime Variables).

    '0' is off, 'full' converts every operation that can be, a path names a JSON file with lists of
    operations. A value that the user has set stays, unless --dtype=bf16 asks for another.
    """
    if chosen.dtype == 'bf16':
        os.environ['TF_BF16_CONVERSION'] = chosen.bf16_config_path or 'full'
    else:
        os.environ.setdefault('TF_BF16_CONVERSION', '0')
