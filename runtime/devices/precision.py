"""fp32 | bf16 | fp16 on each device: what is allowed, and what has to be set for it."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime import options
from runtime.devices import bf16_config
from slim import errors


def check_flags(chosen: options.DeviceOptions) -> None:
    """UsageError for flags that fit no device. Before anything is loaded."""
    path = chosen.bf16_config_path
    if path and chosen.dtype != 'bf16':
        raise errors.UsageError(f'--bf16_config_path={path} has no effect without --dtype=bf16')
    if path:
        bf16_config.check(path)


def check_device(device_type: str, chosen: options.DeviceOptions) -> None:
    """UsageError for a precision that the device ('HPU', 'GPU' or 'CPU') does not train in."""
    if chosen.dtype == 'fp16' and device_type != 'GPU':
        raise errors.UsageError(
            f'--dtype=fp16 is for a GPU, but this run computes on {device_type}: use --dtype=bf16, '
            'which has the range of fp32'
        )
    if chosen.bf16_config_path and device_type != 'HPU':
        raise errors.UsageError(
            f'--bf16_config_path={chosen.bf16_config_path} is for an HPU, but this run computes on '
            f'{device_type}: leave it away'
        )


def bridge_environment(chosen: options.DeviceOptions, already: Mapping[str, str]) -> dict[str, str]:
    """TF_BF16_CONVERSION for the HPU's library (its user guide, Runtime Variables).

    '0' is off, 'full' converts every operation that can be, 'basic' few of them, a path names a
    JSON file with lists. What the user has set stays, unless a flag asks for something else.
    """
    value = already.get('TF_BF16_CONVERSION', '').strip()
    if chosen.dtype == 'bf16':
        is_off = value.lower() in ('', '0', 'false')
        value = chosen.bf16_config_path or ('full' if is_off else value)
    return {'TF_BF16_CONVERSION': value or '0'}


def configure(config: Any, device_type: str, dtype: str) -> None:
    """Sets the precision of the sessions of a ConfigProto. An HPU's bridge needs nothing here."""
    if (device_type, dtype) == ('CPU', 'bf16'):
        from runtime.devices import cpu_bf16

        cpu_bf16.enable(config)


def adapt_network(
    device_type: str, dtype: str, network_fn: Callable[..., Any]
) -> Callable[..., Any]:
    """The network as the device computes it in the precision; elsewhere the graph is rewritten."""
    if device_type != 'GPU' or dtype == 'fp32':
        return network_fn
    from runtime.devices import half

    return half.computing_in(dtype, network_fn)


def image_type(device_type: str, dtype: str) -> str:
    """What images travel to the device in: half the bytes where the network computes in 16 bits."""
    if device_type != 'GPU':
        return 'float32'
    return {'bf16': 'bfloat16', 'fp16': 'float16'}.get(dtype, 'float32')


def scales_loss(dtype: str) -> bool:
    """Whether gradients of this precision need a loss scale: bf16 has the range of fp32."""
    return dtype == 'fp16'


def adapt_training_graph(device_type: str, dtype: str, total_loss: Any) -> tuple[Any, Sequence]:
    """Fits the default graph, which has its gradients, to the precision.

    Returns:
      The loss, and operations that every training step must run: they stay float32 by that.
    """
    if (device_type, dtype) != ('CPU', 'bf16'):
        return total_loss, []
    from runtime.devices import cpu_bf16

    cpuinfo = _cpuinfo()
    if cpuinfo and not cpu_bf16.is_possible(cpuinfo):
        return total_loss, []
    return cpu_bf16.adapt_training_graph(total_loss.graph, total_loss)


def describe(device_type: str, dtype: str) -> str:
    """The precision for the log, with a warning where it costs time."""
    if (device_type, dtype) != ('CPU', 'bf16'):
        return dtype
    from runtime.devices import cpu_bf16

    cpuinfo = _cpuinfo()
    if not cpuinfo:
        return f'{dtype} (/proc/cpuinfo does not say whether this CPU has instructions for it)'
    if cpu_bf16.has_instructions(cpuinfo):
        return dtype
    if cpu_bf16.is_possible(cpuinfo):
        return f'{dtype} (slower than fp32 here: this CPU has no bf16 instructions)'
    return (
        f'{dtype} (without effect: TensorFlow computes in bfloat16 on CPUs with AVX-512, which '
        'this one lacks; the run computes in fp32)'
    )


def _cpuinfo() -> str:
    """What Linux says of the CPU; '' where there is no such file."""
    try:
        return pathlib.Path('/proc/cpuinfo').read_text()
    except OSError:
        return ''
