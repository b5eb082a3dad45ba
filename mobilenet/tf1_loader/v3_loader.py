"""Loads checkpoints of the slim MobileNetV3 and MobileNetEdgeTPU into their Keras models.

In all of them `checkpoint_path` is a checkpoint's prefix, or a folder of which the newest one
counts; `config` None is the network's defaults; `use_mv_average` takes a variable's moving average
where the checkpoint has one. A checkpoint that does not fit is a CheckpointError.
"""

from __future__ import annotations

import tf_keras

from mobilenet import common_modules, mobilenet_v3
from mobilenet.configs import archs
from mobilenet.tf1_loader import names, utils


def mobinetv3_tf1_tf2_name_convert(tf2_layer_name: str) -> str:  # sic
    """The slim network's layer, below its scope, for a Keras layer."""
    return names.v2_name(tf2_layer_name)


def load_mobilenet_v3(
    checkpoint_path: str, config: mobilenet_v3.MobileNetV3Config, use_mv_average: bool = True
) -> tf_keras.Model:
    """The network of V3's family that the configuration's class says, loaded."""
    return utils.load_model(checkpoint_path, mobilenet_v3.checked(config), use_mv_average)


def load_mobilenet_v3_small(
    checkpoint_path: str,
    config: archs.MobileNetV3SmallConfig | None = None,
    use_mv_average: bool = True,
) -> tf_keras.Model:
    """MobileNetV3 small with a checkpoint's weights."""
    settled = common_modules.settled(config, None, archs.MobileNetV3SmallConfig)
    return utils.load_model(checkpoint_path, settled, use_mv_average)


def load_mobilenet_v3_large(
    checkpoint_path: str,
    config: archs.MobileNetV3LargeConfig | None = None,
    use_mv_average: bool = True,
) -> tf_keras.Model:
    """MobileNetV3 large with a checkpoint's weights."""
    settled = common_modules.settled(config, None, archs.MobileNetV3LargeConfig)
    return utils.load_model(checkpoint_path, settled, use_mv_average)


def load_mobilenet_edgetpu(
    checkpoint_path: str,
    config: archs.MobileNetV3EdgeTPUConfig | None = None,
    use_mv_average: bool = True,
) -> tf_keras.Model:
    """MobileNetEdgeTPU with a checkpoint's weights."""
    settled = common_modules.settled(config, None, archs.MobileNetV3EdgeTPUConfig)
    return utils.load_model(checkpoint_path, settled, use_mv_average)
