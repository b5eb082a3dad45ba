"""Layers that compute shapes and count, and build nothing: a network in a millisecond.

They stand in for Keras' in `mobilenet.common_modules`. The contract has the numbers of the real
ones for every network and width.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any


@dataclasses.dataclass
class Row:
    """One layer: name, Keras' class, shape of the output without the batch, and counts."""

    name: str
    kind: str
    shape: list[int]
    params: int = 0
    macs: int = 0


class _Array:
    def __init__(self, *shape: int) -> None:
        self.shape = (None, *shape)


class PaperLayers:
    """Has the names of `tf_keras.layers` that the networks use; `rows` has what was applied."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def __getattr__(self, kind: str) -> Any:
        shape_of = _KINDS[kind]

        def make(*args: Any, name: str, **kwargs: Any) -> Any:
            def apply(inputs: Any) -> _Array:
                first = inputs[0] if isinstance(inputs, list) else inputs
                shape, params, macs = shape_of(first.shape[1:], *args, **kwargs)
                self.rows.append(Row(name, kind, list(shape), params, macs))
                return _Array(*shape)

            return apply

        return make


def _windows(sides: Any, kernel: Any, strides: Any, padding: str) -> list[int]:
    if padding == 'same':
        return [-(-side // stride) for side, stride in zip(sides, strides, strict=True)]
    return [(s - k) // stride + 1 for s, k, stride in zip(sides, kernel, strides, strict=True)]


def _convolution(
    shape: Any, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = 'valid', **kw
) -> Any:
    sides = _windows(shape[:2], kernel_size, strides, padding)
    weights = math.prod(kernel_size) * shape[2] * filters
    biases = filters if kw.get('use_bias', True) else 0
    return (*sides, filters), weights + biases, math.prod(sides) * weights


def _depthwise(shape: Any, kernel_size: Any, strides: Any, padding: str, **_: Any) -> Any:
    sides = _windows(shape[:2], kernel_size, strides, padding)
    weights = math.prod(kernel_size) * shape[2]
    return (*sides, shape[2]), weights, math.prod(sides) * weights


def _same(shape: Any, *_: Any, **__: Any) -> Any:
    return shape, 0, 0


_KINDS = {
    'Conv2D': _convolution,
    'DepthwiseConv2D': _depthwise,
    'BatchNormalization': lambda shape, **_: (shape, 4 * shape[-1], 0),
    'GlobalAveragePooling2D': lambda shape: (shape[2:], 0, 0),
    'Reshape': lambda shape, target: (target, 0, 0),
    **dict.fromkeys(('InputLayer', 'Activation', 'Add', 'Multiply', 'Dropout'), _same),
}


def count(config: Any, monkeypatch: Any) -> list[Row]:
    """The rows of a configuration's network, in the order of its layers."""
    from mobilenet import common_modules
    from mobilenet.configs import archs

    paper = PaperLayers()
    norms = {'batch_norm': paper.BatchNormalization}
    with monkeypatch.context() as patch:
        patch.setattr(common_modules, 'layers', paper)
        patch.setattr(common_modules, 'Activation', paper.Activation)
        patch.setattr(archs, 'get_normalization_layer', lambda: norms)
        inputs = paper.InputLayer(name='Input')(_Array(*config.input_shape))
        common_modules.mobilenet_head(common_modules.mobilenet_base(inputs, config), config)
    return paper.rows
