"""The MobileNets' configurations: a block's, a network's, and one class per network.

The rows of the blocks come from `nets/mobilenet/architectures.py`, which the slim networks are
built of as well. Importing this module loads no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from mobilenet.configs import base
from nets.mobilenet import architectures


class BlockType(enum.Enum):
    """Kinds of blocks; a configuration holds the value, which is the name."""

    Conv = 'Conv'
    DepSepConv = 'DepSepConv'
    InvertedResConv = 'InvertedResConv'
    GlobalPooling = 'GlobalPooling'


@dataclasses.dataclass(init=False)
class MobileNetBlockConfig(base.Config):
    """One layer or block of a network."""

    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    filters: int = 32
    use_biase: bool = False  # sic
    normalization: bool = True
    activation_name: str = 'relu6'
    # Of an inverted residual block: factor on its input's channels; divisor of squeeze and excite's
    # middle layer, None for none; a depthwise layer, or one full convolution; add the input.
    expansion_size: float = 6.0
    squeeze_factor: int | None = None
    depthwise: bool = True
    residual: bool = True
    block_type: str = BlockType.Conv.value


def _block(row: architectures.Row) -> MobileNetBlockConfig:
    """The configuration of a row of `architectures`."""
    if isinstance(row, architectures.GlobalPooling):
        return MobileNetBlockConfig(block_type=BlockType.GlobalPooling.value)
    block = MobileNetBlockConfig(stride=row.stride, filters=row.channels)
    if isinstance(row, architectures.Separable):
        block.block_type = BlockType.DepSepConv.value
        return block
    block.override({'kernel': (row.kernel, row.kernel), 'activation_name': row.activation})
    if isinstance(row, architectures.Convolution):
        block.override({'normalization': row.normalized, 'use_biase': not row.normalized})
        return block
    block.override(
        {
            'expansion_size': row.expansion,
            'squeeze_factor': row.squeeze_factor,
            'depthwise': not row.fused,
            'residual': row.residual,
            'block_type': BlockType.InvertedResConv.value,
        }
    )
    return block


def _blocks(table: tuple[architectures.Row, ...]) -> Any:
    """A field with blocks of its own in each configuration, for they can be edited."""
    return dataclasses.field(default_factory=lambda: tuple(_block(row) for row in table))


@dataclasses.dataclass(init=False)
class MobileNetConfig(base.Config):
    """A network: its blocks, and what holds for all of them."""

    # Widths are rounded to multiples of 8, as V2 and V3 do it; V1 truncates.
    rounds_widths: ClassVar[bool] = True

    name: str = 'MobileNet'
    num_classes: int | None = 1001  # 0 or None: the pooled features, no classifier
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3)
    min_depth: int = 8  # least width of a layer
    width_multiplier: float = 1.0  # above 0
    output_stride: int | None = None  # beyond it layers are dilated instead of strided
    finegrain_classification_mode: bool = False  # a multiplier below 1 leaves the last block as is
    use_explicit_padding: bool = False  # pad independently of the image size
    global_pool: bool = True  # else windows of 7 x 7
    spatial_squeeze: bool = True  # logits [batch, classes], else [batch, 1, 1, classes]
    weight_decay: float = 4e-5  # loss: weight_decay * sum(w ** 2), without slim's factor of a half
    stddev: float = 0.09  # of the weights' truncated normal; below 0 for Glorot's uniform
    regularize_depthwise: bool = False
    activation_name: str = 'relu6'  # sic: never read, each block has its own
    normalization_name: str = 'batch_norm'
    batch_norm_decay: float = 0.9997
    batch_norm_epsilon: float = 0.001
    dropout_keep_prob: float = 0.8
    blocks: tuple[MobileNetBlockConfig, ...] = ()


@dataclasses.dataclass(init=False)
class MobileNetV1Config(MobileNetConfig):
    """MobileNetV1, arXiv:1704.04861."""

    rounds_widths: ClassVar[bool] = False

    name: str = 'MobileNetV1'
    weight_decay: float = 2e-5
    blocks: tuple[MobileNetBlockConfig, ...] = _blocks(architectures.V1)


@dataclasses.dataclass(init=False)
class MobileNetV2Config(MobileNetConfig):
    """MobileNetV2, arXiv:1801.04381."""

    name: str = 'MobileNetV2'
    finegrain_classification_mode: bool = True
    weight_decay: float = 2e-5
    blocks: tuple[MobileNetBlockConfig, ...] = _blocks(architectures.V2)


@dataclasses.dataclass(init=False)
class MobileNetV3LargeConfig(MobileNetConfig):
    """MobileNetV3 large, arXiv:1905.02244."""

    name: str = 'MobileNetV3Large'
    finegrain_classification_mode: bool = True
    weight_decay: float = 2e-5
    blocks: tuple[MobileNetBlockConfig, ...] = _blocks(architectures.V3_LARGE)


@dataclasses.dataclass(init=False)
class MobileNetV3SmallConfig(MobileNetConfig):
    """MobileNetV3 small."""

    name: str = 'MobileNetV3Small'
    finegrain_classification_mode: bool = True
    weight_decay: float = 2e-5
    blocks: tuple[MobileNetBlockConfig, ...] = _blocks(architectures.V3_SMALL)


@dataclasses.dataclass(init=False)
class MobileNetV3EdgeTPUConfig(MobileNetConfig):
    """MobileNetEdgeTPU: MobileNetV3's search for another device."""

    name: str = 'MobileNetV3EdgeTPU'
    finegrain_classification_mode: bool = True
    weight_decay: float = 2e-5
    blocks: tuple[MobileNetBlockConfig, ...] = _blocks(architectures.EDGETPU)


@dataclasses.dataclass(init=False)
class MobileNetV3LargeMinimalisticConfig(MobileNetV3LargeConfig):
    """MobileNetV3 large without 5 x 5 kernels, squeeze and excite, and hard swish."""

    name: str = 'MobileNetV3LargeMinimalistic'
    blocks: tuple[MobileNetBlockConfig, ...] = _blocks(architectures.V3_LARGE_MINIMALISTIC)


@dataclasses.dataclass(init=False)
class MobileNetV3SmallMinimalisticConfig(MobileNetV3SmallConfig):
    """MobileNetV3 small without 5 x 5 kernels, squeeze and excite, and hard swish."""

    name: str = 'MobileNetV3SmallMinimalistic'
    blocks: tuple[MobileNetBlockConfig, ...] = _blocks(architectures.V3_SMALL_MINIMALISTIC)


# The networks by the names that the scripts' flags know.
MODEL_CONFIGS: Mapping[str, type[MobileNetConfig]] = {
    'mobilenet_v1': MobileNetV1Config,
    'mobilenet_v2': MobileNetV2Config,
    'mobilenet_v3_small': MobileNetV3SmallConfig,
    'mobilenet_v3_large': MobileNetV3LargeConfig,
    'mobilenet_v3_edge_tpu': MobileNetV3EdgeTPUConfig,
    'mobilenet_v3_small_minimalistic': MobileNetV3SmallMinimalisticConfig,
    'mobilenet_v3_large_minimalistic': MobileNetV3LargeMinimalisticConfig,
}


def hard_sigmoid(x):
    """relu6(x + 3) / 6, with the constant that the published checkpoints were trained with."""
    import tensorflow as tf

    return tf.nn.relu6(x + 3.0) * 0.16667  # sic: not 1 / 6


def hard_swish(x):
    """x * relu6(x + 3) / 6: swish without an exponential (section 5.2 of arXiv:1905.02244)."""
    import tensorflow as tf

    return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


@functools.cache
def get_activation_function() -> Mapping[str, Callable[..., Any]]:
    """Activations by the names that a block's `activation_name` takes."""
    import tensorflow as tf

    return {
        'relu': tf.nn.relu,
        'relu6': tf.nn.relu6,
        'elu': tf.nn.elu,
        'swish': tf.nn.swish,
        'hard_swish': hard_swish,
        'sigmoid': tf.nn.sigmoid,
        'hard_sigmoid': hard_sigmoid,
        'softmax': tf.nn.softmax,
    }


@functools.cache
def get_normalization_layer() -> Mapping[str, type[Any]]:
    """Keras layers by the names that `normalization_name` takes."""
    import tf_keras

    return {
        'batch_norm': tf_keras.layers.BatchNormalization,
        'layer_norm': tf_keras.layers.LayerNormalization,
        'group_norm': tf_keras.layers.GroupNormalization,
    }
