"""The MobileNets as data: what a network consists of, without TensorFlow.

The slim networks of this package (`mobilenet_v1.py`, `mobilenet_v2.py`, `mobilenet_v3.py`) and the
Keras models (`mobilenet/configs/archs.py`) are both made of these tables, so that they cannot drift
apart. A table is a tuple of rows, one per layer or block, applied one after another. Activations
are names: 'relu', 'relu6', 'hard_swish'.
"""

from __future__ import annotations

from typing import NamedTuple


class Convolution(NamedTuple):
    """A full convolution."""

    kernel: int
    channels: int
    stride: int = 1
    activation: str = 'relu6'
    normalized: bool = True  # else it has biases


class Separable(NamedTuple):
    """V1's block: a 3 x 3 depthwise convolution, then a 1 x 1 convolution."""

    channels: int
    stride: int


class InvertedResidual(NamedTuple):
    """V2's and V3's block: 1 x 1 expand, depthwise, 1 x 1 project, plus the input where it fits."""

    kernel: int
    expansion: float  # factor on the channels of the block's input
    channels: int
    activation: str = 'relu6'
    stride: int = 1
    squeeze_factor: int | None = None  # of squeeze and excite before the projection
    fused: bool = False  # one full convolution in place of expand and depthwise
    residual: bool = True


class GlobalPooling(NamedTuple):
    """Averages height and width to 1 x 1."""


Row = Convolution | Separable | InvertedResidual | GlobalPooling


def make_divisible(value: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`: at least `min_value` (None: one `divisor`), and
    never more than a tenth below `value`, so that narrow layers are not rounded away."""
    floor = divisor if min_value is None else min_value
    rounded = max(floor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


# Channels and stride of the separable layers: Table 1 of arXiv:1704.04861.
V1 = (
    Convolution(3, 32, stride=2),
    *(
        Separable(channels, stride)
        for channels, stride in (
            *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
            *((512, 1),) * 5,
            *((1024, 2), (1024, 1)),
        )
    ),
)

# Expansion t, channels c, repeats n, stride s of the first repeat: Table 2 of arXiv:1801.04381.
_V2_BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
V2 = (
    Convolution(3, 32, stride=2),
    *(
        InvertedResidual(3, expansion, channels, stride=stride if repeat == 0 else 1)
        for expansion, channels, repeats, stride in _V2_BOTTLENECKS
        for repeat in range(repeats)
    ),
    Convolution(1, 1280),
)

_RE, _HS = 'relu', 'hard_swish'

# Kernel, expansion, channels, activation, stride, squeeze factor: Table 1 of arXiv:1905.02244.
_LARGE_BLOCKS = (
    (3, 1, 16, _RE, 1, None),
    (3, 4, 24, _RE, 2, None),
    (3, 3, 24, _RE, 1, None),
    (5, 3, 40, _RE, 2, 4),
    (5, 3, 40, _RE, 1, 4),
    (5, 3, 40, _RE, 1, 4),
    (3, 6, 80, _HS, 2, None),
    (3, 2.5, 80, _HS, 1, None),
    (3, 184 / 80, 80, _HS, 1, None),
    (3, 184 / 80, 80, _HS, 1, None),
    (3, 6, 112, _HS, 1, 4),
    (3, 6, 112, _HS, 1, 4),
    (5, 6, 160, _HS, 2, 4),
    (5, 6, 160, _HS, 1, 4),
    (5, 6, 160, _HS, 1, 4),
)

# The same columns: Table 2 of the paper.
_SMALL_BLOCKS = (
    (3, 1, 16, _RE, 2, 4),
    (3, 72 / 16, 24, _RE, 2, None),
    (3, 88 / 24, 24, _RE, 1, None),
    (5, 4, 40, _HS, 2, 4),
    (5, 6, 40, _HS, 1, 4),
    (5, 6, 40, _HS, 1, 4),
    (5, 3, 48, _HS, 1, 4),
    (5, 3, 48, _HS, 1, 4),
    (5, 6, 96, _HS, 2, 4),
    (5, 6, 96, _HS, 1, 4),
    (5, 6, 96, _HS, 1, 4),
)


def _v3(blocks, last_channels: int, embedding_channels: int) -> tuple[Row, ...]:
    """The table around the blocks: stem, last convolution, and the embedding after pooling."""
    return (
        Convolution(3, 16, stride=2, activation=_HS),
        *(InvertedResidual(*block) for block in blocks),
        Convolution(1, last_channels, activation=_HS),
        GlobalPooling(),
        Convolution(1, embedding_channels, activation=_HS, normalized=False),
    )


def minimalistic(table: tuple[Row, ...]) -> tuple[Row, ...]:
    """The table for devices on which 5 x 5 kernels, gates and hard swish are slow."""
    rows: list[Row] = []
    for row in table:
        if isinstance(row, InvertedResidual):
            row = row._replace(kernel=3, activation=_RE, squeeze_factor=None)
        elif isinstance(row, Convolution):
            row = row._replace(activation=_RE)
        rows.append(row)
    return tuple(rows)


V3_LARGE = _v3(_LARGE_BLOCKS, 960, 1280)
V3_LARGE_MINIMALISTIC = minimalistic(V3_LARGE)
V3_SMALL = _v3(_SMALL_BLOCKS, 576, 1024)
V3_SMALL_MINIMALISTIC = minimalistic(V3_SMALL)

# Repeats, then kernel, expansion, channels, stride, and whether fused and with residual.
_EDGETPU_BLOCKS = (
    (1, 3, 1, 16, 1, True, True),
    (1, 3, 8, 32, 2, True, True),
    (3, 3, 4, 32, 1, True, True),
    (1, 3, 8, 48, 2, True, True),
    (3, 3, 4, 48, 1, True, True),
    (1, 3, 8, 96, 2, False, True),
    (3, 3, 4, 96, 1, False, True),
    (1, 3, 8, 96, 1, False, False),
    (3, 3, 4, 96, 1, False, True),
    (1, 5, 8, 160, 2, False, True),
    (3, 5, 4, 160, 1, False, True),
    (1, 3, 8, 192, 1, False, True),
)
EDGETPU = (
    Convolution(3, 32, stride=2, activation=_RE),
    *(
        InvertedResidual(kernel, expansion, channels, _RE, stride, None, fused, residual)
        for repeats, kernel, expansion, channels, stride, fused, residual in _EDGETPU_BLOCKS
        for _ in range(repeats)
    ),
    Convolution(1, 1280, activation=_RE),
)
