"""One checkpoint, two networks: the slim one and the Keras model compute the same."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import golden_values
import keras_facts
import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from mobilenet import common_modules
from mobilenet.configs import archs
from mobilenet.tf1_loader import utils
from nets import mobilenet_v1, nets_factory
from nets.mobilenet import mobilenet_v2, mobilenet_v3

_SIZE, _CLASSES = 64, 7


def _of_factory(name: str, **arguments: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda images: nets_factory.get_network_fn(name, _CLASSES)(images, **arguments)[0]


def _of_v1(**arguments: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    """The whole network around a base with arguments that only the base has."""

    def build(images: tf.Tensor) -> tf.Tensor:
        with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope(is_training=False)):
            with tf.variable_scope('MobilenetV1') as scope:
                net, _ = mobilenet_v1.mobilenet_v1_base(images, scope=scope, **arguments)
                with tf.variable_scope('Logits'):
                    net = tf.reduce_mean(net, [1, 2], keepdims=True)
                    net = slim.conv2d(
                        net,
                        _CLASSES,
                        [1, 1],
                        activation_fn=None,
                        normalizer_fn=None,
                        scope='Conv2d_1c_1x1',
                    )
            return tf.squeeze(net, [1, 2])

    return build


def _of_family(module: Any, **arguments: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    def build(images: tf.Tensor) -> tf.Tensor:
        with slim.arg_scope(module.training_scope(is_training=False)):
            return module.mobilenet(images, _CLASSES, **arguments)[0]

    return build


# Slim's network and the Keras configuration: all that both have.
_BOTH = {
    'mobilenet_v1': (_of_factory('mobilenet_v1'), archs.MobileNetV1Config()),
    'mobilenet_v1_075': (
        _of_factory('mobilenet_v1_075'),
        archs.MobileNetV1Config(width_multiplier=0.75),
    ),
    'mobilenet_v1_050': (
        _of_factory('mobilenet_v1_050'),
        archs.MobileNetV1Config(width_multiplier=0.5),
    ),
    'mobilenet_v1_025': (
        _of_factory('mobilenet_v1_025'),
        archs.MobileNetV1Config(width_multiplier=0.25),
    ),
    'mobilenet_v1_025, stride 8, padded': (
        _of_v1(depth_multiplier=0.25, output_stride=8, use_explicit_padding=True),
        archs.MobileNetV1Config(width_multiplier=0.25, output_stride=8, use_explicit_padding=True),
    ),
    'mobilenet_v2': (_of_factory('mobilenet_v2'), archs.MobileNetV2Config()),
    'mobilenet_v2_140': (
        _of_factory('mobilenet_v2_140'),
        archs.MobileNetV2Config(width_multiplier=1.4),
    ),
    'mobilenet_v2_050': (
        _of_factory('mobilenet_v2_050'),
        archs.MobileNetV2Config(width_multiplier=0.5),
    ),
    'mobilenet_v2_035': (
        _of_factory('mobilenet_v2_035'),
        archs.MobileNetV2Config(width_multiplier=0.35),
    ),
    'mobilenet_v2_035, not fine-grained': (
        _of_family(mobilenet_v2, depth_multiplier=0.35),
        archs.MobileNetV2Config(width_multiplier=0.35, finegrain_classification_mode=False),
    ),
    'mobilenet_v2_035, stride 16, padded': (
        _of_factory('mobilenet_v2_035', output_stride=16, use_explicit_padding=True),
        archs.MobileNetV2Config(width_multiplier=0.35, output_stride=16, use_explicit_padding=True),
    ),
    'mobilenet_v2_035, stride 8': (
        _of_factory('mobilenet_v2_035', output_stride=8),
        archs.MobileNetV2Config(width_multiplier=0.35, output_stride=8),
    ),
    'mobilenet_v3_large': (_of_factory('mobilenet_v3_large'), archs.MobileNetV3LargeConfig()),
    'mobilenet_v3_large, stride 16': (
        _of_factory('mobilenet_v3_large', output_stride=16),
        archs.MobileNetV3LargeConfig(output_stride=16),
    ),
    'mobilenet_v3_small': (_of_factory('mobilenet_v3_small'), archs.MobileNetV3SmallConfig()),
    'mobilenet_v3_small, padded': (
        _of_factory('mobilenet_v3_small', use_explicit_padding=True),
        archs.MobileNetV3SmallConfig(use_explicit_padding=True),
    ),
    'mobilenet_v3_large_minimalistic': (
        _of_factory('mobilenet_v3_large_minimalistic'),
        archs.MobileNetV3LargeMinimalisticConfig(),
    ),
    'mobilenet_v3_small_minimalistic': (
        _of_factory('mobilenet_v3_small_minimalistic'),
        archs.MobileNetV3SmallMinimalisticConfig(),
    ),
    'mobilenet_v3_small, group norm': (
        _of_family(mobilenet_v3, conv_defs=mobilenet_v3.V3_SMALL, use_groupnorm=True),
        # slim's own epsilon.
        archs.MobileNetV3SmallConfig(normalization_name='group_norm', batch_norm_epsilon=1e-6),
    ),
    'mobilenet_edgetpu': (_of_factory('mobilenet_edgetpu'), archs.MobileNetV3EdgeTPUConfig()),
    'mobilenet_edgetpu_075': (
        _of_factory('mobilenet_edgetpu_075'),
        archs.MobileNetV3EdgeTPUConfig(width_multiplier=0.75),
    ),
    'mobilenet_edgetpu_075, stride 8, padded': (
        _of_factory('mobilenet_edgetpu_075', output_stride=8, use_explicit_padding=True),
        archs.MobileNetV3EdgeTPUConfig(
            width_multiplier=0.75, output_stride=8, use_explicit_padding=True
        ),
    ),
}
# The others differ from these in width, or are among the golden cases (test_keras_goldens.py).
_ALWAYS = (
    'mobilenet_v1_025, stride 8, padded',
    'mobilenet_v2_035, stride 16, padded',
    'mobilenet_v3_small_minimalistic',
)
_GAINS = {'mobilenet_v3_large': 0.92, 'mobilenet_edgetpu': 0.74, 'mobilenet_edgetpu_075': 0.74}


def slim_logits(
    build: Callable[[tf.Tensor], tf.Tensor], images: np.ndarray, gain: float, prefix: pathlib.Path
) -> np.ndarray:
    """Logits of a slim network, whose variables are saved to `prefix` by TensorFlow 1's saver."""
    with tf.Graph().as_default(), sessions.plain_session() as session:
        inputs = tf.placeholder(tf.float32, images.shape)
        logits = build(inputs)
        golden_values.initialize(session, tf.global_variables(), gain)
        tf.train.Saver().save(session, str(prefix), write_meta_graph=False)
        return session.run(logits, {inputs: images})


@pytest.mark.parametrize(
    'name', [n if n in _ALWAYS else pytest.param(n, marks=keras_facts.DEEP) for n in _BOTH]
)
def test_logits_are_the_same(name, tmp_path):
    build, config = _BOTH[name]
    images = golden_values.forward_images('both', _SIZE, 2, 3)
    gain = _GAINS.get(name.split(',')[0], 1.0)
    wanted = slim_logits(build, images, gain, tmp_path / 'model.ckpt')
    assert np.abs(wanted).max() > 0.01
    config = config.replace(num_classes=_CLASSES, input_shape=(_SIZE, _SIZE, 3))
    model = utils.load_model(str(tmp_path), config)
    logits = common_modules.logits_model(model)(images).numpy()
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.once
def test_all_that_the_factory_has_is_compared():
    ours = {name for name in nets_factory.networks_map if name.startswith('mobilenet_')}
    assert ours <= set(_BOTH)
