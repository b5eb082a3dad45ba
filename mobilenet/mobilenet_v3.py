"""MobileNetV3 and MobileNetEdgeTPU as Keras models, arXiv:1905.02244.

In all builders `config` None is the network's defaults, and `input_shape` (height, width, channels)
stands over the configuration's; by position it is understood as the first argument as well. The
output are class probabilities.
"""

from __future__ import annotations

import tf_keras

from mobilenet import common_modules
from mobilenet.configs import archs

MobileNetV3Config = (
    archs.MobileNetV3LargeConfig | archs.MobileNetV3SmallConfig | archs.MobileNetV3EdgeTPUConfig
)


def checked(config: archs.MobileNetConfig) -> MobileNetV3Config:
    """The configuration; UsageError for one of another network."""
    if not isinstance(config, MobileNetV3Config):
        wanted = 'a MobileNetV3LargeConfig, MobileNetV3SmallConfig or MobileNetV3EdgeTPUConfig'
        raise common_modules.other_configuration(config, wanted)
    return config


def mobilenet_v3(config: MobileNetV3Config, input_shape: tuple | None = None) -> tf_keras.Model:
    """Builds the network of V3's family that the configuration's class says."""
    settled = common_modules.settled(config, input_shape, archs.MobileNetConfig)
    return common_modules.mobilenet_model(checked(settled))


def mobilenet_v3_small(
    config: archs.MobileNetV3SmallConfig | None = None, input_shape: tuple | None = None
) -> tf_keras.Model:
    """Builds MobileNetV3 small."""
    return common_modules.mobilenet_model(
        common_modules.settled(config, input_shape, archs.MobileNetV3SmallConfig)
    )


def mobilenet_v3_large(
    config: archs.MobileNetV3LargeConfig | None = None, input_shape: tuple | None = None
) -> tf_keras.Model:
    """Builds MobileNetV3 large."""
    return common_modules.mobilenet_model(
        common_modules.settled(config, input_shape, archs.MobileNetV3LargeConfig)
    )


def mobilenet_v3_edge_tpu(
    config: archs.MobileNetV3EdgeTPUConfig | None = None, input_shape: tuple | None = None
) -> tf_keras.Model:
    """Builds MobileNetEdgeTPU."""
    return common_modules.mobilenet_model(
        common_modules.settled(config, input_shape, archs.MobileNetV3EdgeTPUConfig)
    )
