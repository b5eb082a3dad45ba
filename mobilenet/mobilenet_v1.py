"""MobileNetV1 as a Keras model: depthwise separable convolutions, arXiv:1704.04861."""

from __future__ import annotations

import tf_keras

from mobilenet import common_modules
from mobilenet.configs import archs

MobileNetV1Config = archs.MobileNetV1Config


def mobilenet_v1(
    config: MobileNetV1Config | None = None, input_shape: tuple | None = None
) -> tf_keras.Model:
    """Builds MobileNetV1, with the class probabilities as output.

    Args:
      config: None for the defaults.
      input_shape: (height, width, channels) in place of the configuration's. As the first argument
        by position it is understood as well.
    """
    return common_modules.mobilenet_model(
        common_modules.settled(config, input_shape, MobileNetV1Config)
    )
