"""MobileNetV2 as a Keras model: inverted residuals, arXiv:1801.04381."""

from __future__ import annotations

import tf_keras

from mobilenet import common_modules
from mobilenet.configs import archs

MobileNetV2Config = archs.MobileNetV2Config


def mobilenet_v2(
    config: MobileNetV2Config | None = None, input_shape: tuple | None = None
) -> tf_keras.Model:
    """Builds MobileNetV2, with the class probabilities as output.

    Args:
      config: None for the defaults.
      input_shape: (height, width, channels) in place of the configuration's. As the first argument
        by position it is understood as well.
    """
    return common_modules.mobilenet_model(
        common_modules.settled(config, input_shape, MobileNetV2Config)
    )
