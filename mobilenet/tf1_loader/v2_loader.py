"""Loads checkpoints of the slim MobileNetV2 into its Keras model."""

from __future__ import annotations

import tf_keras

from mobilenet import common_modules
from mobilenet.configs import archs
from mobilenet.tf1_loader import names, utils


def mobinetv2_tf1_tf2_name_convert(tf2_layer_name: str) -> str:  # sic
    """The slim network's layer, below its scope, for a Keras layer."""
    return names.v2_name(tf2_layer_name)


def load_mobilenet_v2(
    checkpoint_path: str,
    config: archs.MobileNetV2Config | None = None,
    use_mv_average: bool = True,
) -> tf_keras.Model:
    """MobileNetV2 with a checkpoint's weights.

    Args:
      checkpoint_path: a checkpoint's prefix, or a folder, of which the newest one counts.
      config: None for the defaults.
      use_mv_average: take a variable's moving average where the checkpoint has one.

    Raises:
      CheckpointError: there is no checkpoint, or it does not fit the configuration.
    """
    settled = common_modules.settled(config, None, archs.MobileNetV2Config)
    return utils.load_model(checkpoint_path, settled, use_mv_average)
