"""Dilated and explicitly padded MobileNets compute what the plain ones compute.

On a side of 2^n + 1 pixels SAME padding is symmetric at every layer, so that explicit padding gives
the same numbers, and a dilated network, sampled at the plain network's places, as well.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
import sessions
import tensorflow.compat.v1 as tf

import slim
from nets import mobilenet_v1
from nets.mobilenet import mobilenet_v2, mobilenet_v3

pytestmark = [pytest.mark.usefixtures('graph'), pytest.mark.once]

SIDE = 65
STRIDE = 16  # of the last layer built
# Widths at which every strided block beyond the output stride changes its channels: a block that
# keeps them would get a residual once its stride is taken away.
BASES = {
    'v1': (mobilenet_v1.mobilenet_v1_base, 0.1, 'Conv2d_7_pointwise', 8),
    'v2': (mobilenet_v2.mobilenet_base, 0.35, 'layer_9', 4),
    # Without squeeze and excite, whose averages depend on the places that a layer keeps.
    'v3': (functools.partial(mobilenet_v3.small_minimalistic, base_only=True), 0.35, 'layer_6', 8),
    'edgetpu': (functools.partial(mobilenet_v3.edge_tpu, base_only=True), 0.5, 'layer_12', 4),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', BASES)
def test_same_numbers_at_the_same_places(name):
    base, depth_multiplier, final_endpoint, output_stride = BASES[name]
    tf.set_random_seed(1)
    image = tf.constant(np.random.RandomState(0).uniform(-1, 1, [1, SIDE, SIDE, 3]), tf.float32)
    with (
        tf.variable_scope('shared', reuse=tf.AUTO_REUSE),
        slim.arg_scope([slim.conv2d], weights_initializer=slim.variance_scaling_initializer()),
        slim.arg_scope([slim.separable_conv2d], weights_initializer=tf.random_normal_initializer()),
    ):
        plain, explicit, *dilated = (
            base(
                image,
                depth_multiplier=depth_multiplier,
                final_endpoint=final_endpoint,
                use_explicit_padding=padding,
                output_stride=stride,
                scope='net',
            )[0]
            for stride in (None, output_stride)
            for padding in (False, True)
        )
    with sessions.plain_session() as session:
        session.run(tf.global_variables_initializer())
        expected, *arrays = session.run([plain, explicit, *dilated])
    assert expected.shape[1] == (SIDE - 1) // STRIDE + 1
    assert arrays[-1].shape[1] == (SIDE - 1) // output_stride + 1
    step = STRIDE // output_stride
    assert np.ptp(expected) > 1e-3
    for got in (arrays[0], *(array[:, ::step, ::step] for array in arrays[1:])):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
